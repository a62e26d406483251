//! Snapshots: one moment of database, queue and photographs, read-only and side by side.
//!
//! What a snapshot is of stands in its manifest (`record`); which ones are kept is decided in `plan`. This room takes
//! them, deletes them, and tidies up after itself. It never deletes a folder with a manifest without being told which.

mod create;
mod database;
mod debris;
mod delete;
mod frozen;
mod holes;
mod judge;
mod latest;
pub mod replaced;
mod restore;
mod room;
mod sizes;
mod verify;

use crate::apply::{ApplyError, StepError, applied};
use crate::config::Loaded;
use crate::model::{Refusal, Root};
use crate::observe::facts;
use crate::record::{Generation, Generations, Pending, Snapshots};
use crate::stack::{self, Desired, Disk};

pub use create::{Request, create, create_within};
pub use debris::{refuse_missing, remove_debris, tidy};
pub use delete::{Doomed, delete, prune};
pub use frozen::{refuse_frozen, thaw};
pub use holes::{holes, name_holes};
pub use judge::{Pruned, judge, why_left};
pub use latest::{latest, passed_over};
pub use restore::{ImageChange, Prospect, ReleaseChange, Wish, foresee, refuse_unexchangeable, restore, way_back};
pub use room::{low, refuse_full};
pub use sizes::Sizes;
pub use verify::{Which, hold_alone, remove_abandoned, verify};

/// What runs, as it was applied: neither the files nor Podman are asked.
#[derive(Debug)]
pub struct Applied {
    /// Its record.
    pub generation: Generation,
    /// Its configuration.
    pub loaded: Loaded,
    /// Its stack.
    pub desired: Desired,
}

impl Applied {
    /// Reads it; where nothing was ever applied, there is nothing to take a snapshot of.
    pub fn read(root: &Root) -> Result<Self, ApplyError> {
        let refused = |refusal| ApplyError::Refused(vec![refusal]);
        let Some(generation) = Generations::new(root).last()? else {
            let why = "was never applied on this host, so there is nothing that a snapshot could be of";
            return Err(refused(Refusal::new("the configuration", why, "photos-agent apply")));
        };
        let number = generation.number;
        let Some(loaded) = applied(generation.clone()) else {
            let what = format!("the configuration of generation {number}");
            let why = "is not understood by this photos-agent";
            let by_files = || "photos-agent config check; photos-agent apply".to_owned();
            // Files that a restore has put out of force are of another release, perhaps.
            let restored = generation.restored.as_ref();
            let remedy = restored.map_or_else(by_files, |_| format!("install photos-agent {} again", generation.agent));
            return Err(refused(Refusal::new(what, why, remedy)));
        };
        let facts = facts(root, &loaded.settings)?;
        let desired = stack::desire(&loaded.settings, &facts).map_err(refused)?;
        Ok(Self { generation, loaded, desired })
    }

    /// Its snapshots.
    pub fn snapshots(&self, root: &Root) -> Snapshots {
        let folder = |disk: &Disk| root.join(disk.snapshots().as_path());
        let copies = self.desired.disks.iter().skip(1).map(folder).collect();
        Snapshots::with_copies(root.join(self.desired.snapshots.as_path()), copies)
    }
}

/// Refuses while another operation is half-done, and says `what` that means here. One on snapshots is taken up by the
/// next one: all that it can have left is debris, or a deletion that goes on.
pub fn refuse_open_operation(root: &Root, what: &str) -> Result<(), ApplyError> {
    let Some(open) = Pending::read(root)? else { return Ok(()) };
    if open.is_of_snapshots() {
        return Ok(());
    }
    let why = format!("({}) was begun and not ended, {what}", open.command);
    let remedy = open.remedy(Generations::new(root).last()?.as_ref());
    let refusal = Refusal::new(format!("operation {}", open.id), why, remedy);
    Err(ApplyError::Refused(vec![refusal]))
}

fn failed(step: &str, source: impl Into<StepError>) -> ApplyError {
    ApplyError::Step { step: step.to_owned(), source: Box::new(source.into()) }
}
