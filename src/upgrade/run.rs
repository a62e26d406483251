//! The upgrade, up to the moment from which it finishes itself: looked into, pulled, dumped, stopped, and a snapshot taken.
//!
//! Until the stack is stopped nothing is changed that anybody would notice, and whatever fails is just told.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::apply::upgrade::{Change, begin_upgrade, give_up, try_out};
use crate::apply::{
    self, ApplyError, LOCK, Operation, Progress, Report, StepError, Survey, Then, conclude, texts, vitals,
};
use crate::config::Source;
use crate::host::{Host, lock};
use crate::model::{ImageRef, Refusal, Release, Restore, RestoredStack, Side};
use crate::plan::Gate;
use crate::record::{Generations, ImageLock, Outcome, quarantine};
use crate::snapshot::{self, Applied, Request};
use crate::upgrade::pull::Unheard;
use crate::upgrade::{Order, dump, preflight, pull};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// To which release, and whether at once.
    pub order: Order,
    /// The configuration files of the host.
    pub files: Vec<Source>,
    /// The command.
    pub command: String,
    /// Who gave it.
    pub by: String,
}

/// One upgrade, from one release to the next.
#[derive(Debug, Serialize)]
pub struct Hop {
    /// What ran.
    pub from: Release,
    /// What runs.
    pub to: Release,
    /// The operation.
    pub report: Report,
}

/// All that was done.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The upgrades, in their order; none where there is nothing newer.
    pub hops: Vec<Hop>,
    /// What a person may want to know: a newer one that was passed over, and why.
    pub notes: Vec<String>,
}

/// Upgrades, release by release where the way there has stepping stones.
pub async fn upgrade(host: &Host, wish: &Wish, progress: &mut dyn Progress) -> Result<Done, ApplyError> {
    // It can take hours, and changes nothing: snapshots and repairs need not wait for it.
    let fetched = fetch(host, wish, progress).await;
    let _lock = lock::take(&host.root.join(LOCK), &wish.command, lock::PATIENCE).await?;
    snapshot::refuse_open_operation(&host.root, "and is finished first")?;
    fetched.map_err(|error| tell(host, wish, error))?;
    let mut hops = Vec::new();
    loop {
        let ready = preflight::look(host, wish).await.map_err(|error| halfway(&hops, error))?;
        let is_here = ready.target.release == ready.applied.desired.runs.release;
        if is_here && !hops.is_empty() {
            return Ok(Done { hops, notes: ready.notes });
        }
        let is_first = hops.is_empty();
        let hop = Box::pin(one(host, wish, &ready, is_first, progress)).await;
        let hop = hop.map_err(|error| halfway(&hops, error))?;
        let is_over = is_here || hop.is_none();
        hops.extend(hop);
        if is_over {
            return Ok(Done { hops, notes: ready.notes });
        }
    }
}

/// Who hears of a refusal must not think that nothing was done.
fn halfway(hops: &[Hop], error: ApplyError) -> ApplyError {
    match hops.last() {
        Some(last) => ApplyError::Halfway { runs: last.to.clone(), source: Box::new(error) },
        None => error,
    }
}

/// Pulls the images of the first upgrade that there is, as far as that can be known without the lock.
async fn fetch(host: &Host, wish: &Wish, progress: &mut dyn Progress) -> Result<(), ApplyError> {
    let Ok(applied) = Applied::read(&host.root) else { return Ok(()) };
    let Ok(target) = preflight::next(host, &applied, &wish.order).await else { return Ok(()) };
    pull::all(host, &target, progress).await.map(drop)
}

/// The next one; none where there is none.
async fn one(
    host: &Host,
    wish: &Wish,
    ready: &preflight::Ready,
    is_fetched: bool,
    progress: &mut dyn Progress,
) -> Result<Option<Hop>, ApplyError> {
    let applied = &ready.applied;
    let from = side_of(host, applied)?;
    let listener: &mut dyn Progress = if is_fetched { &mut Unheard } else { progress };
    let to = match pull::all(host, &ready.target, listener).await {
        Ok(images) => Side { in_force: ready.target.clone(), images },
        Err(error) => return Err(tell(host, wish, error)),
    };
    if is_same(&to, &from) {
        return Ok(None);
    }
    preflight::refuse_full_records(&host.root)?;
    refuse_quarantined(host, wish, &to)?;
    pull::prove(host, applied, progress).await.map_err(|error| tell(host, wish, error))?;
    let then = Then { in_force: Some(to.in_force.clone()), images: to.images.clone(), cluster: None };
    check(host, applied, &then).await?;
    let mut operation = Operation::begin(&host.root, &wish.command)?;
    let work = carry_out(host, wish, ready, (from.clone(), to.clone()), &mut operation, progress);
    let result = Box::pin(work).await;
    let report = conclude(host, &applied.loaded, operation, result)?;
    Ok(Some(Hop { from: from.in_force.release, to: to.in_force.release, report }))
}

/// What failed before there was anything to undo is in the history all the same.
pub(super) fn tell(host: &Host, wish: &Wish, error: ApplyError) -> ApplyError {
    let entered = Operation::begin(&host.root, &wish.command).and_then(|mut operation| {
        operation.begin_step("pull the images".to_owned(), "while the old ones run", Gate::Open, false)?;
        operation.finish(Outcome::Failed(crate::observe::chain(&error)), None)
    });
    if let Err(unwritten) = entered {
        tracing::error!("the failed upgrade is not in the history: {}", crate::observe::chain(&unwritten));
    }
    error
}

/// What runs, and what its tags mean.
pub(super) fn side_of(host: &Host, applied: &Applied) -> Result<Side, ApplyError> {
    let in_force = applied.desired.runs.clone();
    let lock = ImageLock::read(&host.root)?;
    let digest = |image: &ImageRef| Some((image.clone(), lock.images().get(image)?.clone()));
    let images = in_force.written.values().filter_map(digest).collect();
    Ok(Side { in_force, images })
}

/// However they are written.
fn is_same(to: &Side, from: &Side) -> bool {
    let digest = |side: &Side, image: &ImageRef| image.digest().or_else(|| side.images.get(image)).cloned();
    let digests = |side: &Side| -> BTreeMap<_, _> {
        side.in_force.written.iter().map(|(component, image)| (*component, digest(side, image))).collect()
    };
    to.in_force.release == from.in_force.release && digests(to) == digests(from)
}

/// The very images that did not work here are not taken again, unless by name.
fn refuse_quarantined(host: &Host, wish: &Wish, to: &Side) -> Result<(), ApplyError> {
    let release = &to.in_force.release;
    if wish.order.to.as_ref() == Some(release) {
        return Ok(());
    }
    let digests = to.in_force.written.values().filter_map(|image| {
        let digest = image.digest().or_else(|| to.images.get(image))?;
        Some(digest.clone())
    });
    let digests: BTreeSet<_> = digests.collect();
    let quarantine = quarantine(&host.root)?;
    let Some(failed) = quarantine.iter().find(|failed| failed.is_of(release, &digests)) else { return Ok(()) };
    let first = failed.why.lines().next().unwrap_or_default();
    let why = format!("did not work here when it was tried last, and its images are the same still: {first}");
    let remedy = format!("wait for a newer one, or have it tried again by name: photos-agent upgrade --to {release}");
    Err(ApplyError::Refused(vec![Refusal::new(format!("Immich {release}"), why, remedy)]))
}

/// Whether the new stack could be written and started, as far as that can be known.
pub(super) async fn check(host: &Host, applied: &Applied, then: &Then) -> Result<(), ApplyError> {
    let (Survey { desired, plan, .. }, _) = apply::foresee(host, &applied.loaded, then).await?;
    if !plan.refusals.is_empty() {
        return Err(ApplyError::Refused(plan.refusals));
    }
    apply::check_generated(host, &desired)?;
    apply::check_covered(host, &desired).await
}

async fn carry_out(
    host: &Host,
    wish: &Wish,
    ready: &preflight::Ready,
    (from, to): (Side, Side),
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, jiff::Timestamp), ApplyError> {
    let applied = &ready.applied;
    let loaded = &applied.loaded;
    dump::take(host, applied, operation, progress).await?;
    let before = vitals().await.map_err(|source| failed("ask the database", source))?;
    let reason = format!("before Immich {}", to.in_force.release);
    let settings = &loaded.settings.upgrade;
    let (settle, timeout) = (settings.settle.length(), settings.timeout.length());
    let change = Change { from, to, loaded: loaded.clone(), before, settle, timeout };
    let stopped = async {
        begin_upgrade(&change, host, operation, progress).await?;
        take_snapshot(host, wish, applied, &change, reason, operation, progress).await
    };
    match stopped.await {
        Ok(back) => Box::pin(try_out(host, loaded, back, operation, progress)).await,
        Err(error) => {
            if let Err(left) = give_up(host, loaded, operation, progress).await {
                tracing::error!("the stack did not come up again: {}", crate::observe::chain(&left));
            }
            Err(after_the_stop(error))
        }
    }
}

/// A refusal says that nothing was done; the stack was down by then.
fn after_the_stop(error: ApplyError) -> ApplyError {
    match error {
        ApplyError::Refused(_) => failed("prepare the way back", StepError::NotAsItWas(crate::observe::chain(&error))),
        error => error,
    }
}

/// The snapshot to go back to, in the memory of the generation that it is of.
pub(super) async fn take_snapshot(
    host: &Host,
    wish: &Wish,
    applied: &Applied,
    change: &Change,
    reason: String,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<Restore, ApplyError> {
    let request = Request {
        reason,
        keep: false,
        whole: true,
        command: wish.command.clone(),
        by: wish.by.clone(),
        database: Some(change.before.clone()),
    };
    let manifest = snapshot::create_within(host, applied, operation, &request, Gate::Closed, progress).await?;
    let generation = &applied.generation;
    let stack = RestoredStack {
        config: texts(&applied.loaded.sources),
        in_force: Some(change.from.in_force.clone()),
        images: change.from.images.clone(),
        out_of_force: generation.restored.as_ref().map(|restored| restored.out_of_force.clone()),
    };
    let back = snapshot::way_back(&host.root, applied, &manifest, stack, operation.id())?;
    Generations::new(&host.root).attach(generation.number, &manifest.id)?;
    Ok(back)
}

pub(super) fn failed(step: &str, source: StepError) -> ApplyError {
    ApplyError::Step { step: step.to_owned(), source: Box::new(source) }
}
