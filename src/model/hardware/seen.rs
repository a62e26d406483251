//! What was seen of the graphics of a host.

use serde::{Deserialize, Serialize};

use super::{DeviceNode, GfxTarget, PciAddress, PciId, RenderNode};
use crate::model::HostPath;

/// AMD, Intel, NVIDIA (pci.ids).
const AMD: u16 = 0x1002;
const INTEL: u16 = 0x8086;
const NVIDIA: u16 = 0x10de;

/// The graphics of a host. What could not be looked at is said in `unseen`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Hardware {
    /// What has a render node, by its number, and NVIDIA's cards.
    pub gpus: Vec<Gpu>,
    /// The one node through which AMD's cards compute.
    pub kfd: Option<DeviceNode>,
    /// NVIDIA's driver.
    pub nvidia: Option<Nvidia>,
    /// Specifications of the Container Device Interface that name NVIDIA's cards.
    pub cdi: Vec<Cdi>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}

/// Something that may compute or encode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its number; none of a card of NVIDIA's whose driver shows none (nvidia-drm without modeset).
    pub render: Option<RenderNode>,
    /// The node; none where the kernel has the card, and /dev has not.
    pub node: Option<DeviceNode>,
    /// The kernel's driver: `amdgpu`, `i915`, `xe`, `nvidia`, `virtio_gpu`.
    pub driver: String,
    /// Where it is plugged in.
    pub address: Option<PciAddress>,
    /// Which one it is.
    pub id: Option<PciId>,
    /// What it is called, where the host has a list of names.
    pub name: Option<String>,
    /// Bytes of memory of its own.
    pub memory: Option<u64>,
    /// What it computes with, where AMD's driver says so.
    pub kfd: Option<Kfd>,
}

/// A node of AMD's compute topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kfd {
    /// Its target.
    pub target: GfxTarget,
    /// The kernel's number of it.
    pub node: u32,
}

/// NVIDIA's driver, and its cards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Nvidia {
    /// Its version: `550.163.01`.
    pub version: Option<String>,
    /// By their address.
    pub cards: Vec<NvidiaCard>,
}

/// A card, as NVIDIA's driver tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NvidiaCard {
    /// Where it is plugged in.
    pub address: PciAddress,
    /// What it is called.
    pub model: Option<String>,
}

/// A file that tells Podman what belongs to a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cdi {
    /// The file.
    pub file: HostPath,
    /// The devices that it names: `all`, `0`, `GPU-...`.
    pub devices: Vec<String>,
    /// The nodes that it names.
    pub nodes: Vec<HostPath>,
    /// Those of them that are not there: with one of them missing, Podman starts no container.
    pub missing: Vec<HostPath>,
}

impl Gpu {
    /// Whether AMD made it.
    pub fn is_amd(&self) -> bool {
        self.is_of(AMD)
    }

    /// Whether Intel made it.
    pub fn is_intel(&self) -> bool {
        self.is_of(INTEL)
    }

    /// Whether it is a card of Intel's, with memory of its own, and not a part of a processor: DG1, Alchemist and Battlemage
    /// (pci.ids). What is not known for one is taken for a part of a processor, wherever it is plugged in: a virtual machine
    /// may have it anywhere.
    pub fn is_intels_card(&self) -> bool {
        let is_card = |device: u16| matches!(device, 0x4905..=0x4909 | 0x5690..=0x56c2 | 0xe202..=0xe223);
        self.is_intel() && self.id.is_some_and(|id| is_card(id.device))
    }

    /// Whether NVIDIA made it.
    pub fn is_nvidia(&self) -> bool {
        self.is_of(NVIDIA)
    }

    fn is_of(&self, vendor: u16) -> bool {
        self.id.is_some_and(|id| id.vendor == vendor)
    }

    /// A card that only NVIDIA's driver tells of.
    pub fn of_nvidia(card: &NvidiaCard) -> Self {
        let id = Some(PciId { vendor: NVIDIA, device: 0 });
        let (address, name) = (Some(card.address.clone()), card.model.clone());
        Self { render: None, node: None, driver: "nvidia".to_owned(), address, id, name, memory: None, kfd: None }
    }

    /// What people call it.
    pub fn title(&self) -> String {
        match (&self.name, self.id) {
            (Some(name), _) => name.clone(),
            (None, Some(id)) => format!("{} {id}", self.driver),
            (None, None) => self.driver.clone(),
        }
    }
}
