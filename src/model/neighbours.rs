//! What else happens by the clock.

use jiff::Timestamp;

use super::UnitName;

/// Units that run or are about to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Neighbours {
    /// At work now, or waiting for their turn.
    pub running: Vec<UnitName>,
    /// Timers, and when each elapses next.
    pub due: Vec<(UnitName, Timestamp)>,
}
