//! Device nodes, and the names by which a card is found.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{HostPath, Invalid};

/// Where render nodes lie.
const DRI: &str = "/dev/dri";

/// Below it, udev's links to them by where the card is plugged in.
const BY_PATH: &str = "by-path";

/// A render node: what computes and encodes, without the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RenderNode(u8);

impl RenderNode {
    /// The kernel's minor numbers of render nodes (`drm_drv.c`: 64 of each kind).
    const MINORS: std::ops::RangeInclusive<u8> = 128..=191;

    /// By its minor number.
    pub fn of_minor(minor: u32) -> Option<Self> {
        u8::try_from(minor).ok().filter(|minor| Self::MINORS.contains(minor)).map(Self)
    }

    /// By its name below /dev/dri and /sys/class/drm: `renderD128`.
    pub fn of_name(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("renderD")?;
        let node = digits.parse().ok().and_then(Self::of_minor)?;
        (node.name() == name).then_some(node)
    }

    /// Its name.
    pub fn name(self) -> String {
        format!("renderD{}", self.0)
    }

    /// Where it is.
    pub fn path(self) -> HostPath {
        HostPath::constant(format!("{DRI}/{}", self.name()))
    }
}

impl fmt::Display for RenderNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DRI}/{}", self.name())
    }
}

impl From<RenderNode> for String {
    fn from(node: RenderNode) -> Self {
        node.to_string()
    }
}

impl FromStr for RenderNode {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let name = text.strip_prefix(DRI).and_then(|rest| rest.strip_prefix('/'));
        name.and_then(Self::of_name).ok_or_else(|| Invalid::new("expected a render node, like `/dev/dri/renderD128`"))
    }
}

impl TryFrom<String> for RenderNode {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

/// Where a card is plugged in: `0000:03:00.0`. Unlike the number of its node, it stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PciAddress(String);

impl PciAddress {
    fn check(text: &str) -> Result<(), Invalid> {
        let is_hex = |part: &str, len: usize| {
            part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        };
        let fits = || {
            let (slot, function) = text.rsplit_once('.')?;
            let mut parts = slot.split(':');
            let (domain, bus, device) = (parts.next()?, parts.next()?, parts.next()?);
            let fits = is_hex(domain, 4) && is_hex(bus, 2) && is_hex(device, 2) && is_hex(function, 1);
            (fits && parts.next().is_none()).then_some(())
        };
        fits().ok_or_else(|| Invalid::new("expected a PCI address, like `0000:03:00.0`"))
    }
}
crate::model::checked_text!(PciAddress);

/// Who made a card, and which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PciId {
    pub vendor: u16,
    pub device: u16,
}

impl fmt::Display for PciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// The card that the operator names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum RenderDevice {
    /// By its node, whose number may be another one's after a boot.
    Node(RenderNode),
    /// By where it is plugged in: udev's link below /dev/dri/by-path.
    At(PciAddress),
}

impl FromStr for RenderDevice {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let at = || {
            let rest = text.strip_prefix(DRI)?.strip_prefix('/')?.strip_prefix(BY_PATH)?;
            rest.strip_prefix("/pci-")?.strip_suffix("-render")?.parse().ok()
        };
        if let Ok(node) = text.parse() {
            return Ok(Self::Node(node));
        }
        at().map(Self::At).ok_or_else(|| {
            Invalid::new(
                "expected a render node, like `/dev/dri/renderD128` or `/dev/dri/by-path/pci-0000:03:00.0-render`",
            )
        })
    }
}

impl fmt::Display for RenderDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(f),
            Self::At(address) => write!(f, "{DRI}/{BY_PATH}/pci-{address}-render"),
        }
    }
}

impl From<RenderDevice> for String {
    fn from(device: RenderDevice) -> Self {
        device.to_string()
    }
}

/// A device node, and who may open it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNode {
    /// Where.
    pub path: HostPath,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_node_or_place() {
        for good in ["/dev/dri/renderD128", "/dev/dri/renderD191", "/dev/dri/by-path/pci-0000:03:00.0-render"] {
            assert_eq!(good.parse::<RenderDevice>().unwrap().to_string(), good);
        }
        for bad in [
            "renderD128",
            "/dev/dri/card0",
            "/dev/dri/renderD0",
            "/dev/dri/renderD192",
            "/dev/dri/renderD0128",
            "/dev/dri/../renderD128",
            "/dev/dri/by-path/pci-0000:03:00.0-card",
            "/dev/dri/by-path/pci-0000:3:00.0-render",
            "/dev/kfd",
        ] {
            assert!(bad.parse::<RenderDevice>().is_err(), "{bad}");
        }
    }
}
