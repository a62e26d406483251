//! The open operation: written before the host is changed, gone when the change is whole.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::files;
use crate::model::layout::PENDING;
use crate::model::{Restore, Root, Upgrade};
use crate::record::{Generation, RecordError, SCHEMA, StepRecord, read_up_to, write};

/// The format of a journal with an upgrade: an agent that knows nothing of those must not take it for something else.
const WITH_UPGRADE: u32 = SCHEMA + 1;

/// How commands on snapshots begin.
const SNAPSHOT: &str = "photos-agent snapshot";

/// The one that would take none.
const PRUNE: &str = "photos-agent snapshot prune";

/// Finishes whatever is open, with the files only where they were being applied.
pub(super) const RESOLVE: &str = "systemctl start photos-resolve.service";

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
    /// From what to what an upgrade goes, from before its first change until it is whole or undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
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
        read_up_to(WITH_UPGRADE, &Self::path(root))
    }

    /// Whether it is one on snapshots, which the next one takes up: all that it can have left is debris, or a deletion that
    /// goes on. A restore is none: it holds the services, or has stopped them.
    pub fn is_of_snapshots(&self) -> bool {
        self.command.starts_with(SNAPSHOT) && !self.holds && !self.stack_was_stopped && !self.goes_back_or_on()
    }

    /// Whether it is a restore or an upgrade: it goes on with its own configuration, before anything else.
    pub const fn goes_back_or_on(&self) -> bool {
        self.restore.is_some() || self.upgrade.is_some()
    }

    /// The command that finishes it. A restore may have put the configuration files out of force, which `apply` would put
    /// in force again, and a newer release with them perhaps: then it is what goes on with what holds.
    pub fn remedy(&self, last: Option<&Generation>) -> &'static str {
        if self.is_of_snapshots() {
            return if self.command == PRUNE { PRUNE } else { SNAPSHOT };
        }
        let held = self.goes_back_or_on() || last.is_some_and(|last| last.restored.is_some());
        if held { RESOLVE } else { "photos-agent apply" }
    }

    /// Writes it, durable on return.
    pub fn write(&self, root: &Root) -> Result<(), RecordError> {
        let schema = if self.upgrade.is_some() { WITH_UPGRADE } else { SCHEMA };
        write(&Self::path(root), &Self { schema, ..self.clone() })
    }

    /// Closes it.
    pub fn remove(root: &Root) -> Result<(), RecordError> {
        let path = Self::path(root);
        files::remove(&path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Restored;

    fn pending(command: &str, holds: bool, stack_was_stopped: bool) -> Pending {
        let started = "2026-01-01T00:00:00Z".parse().unwrap();
        let (agent, steps) = (String::new(), Vec::new());
        Pending {
            schema: 1,
            id: 9,
            command: command.to_owned(),
            started,
            agent,
            stack_was_stopped,
            holds,
            restore: None,
            upgrade: None,
            steps,
        }
    }

    #[test]
    fn only_an_interrupted_operation_on_snapshots_is_taken_up() {
        for (command, holds, stopped, is) in [
            ("photos-agent snapshot", false, false, true),
            ("photos-agent snapshot prune", false, false, true),
            ("photos-agent apply", false, false, false),
            ("photos-agent snapshot", true, false, false),
            ("photos-agent snapshot", false, true, false),
        ] {
            assert_eq!(pending(command, holds, stopped).is_of_snapshots(), is, "{command}, {holds}, {stopped}");
        }
    }

    #[test]
    fn no_remedy_puts_files_in_force_that_a_restore_has_put_out_of_it() {
        let snapshot = || "20261121T144512Z".parse().unwrap();
        let generation = |restored| Generation {
            schema: 1,
            number: 1,
            created: "2026-01-01T00:00:00Z".parse().unwrap(),
            agent: String::new(),
            release: String::new(),
            config: std::collections::BTreeMap::new(),
            images: std::collections::BTreeMap::new(),
            files: std::collections::BTreeMap::new(),
            snapshot: None,
            restored,
        };
        let plain = generation(None);
        let held = generation(Some(Restored { snapshot: snapshot(), out_of_force: std::collections::BTreeMap::new() }));
        for (command, holds, last, remedy) in [
            ("photos-agent apply", true, None, "photos-agent apply"),
            ("daemon: drift", false, Some(&plain), "photos-agent apply"),
            ("daemon: drift", false, Some(&held), RESOLVE),
            ("photos-agent apply", true, Some(&held), RESOLVE),
            ("photos-agent snapshot", false, Some(&plain), "photos-agent snapshot"),
            ("photos-agent snapshot", false, Some(&held), "photos-agent snapshot"),
            ("photos-agent snapshot delete", false, Some(&held), "photos-agent snapshot"),
            ("photos-agent snapshot prune", false, None, "photos-agent snapshot prune"),
        ] {
            assert_eq!(pending(command, holds, false).remedy(last), remedy, "{command}, {last:?}");
        }
        let restore = Restore { snapshot: snapshot(), operation: 9, disks: Vec::new(), failed: false, stack: None };
        let restoring = Pending { restore: Some(restore), ..pending("photos-agent restore", true, true) };
        assert_eq!(restoring.remedy(Some(&plain)), RESOLVE);
    }
}
