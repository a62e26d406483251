//! Puts a snapshot back: clones beside the live trees, one exchange for each, and then the stack of that moment.
//!
//! Nothing that was live is deleted here, or anywhere else: it is renamed to a place of its own. What is deleted are
//! clones that were made here and never used. How far an interrupted one came is read from the disk (`plan::restore`).

pub(super) mod disks;
mod stack;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::apply::restore::stack::{after, settle};
use crate::apply::{
    ApplyError, Event, Operation, Progress, Report, StepError, Survey, conclude, converge, images, known, survey_with,
};
use crate::config::Loaded;
use crate::host::Host;
use crate::model::{Digest, HostPath, ImageRef, InForce, PostgresMajor, Refusal, Restore, Root};
use crate::plan::restore::{Verdict, Work, judge};
use crate::plan::{Gate, Wanted, wanted};
use crate::record::{Pending, RecordError};
use crate::stack::{Desired, Disk, Facts, desire};

pub use disks::tree;
pub(super) use stack::{stop, stop_these, syncs};

/// A restore that was looked into and can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is written down of it.
    pub restore: Restore,
    /// What runs now.
    pub now: Loaded,
    /// What is to run after it.
    pub then: Loaded,
    /// Images that have to be pulled first.
    pub pull: Vec<ImageRef>,
    /// Whether the stack is to run after it.
    pub resume: bool,
}

/// What would be known of the host after it, where that is something else than now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Then {
    /// What is put in force.
    pub in_force: Option<InForce>,
    /// What its tags mean.
    pub images: BTreeMap<ImageRef, Digest>,
    /// The cluster on disk.
    pub cluster: Option<PostgresMajor>,
}

/// What would be so with this configuration and then, and what is between.
pub async fn foresee(host: &Host, loaded: &Loaded, then: &Then) -> Result<(Survey, bool), ApplyError> {
    let mut facts = known(&host.root, loaded)?;
    facts.lock.extend(then.images.clone());
    facts.cluster = then.cluster.or(facts.cluster);
    facts.in_force = then.in_force.clone().or(facts.in_force);
    facts.graphics.settles = true;
    let survey = survey_with(host, loaded, facts).await?;
    let resume = wanted(&survey.observed, &survey.desired) == Wanted::Run;
    Ok((survey, resume))
}

/// What this configuration alone would put in force for this cluster on disk.
pub fn wished(host: &Host, loaded: &Loaded, cluster: Option<PostgresMajor>) -> Result<InForce, ApplyError> {
    let facts = Facts { cluster, in_force: None, ..known(&host.root, loaded)? };
    Ok(desire(&loaded.settings, &facts).map_err(|refusal| ApplyError::Refused(vec![refusal]))?.runs)
}

/// Does it, by whoever holds the lock and has found no open operation.
pub async fn restore(
    host: &Host,
    order: &Order,
    command: &str,
    progress: &mut dyn Progress,
) -> Result<Report, ApplyError> {
    let mut operation = Operation::begin(&host.root, command)?;
    let result = go_back(host, order, &mut operation, progress).await;
    conclude(host, &order.then, operation, result)
}

async fn go_back(
    host: &Host,
    order: &Order,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    for image in &order.pull {
        let step = format!("pull {image}");
        let begun = begin(operation, progress, &step, "it goes back, and is not in Podman's store", Gate::Open, false)?;
        images::pull(host, image, progress).await.map_err(failed(&step))?;
        operation.step_done(begun);
    }
    operation.begin_restore(order.restore.clone())?;
    if let Err(error) = exchange(host, order, operation, progress).await {
        return Err(give_up(host, order, operation, progress, error).await);
    }
    settle(host, &order.then, operation, progress).await?;
    let converged = converge(host, &order.then, operation, progress).await;
    converged.map_err(|error| match error {
        error @ ApplyError::Step { .. } if operation.lets_services_start() => {
            ApplyError::Unwell { snapshot: order.restore.snapshot.clone(), source: Box::new(error) }
        }
        error => error,
    })
}

/// Stops the stack, and exchanges every tree.
async fn exchange(
    host: &Host,
    order: &Order,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let step = "stop the stack";
    let begun =
        begin(operation, progress, step, "nothing may be exchanged under a service", Gate::Closed, order.resume)?;
    stop(host, progress).await.map_err(failed(step))?;
    operation.step_done(begun);
    let restore = of(operation)?;
    for disk in &restore.disks {
        let step = format!("clone {} into {}", restore.snapshot, disks::next(disk));
        let begun = begin(operation, progress, &step, "to take the place of what is live", Gate::Closed, false)?;
        disks::make(host, disk, &restore.snapshot).await.map_err(failed(&step))?;
        operation.step_done(begun);
    }
    finish(host, &restore, &vec![Work::Exchange; restore.disks.len()], operation, progress).await
}

/// What failed before anything was exchanged is undone at once, and the old stack started. Where that is not possible, or
/// something was exchanged, the journal stays open.
async fn give_up(
    host: &Host,
    order: &Order,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
    error: ApplyError,
) -> ApplyError {
    let undone = async {
        let restore = of(operation)?;
        let states = disks::look(host, &restore).map_err(failed("look at what was made"))?;
        if judge(&restore, &states) == Verdict::Undo {
            undo(host, &restore, operation, progress).await?;
            converge(host, &order.now, operation, progress).await?;
            // Nothing is left of it, though no step may have followed that says so.
            operation.settled();
        }
        Ok::<_, ApplyError>(())
    };
    if let Err(left) = undone.await {
        tracing::error!("the restore was not undone: {}", crate::observe::chain(&left));
    }
    error
}

/// Takes up a restore that was interrupted, if there is one. Returns the configuration that holds after it, where it is
/// finished and not undone.
pub(super) async fn take_up(
    host: &Host,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<Option<Loaded>, ApplyError> {
    let Some(restore) = operation.restore().cloned() else { return Ok(None) };
    if let Some(id) = operation.take_resumed() {
        progress.hear(Event::Resumed(id));
    }
    let states = disks::look(host, &restore).map_err(failed("look at what was exchanged"))?;
    match judge(&restore, &states) {
        Verdict::Undo => {
            undo(host, &restore, operation, progress).await?;
            Ok(None)
        }
        Verdict::Finish(works) => {
            let then = after(host, &restore)?;
            if works.iter().any(|work| *work != Work::Nothing) {
                let step = "stop the stack";
                let begun = begin(operation, progress, step, "a restore goes on", Gate::Closed, false)?;
                stop(host, progress).await.map_err(failed(step))?;
                operation.step_done(begun);
                finish(host, &restore, &works, operation, progress).await?;
            }
            settle(host, &then, operation, progress).await?;
            Ok(Some(then))
        }
        Verdict::Unknown(bases) => Err(ApplyError::Refused(bases.iter().map(|base| strange(base, &restore)).collect())),
    }
}

/// Puts back what an upgrade has begun to take back, be it for the first time or after an interruption. Nothing runs.
/// Returns where what was live is kept.
pub(super) async fn put_back(
    host: &Host,
    then: &Loaded,
    back: &Restore,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<Vec<HostPath>, ApplyError> {
    let judged = match operation.restore().cloned() {
        Some(begun) => {
            let states = disks::look(host, &begun).map_err(failed("look at what was exchanged"))?;
            Some((judge(&begun, &states), begun))
        }
        None => None,
    };
    match judged {
        Some((Verdict::Unknown(bases), begun)) => {
            return Err(ApplyError::Refused(bases.iter().map(|base| strange(base, &begun)).collect()));
        }
        Some((Verdict::Finish(works), begun)) => finish(host, &begun, &works, operation, progress).await?,
        // What was half-made is made anew.
        Some((Verdict::Undo, _)) | None => {
            operation.begin_restore(back.clone())?;
            let restore = of(operation)?;
            finish(host, &restore, &vec![Work::Make; restore.disks.len()], operation, progress).await?;
        }
    }
    settle(host, then, operation, progress).await?;
    // Under the number of the operation that began it.
    let restore = of(operation)?;
    Ok(restore.disks.iter().map(|disk| disks::replaced(disk, &restore)).collect())
}

/// What a restore, or a change of the database's major version, was making or exchanging when its journal was lost: nobody knows any more which trees belong together.
pub(super) fn unknown(root: &Root, desired: &Desired) -> Result<Vec<Refusal>, RecordError> {
    if Pending::read(root)?.is_some_and(|open| open.goes_back_or_on()) {
        return Ok(Vec::new());
    }
    let is_left = |next: &HostPath| {
        // What may not be looked at is refused elsewhere.
        let found = tree(&root.join(next.as_path())).ok().flatten();
        found.is_some_and(|found| !found.parts.is_empty())
    };
    let refusal = |next: HostPath| {
        let why = "holds subvolumes of a restore, and its journal is gone";
        let remedy = format!(
            "see which trees belong together (btrfs subvolume list -qu, on every disk), put live right, then: mv '{next}' \
             '{next}.aside'"
        );
        Refusal::new(next.as_str(), why, remedy)
    };
    Ok(desired.disks.iter().map(Disk::next).filter(is_left).map(refusal).collect())
}

pub(super) fn strange(base: &HostPath, restore: &Restore) -> Refusal {
    let why = format!(
        "holds neither what was live before the restore of {} nor what it made, so nothing is started or changed",
        restore.snapshot
    );
    let remedy = format!(
        "see what lies there (btrfs subvolume list -qu {base}; /var/lib/photos-agent/pending has the UUIDs), put live and \
         next back as they were, then: systemctl start photos-resolve.service"
    );
    Refusal::new(format!("{base}/live"), why, remedy)
}

/// Does what is left to do with each disk. Nothing runs.
pub(super) async fn finish(
    host: &Host,
    restore: &Restore,
    works: &[Work],
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    for (disk, work) in restore.disks.iter().zip(works) {
        if *work == Work::Make {
            let step = format!("clone {} into {}", restore.snapshot, disks::next(disk));
            let begun = begin(operation, progress, &step, "another tree was exchanged already", Gate::Closed, false)?;
            disks::make(host, disk, &restore.snapshot).await.map_err(failed(&step))?;
            operation.step_done(begun);
        }
    }
    // Every one is whole and on its disk before the first is exchanged.
    for (disk, work) in restore.disks.iter().zip(works) {
        if matches!(work, Work::Make | Work::Exchange) {
            let step = format!("exchange {} and {}", disks::live(disk), disks::next(disk));
            let begun = begin(operation, progress, &step, "the one moment of this disk", Gate::Closed, false)?;
            disks::exchange(host, disk).await.map_err(failed(&step))?;
            operation.step_done(begun);
        }
    }
    for (disk, work) in restore.disks.iter().zip(works) {
        if *work != Work::Nothing {
            let kept = disks::replaced(disk, restore);
            let step = format!("keep what was live in {kept}");
            let begun = begin(operation, progress, &step, "nothing is thrown away", Gate::Closed, false)?;
            disks::put_aside(host, disk, restore).await.map_err(failed(&step))?;
            operation.step_done(begun);
        }
    }
    Ok(())
}

pub(super) async fn undo(
    host: &Host,
    restore: &Restore,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let step = format!("remove what was made beside {}", restore.snapshot);
    let begun =
        begin(operation, progress, &step, "nothing was exchanged, and what was live goes on", Gate::Closed, false)?;
    for disk in &restore.disks {
        disks::unmake(host, disk).await.map_err(failed(&step))?;
    }
    operation.step_done(begun);
    operation.restore_undone();
    Ok(())
}

fn of(operation: &Operation<'_>) -> Result<Restore, ApplyError> {
    let none = || StepError::NotAsItWas("no restore was begun".to_owned());
    operation.restore().cloned().ok_or_else(none).map_err(failed("go on"))
}

pub(super) fn begin(
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
    step: &str,
    reason: &str,
    gate: Gate,
    stops: bool,
) -> Result<std::time::Instant, ApplyError> {
    progress.hear(Event::Step { step, reason });
    Ok(operation.begin_step(step.to_owned(), reason, gate, stops)?)
}

pub(super) fn failed<E: Into<StepError>>(step: &str) -> impl Fn(E) -> ApplyError + '_ {
    move |source| ApplyError::Step { step: step.to_owned(), source: Box::new(source.into()) }
}
