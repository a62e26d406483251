//! Manifests: what a snapshot is of. A folder of a snapshot without one is debris.
//!
//! It is written last and removed first, so that what has one is whole. On every other disk that has parts of it lies a
//! copy, written before it and removed before it: what has a copy is no debris, even while the first disk is away. Texts of units and configuration lie beside it as
//! files; the manifest has their hashes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::host::files::{self, FileError};
use crate::model::{Component, ImageRef, Service, SnapshotId, Subvolume, SubvolumeUuid};
use crate::record::{PROOF, Proof, RecordError, SCHEMA, read, write};

/// Its name in the snapshot's folder.
pub const MANIFEST: &str = "manifest.json";

/// The folder of texts beside it, each under its absolute path.
pub const TEXTS: &str = "stack";

/// What a snapshot holds, and of what moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of this file.
    pub schema: u32,
    /// Its name.
    pub id: SnapshotId,
    /// When everything stood still.
    pub created: Timestamp,
    /// Why it was taken.
    pub reason: String,
    /// The command that took it.
    pub command: String,
    /// Who gave it.
    pub by: String,
    /// Never pruned.
    pub keep: bool,
    /// How long the services stood still, in microseconds; 0 where none ran.
    pub frozen_us: u64,
    /// The filesystem that the manifest itself lies on: its copies say by it where they belong.
    #[serde(default)]
    pub filesystem: Option<SubvolumeUuid>,
    /// The subvolumes.
    pub parts: BTreeMap<Subvolume, Part>,
    /// Folders of the live trees that it is without: subvolumes of their own, and mounts.
    #[serde(default)]
    pub holes: Vec<String>,
    /// Immich's release.
    pub release: String,
    /// The images as they are written; empty in a manifest of an agent that did not say.
    #[serde(default)]
    pub written: BTreeMap<Component, ImageRef>,
    /// What the database said of itself just before; none where it did not run or did not answer.
    pub database: Option<DatabaseFacts>,
    /// The generation that ran.
    pub generation: u32,
    /// The images, at their digests.
    pub images: BTreeMap<Service, ImageRef>,
    /// Units and configuration: path, and SHA-256 of the text.
    pub texts: BTreeMap<String, String>,
    /// The agent that took it.
    pub agent: String,
}

/// One subvolume of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The UUID of the snapshot.
    pub uuid: SubvolumeUuid,
    /// The UUID of what it is a snapshot of.
    pub of: SubvolumeUuid,
    /// The transaction that made it: what was changed later has a higher one.
    pub generation: u64,
}

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    /// `server_version`.
    pub version: String,
    /// Whether its pages have checksums.
    pub checksums: bool,
    /// Pages that did not fit theirs.
    pub checksum_failures: u64,
    /// The last of Immich's migrations; none where it has not made its tables.
    #[serde(default)]
    pub migration: Option<String>,
    /// How many there are, and a hash of their names: by whatever clock they ran, another one makes it another.
    #[serde(default)]
    pub migrations: Option<String>,
}

/// The snapshots below one folder.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
    /// Those of the other disks.
    copies: Vec<PathBuf>,
}

impl Snapshots {
    /// Those in `folder`, that of the first disk, to be looked at.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, copies: Vec::new() }
    }

    /// The same, with the folders of the other disks, which get copies of the manifests.
    pub const fn with_copies(folder: PathBuf, copies: Vec<PathBuf>) -> Self {
        Self { folder, copies }
    }

    pub(super) fn base(&self) -> &Path {
        &self.folder
    }

    /// The folder of one.
    pub fn folder(&self, id: &SnapshotId) -> PathBuf {
        self.folder.join(id.as_str())
    }

    /// Every folder that bears the name of a snapshot, oldest first, with or without a manifest.
    pub fn names(&self) -> Result<Vec<SnapshotId>, RecordError> {
        let names = files::list(&self.folder)?;
        Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
    }

    /// What one is of; none where there is no manifest.
    pub fn get(&self, id: &SnapshotId) -> Result<Option<Manifest>, RecordError> {
        read(&self.path(id))
    }

    /// Whether it is whole, be its manifest understood or not. A disk that does not answer has not said no.
    pub fn is_whole(&self, id: &SnapshotId) -> Result<bool, FileError> {
        files::is_there(&self.path(id))
    }

    /// Makes it whole, durable on return.
    pub fn put(&self, manifest: &Manifest) -> Result<(), RecordError> {
        let manifest = Manifest { schema: SCHEMA, ..manifest.clone() };
        let own = self.path(&manifest.id);
        self.copies_of(&manifest.id).chain([own]).try_for_each(|path| write(&path, &manifest))
    }

    /// Makes it debris, durable on return; where that fails, it may be whole still.
    pub fn forget(&self, id: &SnapshotId) -> Result<(), RecordError> {
        let own = self.path(id);
        Ok(self.copies_of(id).chain([own]).try_for_each(|path| files::remove(&path))?)
    }

    /// What came of the last trial of one; none where it was never tried.
    pub fn proof(&self, id: &SnapshotId) -> Result<Option<Proof>, RecordError> {
        read(&self.folder(id).join(PROOF))
    }

    /// Puts the result of a trial beside the manifest, durable on return.
    pub fn put_proof(&self, proof: &Proof) -> Result<(), RecordError> {
        write(&self.folder(&proof.snapshot).join(PROOF), proof)
    }

    /// Writes the texts and returns their hashes. On disk when the filesystem is flushed (`syncfs`(2)), and not by a
    /// commit of BTRFS alone: whoever calls it flushes before [`Snapshots::put`].
    pub fn write_texts(
        &self,
        id: &SnapshotId,
        texts: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, RecordError> {
        let folder = self.folder(id).join(TEXTS);
        texts
            .iter()
            .map(|(path, text)| {
                files::create(&below(&folder, path), text, 0o600)?;
                Ok((path.clone(), hash(text)))
            })
            .collect()
    }

    /// A text of a snapshot; none where it is missing or not what it was.
    pub fn text(&self, manifest: &Manifest, path: &str) -> Result<Option<String>, RecordError> {
        let text = files::read(&below(&self.folder(&manifest.id).join(TEXTS), path))?;
        Ok(text.filter(|text| manifest.texts.get(path) == Some(&hash(text))))
    }

    fn path(&self, id: &SnapshotId) -> PathBuf {
        self.folder(id).join(MANIFEST)
    }

    fn copies_of(&self, id: &SnapshotId) -> impl Iterator<Item = PathBuf> {
        self.copies.iter().map(move |folder| folder.join(id.as_str()).join(MANIFEST))
    }
}

fn below(folder: &Path, path: &str) -> PathBuf {
    folder.join(path.trim_start_matches('/'))
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hexadecimal, byte| {
        // Writing to a String does not fail.
        let _ = write!(hexadecimal, "{byte:02x}");
        hexadecimal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"schema": 1, "id": "20261121T020000Z", "created": "2026-11-21T02:00:00Z", "reason": "scheduled",
        "command": "photos-agent snapshot", "by": "root", "keep": false, "frozen_us": 1, "parts": {}, "release": "v3.2.2",
        "database": null, "generation": 1, "images": {}, "texts": {}, "agent": "0.1.0"}"#;

    #[test]
    fn copies_are_written_first_and_removed_first() {
        let folder = tempfile::tempdir().unwrap();
        let at = |disk: &str| folder.path().join(disk);
        let snapshots = Snapshots::with_copies(at("root"), vec![at("databases")]);
        let manifest: Manifest = serde_json::from_str(TEXT).unwrap();
        let id = &manifest.id;
        let there = |disk: &str| Snapshots::new(at(disk)).is_whole(id).unwrap();

        // A disk that takes no copy.
        std::fs::write(at("databases"), "").unwrap();
        assert!(snapshots.put(&manifest).is_err());
        assert!(!there("root"));
        std::fs::remove_file(at("databases")).unwrap();
        snapshots.put(&manifest).unwrap();
        assert_eq!(Snapshots::new(at("databases")).get(id).unwrap(), Some(manifest.clone()));

        // One that does not let go of it: a folder cannot be unlinked.
        let copy = at("databases").join(id.as_str()).join(MANIFEST);
        std::fs::remove_file(&copy).unwrap();
        std::fs::create_dir(&copy).unwrap();
        assert!(snapshots.forget(id).is_err());
        assert!(there("root"));
        std::fs::remove_dir(&copy).unwrap();
        snapshots.put(&manifest).unwrap();
        snapshots.forget(id).unwrap();
        assert!(!there("root") && !there("databases"));
    }

    #[test]
    fn a_text_that_is_not_what_it_was_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(folder.path().to_owned());
        let mut manifest: Manifest = serde_json::from_str(TEXT).unwrap();
        let path = "/etc/photos-agent/config.toml";
        let texts = BTreeMap::from([(path.to_owned(), "[immich]\n".to_owned())]);
        manifest.texts = snapshots.write_texts(&manifest.id, &texts).unwrap();
        assert_eq!(snapshots.text(&manifest, path).unwrap().as_deref(), Some("[immich]\n"));
        let file = below(&snapshots.folder(&manifest.id).join(TEXTS), path);
        for damaged in ["", "[immich]"] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(snapshots.text(&manifest, path).unwrap(), None, "{damaged:?}");
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(snapshots.text(&manifest, path).unwrap(), None);
    }

    #[test]
    fn a_disk_that_does_not_answer_has_not_said_no() {
        let folder = tempfile::tempdir().unwrap();
        let id: SnapshotId = "20261121T020000Z".parse().unwrap();
        let is_whole = |folder: &Path| Snapshots::new(folder.to_owned()).is_whole(&id).ok();
        assert_eq!(is_whole(folder.path()), Some(false));
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        assert_eq!(is_whole(&folder.path().join("loop")), None, "ELOOP is not ENOENT");
    }
}
