//! The open operation: written before the host is changed, gone when the change is whole.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::files;
use crate::model::layout::PENDING;
use crate::model::{Restore, Root};
use crate::record::{RecordError, SCHEMA, StepRecord, read, write};

/// An operation that was begun. Found at a start, it was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Format of this file.
    pub schema: u32,
    /// Its number in the history.
    pub id: u64,
    /// The command.
    pub command: String,
    /// When it began.
    pub started: Timestamp,
    /// The agent that began it.
    pub agent: String,
    /// The operation stopped a running stack and must start it again.
    pub stack_was_stopped: bool,
    /// What is half-done must be finished before a service starts, at a boot at the latest. An operation of an agent
    /// that did not say so is taken for one.
    #[serde(default = "holds")]
    pub holds: bool,
    /// What goes back, from before the first change of a restore until it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// Steps so far; the last one without a time had begun.
    pub steps: Vec<StepRecord>,
}

const fn holds() -> bool {
    true
}

impl Pending {
    fn path(root: &Root) -> PathBuf {
        root.join(PENDING)
    }

    /// The open operation, if there is one.
    pub fn read(root: &Root) -> Result<Option<Self>, RecordError> {
        read(&Self::path(root))
    }

    /// Writes it, durable on return.
    pub fn write(&self, root: &Root) -> Result<(), RecordError> {
        write(&Self::path(root), &Self { schema: SCHEMA, ..self.clone() })
    }

    /// Closes it.
    pub fn remove(root: &Root) -> Result<(), RecordError> {
        let path = Self::path(root);
        files::remove(&path)?;
        Ok(())
    }
}
