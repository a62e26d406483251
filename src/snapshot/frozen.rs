//! The moment: everything stands still, the snapshots are taken, everything goes on.
//!
//! Between freeze and thaw there is nothing but the kernel's work. A guard of systemd's thaws after two seconds whatever
//! has become of the agent; what was taken of a moment that did not hold is thrown away by whoever called.

use std::time::{Duration, Instant};

use crate::apply::{ApplyError, StepError};
use crate::host::Host;
use crate::host::subvolume::{Shot, shoot};
use crate::host::systemd::{Systemd, SystemdError, Verb};
use crate::model::{Refusal, SnapshotId, UnitName};
use crate::snapshot::failed;
use crate::stack::SLICE;

/// Longest time that the services may stand still. A phone that uploads waits longer than that for an answer.
const LIMIT: Duration = Duration::from_secs(2);

/// What the guard runs when it has thawed.
const THAW: &str = "/usr/bin/photos-agent thaw";

/// systemd's word for a unit that was to be restarted while it was frozen: the restart stays in its queue for good.
const STUCK: &str = "auto-restart-queued";

/// Takes all of them while the slice stands still. Returns how long it did.
pub(super) async fn shoot_frozen(
    host: &Host,
    id: &SnapshotId,
    shots: &[Shot],
    services: &[UnitName],
) -> Result<Duration, StepError> {
    let systemd = host.systemd().await?;
    let slice = UnitName::constant(SLICE);
    let guard = UnitName::constant(format!("photos-thaw-{id}.service"));
    systemd.guard(&guard, &slice, LIMIT, THAW).await?;
    let begun = Instant::now();
    let taken = take(systemd, &slice, shots).await;
    let thawed = systemd.thaw(&slice).await;
    let frozen = begun.elapsed();
    let goes_on = match thawed {
        Ok(()) => {
            // It has nothing to do any more, and where it has already done it, it is gone.
            let _ = systemd.dismiss(&guard).await;
            start_stuck(systemd, services).await
        }
        // The guard is still there.
        failed => failed,
    };
    // Not before: of what was not taken, too, nothing is left to thaw the next one.
    let held = taken?;
    goes_on?;
    if held && frozen < LIMIT { Ok(frozen) } else { Err(StepError::NotHeld { after: frozen }) }
}

/// Refuses where somebody else has stopped the services: whatever is asked of them waits for ever, and their thaw would
/// come in the middle.
pub(super) async fn refuse_frozen(host: &Host) -> Result<(), ApplyError> {
    let slice = UnitName::constant(SLICE);
    let systemd = host.systemd().await.map_err(|error| failed("look at the services", error))?;
    if !systemd.is_frozen(&slice).await.map_err(|error| failed("look at the services", error))? {
        return Ok(());
    }
    let why = "is frozen, and not by this command: nothing in it can answer";
    Err(ApplyError::Refused(vec![Refusal::new(SLICE, why, format!("systemctl thaw {SLICE}"))]))
}

/// Whether the slice stood still from before the first to after the last.
async fn take(systemd: &Systemd, slice: &UnitName, shots: &[Shot]) -> Result<bool, StepError> {
    systemd.freeze(slice).await?;
    shoot(shots)?;
    Ok(systemd.is_frozen(slice).await?)
}

/// Thaws the slice and starts what the freeze left waiting: what the guard runs, and what may be run at any time.
pub async fn thaw(host: &Host, services: &[UnitName]) -> Result<(), SystemdError> {
    let systemd = host.systemd().await?;
    // One that is not frozen, or that there is none of, needs no thaw.
    let _ = systemd.thaw(&UnitName::constant(SLICE)).await;
    start_stuck(systemd, services).await
}

async fn start_stuck(systemd: &Systemd, services: &[UnitName]) -> Result<(), SystemdError> {
    for (unit, state) in systemd.units(services).await? {
        if state.sub == STUCK {
            systemd.ask(Verb::Start, &unit).await?;
        }
    }
    Ok(())
}
