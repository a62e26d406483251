//! What machine learning and transcoding are given of a host's graphics, and why not the rest.
//!
//! Pure: from what was seen, what is wished for and what was in use before to what the units say. Which of AMD's cards
//! work is data (`gfx.toml`). Nothing here looks at a device.

mod candidate;
mod encoding;
mod gfx;
mod learning;
pub mod trial;

use std::collections::BTreeSet;

use crate::config::Hardware as Wishes;
use crate::model::hardware::{Acceleration, Cdi, Given, Gpu, Hardware, Lost, RenderDevice, Variant};
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
    /// Something goes back, or on to another release: what machine learning runs stays in the variant that it has, whether there
    /// is a card or not, so that nothing hangs on a registry.
    pub settles: bool,
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

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is given.
    pub acceleration: Box<Acceleration>,
    /// Why what is wished for anew cannot be. It is the plan's to refuse: what has nothing to do with cards goes on.
    pub refusals: Vec<Refusal>,
}

/// Decides. What cannot be is done by the processor.
pub fn choose(wishes: &Wishes, seen: &Seen, image: &Image) -> Choice {
    let said = words(wishes);
    // Of wishes that held when all was last well, what cannot be any more is lost; nobody has to be refused anything.
    let last = seen.last.as_deref().filter(|last| last.wishes == said);
    let mut refusals: Vec<Refusal> = Vec::new();
    if last.is_none() {
        refusals.extend(check_device(wishes, seen));
    }
    let (learning, refused) = learning::choose(wishes, seen, image, last.map(|last| &last.learning));
    refusals.extend(refused);
    let (encoding, refused) = encoding::choose(wishes, seen, &learning, last.map(|last| &last.encoding));
    refusals.extend(refused);
    Choice { acceleration: Box::new(Acceleration { learning, encoding, wishes: said }), refusals }
}

/// The wishes as they are compared.
fn words(wishes: &Wishes) -> String {
    // Of four values that are words, each of which can be written.
    serde_json::to_string(wishes).unwrap_or_default()
}

/// What is kept until the drivers of a host that boots have had their time: all that has to be there of it.
pub fn awaited(seen: &Seen, chosen: &Acceleration) -> Vec<HostPath> {
    let given = [&chosen.learning.given, &chosen.encoding.given];
    let mut missing: Vec<HostPath> = given.into_iter().flat_map(|given| seen.missing(given)).collect();
    missing.sort();
    missing.dedup();
    missing
}

/// All whose coming and going makes a difference: what is given, what is lost, and what specifications name.
pub fn heeded(seen: &Seen, chosen: &Acceleration) -> BTreeSet<HostPath> {
    let (learning, encoding) = (&chosen.learning, &chosen.encoding);
    let given = learning.given.there.iter().chain(&encoding.given.there);
    let lost = learning.lost.iter().chain(&encoding.lost).flat_map(|lost| &lost.there);
    let of_cdi = seen.hardware.cdi.iter().flat_map(|cdi| cdi.nodes.iter().chain([&cdi.file]));
    given.chain(lost).chain(of_cdi).cloned().collect()
}

/// Whether what was in use is kept although not all of it is there: the host has only just booted, or not all could be looked at.
fn is_kept(given: &Given, seen: &Seen) -> bool {
    let is_uncertain = seen.booting || !seen.hardware.unseen.is_empty();
    is_uncertain && given.is_some() && !seen.missing(given).is_empty()
}

/// What is lost of what was in use, and why: the nodes that are gone, and what else speaks against it.
fn lost(what: String, given: &Given, seen: &Seen, cannot: &[String]) -> Lost {
    let missing = seen.missing(given).into_iter().map(|path| format!("{path} is gone"));
    let why: Vec<String> = missing.chain(cannot.iter().cloned()).collect();
    let why = if why.is_empty() { "another is chosen by what is known now".to_owned() } else { why.join("; ") };
    Lost { what, why, there: given.there.clone() }
}

/// The card that the operator names, if one is named.
fn is_meant(wishes: &Wishes, gpu: &Gpu) -> bool {
    match &wishes.device {
        None => true,
        Some(RenderDevice::Node(node)) => Some(*node) == gpu.render,
        Some(RenderDevice::At(address)) => Some(address) == gpu.address.as_ref(),
    }
}

/// A named card that is not there.
fn check_device(wishes: &Wishes, seen: &Seen) -> Option<Refusal> {
    let device = wishes.device.as_ref()?;
    if seen.hardware.gpus.iter().any(|gpu| is_meant(wishes, gpu)) {
        return None;
    }
    let nodes: Vec<String> =
        seen.hardware.gpus.iter().filter_map(|gpu| gpu.render).map(|node| node.to_string()).collect();
    let there = if nodes.is_empty() { "this host has no render node".to_owned() } else { nodes.join(", ") };
    let why = format!("{device} is no graphics card of this host ({there})");
    Some(Refusal::new("hardware.device", why, "photos-agent hardware; then mend or remove `device` in [hardware]"))
}

impl Seen {
    /// What is not there of what was given. A node that is another card's by now is not there.
    fn missing(&self, given: &Given) -> Vec<HostPath> {
        let gpus = &self.hardware.gpus;
        // What is passed by a name of NVIDIA's is no matter of numbers.
        let place = given.address.as_ref().filter(|_| given.render.is_some());
        let is_its_own = |gpu: &&Gpu| place.is_some() && gpu.address.as_ref() == place;
        if gpus.iter().find(is_its_own).is_some_and(|gpu| gpu.render != given.render) {
            // It is there, under another number: that is decided anew.
            return Vec::new();
        }
        let is_anothers = |path: &HostPath| {
            let has_it = |gpu: &&Gpu| gpu.node.as_ref().is_some_and(|node| &node.path == path);
            let gpu = gpus.iter().find(has_it);
            place.is_some() && gpu.is_some_and(|gpu| gpu.address.is_some() && gpu.address.as_ref() != place)
        };
        given.there.iter().filter(|path| !self.has(path) || is_anothers(path)).cloned().collect()
    }

    /// Whether that node or file was seen.
    fn has(&self, path: &HostPath) -> bool {
        let hardware = &self.hardware;
        let nodes = hardware.gpus.iter().filter_map(|gpu| gpu.node.as_ref()).chain(&hardware.kfd);
        let of_cdi = |cdi: &Cdi| &cdi.file == path || (cdi.nodes.contains(path) && !cdi.missing.contains(path));
        nodes.into_iter().any(|node| &node.path == path) || hardware.cdi.iter().any(of_cdi)
    }
}
