//! upgrade.json: what came of the last upgrade.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{HostPath, Release, Root, SnapshotId};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// An upgrade that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// When.
    pub at: Timestamp,
    /// The operation that began it.
    pub operation: u64,
    /// The command.
    pub command: String,
    /// What ran.
    pub from: Release,
    /// What was to run.
    pub to: Release,
    /// The snapshot of just before, where one was taken.
    pub snapshot: Option<SnapshotId>,
    /// How.
    pub end: End,
}

/// How an upgrade ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The new release runs.
    Done,
    /// The old one runs again.
    WentBack {
        /// Why.
        why: String,
        /// Whether the data went back, too.
        data: bool,
        /// Where the database is that failed, and all that was live with it.
        kept: Vec<HostPath>,
        /// Photographs in it that arrived meanwhile.
        #[serde(default)]
        arrived: Vec<HostPath>,
        /// The journal of the units that failed.
        journal: Option<HostPath>,
    },
}

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    last: Upgraded,
}

const NAME: &str = "upgrade.json";

/// How the last upgrade ended; none where there was none.
pub fn last_upgrade(root: &Root) -> Result<Option<Upgraded>, RecordError> {
    Ok(read::<File>(&state(root, NAME))?.map(|file| file.last))
}

/// An upgrade has ended. Durable on return.
pub fn set_last_upgrade(root: &Root, last: Upgraded) -> Result<(), RecordError> {
    write(&state(root, NAME), &File { schema: SCHEMA, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        assert_eq!(last_upgrade(&root).unwrap(), None);
        let journal = "/var/lib/photos-agent/failed/000007-v3.2.2.log".parse().ok();
        let why = "it died".to_owned();
        for end in [End::WentBack { why, data: true, kept: Vec::new(), arrived: Vec::new(), journal }, End::Done] {
            let last = Upgraded {
                at: "2026-11-21T14:45:12Z".parse().unwrap(),
                operation: 7,
                command: "photos-agent upgrade".to_owned(),
                from: "v3.1.0".parse().unwrap(),
                to: "v3.2.2".parse().unwrap(),
                snapshot: None,
                end,
            };
            set_last_upgrade(&root, last.clone()).unwrap();
            assert_eq!(last_upgrade(&root).unwrap(), Some(last));
        }
    }
}
