//! Marks beside the state: subvolumes whose first start has begun and has not ended well.
//!
//! A mark is an empty promise until the service's unit removes it: what its image makes at a first start is not
//! taken up again after an interruption. The agent writes marks, the unit removes them (`ExecStartPost=`),
//! so that a database that was ever up is never taken for a half-made one. A mark is of one subvolume, by its UUID:
//! it says nothing about another one at the same place, or of the same name elsewhere.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::host::storage::{self, StorageError};
use crate::host::{files, subvolume};
use crate::model::layout::FIRST_START;
use crate::model::{HostPath, PlaceState, Root, Subvolume, SubvolumeUuid};
use crate::record::{RecordError, SCHEMA, write};

/// What the first start of was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    schema: u32,
    path: HostPath,
    /// None where BTRFS gave it none.
    uuid: Option<SubvolumeUuid>,
}

/// Why it is not known whether there is a mark, or whether one was written.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// The mark.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What it is of.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn file(root: &Root, subvolume: Subvolume) -> PathBuf {
    root.join(format!("{FIRST_START}{}", subvolume.name()))
}

fn state(root: &Root, path: &HostPath) -> Result<PlaceState, StorageError> {
    storage::observe(&root.join(path.as_path()))
}

fn mark(root: &Root, path: &HostPath) -> Result<Mark, StorageError> {
    let found = subvolume::identify(&root.join(path.as_path()))?;
    Ok(Mark { schema: SCHEMA, path: path.clone(), uuid: found.and_then(|found| found.uuid) })
}

/// Whether the subvolume that lies at `path` has a mark. One that is gone has it still: there is nothing else that the
/// mark could be of. What is not understood is no mark, since what it would lead to is worse than its absence.
pub fn is_first_start(root: &Root, subvolume: Subvolume, path: &HostPath) -> Result<bool, MarkError> {
    let Some(text) = files::read(&file(root, subvolume)).map_err(RecordError::from)? else { return Ok(false) };
    let Ok(found) = serde_json::from_str::<Mark>(&text) else { return Ok(false) };
    if found.path != *path {
        return Ok(false);
    }
    match state(root, path)? {
        PlaceState::Absent { .. } => Ok(true),
        PlaceState::Subvolume(_) => Ok(found.uuid.is_some() && found.uuid == mark(root, path)?.uuid),
        _ => Ok(false),
    }
}

/// Marks the subvolume at `path`, durable on return, if it is empty, and no other: what holds files may have been in use
/// since somebody last looked.
pub fn mark_first_start(root: &Root, subvolume: Subvolume, path: &HostPath) -> Result<(), MarkError> {
    let is_empty = || state(root, path).map(|found| matches!(found, PlaceState::Subvolume(found) if found.empty));
    if is_first_start(root, subvolume, path)? || !is_empty()? {
        return Ok(());
    }
    write(&file(root, subvolume), &mark(root, path)?)?;
    // Somebody was faster, and there is nobody left who would remove the mark.
    if !is_empty()? {
        files::remove(&file(root, subvolume)).map_err(RecordError::from)?;
    }
    Ok(())
}
