//! What machine learning and transcoding are given of a host's graphics, and why not the rest.
//!
//! Pure: from what was seen, what is wished for and what was in use before to what the units say. Which of AMD's cards
//! work is data (`gfx.toml`). Nothing here looks at a device.

mod candidate;
mod encoding;
mod gfx;
mod learning;
pub mod trial;

use crate::config::Hardware as Wishes;
use crate::model::hardware::{Acceleration, Cdi, Gpu, Hardware, RenderDevice, Variant};
use crate::model::{HostPath, Refusal};

pub use gfx::{Support, Target, find as find_target};

/// Bytes in a GiB.
pub const GIB: u64 = 1 << 30;

/// What it is decided from, beside the wishes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The graphics.
    pub hardware: Hardware,
    /// What was in use when all was last well.
    pub last: Option<Box<Acceleration>>,
    /// The host has only just booted, and drivers may not have loaded yet.
    pub booting: bool,
    /// Whether SELinux is on.
    pub selinux: bool,
    /// Bytes that are free where images lie; none where nobody knows.
    pub room: Option<u64>,
}

/// What is known of the image of machine learning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// The release's, in any variant; those of them that were pulled before.
    Release(Vec<Variant>),
    /// One that the operator has named, and its variant, where its tag tells.
    Named(Option<Variant>),
}

/// How much room each variant's image takes while it is pulled and unpacked, in bytes.
///
/// ROCm: Immich asks for 35 GiB (its documentation, "ML hardware acceleration"). The others: what `upgrade` reckons with.
pub const fn room_for(variant: Variant) -> u64 {
    match variant {
        Variant::Rocm => 35 * GIB,
        Variant::Cuda => 6 * GIB,
        Variant::Cpu | Variant::Openvino => 3 * GIB,
    }
}

/// Decides, or says why what is wished for cannot be.
pub fn choose(wishes: &Wishes, seen: &Seen, image: &Image) -> Result<Box<Acceleration>, Refusal> {
    check_device(wishes, seen)?;
    let learning = learning::choose(wishes, seen, image)?;
    let encoding = encoding::choose(wishes, seen, &learning)?;
    Ok(Box::new(Acceleration { learning, encoding }))
}

/// What is kept until the drivers of a host that boots have had their time: all that has to be there of it.
pub fn awaited(seen: &Seen, chosen: &Acceleration) -> Vec<HostPath> {
    let there = |path: &&HostPath| seen.has(path);
    let given = [&chosen.learning.given, &chosen.encoding.given];
    let mut missing: Vec<HostPath> =
        given.into_iter().flat_map(|given| &given.there).filter(|path| !there(path)).cloned().collect();
    missing.sort();
    missing.dedup();
    missing
}

/// The card that the operator names, if one is named.
fn is_meant(wishes: &Wishes, gpu: &Gpu) -> bool {
    match &wishes.device {
        None => true,
        Some(RenderDevice::Node(node)) => Some(*node) == gpu.render,
        Some(RenderDevice::At(address)) => Some(address) == gpu.address.as_ref(),
    }
}

/// A named card that was never there is a mistake; one that was in use is gone, which is seen to elsewhere.
fn check_device(wishes: &Wishes, seen: &Seen) -> Result<(), Refusal> {
    let Some(device) = &wishes.device else { return Ok(()) };
    let is_there = seen.hardware.gpus.iter().any(|gpu| is_meant(wishes, gpu));
    if is_there || seen.was_in_use() {
        return Ok(());
    }
    let nodes: Vec<String> =
        seen.hardware.gpus.iter().filter_map(|gpu| gpu.render).map(|node| node.to_string()).collect();
    let there = if nodes.is_empty() { "this host has no render node".to_owned() } else { nodes.join(", ") };
    let why = format!("{device} is no graphics card of this host ({there})");
    Err(Refusal::new("hardware.device", why, "photos-agent hardware; then mend or remove `device` in [hardware]"))
}

impl Seen {
    /// Whether that node or file was seen.
    fn has(&self, path: &HostPath) -> bool {
        let hardware = &self.hardware;
        let nodes = hardware.gpus.iter().filter_map(|gpu| gpu.node.as_ref()).chain(&hardware.kfd);
        let of_cdi = |cdi: &Cdi| &cdi.file == path || (cdi.nodes.contains(path) && !cdi.missing.contains(path));
        nodes.into_iter().any(|node| &node.path == path) || hardware.cdi.iter().any(of_cdi)
    }

    /// Whether anything was accelerated, or was before it was lost.
    fn was_in_use(&self) -> bool {
        self.last.as_ref().is_some_and(|last| {
            let (learning, encoding) = (&last.learning, &last.encoding);
            let given = learning.given.is_some() || encoding.given.is_some();
            given || learning.lost.is_some() || encoding.lost.is_some()
        })
    }
}
