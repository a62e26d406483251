//! Images: those that are to run, by tag and anew, and those that run, to go back to.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::apply::{ApplyError, Event, Progress, StepError};
use crate::host::Host;
use crate::host::podman::commit_images;
use crate::model::{Digest, ImageRef, InForce};
use crate::snapshot::Applied;

/// For what is asked again, and was told.
pub(super) struct Unheard;

impl Progress for Unheard {
    fn hear(&mut self, _: Event<'_>) {}
}

/// Pulls all of them while the old ones run. Returns what their tags mean now; nothing of it is in force yet.
pub(super) async fn all(
    host: &Host,
    target: &InForce,
    progress: &mut dyn Progress,
) -> Result<BTreeMap<ImageRef, Digest>, ApplyError> {
    these(host, target.written.values(), progress).await
}

/// The same of some.
pub(super) async fn these(
    host: &Host,
    written: impl IntoIterator<Item = &ImageRef>,
    progress: &mut dyn Progress,
) -> Result<BTreeMap<ImageRef, Digest>, ApplyError> {
    let mut images = BTreeMap::new();
    for image in written {
        if image.digest().is_some() {
            get(host, image, "it is to run", progress).await?;
        } else {
            images.insert(image.clone(), one(host, image, "its newest, while the old one runs", progress).await?);
        }
    }
    Ok(images)
}

/// Proves that what runs now could be started again, whoever has pruned images by hand.
pub(super) async fn prove(host: &Host, applied: &Applied, progress: &mut dyn Progress) -> Result<(), ApplyError> {
    for service in &applied.desired.services {
        get(host, &service.image, "it runs, is not in Podman's store, and may be gone back to", progress).await?;
    }
    Ok(())
}

async fn get(host: &Host, image: &ImageRef, why: &str, progress: &mut dyn Progress) -> Result<(), ApplyError> {
    let has = host.podman.has(image).await.map_err(|error| failed(image, error.into()))?;
    if !has {
        one(host, image, why, progress).await?;
    }
    Ok(())
}

async fn one(host: &Host, image: &ImageRef, why: &str, progress: &mut dyn Progress) -> Result<Digest, ApplyError> {
    let begun = Instant::now();
    progress.hear(Event::Step { step: &format!("pull {image}"), reason: why });
    let pulled = host.podman.pull(image, &mut |bytes| progress.hear(Event::Pulling(image, bytes))).await;
    let digest = pulled.map_err(|error| failed(image, error.into()))?;
    commit_images(&host.root).await.map_err(|error| failed(image, error.into()))?;
    progress.hear(Event::Pulled(image, begun.elapsed()));
    Ok(digest)
}

fn failed(image: &ImageRef, error: StepError) -> ApplyError {
    ApplyError::Step { step: format!("pull {image}"), source: Box::new(error) }
}
