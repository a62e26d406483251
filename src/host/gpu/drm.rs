//! The kernel's render nodes: /sys/class/drm, and the node in /dev that belongs to each.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Unseen, line, names, nodes};
use crate::host::files::{self, FileError};
use crate::model::Root;
use crate::model::hardware::{Gpu, PciId, RenderNode};

const CLASS: &str = "/sys/class/drm";

/// Everything with a render node, by its number. One that cannot be looked at is no reason not to see the others.
pub(super) fn render_nodes(root: &Root, unseen: &mut Unseen) -> Vec<Gpu> {
    let names = unseen.of(files::list(&root.join(CLASS)));
    let mut nodes: Vec<RenderNode> = names.iter().filter_map(|name| RenderNode::of_name(name)).collect();
    nodes.sort_unstable();
    nodes.into_iter().filter_map(|node| unseen.of(gpu(root, node).map(Some))).collect()
}

fn gpu(root: &Root, render: RenderNode) -> Result<Gpu, FileError> {
    let device = root.join(CLASS).join(render.name()).join("device");
    let own = fields(&device)?;
    // What is no PCI device itself may be one's: a virtio device says so one level above.
    let above = device.join("..").join("uevent");
    let above = if own.contains_key("PCI_ID") { BTreeMap::new() } else { parse(&line(&above)?.unwrap_or_default()) };
    let of = |key: &str| own.get(key).or_else(|| above.get(key));
    let id = of("PCI_ID").and_then(|text| pci_id(text));
    Ok(Gpu {
        render: Some(render),
        node: nodes::look(root, render.path().as_path())?,
        driver: own.get("DRIVER").cloned().unwrap_or_else(|| "unknown driver".to_owned()),
        address: of("PCI_SLOT_NAME").and_then(|text| text.parse().ok()),
        id,
        name: id.and_then(|id| names::of(root, id)),
        memory: line(&device.join("mem_info_vram_total"))?.and_then(|bytes| bytes.parse().ok()),
        kfd: None,
    })
}

fn fields(device: &Path) -> Result<BTreeMap<String, String>, FileError> {
    Ok(parse(&files::read(&device.join("uevent"))?.unwrap_or_default()))
}

/// Lines of `KEY=value`.
fn parse(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
    text.lines().filter_map(pair).collect()
}

/// From `1002:73BF`.
fn pci_id(text: &str) -> Option<PciId> {
    let (vendor, device) = text.split_once(':')?;
    let number = |text| u16::from_str_radix(text, 16).ok();
    Some(PciId { vendor: number(vendor)?, device: number(device)? })
}
