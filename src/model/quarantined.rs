//! A release that did not come up on this host.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Digest, Release};

/// An upgrade to it was begun and undone. Neither the timer nor `upgrade` takes it again unless told to by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The release.
    pub release: Release,
    /// The images of it that were tried. One that is pushed again is another.
    pub digests: BTreeSet<Digest>,
    /// When it failed.
    pub since: Timestamp,
    /// Why, in one line.
    pub why: String,
}

impl Quarantined {
    /// Whether an upgrade to these images of a release is one to the same that failed.
    pub fn is_of(&self, release: &Release, digests: &BTreeSet<Digest>) -> bool {
        self.release == *release && !self.digests.is_empty() && self.digests.is_subset(digests)
    }
}
