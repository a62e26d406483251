//! What the registry has: of the way that was found, and beyond what the catalogue knows.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::catalogue::Catalogue;
use crate::host::Host;
use crate::host::podman::Offer;
use crate::model::{Digest, ImageRef, Release};
use crate::observe::chain;

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Heard {
    /// Images that the registry has not.
    pub missing: BTreeSet<ImageRef>,
    /// Images that were asked for and are there.
    pub there: BTreeSet<ImageRef>,
    /// Why nothing is known of the others.
    pub silent: Option<String>,
    /// Releases that the registry has and the catalogue does not know.
    pub beyond: Vec<Release>,
}

impl Heard {
    /// Asks for all of these at once.
    pub(super) async fn ask(&mut self, host: &Host, images: BTreeSet<ImageRef>) {
        for (image, offer) in offers(host, images).await {
            match offer {
                Offer::There => _ = self.there.insert(image),
                Offer::Missing => _ = self.missing.insert(image),
                Offer::Unknown(why) => _ = self.silent.get_or_insert(why),
            }
        }
    }

    /// Asks for what could follow the newest release that is known.
    pub(super) async fn look_beyond(&mut self, host: &Host, catalogue: &Catalogue) {
        let Some(newest) = catalogue.releases().first() else { return };
        let repository = newest.server.repository();
        let image = |release: &Release| format!("{repository}:{release}").parse::<ImageRef>().ok();
        let next: BTreeMap<ImageRef, Release> =
            newest.release.successors().into_iter().filter_map(|release| Some((image(&release)?, release))).collect();
        for (image, offer) in offers(host, next.keys().cloned().collect()).await {
            match (offer, next.get(&image)) {
                (Offer::There, Some(release)) => self.beyond.push(release.clone()),
                (Offer::Unknown(why), _) => _ = self.silent.get_or_insert(why),
                _ => {}
            }
        }
        self.beyond.sort();
    }

    /// Whether all that there is to know of an image is known.
    pub(super) fn knows(&self, image: &ImageRef) -> bool {
        self.there.contains(image) || self.missing.contains(image)
    }
}

async fn offers(host: &Host, images: BTreeSet<ImageRef>) -> Vec<(ImageRef, Offer)> {
    let ask = |image: ImageRef| async move {
        // A Podman that is not there tells as little as a registry that is not.
        let offer = host.podman.offers(&image).await.unwrap_or_else(|error| Offer::Unknown(chain(&error)));
        (image, offer)
    };
    join_all(images.into_iter().map(ask)).await
}

/// Whether an image lies in Podman's store already, by the digest that its tag was locked to. Whoever cannot tell has to
/// ask the registry.
pub(super) async fn is_stored(host: &Host, image: &ImageRef, lock: &BTreeMap<ImageRef, Digest>) -> bool {
    let Some(digest) = image.digest().or_else(|| lock.get(image)) else { return false };
    host.podman.has(&image.at(digest.clone())).await.unwrap_or(false)
}
