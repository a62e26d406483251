//! What a person or the daemon's status line hears while an operation runs.

use std::time::Duration;

use crate::host::podman::PullProgress;
use crate::model::{ImageRef, UnitName};

/// One piece of news.
#[derive(Debug)]
pub enum Event<'a> {
    /// An earlier operation was interrupted; this one goes on from there.
    Resumed(u64),
    /// A step begins.
    Step {
        /// In words.
        step: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// Services may start from now on.
    GateOpened,
    /// Bytes arrive.
    Pulling(&'a ImageRef, PullProgress),
    /// An image is there.
    Pulled(&'a ImageRef, Duration),
    /// A unit's job ended.
    Unit {
        /// The unit.
        unit: &'a UnitName,
        /// systemd's word.
        result: &'a str,
        /// Since it was asked for.
        took: Duration,
    },
    /// These units are not there yet.
    Waiting(&'a [&'a UnitName], Duration),
    /// Whether all is well from now on, as it has to stay for a while.
    Well(bool),
    /// The text of a file that somebody had edited was put aside.
    Displaced {
        /// The file.
        path: &'a str,
        /// Where its text is now.
        kept: &'a str,
    },
}

/// Somebody who listens.
pub trait Progress: Send {
    /// Hears one piece of news. Must not block.
    fn hear(&mut self, event: Event<'_>);
}
