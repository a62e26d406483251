//! Proofs: what came of trying whether a snapshot would do, beside its manifest; and the last of them, with the rest of
//! what the agent remembers, since a snapshot is pruned one day and the fact stays one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{ImageRef, Root, SnapshotId};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// Its name in the snapshot's folder.
pub const PROOF: &str = "proof.json";

/// The last ones.
const LAST: &str = "proofs.json";

/// What came of one trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Format of this file.
    pub schema: u32,
    /// What was tried.
    pub snapshot: SnapshotId,
    /// When.
    pub begun: Timestamp,
    /// How long it took.
    pub took_ms: u64,
    /// The database's image.
    pub image: ImageRef,
    /// One after the other.
    pub checks: Vec<Check>,
    /// Rows of Immich's main tables.
    pub rows: BTreeMap<String, u64>,
    /// Files that some rows name.
    pub files: Sample,
    /// The agent that tried.
    pub agent: String,
}

impl Proof {
    /// Whether the database came up and nothing was found wrong. What could not be looked at stands in the checks.
    pub fn is_proven(&self) -> bool {
        let failed = self.checks.iter().any(|check| matches!(check.finding, Finding::Failed { .. }));
        let passed = |what| self.checks.iter().any(|check| check.what == what && check.finding.has_passed());
        !failed && passed(START) && passed(ROWS)
    }
}

/// The check without which there is no proof: the database came up.
pub const START: &str = "start";

/// The other one: it has told its rows.
pub const ROWS: &str = "rows";

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which.
    pub what: String,
    /// What came of it.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What came of a check. That it could not be done is another thing than that all is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// All is well.
    Passed {
        /// What was seen.
        detail: String,
    },
    /// It is not.
    Failed {
        /// What is wrong.
        why: String,
    },
    /// Nobody knows.
    NotChecked {
        /// Why it could not be looked at.
        why: String,
    },
}

impl Finding {
    /// Whether all is well.
    pub const fn has_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

/// Files that rows name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// In the snapshot.
    pub found: u64,
    /// Where no snapshot reaches: libraries of the operator's own, parts that this one does not have.
    pub elsewhere: u64,
    /// Not there.
    pub missing: u64,
    /// The first of these, as the database names them.
    pub examples: Vec<String>,
}

/// A trial in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What was tried.
    pub snapshot: SnapshotId,
    /// The moment that it is of; none where an older agent did not write it down.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// When.
    pub at: Timestamp,
    /// Whether it would do.
    pub proven: bool,
}

/// The last trials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trials {
    /// Format of this file.
    pub schema: u32,
    /// The last of all.
    pub last: Option<Trial>,
    /// The proof of the newest snapshot.
    pub proven: Option<Trial>,
}

/// The last trials.
pub fn trials(root: &Root) -> Result<Trials, RecordError> {
    Ok(read(&state(root, LAST))?.unwrap_or_default())
}

/// Remembers one of a snapshot of the moment `created`, durable on return.
pub fn add_trial(root: &Root, proof: &Proof, created: Timestamp) -> Result<(), RecordError> {
    let (snapshot, created) = (proof.snapshot.clone(), Some(created));
    let trial = Trial { snapshot, created, at: proof.begun, proven: proof.is_proven() };
    let proven = match trials(root)?.proven {
        before if !trial.proven => before,
        Some(before) if trial.age(trial.at) < before.age(trial.at) => Some(before),
        _ => Some(trial.clone()),
    };
    write(&state(root, LAST), &Trials { schema: SCHEMA, last: Some(trial), proven })
}

impl Trial {
    /// For comparing: the newer the greater. One whose time has not come says nothing of how old it is.
    fn age(&self, now: Timestamp) -> Option<Timestamp> {
        self.created.filter(|created| *created <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(checks: &[(&str, Finding)]) -> Proof {
        Proof {
            schema: SCHEMA,
            snapshot: "20261121T144512Z".parse().unwrap(),
            begun: Timestamp::UNIX_EPOCH,
            took_ms: 1,
            image: "docker.io/library/postgres:17".parse().unwrap(),
            checks: checks
                .iter()
                .map(|(what, finding)| Check { what: (*what).to_owned(), finding: finding.clone() })
                .collect(),
            rows: BTreeMap::new(),
            files: Sample::default(),
            agent: String::new(),
        }
    }

    #[test]
    fn nothing_may_be_wrong_and_the_database_must_have_spoken() {
        let passed = || Finding::Passed { detail: String::new() };
        let failed = || Finding::Failed { why: String::new() };
        let unknown = || Finding::NotChecked { why: String::new() };
        for (checks, proven) in [
            (vec![(START, passed()), (ROWS, passed())], true),
            (vec![(START, passed()), (ROWS, passed()), ("structure", unknown())], true),
            (vec![(START, passed()), (ROWS, passed()), ("files", failed())], false),
            (vec![(START, passed()), (ROWS, unknown())], false),
            (vec![(START, passed())], false),
            (vec![], false),
        ] {
            assert_eq!(proof(&checks).is_proven(), proven, "{checks:?}");
        }
    }

    #[test]
    fn the_last_proof_is_remembered_over_later_failures() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        assert_eq!(trials(&root).unwrap(), Trials::default());
        let good = proof(&[
            (START, Finding::Passed { detail: String::new() }),
            (ROWS, Finding::Passed { detail: String::new() }),
        ]);
        let at = |second| Timestamp::from_second(second).unwrap();
        add_trial(&root, &good, at(-30)).unwrap();
        add_trial(&root, &proof(&[]), at(-20)).unwrap();
        let known = trials(&root).unwrap();
        assert!(known.proven.is_some_and(|trial| trial.proven));
        assert!(known.last.is_some_and(|trial| !trial.proven));
        // That an older one would do, too, takes nothing from the newest that does; nor does one of a clock that was ahead.
        for (created, remembered) in [(-10, -10), (-40, -10), (1, -10), (-10, -10), (-9, -9)] {
            add_trial(&root, &good, at(created)).unwrap();
            let known = trials(&root).unwrap();
            assert_eq!(known.proven.unwrap().created, Some(at(remembered)), "after {created}");
            assert_eq!(known.last.unwrap().created, Some(at(created)));
        }
    }

    #[test]
    fn a_proof_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PROOF);
        let whole = proof(&[(START, Finding::NotChecked { why: "x".to_owned() })]);
        write(&path, &whole).unwrap();
        assert_eq!(read(&path).unwrap(), Some(whole));
    }
}
