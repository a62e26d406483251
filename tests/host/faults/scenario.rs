//! What faults happen to: an operation that can be repeated, and what it is for.

use crate::faults::apply::{Card, Drift, First, Port, Subnet};
use crate::faults::fault::{Fault, Kind};
use crate::faults::snapshots::{Create, Prune, Restore};
use crate::faults::upgrades::{Rollback, Upgrade};
use crate::support::Host;

/// An operation under faults. A new one is a value of a type of its own, and a line in [`APPLY`], [`SNAPSHOTS`] or [`UPGRADES`].
///
/// One fault is: `prepare`, `command` with the fault in it, a look at what is left, `recovery`, `assert_achieved`.
/// Everything that holds for any operation is asserted by [`invariants`](crate::faults::invariants).
pub trait Scenario: Sync {
    /// As in `FAULT=` and in tables.
    fn name(&self) -> &'static str;

    /// Those that share a host have the same.
    fn home(&self) -> &'static str {
        self.name()
    }

    /// A host on which it can be prepared.
    fn host(&self, test: &str) -> Host;

    /// Whether one host takes fault after fault; otherwise each has a host of its own.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// What can happen to it.
    fn kinds(&self) -> &'static [Kind] {
        &Kind::ANY
    }

    /// Makes the operation necessary. Rounds are counted on each host from 1; 0 was the one that was measured.
    fn prepare(&self, host: &Host, round: u64);

    /// What the fault happens to.
    fn command(&self) -> &'static str {
        "photos-agent apply"
    }

    /// What is done after it.
    fn recovery(&self, _: Kind) -> String {
        "photos-agent apply".to_owned()
    }

    /// Snapshots that it is there to delete.
    fn doomed(&self, _: &Host) -> Vec<String> {
        Vec::new()
    }

    /// What the operation was for, is so; or, where it may be undone instead, is so or was undone.
    fn assert_achieved(&self, host: &Host, round: u64, fault: Option<&Fault>);
}

/// Those that build the stack and change it.
pub const APPLY: [&dyn Scenario; 5] = [&First, &Subnet, &Port, &Drift, &Card];

/// Those on what it holds.
pub const SNAPSHOTS: [&dyn Scenario; 3] = [&Create, &Prune, &Restore];

/// Those from one release to another.
pub const UPGRADES: [&dyn Scenario; 2] = [&Upgrade, &Rollback];
