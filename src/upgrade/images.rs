//! The images of a release, as they would be put in force.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Settings;
use crate::model::{Component, Digest, ImageRef, Refusal, Release, Service};
use crate::stack::{self, Facts};

use super::Running;

/// An image of the stack, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageChange {
    /// Whose.
    pub service: Service,
    /// What runs.
    pub now: Option<ImageRef>,
    /// What is put in force, as it is written.
    pub then: ImageRef,
    /// Whether another one is written. Where not, the tag is asked for again, and may mean another image by now.
    pub changes: bool,
}

/// The images of a release with what the operator names, by service.
pub(super) fn of_release(
    settings: &Settings,
    facts: &Facts,
    release: &Release,
    running: &Running,
) -> Result<Vec<ImageChange>, Refusal> {
    let mut settings = settings.clone();
    settings.immich.version = release.clone();
    let desired = stack::desire(&settings, facts)?;
    let change = |service: &stack::DesiredService| {
        let now = running.generation.images.get(&service.service).cloned();
        let then = desired.images.get(&service.service.component()).unwrap_or(&service.image).clone();
        ImageChange { service: service.service, changes: now.as_ref() != Some(&service.image), now, then }
    };
    Ok(desired.services.iter().map(change).collect())
}

/// The image that runs for a component as it was written, which is what tells its version: the tag that was locked to
/// its digest.
pub(super) fn written(running: &Running, lock: &BTreeMap<ImageRef, Digest>, component: Component) -> Option<ImageRef> {
    let images = running.generation.images.iter();
    let image = images.filter(|(service, _)| service.component() == component).map(|(_, image)| image).next()?;
    let is_it = |(written, digest): &(&ImageRef, &Digest)| {
        written.repository() == image.repository() && Some(*digest) == image.digest()
    };
    Some(lock.iter().find(is_it).map_or(image, |(written, _)| written).clone())
}
