//! libraries.json: which API key, which external libraries and which scans of them are the agent's.
//!
//! Written by a scan and by `immich setup`, one at a time by a lock of theirs. What machine learning has missed is in a file of its own, which the daemon writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{AccountName, Root, SubvolumeUuid};
use crate::record::{RecordError, SCHEMA, read, state, write};

const NAME: &str = "libraries.json";
const LEARNING: &str = "learning.json";

/// What is remembered of Immich.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Libraries {
    schema: u32,
    /// Identity of the key that the agent made, not the key: with it, the agent's own is told from others.
    #[serde(default)]
    pub key: Option<String>,
    /// The library of each account, by the account's name.
    #[serde(default)]
    pub accounts: BTreeMap<String, String>,
    /// The last scan of each library.
    #[serde(default)]
    pub scans: BTreeMap<String, Scan>,
}

/// A scan that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// When it was asked for.
    pub at: Timestamp,
    /// The subvolumes that were scanned, by import path.
    pub subvolumes: BTreeMap<String, SubvolumeUuid>,
    /// Files that Immich knew.
    pub known: u64,
    /// Those of them that were missing.
    pub missing: u64,
    /// Photographs and videos before it.
    pub before: u64,
    /// And after it; none where it was not waited for to the end.
    pub after: Option<u64>,
    /// What it has moved to the trash; none where that is not known.
    #[serde(default)]
    pub trashed: Option<u64>,
}

impl Libraries {
    /// When Immich was last asked to look at what an account has.
    pub fn last_scan_of(&self, account: &AccountName) -> Option<&Scan> {
        self.scans.get(self.accounts.get(account.as_str())?)
    }
}

/// What is remembered.
pub fn libraries(root: &Root) -> Result<Libraries, RecordError> {
    Ok(read(&state(root, NAME))?.unwrap_or_default())
}

/// Writes it down, durable on return.
pub fn set_libraries(root: &Root, libraries: &Libraries) -> Result<(), RecordError> {
    write(&state(root, NAME), &Libraries { schema: SCHEMA, ..libraries.clone() })
}

/// What machine learning has missed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Learning {
    schema: u32,
    /// The start of immich-ml, in microseconds since 1970, up to which all is seen to.
    #[serde(default)]
    pub seen: u64,
    /// Whether it has missed something that was not queued yet.
    #[serde(default)]
    pub owed: bool,
}

impl Learning {
    /// As it is at first.
    pub fn new(seen: u64, owed: bool) -> Self {
        Self { schema: SCHEMA, seen, owed }
    }
}

/// What is remembered of it.
pub fn learning(root: &Root) -> Result<Learning, RecordError> {
    Ok(read(&state(root, LEARNING))?.unwrap_or_default())
}

/// Writes it down, durable on return.
pub fn set_learning(root: &Root, learning: &Learning) -> Result<(), RecordError> {
    write(&state(root, LEARNING), learning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        assert_eq!(libraries(&root).unwrap(), Libraries::default());
        assert_eq!(learning(&root).unwrap(), Learning::default());
        let scan = Scan {
            at: "2026-11-21T04:45:12Z".parse().unwrap(),
            subvolumes: BTreeMap::new(),
            known: 3,
            missing: 1,
            before: 3,
            after: None,
            trashed: Some(1),
        };
        let mut known = Libraries { key: Some("k".into()), ..Libraries::default() };
        known.accounts.insert("anna".into(), "l".into());
        known.scans.insert("l".into(), scan);
        set_libraries(&root, &known).unwrap();
        assert_eq!(libraries(&root).unwrap(), Libraries { schema: SCHEMA, ..known });
        set_learning(&root, &Learning::new(7, true)).unwrap();
        assert_eq!(learning(&root).unwrap(), Learning::new(7, true));
    }
}
