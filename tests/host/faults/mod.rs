//! Faults: whatever dies while the agent works, whenever, nothing is left half-done, nothing foreign is touched, no
//! secret lies about, and the next run brings the host to where the first one was going.
//!
//! A [`fault`] is a kind and a point; what it happens to is a [`scenario`]; what must hold after it are the
//! [`invariants`]; a [`sweep`] draws many of them from a seed that is always printed. See README.md.

mod apply;
mod cases;
mod fault;
mod hosts;
mod invariants;
mod kept;
pub mod random;
mod report;
mod scenario;
mod snapshots;
mod strike;
mod sweep;
mod upgrades;

use std::io::Write;

/// Says something that is seen in a test that passes, too.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn whatever_dies_whenever_the_next_run_finishes_it() {
    sweep::sweep(&sweep::APPLY);
}

#[test]
fn whatever_dies_around_a_snapshot_nothing_is_half_taken_half_deleted_or_half_put_back() {
    sweep::sweep(&sweep::SNAPSHOTS);
}

#[test]
fn whatever_dies_around_an_upgrade_one_release_is_whole() {
    sweep::sweep(&sweep::UPGRADES);
}
