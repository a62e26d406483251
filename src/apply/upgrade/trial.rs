//! The trial: started behind closed doors, watched, and kept where it works.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::apply::restore::{begin, failed};
use crate::apply::upgrade::watch::{Limits, watch};
use crate::apply::upgrade::{back, doors, of};
use crate::apply::{ApplyError, Operation, Progress, StepError, Survey, converge, survey};
use crate::config::Loaded;
use crate::host::{Host, journal};
use crate::model::{ActiveState, Phase, Release, Restore, UnitName, Upgrade};
use crate::observe::chain;
use crate::plan::Gate;
use crate::plan::health::Expected;
use crate::record::{End, ImageLock, Upgraded, lift_quarantine, set_last_upgrade};

/// Lines of the journal that are told of a service that does not come up.
const LAST_WORDS: usize = 5;

/// How long a host that cannot be asked, or is refused by a plan, is asked again before that counts.
const HICCUP: Duration = Duration::from_secs(5 * 60);

/// Between two such questions.
const AGAIN: Duration = Duration::from_secs(5);

/// How long before its time is over the watch ends.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Puts it in force, and keeps it or goes back.
pub(in crate::apply) async fn run(
    host: &Host,
    loaded: &Loaded,
    back: Restore,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let why = match put_in_force_and_try(host, loaded, operation, progress).await {
        Ok(converged) => {
            // It is committed, or not: the journal knows.
            commit(host, operation, progress).await?;
            return Ok(converged);
        }
        // Where nothing can be written down nothing can be put back either: it stays open, and is taken up again.
        Err(error @ (ApplyError::Record(_) | ApplyError::Locked(_))) => return Err(error),
        Err(ApplyError::Step { source, .. }) if matches!(*source, StepError::Unwell(_) | StepError::NotWell(_)) => {
            chain(&source)
        }
        Err(error) => chain(&error),
    };
    back::go_back(host, loaded, back, why, operation, progress).await
}

/// The services that are not up, with their last words.
async fn missing(host: &Host, loaded: &Loaded) -> String {
    let Ok(Survey { desired, observed, .. }) = survey(host, loaded).await else { return String::new() };
    let states = observed.units.unwrap_or_default();
    let is_up = |unit: &UnitName| states.get(unit).is_some_and(|state| state.active == ActiveState::Active);
    let mut text = String::new();
    for service in desired.services.iter().filter(|service| !is_up(&service.unit)) {
        let sub = states.get(&service.unit).map_or("unknown", |state| state.sub.as_str());
        let _ = write!(text, "\n{} is not up ({sub}), and said last:", service.unit);
        for line in journal::last_lines(&service.unit, LAST_WORDS) {
            let _ = write!(text, "\n    {line}");
        }
    }
    text
}

async fn put_in_force_and_try(
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
    start_and_watch(host, loaded, release, operation, progress).await
}

/// Starts what is in force behind closed doors, and watches it: well without a break for as long as the upgrade says, and
/// all within its time.
pub(super) async fn start_and_watch(
    host: &Host,
    loaded: &Loaded,
    release: &Release,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let limit = Duration::from_secs(of(operation)?.timeout_s);
    let until = Instant::now() + limit;
    let mut refused = String::new();
    let tried = async {
        let mut first = None;
        loop {
            match start(host, loaded, release, until, operation, progress).await {
                // In the middle of a boot, Podman or systemd may not have answered in time: that is no reason to go back.
                Err(ApplyError::Refused(refusals)) if first.get_or_insert_with(Instant::now).elapsed() < HICCUP => {
                    refused = format!("\n{}", chain(&ApplyError::Refused(refusals)));
                    tokio::time::sleep(AGAIN).await;
                }
                done => return done,
            }
        }
    };
    // Dropped in the middle, it is as if it had been killed there: what goes back begins with a stop.
    if let Ok(done) = tokio::time::timeout_at(until, tried).await {
        return done;
    }
    let missing = missing(host, loaded).await;
    let why = format!("it was not well within {} s{refused}{missing}", limit.as_secs());
    Err(failed(&format!("start Immich {release}"))(StepError::NotWell(why)))
}

/// Once.
async fn start(
    host: &Host,
    loaded: &Loaded,
    release: &Release,
    until: Instant,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    doors::keep_closed(host, loaded, operation, progress).await?;
    let (survey, more) = converge(host, loaded, operation, progress).await?;
    let upgrade = of(operation)?;
    let step = format!("watch Immich {release}");
    let reason = format!("all has to be well for {} s without a break", upgrade.settle_s);
    let begun = begin(operation, progress, &step, &reason, Gate::Open, false)?;
    let doors = doors::of(&survey.observed, &survey.desired)?;
    let expected = Expected { release: release.clone(), checksum_failures: upgrade.checksum_failures, doors };
    // Ends before the time does, so that it can say what was the matter.
    let timeout = until.saturating_duration_since(Instant::now()).saturating_sub(LAST_LOOK);
    let limits = Limits { settle: Duration::from_secs(upgrade.settle_s), timeout };
    watch(host, &survey.desired, &expected, &limits, progress).await.map_err(failed(&step))?;
    operation.step_done(begun);
    Ok((survey, more))
}

/// From here on it is not taken back any more. May be cut off anywhere, and done again.
pub(super) async fn commit(
    host: &Host,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let upgrade = of(operation)?;
    let snapshot = upgrade.phase.snapshot().cloned();
    let upgraded = Upgraded {
        at: Timestamp::now(),
        operation: upgrade.operation,
        command: upgrade.command.clone(),
        from: upgrade.from.in_force.release.clone(),
        to: upgrade.to.in_force.release.clone(),
        snapshot: snapshot.clone(),
        end: End::Done,
    };
    if let Some(snapshot) = snapshot {
        operation.set_upgrade(Some(Upgrade { phase: Phase::Committed { snapshot }, ..upgrade }))?;
    }
    doors::open(host, operation, progress).await?;
    lift_quarantine(&host.root, &upgraded.to)?;
    // It stays so in the journal until the generation is written down, too.
    Ok(set_last_upgrade(&host.root, upgraded)?)
}
