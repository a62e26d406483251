//! AMD's compute topology: which card computes as what. The kernel documents it in its source only (`kfd_topology.c`).

use std::collections::BTreeMap;

use crate::host::files::{self, FileError};
use crate::model::Root;
use crate::model::hardware::{GfxTarget, Kfd, RenderNode};

/// The node through which all of them compute.
pub(super) const NODE: &str = "/dev/kfd";

const NODES: &str = "/sys/class/kfd/kfd/topology/nodes";

/// The nodes that are cards, by the render node of each. A processor has no target.
pub(super) fn topology(root: &Root) -> Result<Vec<(RenderNode, Kfd)>, FileError> {
    let folder = root.join(NODES);
    let mut found = Vec::new();
    for name in files::list(&folder)? {
        // Not everybody may read what a card is (the file is empty then); root may.
        let properties = files::read(&folder.join(&name).join("properties"))?.unwrap_or_default();
        let (Ok(node), properties) = (name.parse(), read(&properties)) else { continue };
        let of = |key: &str| properties.get(key).copied();
        let target = of("gfx_target_version").and_then(GfxTarget::of_kernel);
        let render = of("drm_render_minor").and_then(RenderNode::of_minor);
        found.extend(render.zip(target).map(|(render, target)| (render, Kfd { target, node })));
    }
    Ok(found)
}

/// Lines of a name and a number. Some numbers are larger than what is asked for here, and left out.
fn read(properties: &str) -> BTreeMap<&str, u32> {
    let pair = |line| str::split_once(line, ' ').and_then(|(key, value)| Some((key, value.trim().parse().ok()?)));
    properties.lines().filter_map(pair).collect()
}
