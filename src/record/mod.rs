//! What the agent remembers, in /var/lib/photos-agent: digests, generations, history, an open operation.
//!
//! Every file says its format, is replaced whole or appended by whole lines, and is durable before the
//! host is changed on its account. A file of a newer format is refused, never guessed at.

mod first_start;
mod found;
mod generation;
mod graphics;
mod history;
mod icloud;
mod images;
mod installed;
mod library;
mod manifest;
mod night;
mod pending;
mod places;
mod proof;
mod quarantine;
mod role;
mod told;
mod upgrade;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use first_start::{MarkError, is_first_start, mark_first_start};
pub use found::{Found, Summary};
pub use generation::{Generation, Generations, Restored, mends};
pub use graphics::{Graphics, GraphicsTrial, Workload, add_setting, graphics, set_acceleration, set_graphics_trial};
pub use history::{Entry, History, Outcome, StepRecord};
pub use icloud::{AccountRecord, Accounts, Kept, Looked, Run, icloud, set_icloud};
pub use images::ImageLock;
pub use installed::{Texts, add_installed, installed};
pub use library::{Learning, Libraries, Scan, learning, libraries, set_learning, set_libraries};
pub use manifest::{DatabaseFacts, MANIFEST, Manifest, Part, Snapshots, TEXTS};
pub use night::{CameTo, Night, last_night, set_last_night};
pub use pending::Pending;
pub use places::{Places, add_places, places};
pub use proof::{Check, Finding, PROOF, Proof, ROWS, START, Sample, Trial, Trials, add_trial, trials};
pub use quarantine::{add_quarantined, lift_quarantine, quarantine};
pub use role::{role_password, set_role_password};
pub use told::{Told, set_told, told};
pub use upgrade::{End, Upgraded, last_upgrade, set_last_upgrade};

use crate::host::files::{self, FileError};
use crate::model::Root;
use crate::model::layout::{PENDING, STATE};

/// Folders in it with files of their own: records, and texts of edited files.
pub const FOLDERS: [&str; 3] = ["", "generations", "displaced"];

/// The format that is written, in every file's `schema` field.
const SCHEMA: u32 = 1;

/// Why the memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not understood.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A restore has to be finished first.
    #[error("operation {0}, a restore, was begun and not ended")]
    Restoring(u64),
    /// An upgrade has to be finished first.
    #[error("operation {0}, an upgrade, was begun and not ended")]
    Upgrading(u64),
    /// Written by a newer agent.
    #[error("{} has format {found}, this photos-agent knows up to {known}: install the newer version again", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
}

impl RecordError {
    /// What to do about a damaged file, which is kept; nothing where the error says it itself.
    pub fn remedy(&self) -> Option<String> {
        let path = match self {
            Self::Damaged { path, .. } => path,
            Self::Restoring(_) | Self::Upgrading(_) => return Some(pending::RESOLVE.to_owned()),
            Self::File(_) | Self::Newer { .. } => return None,
        };
        let after = if path.ends_with(PENDING.trim_start_matches('/')) {
            // Whether it was us who stopped the stack was written there, and only there.
            " && systemctl start photos.target"
        } else if path.ends_with("images.lock") {
            " (what ran last goes on)"
        } else {
            ""
        };
        let path = path.display();
        Some(format!("mv {path} {path}.aside, then: photos-agent apply{after}"))
    }
}

#[derive(Debug, serde::Deserialize)]
struct Format {
    schema: u32,
}

fn state(root: &Root, name: &str) -> PathBuf {
    root.join(STATE).join(name)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    read_up_to(SCHEMA, path)
}

/// The same of a file whose format has grown further.
fn read_up_to<T: DeserializeOwned>(schema: u32, path: &Path) -> Result<Option<T>, RecordError> {
    let Some(text) = files::read(path)? else { return Ok(None) };
    parse(schema, path, &text).map(Some)
}

fn parse<T: DeserializeOwned>(schema: u32, path: &Path, text: &str) -> Result<T, RecordError> {
    let damaged = |source| RecordError::Damaged { path: path.to_owned(), source };
    let format: Format = serde_json::from_str(text).map_err(damaged)?;
    if format.schema > schema {
        return Err(RecordError::Newer { path: path.to_owned(), found: format.schema, known: schema });
    }
    serde_json::from_str(text).map_err(damaged)
}

fn write<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), RecordError> {
    let damaged = |source| RecordError::Damaged { path: path.to_owned(), source };
    let mut text = serde_json::to_string_pretty(value).map_err(damaged)?;
    text.push('\n');
    // The state names paths and images, no secret; but it is nobody else's business.
    files::write(path, &text, 0o600).map_err(RecordError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_has_a_remedy_that_brings_the_stack_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        for (name, then) in [
            ("pending", "photos-agent apply && systemctl start photos.target"),
            ("images.lock", "photos-agent apply (what ran last goes on)"),
            ("places.json", "photos-agent apply"),
        ] {
            let path = state(&root, name);
            let error = parse::<Format>(SCHEMA, &path, "{").unwrap_err();
            let path = path.display();
            assert_eq!(error.remedy(), Some(format!("mv {path} {path}.aside, then: {then}")));
        }
        let newer = parse::<Format>(SCHEMA, &state(&root, "pending"), r#"{"schema": 99}"#).unwrap_err();
        assert_eq!(newer.remedy(), None, "{newer}");
    }
}
