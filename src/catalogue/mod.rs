//! The release catalogue: which images and health commands belong to a release of Immich, and what an upgrade to it heeds.
//!
//! Data: embedded, and over it what the operator has in files of the same form. It knows nothing of the host, and of what
//! the operator overrides otherwise.

mod entries;
mod rows;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use jiff::civil::Date;

use crate::model::{Bounds, ImageRef, PostgresMajor, Release, Service};

pub use rows::{Mistake, Row, read};

/// One release and all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The release of server and machine learning.
    pub release: Release,
    /// When it came out.
    pub published: Date,
    /// Why nobody should take it, where there is a reason.
    pub avoid: Option<String>,
    /// The oldest release from which it may be entered.
    pub from: Option<Release>,
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
    /// What the server takes.
    pub accepts: Accepts,
    /// The command that tells whether a service is healthy, run inside its container.
    pub health: BTreeMap<Service, String>,
}

/// The versions with which a server works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepts {
    /// `PostgreSQL`.
    pub postgres: Bounds,
    /// The extension `VectorChord`.
    pub vectorchord: Bounds,
    /// The extension pgvector.
    pub pgvector: Bounds,
}

/// The releases that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    entries: Arc<[Entry]>,
}

static EMBEDDED: LazyLock<(Vec<Row>, Catalogue)> = LazyLock::new(|| {
    // The embedded file is read by a test of this module, so that an empty catalogue cannot be shipped.
    let rows = toml::de::DeTable::parse(include_str!("releases.toml")).map(|table| read(table.into_inner()).0);
    let rows = rows.unwrap_or_default();
    let entries = entries::entries(rows.iter().map(|row| (0, row.clone()))).unwrap_or_default();
    (rows, Catalogue { entries: entries.into() })
});

/// A mistake and which of the files it is in.
pub type MistakeOf = (usize, Mistake);

impl Catalogue {
    /// What this agent was built with.
    pub fn embedded() -> Self {
        EMBEDDED.1.clone()
    }

    /// The same, with the rows of files over it. What a later one says of a release wins, and what it does not say stays.
    pub fn with(files: Vec<(usize, Vec<Row>)>) -> Result<Self, Vec<MistakeOf>> {
        let ours = EMBEDDED.0.iter().map(|row| (usize::MAX, row.clone()));
        let theirs = files.into_iter().flat_map(|(file, rows)| rows.into_iter().map(move |row| (file, row)));
        entries::entries(ours.chain(theirs)).map(|entries| Self { entries: entries.into() })
    }

    /// All releases, newest first.
    pub fn releases(&self) -> &[Entry] {
        &self.entries
    }

    /// What belongs to `release`, where it is known.
    pub fn find(&self, release: &Release) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.release == *release)
    }

    /// The newest release that is not newer than `version`, else the newest of all.
    pub fn nearest(&self, version: &Release) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.release <= *version).or_else(|| self.entries.first())
    }

    /// The newest that is for everybody: no release candidate, and nothing speaks against it.
    pub fn newest(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.avoid.is_none() && !entry.release.is_early())
    }

    /// All of them by name, for people.
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.release.to_string()).collect()
    }
}

/// Bytes of a catalogue's text.
pub type Span = Range<usize>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_is_whole_and_newest_first() {
        let table = toml::de::DeTable::parse(include_str!("releases.toml")).unwrap();
        let (rows, mistakes) = read(table.into_inner());
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let catalogue = Catalogue::embedded();
        assert_eq!(rows.len(), catalogue.releases().len());
        assert!(rows.len() >= 4);
        assert!(catalogue.releases().is_sorted_by(|a, b| a.release > b.release));
        for entry in catalogue.releases() {
            assert!(entry.postgres.contains_key(&entry.default_major), "{}", entry.release);
            assert!(Service::ALL.iter().all(|service| entry.health.contains_key(service)), "{}", entry.release);
            let fits = |major: &PostgresMajor| entry.accepts.postgres.take(&major.to_string());
            assert!(entry.postgres.keys().all(|major| fits(major) == Some(true)), "{}", entry.release);
        }
        let newest = catalogue.newest().unwrap();
        assert_eq!(newest.server.to_string(), "ghcr.io/immich-app/immich-server:v3.2.2");
        assert_eq!(
            newest.postgres[&newest.default_major].to_string(),
            "ghcr.io/immich-app/postgres:17-vectorchord1.1.1"
        );
        assert_eq!(newest.published.to_string(), "2026-09-16");
        assert_eq!(newest.from.as_ref().unwrap().to_string(), "v2.0.0");
    }

    #[test]
    fn an_unknown_release_goes_by_the_one_before_it() {
        let catalogue = Catalogue::embedded();
        let nearest = |text: &str| catalogue.nearest(&text.parse().unwrap()).unwrap().release.to_string();
        assert_eq!(nearest("v3.1.9"), "v3.1.0");
        assert_eq!(nearest("v3.1.0"), "v3.1.0");
        assert_eq!(nearest("v99.0.0"), catalogue.releases()[0].release.to_string());
        assert_eq!(nearest("v0.0.1"), catalogue.releases()[0].release.to_string());
    }
}
