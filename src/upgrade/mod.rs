//! Upgrades: what is looked into, pulled and kept before the stack is stopped for one, and the way back by hand.
//!
//! From the stop on an upgrade is `apply`'s, since a boot must be able to finish it.

mod check;
mod dump;
mod images;
mod major;
mod offers;
mod preflight;
mod pull;
mod rollback;
mod run;
mod space;
mod unattended;

use crate::apply::ApplyError;
use crate::model::{Refusal, Release, Root};
use crate::record::{Generation, Generations};

pub use check::{Check, Order, Stage, check};
pub use images::ImageChange;
pub use major::{Moved, change_major};
pub use offers::Heard;
pub use rollback::{Added, Outlook, Target, outlook, rollback};
pub use run::{Done, Hop, Wish, upgrade};
pub use space::Needs;
pub use unattended::{News, catch_up, unattended};

/// What runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its release.
    pub release: Release,
    /// Its record.
    pub generation: Generation,
}

impl Running {
    /// As it was applied last; where nothing was, there is nothing to upgrade.
    pub fn read(root: &Root) -> Result<Self, ApplyError> {
        let refused = |refusal| ApplyError::Refused(vec![refusal]);
        let Some(generation) = Generations::new(root).last()? else {
            let why = "runs on this host yet, so there is nothing to upgrade";
            return Err(refused(Refusal::new("no Immich", why, "photos-agent apply")));
        };
        let release = generation.release.parse().map_err(|invalid| {
            let why = format!("is of Immich {:?}, which is no release: {invalid}", generation.release);
            refused(Refusal::new(format!("generation {}", generation.number), why, "photos-agent history"))
        })?;
        Ok(Self { release, generation })
    }
}
