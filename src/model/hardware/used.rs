//! What the services are given of it: decided in `hardware`, written into units, and remembered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Encoder, PciAddress, RenderNode, Variant};
use crate::model::{HostPath, Refusal};

/// What concerns about either of them are about.
pub const LEARNING: &str = "machine learning";
/// The same of the other.
pub const ENCODING: &str = "transcoding";

/// What machine learning computes with and what encodes videos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceleration {
    /// Machine learning.
    pub learning: Learning,
    /// Transcoding.
    pub encoding: Encoding,
    /// The wishes that it came of, to be compared with others: what is gone of the same is lost, and what never was of new
    /// ones is refused.
    #[serde(default)]
    pub wishes: String,
}

/// Devices that a container gets, all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Given {
    /// The card, for people; empty where there is none.
    pub card: String,
    /// Its render node.
    pub render: Option<RenderNode>,
    /// Where it is plugged in: the number of its node may be another card's after a boot.
    #[serde(default)]
    pub address: Option<PciAddress>,
    /// What Podman is told to pass: paths of nodes, and names like `nvidia.com/gpu=all`.
    pub devices: Vec<String>,
    /// What has to be there before: the nodes, or the file in which such a name stands.
    pub there: Vec<HostPath>,
    /// Groups of the nodes, by number: a container knows no others.
    pub groups: BTreeSet<u32>,
    /// Whether SELinux has no rule that lets a container use them.
    pub unconfined: bool,
}

impl Given {
    /// Whether it is anything.
    pub fn is_some(&self) -> bool {
        !self.devices.is_empty()
    }
}

/// What machine learning computes with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learning {
    /// The variant of the image.
    pub variant: Variant,
    /// The devices.
    pub given: Given,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// Why this.
    pub why: String,
    /// Each variant that is not used, and why not.
    pub not: BTreeMap<Variant, String>,
    /// What was in use before, and is gone.
    pub lost: Option<Lost>,
}

/// What encodes videos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// How; none: the processor.
    pub encoder: Option<Encoder>,
    /// The devices.
    pub given: Given,
    /// Why this.
    pub why: String,
    /// Each encoder that is not used, and why not.
    pub not: BTreeMap<Encoder, String>,
    /// What was in use before, and is gone.
    pub lost: Option<Lost>,
}

/// Something that was in use and is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// What, in words.
    pub what: String,
    /// Why it cannot be used any more.
    pub why: String,
    /// What was there of it.
    pub there: Vec<HostPath>,
}

impl Learning {
    /// The processor.
    pub fn on_processor(why: impl Into<String>) -> Self {
        let (given, environment, not) = Default::default();
        Self { variant: Variant::Cpu, given, environment, why: why.into(), not, lost: None }
    }

    /// In words: `ROCm on Radeon RX 6800 (/dev/dri/renderD128)`.
    pub fn title(&self) -> String {
        match self.variant {
            Variant::Cpu => self.variant.title().to_owned(),
            variant => on(variant.title(), &self.given),
        }
    }

    /// The concern of one that was lost.
    pub fn concern(&self) -> Option<Refusal> {
        let forever = "`ml = \"cpu\"` in [hardware]";
        self.lost.as_ref().map(|lost| concern(LEARNING, lost, "runs on the processor", forever))
    }
}

impl Encoding {
    /// The processor.
    pub fn on_processor(why: impl Into<String>) -> Self {
        let (given, not) = Default::default();
        Self { encoder: None, given, why: why.into(), not, lost: None }
    }

    /// In words: `VAAPI on Radeon RX 6800 (/dev/dri/renderD128)`.
    pub fn title(&self) -> String {
        self.encoder.map_or_else(|| Variant::Cpu.title().to_owned(), |encoder| on(encoder.title(), &self.given))
    }

    /// The concern of one that was lost.
    pub fn concern(&self) -> Option<Refusal> {
        let forever = "`transcoding = \"off\"` in [hardware]";
        self.lost.as_ref().map(|lost| concern(ENCODING, lost, "is done by the processor", forever))
    }
}

fn on(how: &str, given: &Given) -> String {
    match given.render {
        Some(render) => format!("{how} on {} ({render})", given.card),
        None => format!("{how} on {}", given.card),
    }
}

fn concern(workload: &str, Lost { what, why, .. }: &Lost, now: &str, forever: &str) -> Refusal {
    let why = format!("{now}, since {what} cannot be used any more: {why}");
    let remedy = format!(
        "photos-agent hardware; see to the card and its driver, and it is used again; or if it is gone for good: {forever}"
    );
    Refusal::new(workload, why, remedy)
}
