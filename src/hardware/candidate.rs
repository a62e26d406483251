//! Cards that could do something, the best first; and devices in the form in which a container is given them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Hardware as Wishes;
use crate::hardware::{Seen, is_meant};
use crate::model::HostPath;
use crate::model::hardware::{Cdi, Given, Gpu};

/// A way to do it with one card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way<K> {
    /// How.
    pub kind: K,
    /// The higher, the better.
    pub rank: u8,
    /// Bytes of memory of its own: of two alike, the larger card.
    pub memory: u64,
    /// The devices.
    pub given: Given,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// What speaks for it, or has to be known of it.
    pub why: String,
    /// What speaks against taking it without being asked to.
    pub unasked: Option<String>,
}

/// The ways that there are, best first, and of each kind why a card cannot.
pub(super) type Ways<K> = (Vec<Way<K>>, BTreeMap<K, Vec<String>>);

/// What each card that is meant can do: `of` tells it for one.
pub(super) fn ways<K: Ord + Copy>(
    wishes: &Wishes,
    seen: &Seen,
    of: impl Fn(&Gpu) -> Vec<Result<Way<K>, (K, String)>>,
) -> Ways<K> {
    let (mut can, mut cannot) = (Vec::new(), BTreeMap::<K, Vec<String>>::new());
    for gpu in seen.hardware.gpus.iter().filter(|gpu| is_meant(wishes, gpu)) {
        for way in of(gpu) {
            match way {
                Ok(way) => can.push(way),
                Err((kind, why)) => cannot.entry(kind).or_default().push(format!("{}: {why}", named(gpu))),
            }
        }
    }
    // A stable order: among equals the one with the lower number.
    can.sort_by_key(|way| std::cmp::Reverse((way.rank, way.memory)));
    (can, cannot)
}

/// A card in words: `Radeon RX 6800 (/dev/dri/renderD128)`.
pub(super) fn named(gpu: &Gpu) -> String {
    let place = gpu.render.map(|node| node.to_string());
    let place = place.or_else(|| gpu.address.as_ref().map(ToString::to_string));
    place.map_or_else(|| gpu.title(), |place| format!("{} ({place})", gpu.title()))
}

/// The render node, and what else there has to be.
pub(super) fn nodes(gpu: &Gpu, seen: &Seen, with_kfd: bool) -> Result<Given, String> {
    let node =
        gpu.node.as_ref().ok_or("the kernel has it, and its node is not there (udev, or this is a container)")?;
    let kfd = if with_kfd {
        Some(seen.hardware.kfd.as_ref().ok_or("/dev/kfd is not there: the kernel's amdgpu is without HSA_AMD")?)
    } else {
        None
    };
    let nodes: Vec<_> = std::iter::once(node).chain(kfd).collect();
    // Root's group is every container's already.
    let groups: BTreeSet<u32> = nodes.iter().map(|node| node.gid).filter(|gid| *gid != 0).collect();
    let there: Vec<HostPath> = nodes.iter().map(|node| node.path.clone()).collect();
    let devices = there.iter().map(ToString::to_string).collect();
    // container-selinux lets containers use render nodes since 2023 (its pull request 289), and not /dev/kfd.
    let unconfined = with_kfd && seen.selinux;
    let address = gpu.address.clone();
    Ok(Given { card: gpu.title(), render: gpu.render, address, devices, there, groups, unconfined })
}

/// NVIDIA's card, by the name that a specification has for it.
pub(super) fn by_cdi(gpu: &Gpu, wishes: &Wishes, seen: &Seen) -> Result<Given, String> {
    let hardware = &seen.hardware;
    if hardware.nvidia.is_none() {
        return Err(format!("NVIDIA's own driver is not loaded ({} is)", gpu.driver));
    }
    let name = cdi_name(gpu, wishes, seen);
    let has_it = |cdi: &&Cdi| cdi.devices.contains(&name);
    // The last one that is read wins, as with Podman.
    let Some(cdi) = hardware.cdi.iter().rev().find(has_it) else {
        return Err(format!(
            "no specification in /etc/cdi or /run/cdi has nvidia.com/gpu={name}: install nvidia-container-toolkit, then \
             nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
        ));
    };
    if !cdi.missing.is_empty() {
        let missing = cdi.missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "{} names {missing}, which is not there: nvidia-modprobe -u -m -c=0; or have it made anew by nvidia-ctk cdi generate",
            cdi.file
        ));
    }
    let device = format!("nvidia.com/gpu={name}");
    let there = std::iter::once(&cdi.file).chain(&cdi.nodes).cloned().collect();
    // The specification brings the nodes; SELinux knows none of them (container-toolkit documentation, Podman).
    Ok(Given {
        card: gpu.title(),
        render: None,
        address: gpu.address.clone(),
        devices: vec![device],
        there,
        groups: BTreeSet::new(),
        unconfined: seen.selinux,
    })
}

/// All of them, but where the operator names one of several: nvidia-ctk numbers them by their address.
fn cdi_name(gpu: &Gpu, wishes: &Wishes, seen: &Seen) -> String {
    let mut addresses: Vec<_> =
        seen.hardware.nvidia.iter().flat_map(|driver| &driver.cards).map(|card| &card.address).collect();
    addresses.sort();
    let number = addresses.iter().position(|address| Some(*address) == gpu.address.as_ref());
    match number {
        Some(number) if wishes.device.is_some() && addresses.len() > 1 => number.to_string(),
        _ => "all".to_owned(),
    }
}
