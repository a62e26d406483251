//! The images of a release, as they would be put in force.

use serde::Serialize;

use crate::config::Settings;
use crate::model::{ImageRef, Refusal, Release, Service};
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
    let mut settings = stack::within_major(settings, facts);
    settings.immich.version = release.clone();
    let desired = stack::desire(&settings, &Facts { in_force: None, ..facts.clone() })?;
    let change = |service: &stack::DesiredService| {
        let now = running.generation.images.get(&service.service).cloned();
        let then = desired.runs.written.get(&service.service.component()).unwrap_or(&service.image).clone();
        ImageChange { service: service.service, changes: now.as_ref() != Some(&service.image), now, then }
    };
    Ok(desired.services.iter().map(change).collect())
}
