//! Manifests: what a snapshot is of. A folder of a snapshot without one is debris.
//!
//! It is written last and removed first, so that what has one is whole. Texts of units and configuration lie beside it as
//! files; the manifest has their hashes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::host::files;
use crate::model::{ImageRef, Service, SnapshotId, Subvolume, SubvolumeUuid};
use crate::record::{PROOF, Proof, RecordError, SCHEMA, read, write};

/// Its name in the snapshot's folder.
pub(super) const NAME: &str = "manifest.json";

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
    /// The subvolumes.
    pub parts: BTreeMap<Subvolume, Part>,
    /// Immich's release.
    pub release: String,
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
}

/// The snapshots below one folder.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    /// Those in `folder`, that of the first disk.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
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

    /// Whether it is whole, be its manifest understood or not.
    pub fn is_whole(&self, id: &SnapshotId) -> bool {
        self.path(id).symlink_metadata().is_ok()
    }

    /// Makes it whole, durable on return.
    pub fn put(&self, manifest: &Manifest) -> Result<(), RecordError> {
        write(&self.path(&manifest.id), &Manifest { schema: SCHEMA, ..manifest.clone() })
    }

    /// Makes it debris, durable on return.
    pub fn forget(&self, id: &SnapshotId) -> Result<(), RecordError> {
        Ok(files::remove(&self.path(id))?)
    }

    /// What came of the last trial of one; none where it was never tried.
    pub fn proof(&self, id: &SnapshotId) -> Result<Option<Proof>, RecordError> {
        read(&self.folder(id).join(PROOF))
    }

    /// Puts the result of a trial beside the manifest, durable on return.
    pub fn put_proof(&self, proof: &Proof) -> Result<(), RecordError> {
        write(&self.folder(&proof.snapshot).join(PROOF), proof)
    }

    /// Writes the texts and returns their hashes. On disk when the filesystem commits.
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
        self.folder(id).join(NAME)
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
