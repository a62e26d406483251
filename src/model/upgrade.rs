//! An upgrade, as it is written down from before its first change until it is whole or undone: enough to finish it or to
//! go back from this alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Digest, ImageRef, InForce, Restore, SnapshotId};

/// What runs, or is to run: a release, and what each tag of its images means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The release and its images.
    pub in_force: InForce,
    /// Their digests, by the tags.
    pub images: BTreeMap<ImageRef, Digest>,
}

/// From what to what, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The operation that began it.
    pub operation: u64,
    /// The command that began it.
    pub command: String,
    /// When.
    pub begun: Timestamp,
    /// What ran.
    pub from: Side,
    /// What is to run.
    pub to: Side,
    /// The configuration files that were in force, by path.
    pub config: BTreeMap<String, String>,
    /// What the database was migrated to before it; none where Immich has not made its tables.
    pub migrations: Option<String>,
    /// Pages of the database that did not fit their checksums before it.
    pub checksum_failures: u64,
    /// Seconds that everything has to be well without a break.
    pub settle_s: u64,
    /// Seconds within which that has to be so.
    pub timeout_s: u64,
    /// How often the host went down while the new release was started.
    pub cut_off: u32,
    /// The boot of the host in which it was started last.
    pub boot: Option<String>,
    /// How far it is.
    pub phase: Phase,
}

/// How far an upgrade is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The stack is down or on its way there, and nothing was put in force: what ran is started again.
    Stopping,
    /// The database is copied to a new cluster of another major version: undone as long as nothing was exchanged.
    Moving {
        /// The snapshot of just before.
        back: Restore,
        /// What takes the place of what.
        forth: Restore,
    },
    /// The new release is in force, behind closed doors.
    Trying {
        /// The snapshot of just before.
        back: Restore,
    },
    /// It did not work out.
    GoingBack {
        /// The snapshot of just before.
        back: Restore,
        /// Why.
        why: String,
        /// Whether the data has to go back, too: it was migrated, or may have been.
        data: bool,
    },
    /// It works, and is not taken back any more; the doors may be closed still.
    Committed {
        /// The snapshot of just before.
        snapshot: SnapshotId,
    },
}

impl Phase {
    /// The snapshot of just before, where there is a way back to it.
    pub const fn snapshot(&self) -> Option<&SnapshotId> {
        match self {
            Self::Moving { back, .. } | Self::Trying { back } | Self::GoingBack { back, .. } => Some(&back.snapshot),
            Self::Committed { snapshot } => Some(snapshot),
            Self::Stopping => None,
        }
    }
}
