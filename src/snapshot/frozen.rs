//! The moment: everything stands still, the snapshots are taken, everything goes on.
//!
//! Between freeze and thaw there is nothing but the kernel's work. A guard, a process of its own, thaws after two seconds
//! whatever has become of the agent and of systemd; what was taken of a moment that did not hold is thrown away by whoever
//! called.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::apply::{ApplyError, StepError};
use crate::host::Host;
use crate::host::freezer::Freezer;
use crate::host::subvolume::{Shot, shoot};
use crate::host::systemd::{Systemd, SystemdError, Verb};
use crate::model::{ActiveState, Refusal, SnapshotId, UnitName, UnitState};
use crate::snapshot::failed;
use crate::stack::SLICE;

/// Longest time that the services may stand still. A phone that uploads waits longer than that for an answer.
const LIMIT: Duration = Duration::from_secs(2);

/// How long systemd has for the freeze: more than half the limit, and there is none.
const HALF: Duration = Duration::from_secs(1);

/// How long systemd may be busy with something else, a reload most likely, and is waited for.
const BUSY: Duration = Duration::from_secs(120);

/// How long services that are starting or stopping are waited for.
const SETTLING: Duration = Duration::from_secs(30);

/// Between two looks at something that is awaited.
const BETWEEN: Duration = Duration::from_millis(100);

/// What the guard becomes when it has thawed.
const THAW: &str = "/usr/bin/photos-agent thaw";

/// systemd's word for a unit that was to be restarted while it was frozen: the restart stays in its queue for good.
const STUCK: &str = "auto-restart-queued";

/// The states of the services, as soon as systemd begins and ends nothing for them by itself; after a while as they are:
/// a service that fails again and again is a reason for a snapshot, and the guard is there.
pub(super) async fn settle(
    systemd: &Systemd,
    services: &[UnitName],
) -> Result<BTreeMap<UnitName, UnitState>, SystemdError> {
    let begun = Instant::now();
    loop {
        let states = systemd.units(services).await?;
        if states.values().all(is_settled) || begun.elapsed() >= SETTLING {
            return Ok(states);
        }
        sleep(BETWEEN).await;
    }
}

fn is_settled(state: &UnitState) -> bool {
    let waits_for_restart = state.active == ActiveState::Activating && state.sub.starts_with("auto-restart");
    waits_for_restart
        || (!state.job && matches!(state.active, ActiveState::Active | ActiveState::Inactive | ActiveState::Failed))
}

/// Those of which something may run.
pub(super) fn running(states: &BTreeMap<UnitName, UnitState>) -> Vec<UnitName> {
    let runs = |state: &UnitState| !matches!(state.active, ActiveState::Inactive | ActiveState::Failed);
    states.iter().filter(|(_, state)| runs(state)).map(|(unit, _)| unit.clone()).collect()
}

/// Takes all of them of a stack that stands still by itself.
pub(super) async fn shoot_stopped(host: &Host, shots: &[Shot], services: &[UnitName]) -> Result<(), StepError> {
    shoot(shots)?;
    let started = running(&host.systemd().await?.units(services).await?);
    if started.is_empty() { Ok(()) } else { Err(StepError::Started(started.iter().map(ToString::to_string).collect())) }
}

/// Takes all of them while the slice stands still. Returns how long it did.
pub(super) async fn shoot_frozen(
    host: &Host,
    id: &SnapshotId,
    shots: &[Shot],
    services: &[UnitName],
) -> Result<Duration, StepError> {
    let systemd = host.systemd().await?;
    let slice = UnitName::constant(SLICE);
    let freezer = systemd.freezer(&slice).await?;
    let guard = UnitName::constant(format!("photos-thaw-{id}.service"));
    let armed = systemd.guard(&guard, &freezer, LIMIT, THAW).await?;
    if let Some(failed) = armed.iter().find(|job| job.result != "done") {
        return Err(StepError::Jobs(vec![format!("{}: {}", failed.unit, failed.result)]));
    }
    let begun = Instant::now();
    let taken = take(&systemd, &slice, &freezer, shots).await;
    let thawed = freezer.thaw();
    let frozen = begun.elapsed();
    // Where one of these fails, the guard is still there.
    thawed?;
    release(&systemd, &slice, &freezer).await?;
    // It has nothing to do any more, and would thaw the next one; where it has already done it, it is gone.
    let _ = systemd.dismiss(&guard).await;
    start_stuck(&systemd, services).await?;
    let held = taken?;
    if held && frozen < LIMIT { Ok(frozen) } else { Err(StepError::NotHeld { after: frozen }) }
}

/// Whether the slice stood still from before the first to after the last.
async fn take(systemd: &Systemd, slice: &UnitName, freezer: &Freezer, shots: &[Shot]) -> Result<bool, StepError> {
    let mut freeze = std::pin::pin!(systemd.freeze(slice));
    if let Ok(frozen) = timeout(HALF, &mut freeze).await {
        frozen?;
        shoot(shots)?;
        return Ok(freezer.is_frozen()?);
    }
    // It is busy, or waits for somebody who stands still. What it does when it comes to it is undone by whoever called.
    freezer.thaw()?;
    let _ = timeout(BUSY, freeze).await;
    Ok(false)
}

/// Has systemd know that the slice goes on, and start in it again what it must.
async fn release(systemd: &Systemd, slice: &UnitName, freezer: &Freezer) -> Result<(), StepError> {
    let begun = Instant::now();
    loop {
        let thawed = systemd.thaw(slice).await;
        if !systemd.is_frozen(slice).await? {
            return Ok(());
        }
        if begun.elapsed() >= BUSY {
            thawed?;
            return Err(StepError::NotHeld { after: begun.elapsed() });
        }
        freezer.thaw()?;
        sleep(BETWEEN).await;
    }
}

/// Refuses where somebody else has stopped the services: whatever is asked of them waits for ever, and their thaw would
/// come in the middle.
pub async fn refuse_frozen(host: &Host) -> Result<(), ApplyError> {
    let slice = UnitName::constant(SLICE);
    let systemd = host.systemd().await.map_err(|error| failed("look at the services", error))?;
    if !systemd.is_frozen(&slice).await.map_err(|error| failed("look at the services", error))? {
        return Ok(());
    }
    let why = "is frozen, and not by this command: nothing in it can answer";
    Err(ApplyError::Refused(vec![Refusal::new(SLICE, why, format!("systemctl thaw {SLICE}"))]))
}

/// Refuses where a service runs outside of the slice, and would go on while the others stand.
pub(super) async fn refuse_outside(host: &Host, running: &[UnitName]) -> Result<(), StepError> {
    let freezer = host.systemd().await?.freezer(&UnitName::constant(SLICE)).await?;
    let outside: Vec<String> = running.iter().filter(|unit| !freezer.has(unit)).map(ToString::to_string).collect();
    if outside.is_empty() { Ok(()) } else { Err(StepError::Outside(outside)) }
}

/// What the guard becomes: thaws the slice whatever systemd says of it, and has what the freeze left waiting started. May be
/// done at any time.
pub async fn thaw(host: &Host, services: &[UnitName]) -> Result<(), StepError> {
    let slice = UnitName::constant(SLICE);
    let systemd = host.systemd().await?;
    // Where there is no control group, nothing runs.
    if let Ok(freezer) = systemd.freezer(&slice).await {
        freezer.thaw()?;
        release(&systemd, &slice, &freezer).await?;
    }
    Ok(start_stuck(&systemd, services).await?)
}

async fn start_stuck(systemd: &Systemd, services: &[UnitName]) -> Result<(), SystemdError> {
    for (unit, state) in systemd.units(services).await? {
        if state.sub == STUCK {
            systemd.ask(Verb::Start, &unit).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_is_about_to_start_or_stop_is_waited_for() {
        let settled = |active, sub: &str, job| {
            is_settled(&UnitState { active, sub: sub.to_owned(), job, ..UnitState::default() })
        };
        assert!(settled(ActiveState::Active, "running", false));
        assert!(settled(ActiveState::Failed, "failed", false));
        assert!(settled(ActiveState::Activating, "auto-restart", true));
        assert!(!settled(ActiveState::Activating, "start-pre", false));
        assert!(!settled(ActiveState::Deactivating, "stop-post", false));
        assert!(!settled(ActiveState::Inactive, "dead", true), "it waits for another one");
    }
}
