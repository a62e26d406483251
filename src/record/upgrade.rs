//! What came of the last upgrade, and digests that did not work here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{HostPath, Quarantined, Release, Root, SnapshotId};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// How many failed upgrades are remembered: one a release, for years.
const REMEMBERED: usize = 100;

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

/// The memory of upgrades.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Upgrades {
    schema: u32,
    /// The last one.
    pub last: Option<Upgraded>,
    /// What failed, oldest first.
    #[serde(default)]
    pub quarantine: Vec<Quarantined>,
}

impl Upgrades {
    /// As it is remembered.
    pub fn read(root: &Root) -> Result<Self, RecordError> {
        Ok(read(&state(root, "upgrades.json"))?.unwrap_or_default())
    }

    /// An upgrade has ended. Durable on return.
    pub fn ended(mut self, root: &Root, upgraded: Upgraded, failed: Option<Quarantined>) -> Result<(), RecordError> {
        if let Some(failed) = failed {
            self.quarantine.retain(|other| (&other.release, &other.digests) != (&failed.release, &failed.digests));
            self.quarantine.push(failed);
            let over = self.quarantine.len().saturating_sub(REMEMBERED);
            self.quarantine.drain(..over);
        } else {
            // What works now is nothing to warn of.
            self.quarantine.retain(|other| other.release != upgraded.to);
        }
        self.last = Some(upgraded);
        self.schema = SCHEMA;
        write(&state(root, "upgrades.json"), &self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::Digest;

    fn digest(digit: char) -> Digest {
        format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
    }

    fn failed(release: &str, digit: char) -> Quarantined {
        let since = "2026-11-21T14:45:12Z".parse().unwrap();
        let (release, why) = (release.parse().unwrap(), "it died".to_owned());
        Quarantined { release, digests: BTreeSet::from([digest(digit)]), since, why }
    }

    fn upgraded(to: &str) -> Upgraded {
        Upgraded {
            at: "2026-11-21T14:45:12Z".parse().unwrap(),
            operation: 7,
            command: "photos-agent upgrade".to_owned(),
            from: "v3.1.0".parse().unwrap(),
            to: to.parse().unwrap(),
            snapshot: None,
            end: End::Done,
        }
    }

    #[test]
    fn what_failed_is_remembered_by_its_digests_until_the_release_works() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let read = || Upgrades::read(&root).unwrap();
        assert_eq!(read(), Upgrades::default());
        for digit in ['1', '2', '1'] {
            read().ended(&root, upgraded("v3.2.2"), Some(failed("v3.2.2", digit))).unwrap();
        }
        read().ended(&root, upgraded("v3.2.0"), Some(failed("v3.2.0", '3'))).unwrap();
        assert_eq!(read().quarantine.len(), 3);
        let of = |release: &str, digit: char| {
            let images = BTreeSet::from([digest(digit), digest('9')]);
            read().quarantine.iter().any(|failed| failed.is_of(&release.parse().unwrap(), &images))
        };
        assert!(of("v3.2.2", '1') && of("v3.2.2", '2'));
        assert!(!of("v3.2.2", '4'), "pushed again");
        assert!(!of("v3.2.1", '1'));
        read().ended(&root, upgraded("v3.2.2"), None).unwrap();
        assert!(!of("v3.2.2", '1') && of("v3.2.0", '3'));
        assert_eq!(read().last.unwrap().end, End::Done);
    }
}
