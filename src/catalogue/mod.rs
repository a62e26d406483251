//! The release catalogue: which images and health commands belong to a release of Immich.
//!
//! Embedded data, read once. It knows nothing of the host and of what the operator overrides.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::model::{ImageRef, Invalid, PostgresMajor, Release, Service};

/// One release and all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The release of server and machine learning.
    pub release: Release,
    /// `ghcr.io/immich-app/immich-server` at the release.
    pub server: ImageRef,
    /// `ghcr.io/immich-app/immich-machine-learning` at the release.
    pub ml: ImageRef,
    /// Valkey.
    pub redis: ImageRef,
    /// The iCloud downloader.
    pub icloudpd: ImageRef,
    /// The database, by major version.
    pub postgres: BTreeMap<PostgresMajor, ImageRef>,
    /// The major version of a new cluster.
    pub default_major: PostgresMajor,
    /// The command that tells whether a service is healthy, run inside its container.
    pub health: BTreeMap<Service, String>,
}

static CATALOGUE: LazyLock<Result<Vec<Entry>, String>> = LazyLock::new(|| parse(include_str!("releases.toml")));

/// All releases, newest first.
pub fn releases() -> &'static [Entry] {
    // The embedded file is parsed by a test of this module, so an empty catalogue cannot be shipped.
    CATALOGUE.as_deref().unwrap_or(&[])
}

/// What belongs to `release`, where the catalogue knows it.
pub fn find(release: &Release) -> Option<&'static Entry> {
    releases().iter().find(|entry| entry.release == *release)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    release: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    version: Release,
    images: Option<Images>,
    postgres: Option<Majors>,
    health: Option<BTreeMap<Service, String>>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Images {
    postgres: String,
    redis: ImageRef,
    icloudpd: ImageRef,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Majors {
    majors: Vec<PostgresMajor>,
    default: PostgresMajor,
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let (mut images, mut majors, mut health) = (None, None, None);
    let mut entries = Vec::new();
    for row in file.release.into_iter().rev() {
        images = row.images.or(images);
        majors = row.postgres.or(majors);
        health = row.health.or(health);
        let (Some(images), Some(majors), Some(health)) = (&images, &majors, &health) else {
            return Err(format!("{}: incomplete", row.version));
        };
        entries.push(entry(row.version, images, majors, health.clone()).map_err(|error| error.to_string())?);
    }
    entries.reverse();
    Ok(entries)
}

fn entry(
    release: Release,
    images: &Images,
    majors: &Majors,
    health: BTreeMap<Service, String>,
) -> Result<Entry, Invalid> {
    let immich = |name: &str| format!("ghcr.io/immich-app/{name}:{release}").parse();
    let of_major = |major: &PostgresMajor| {
        images.postgres.replace("{major}", &major.to_string()).parse().map(|image| (*major, image))
    };
    Ok(Entry {
        server: immich("immich-server")?,
        ml: immich("immich-machine-learning")?,
        redis: images.redis.clone(),
        icloudpd: images.icloudpd.clone(),
        postgres: majors.majors.iter().map(of_major).collect::<Result<_, _>>()?,
        default_major: majors.default,
        health,
        release,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_is_whole_and_newest_first() {
        let entries = parse(include_str!("releases.toml")).unwrap();
        assert!(entries.len() >= 4);
        assert!(entries.is_sorted_by(|a, b| a.release > b.release));
        for entry in &entries {
            assert!(entry.postgres.contains_key(&entry.default_major), "{}", entry.release);
            assert!(Service::ALL.iter().all(|service| entry.health.contains_key(service)), "{}", entry.release);
        }
        let newest = &entries[0];
        assert_eq!(newest.server.to_string(), "ghcr.io/immich-app/immich-server:v3.2.2");
        assert_eq!(
            newest.postgres[&newest.default_major].to_string(),
            "ghcr.io/immich-app/postgres:17-vectorchord1.1.1"
        );
    }

    #[test]
    fn a_first_release_without_its_images_is_refused() {
        assert!(parse("[[release]]\nversion = \"v3.0.0\"\n").is_err());
    }
}
