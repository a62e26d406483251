//! Pull, and lock the tag to the digest that it meant.

use std::time::Instant;

use crate::apply::progress::{Event, Progress};
use crate::apply::steps::StepError;
use crate::host::Host;
use crate::host::podman::commit_images;
use crate::model::ImageRef;
use crate::record::ImageLock;

pub(super) async fn pull(host: &Host, image: &ImageRef, progress: &mut dyn Progress) -> Result<(), StepError> {
    let begun = Instant::now();
    let digest = host.podman.pull(image, &mut |bytes| progress.hear(Event::Pulling(image, bytes))).await?;
    commit_images(&host.root).await?;
    if image.digest().is_none() {
        ImageLock::read(&host.root)?.add(image.clone(), digest)?;
    }
    progress.hear(Event::Pulled(image, begun.elapsed()));
    Ok(())
}
