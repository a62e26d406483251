//! History: one line for each operation that changed the host, or tried to.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::files;
use crate::model::Root;
use crate::record::{RecordError, SCHEMA, state};

/// One operation, as it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Format of this line.
    pub schema: u32,
    /// Counted from 1.
    pub id: u64,
    /// The command that was given, or `daemon`.
    pub command: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; of an interrupted one, when that was found out.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done.
    pub steps: Vec<StepRecord>,
    /// The generation it converged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The host is as it should be.
    Done,
    /// A step failed; the reason.
    Failed(String),
    /// The agent died in it; a later operation went on from there.
    Interrupted,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// What was done, in words.
    pub step: String,
    /// Why.
    pub reason: String,
    /// How long it took, in milliseconds; none where it did not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// The file of all entries, oldest first, one JSON document a line.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
}

impl History {
    /// That below `root`.
    pub fn new(root: &Root) -> Self {
        Self { path: state(root, "history.jsonl") }
    }

    /// All entries. A line that a power cut tore is left out: its operation is in `pending` still.
    pub fn entries(&self) -> Result<Vec<Entry>, RecordError> {
        let text = files::read(&self.path)?.unwrap_or_default();
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The number that the next operation gets.
    pub fn next_id(&self) -> Result<u64, RecordError> {
        Ok(self.entries()?.iter().map(|entry| entry.id).max().unwrap_or(0) + 1)
    }

    /// Adds an entry, durable on return. The same operation is not entered twice.
    pub fn append(&self, entry: &Entry) -> Result<(), RecordError> {
        if self.entries()?.iter().any(|known| known.id == entry.id) {
            return Ok(());
        }
        let entry = Entry { schema: SCHEMA, ..entry.clone() };
        let line =
            serde_json::to_string(&entry).map_err(|source| RecordError::Damaged { path: self.path.clone(), source })?;
        files::append(&self.path, &line).map_err(RecordError::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> Entry {
        let now = Timestamp::UNIX_EPOCH;
        Entry {
            schema: 1,
            id,
            command: "apply".to_owned(),
            started: now,
            finished: now,
            outcome: Outcome::Failed("x\ny".to_owned()),
            steps: Vec::new(),
            generation: None,
        }
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(&Root::new(folder.path()));
        history.append(&entry(1)).unwrap();
        history.append(&entry(1)).unwrap();
        history.append(&entry(2)).unwrap();
        let text = files::read(&history.path).unwrap().unwrap();
        std::fs::write(&history.path, text.trim_end_matches("}\n")).unwrap();
        assert_eq!(history.entries().unwrap(), [entry(1)]);
        history.append(&entry(3)).unwrap();
        assert_eq!(history.entries().unwrap(), [entry(1), entry(3)]);
    }
}
