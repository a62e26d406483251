//! What runs: the release, and each image as it is written. Moved by the first apply, by upgrades and by what goes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Component, ImageRef, Release};

/// A release and its images. What each tag among them means, is in the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Immich's release.
    pub release: Release,
    /// The image of each service, as the catalogue or the operator wrote it.
    pub written: BTreeMap<Component, ImageRef>,
}
