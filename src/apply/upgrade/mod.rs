//! Upgrades: what is done under the lock, and what a boot must be able to finish.

pub mod watch;

pub use watch::{Limits, Unwell, journal_of, watch};
