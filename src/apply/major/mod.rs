//! The database to a newer major version: a new cluster is made and filled beside clones of everything else of its disk, and
//! takes the place of the old one by one exchange. Then it is tried as every upgrade is (`upgrade`).
//!
//! Until the exchange whatever fails is undone at once, or at a boot, and what is removed was made here. What ran is kept
//! aside, and in the snapshot.

mod copy;

use jiff::Timestamp;

use crate::apply::restore::{begin, disks, failed, finish, stop, strange, undo};
use crate::apply::upgrade::{self, image_of, of, trial};
use crate::apply::{ApplyError, Operation, Progress, StepError, Survey};
use crate::config::Loaded;
use crate::host::Host;
use crate::model::{Change, Component, Origin, Phase, PostgresMajor, Restore, RestoredDisk, Subvolume, Upgrade};
use crate::observe::chain;
use crate::plan::Gate;
use crate::plan::restore::{Verdict, Work, judge};

/// Does it, once the stack is down and `back` is the snapshot of just then. Ends with the new version well, or with an
/// error that says what runs instead.
pub async fn change(
    host: &Host,
    loaded: &Loaded,
    back: Restore,
    majors: (PostgresMajor, PostgresMajor),
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let upgrade = of(operation)?;
    let back = Restore { operation: upgrade.operation, ..back };
    let made = match forth(&back) {
        Ok(forth) => make(host, &back, forth, majors, operation, progress).await,
        Err(error) => Err(failed("decide what takes whose place")(error)),
    };
    let Err(error) = made else { return Box::pin(arrive(host, loaded, back, operation, progress)).await };
    // What did not work before the exchange leaves nothing behind, and what did not after it goes on.
    match take_up(host, operation, progress).await {
        Ok(false) => {
            if let Err(left) = upgrade::give_up(host, loaded, operation, progress).await {
                tracing::error!("the stack did not come up again: {}", chain(&left));
            }
            Err(error)
        }
        Ok(true) => {
            tracing::warn!("it goes on all the same: {}", chain(&error));
            Box::pin(arrive(host, loaded, back, operation, progress)).await
        }
        Err(left) => {
            tracing::error!("what was made is not removed: {}", chain(&left));
            Err(error)
        }
    }
}

/// A step behind the closed gate.
async fn step<T>(
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
    text: &str,
    reason: &str,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, ApplyError> {
    let begun = begin(operation, progress, text, reason, Gate::Closed, false)?;
    let done = work.await.map_err(failed(text))?;
    operation.step_done(begun);
    Ok(done)
}

/// What takes the place of what: a new cluster, and clones of everything else that lies on its disk.
fn forth(back: &Restore) -> Result<Restore, StepError> {
    let none = || StepError::NotAsItWas("there is no database to be moved".to_owned());
    let disk = back.disks.iter().find(|disk| disk.parts.contains_key(&Subvolume::Postgres)).ok_or_else(none)?;
    let change = |part: Subvolume, before: &_| {
        let of = match part {
            Subvolume::Postgres => Origin::Made { made: None },
            _ => Origin::Clone(Clone::clone(before)),
        };
        Change { before: Some(Clone::clone(before)), of, back: false }
    };
    let parts = disk.parts.iter().filter_map(|(part, was)| Some((*part, change(*part, was.before.as_ref()?))));
    let disks = vec![RestoredDisk { base: disk.base.clone(), parts: parts.collect() }];
    Ok(Restore { disks, stack: None, ..back.clone() })
}

/// Up to the exchange, and that.
async fn make(
    host: &Host,
    back: &Restore,
    mut forth: Restore,
    (from, to): (PostgresMajor, PostgresMajor),
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let write = |forth: &Restore, operation: &mut Operation<'_>| {
        let upgrade = of(operation)?;
        let phase = Phase::Moving { back: back.clone(), forth: forth.clone() };
        Ok::<_, ApplyError>(operation.set_upgrade(Some(Upgrade { phase, ..upgrade }))?)
    };
    write(&forth, operation)?;
    let disk = forth.disks.first().cloned().ok_or_else(|| failed("go on")(nowhere()))?;
    let next = disks::next(&disk);
    let text = format!("make an empty place for PostgreSQL {to} in {next}");
    let made = async { disks::make_anew(host, &disk, Subvolume::Postgres).await };
    let made = step(operation, progress, &text, "the old cluster stays as it is", made).await?;

    let places = forth.disks.iter_mut().filter_map(|disk| disk.parts.get_mut(&Subvolume::Postgres));
    places.for_each(|change| change.of = Origin::Made { made: Some(made.clone()) });
    write(&forth, operation)?;
    let upgrade = of(operation)?;
    let image = |side| image_of(side, Component::Postgres).ok_or_else(|| failed("go on")(nowhere()));
    let images = (image(&upgrade.from)?, image(&upgrade.to)?);
    let disk = forth.disks.first().cloned().ok_or_else(|| failed("go on")(nowhere()))?;
    let copied = copy::fill(host, &forth, &disk, (from, to), &images, operation, progress).await;
    let text = format!("remove what was made to fill PostgreSQL {to}");
    let cleared = copy::clear(host, &forth);
    let cleared = step(operation, progress, &text, "nothing may hold what is exchanged", cleared).await;
    copied.and(cleared)?;

    let text = format!("clone everything else into {next}");
    let cloned = disks::complete(host, &disk, &forth.snapshot);
    step(operation, progress, &text, "it lies in the same tree", cloned).await?;
    finish(host, &forth, &[Work::Exchange], operation, progress).await
}

fn nowhere() -> StepError {
    StepError::NotAsItWas("the journal names no database that is moved".to_owned())
}

/// The new cluster lies where the old one was: it is tried, and goes back to the snapshot where it is not well.
async fn arrive(
    host: &Host,
    loaded: &Loaded,
    back: Restore,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let upgrade = of(operation)?;
    let back = disks::from_here(host, back).map_err(failed("look at what was exchanged"))?;
    operation.set_upgrade(Some(Upgrade { phase: Phase::Trying { back: back.clone() }, ..upgrade }))?;
    trial::run(host, loaded, back, operation, progress).await
}

/// One that was cut off. Where nothing was exchanged it is undone, and what ran is started again.
pub(super) async fn resume(
    host: &Host,
    loaded: &Loaded,
    back: Restore,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> (Result<(Survey, Timestamp), ApplyError>, bool) {
    match take_up(host, operation, progress).await {
        Ok(true) => (Box::pin(arrive(host, loaded, back, operation, progress)).await, true),
        Ok(false) => (upgrade::give_up(host, loaded, operation, progress).await, false),
        Err(error) => (Err(error), false),
    }
}

/// Undoes what was made, or finishes what was exchanged; which of them it was.
async fn take_up(host: &Host, operation: &mut Operation<'_>, progress: &mut dyn Progress) -> Result<bool, ApplyError> {
    let upgrade = of(operation)?;
    let Phase::Moving { forth, .. } = upgrade.phase.clone() else { return Ok(false) };
    let text = "stop the stack";
    let begun = begin(operation, progress, text, "a change of the database is taken up", Gate::Closed, true)?;
    stop(host, progress).await.map_err(failed(text))?;
    operation.step_done(begun);
    let text = "remove what was made to fill the new cluster";
    let cleared = step(operation, progress, text, "it was cut off, or failed", copy::clear(host, &forth)).await;
    let states = disks::look(host, &forth).map_err(failed("look at what was exchanged"))?;
    match judge(&forth, &states) {
        Verdict::Undo => {
            undo(host, &forth, operation, progress).await?;
            if let Err(error) = cleared {
                tracing::warn!("{}", chain(&error));
                copy::clear_in_time(host, &forth).await;
            }
            operation.set_upgrade(Some(Upgrade { phase: Phase::Stopping, ..upgrade }))?;
            Ok(false)
        }
        Verdict::Finish(works) => {
            cleared?;
            finish(host, &forth, &works, operation, progress).await?;
            Ok(true)
        }
        Verdict::Unknown(bases) => Err(ApplyError::Refused(bases.iter().map(|base| strange(base, &forth)).collect())),
    }
}
