//! The trial: started behind closed doors, watched, and kept where it works.

use std::time::Duration;

use jiff::Timestamp;

use crate::apply::restore::{begin, failed};
use crate::apply::upgrade::{back, of};
use crate::apply::{ApplyError, Operation, Progress, Survey, converge};
use crate::config::Loaded;
use crate::host::Host;
use crate::model::{Phase, Restore, Upgrade};
use crate::observe::chain;
use crate::plan::Gate;
use crate::record::{End, ImageLock, Upgraded, Upgrades};

/// Puts it in force, and keeps it or goes back.
pub(super) async fn run(
    host: &Host,
    loaded: &Loaded,
    back: Restore,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let limit = Duration::from_secs(of(operation)?.timeout_s);
    // Dropped in the middle, it is as if it had been killed there: what goes back begins with a stop.
    let tried = tokio::time::timeout(limit, start_and_watch(host, loaded, operation, progress)).await;
    let why = match tried {
        Ok(Ok(converged)) => match commit(host, operation, progress).await {
            Ok(()) => return Ok(converged),
            // It is committed, or not: the journal knows.
            Err(error) => return Err(error),
        },
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("it was not well within {} s", limit.as_secs()),
    };
    back::go_back(host, loaded, back, why, operation, progress).await
}

async fn start_and_watch(
    host: &Host,
    loaded: &Loaded,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let upgrade = of(operation)?;
    let release = &upgrade.to.in_force.release;
    let step = format!("put Immich {release} in force");
    let begun = begin(operation, progress, &step, "the snapshot to go back to is taken", Gate::Closed, true)?;
    let mut lock = ImageLock::read(&host.root)?;
    lock.put_in_force(upgrade.to.in_force.clone(), upgrade.to.images.clone())?;
    operation.step_done(begun);

    let step = "close the doors of the server";
    let reason = "what is uploaded now would be lost where it does not work";
    let begun = begin(operation, progress, step, reason, Gate::Closed, false)?;
    // TODO doors
    operation.step_done(begun);

    let converged = converge(host, loaded, operation, progress).await?;
    let step = format!("watch Immich {release}");
    let reason = format!("it is kept where all is well for {} s", upgrade.settle_s);
    let begun = begin(operation, progress, &step, &reason, Gate::Starts { first: false }, false)?;
    // TODO watch
    operation.step_done(begun);
    Ok(converged)
}

/// From here on it is not taken back any more.
async fn commit(host: &Host, operation: &mut Operation<'_>, progress: &mut dyn Progress) -> Result<(), ApplyError> {
    let upgrade = of(operation)?;
    let (from, to) = (upgrade.from.in_force.release.clone(), upgrade.to.in_force.release.clone());
    let upgraded = Upgraded {
        at: Timestamp::now(),
        operation: upgrade.operation,
        command: operation.command().to_owned(),
        from,
        to,
        snapshot: upgrade.phase.snapshot().cloned(),
        end: End::Done,
    };
    operation.set_upgrade(Some(Upgrade { phase: Phase::Committed, ..upgrade }))?;
    open_doors(host, operation, progress).await?;
    Ok(Upgrades::read(&host.root)?.ended(&host.root, upgraded, None)?)
}

/// Lets people in again, and the upgrade is over with the next step, or the end of the operation.
pub(super) async fn open_doors(
    host: &Host,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let step = "open the doors of the server";
    let begun = begin(operation, progress, step, "it works", Gate::Starts { first: false }, false)?;
    // TODO doors
    let _ = host;
    operation.step_done(begun);
    operation.set_upgrade(None)?;
    Ok(())
}
