//! A restore, as it is written down before its first change: enough to finish or to undo it from this alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, HostPath, ImageRef, InForce, SnapshotId, Subvolume, SubvolumeUuid};

/// What goes back, and how to tell on disk whether it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The operation that began it: under its number the trees are kept that it replaces.
    pub operation: u64,
    /// Each filesystem with a live tree.
    pub disks: Vec<RestoredDisk>,
    /// Whether what it replaces has failed: kept apart from what the same operation had replaced by that before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Configuration and images that go back with it; none where those stay that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<RestoredStack>,
}

/// One live tree, which is exchanged as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredDisk {
    /// The folder that the tree lies in.
    pub base: HostPath,
    /// Everything in the tree.
    pub parts: BTreeMap<Subvolume, Change>,
}

/// A subvolume of the tree, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What lies there before; none where nothing does.
    pub before: Option<SubvolumeUuid>,
    /// What the new one comes of.
    pub of: Origin,
    /// Whether it goes back.
    pub back: bool,
}

/// What a part of a new tree comes of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Origin {
    /// A clone of this one: the snapshot's where the part goes back, else what lies there before.
    Clone(SubvolumeUuid),
    /// Made anew, and a clone of nothing.
    Made {
        /// Its own UUID. None: it may be there already, and nothing is in it until its UUID is written down.
        made: Option<SubvolumeUuid>,
    },
}

/// Configuration and images of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredStack {
    /// The configuration files, by path.
    pub config: BTreeMap<String, String>,
    /// The release and its images. None: what the configuration says, as before there was a lock of it.
    #[serde(default)]
    pub in_force: Option<InForce>,
    /// What each tag in it meant.
    pub images: BTreeMap<ImageRef, Digest>,
    /// The files on the host, by path, where they say something else and are put out of force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_force: Option<BTreeMap<String, String>>,
}
