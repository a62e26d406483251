//! Upgrades: what is looked into, pulled and kept before the stack is stopped for one, and the way back by hand.
//!
//! From the stop on it is `apply`'s, since a boot must be able to finish it.

mod dump;
mod preflight;
mod pull;
mod rollback;
mod run;

pub use rollback::{Added, Outlook, Target, outlook, rollback};
pub use run::{Hop, Wish, upgrade};
