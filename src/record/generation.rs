//! Generations: one record for each converged state of the host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::files;
use crate::model::{HostPath, ImageRef, Root, Service};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// A converged state: enough to tell what ran and to write the same units again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Format of this record.
    pub schema: u32,
    /// Counted from 1.
    pub number: u32,
    /// When it was first converged to.
    pub created: Timestamp,
    /// The agent that did.
    pub agent: String,
    /// Immich's release.
    pub release: String,
    /// The configuration files, by path.
    pub config: BTreeMap<String, String>,
    /// The images, at their digests.
    pub images: BTreeMap<Service, ImageRef>,
    /// Every file that the agent wrote, by path.
    pub files: BTreeMap<HostPath, String>,
}

impl Generation {
    /// Whether `other` describes the same state, whenever and by whichever agent it was recorded.
    pub fn is_same_state(&self, other: &Self) -> bool {
        (&self.config, &self.images, &self.files) == (&other.config, &other.images, &other.files)
    }
}

/// The records on disk.
#[derive(Debug)]
pub struct Generations {
    folder: PathBuf,
}

impl Generations {
    /// Those below `root`.
    pub fn new(root: &Root) -> Self {
        Self { folder: state(root, "generations") }
    }

    /// Numbers, oldest first.
    pub fn numbers(&self) -> Result<Vec<u32>, RecordError> {
        let names = files::list(&self.folder)?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// The newest one.
    pub fn last(&self) -> Result<Option<Generation>, RecordError> {
        self.numbers()?.into_iter().max().map_or(Ok(None), |number| self.get(number))
    }

    /// One of them.
    pub fn get(&self, number: u32) -> Result<Option<Generation>, RecordError> {
        read(&self.path(number))
    }

    /// Records `state` unless it is that of the last generation. Returns the number it has.
    pub fn record(&self, mut generation: Generation) -> Result<u32, RecordError> {
        let last = self.last()?;
        if let Some(last) = last.as_ref().filter(|last| last.is_same_state(&generation)) {
            return Ok(last.number);
        }
        generation.schema = SCHEMA;
        generation.number = last.map_or(1, |last| last.number + 1);
        write(&self.path(generation.number), &generation)?;
        Ok(generation.number)
    }

    fn path(&self, number: u32) -> PathBuf {
        // Six digits, so that names sort as numbers do.
        self.folder.join(format!("{number:06}.json"))
    }
}
