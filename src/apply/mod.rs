//! Takes the host from what it is to what is wanted, and writes down what it does.
//!
//! One operation: lock, look, plan, refuse or act, look again. The journal is open before the first
//! change and closed after the last. What to do is the plan's; here is only how.

mod accept;
mod applied;
mod database;
mod ended;
mod gate;
mod hasten;
mod images;
pub mod major;
mod operation;
mod progress;
mod restore;
mod rotate;
mod secrets;
mod steps;
pub mod throwaway;
mod transcoding;
mod units;
pub mod upgrade;

use std::time::Duration;

use crate::config::Loaded;
use crate::host::lock::{self, LockError};
use crate::host::{Host, door, kernel};
use crate::model::Root;
use crate::model::layout::STATE;
use crate::observe::{facts, observe};
use crate::plan::transcoding::{Asked, Setting, wanted as transcoding_wanted};
use crate::plan::{Observed, Plan, Step, plan};
use crate::record::{
    Generation, Generations, ImageLock, Outcome, Pending, RecordError, Restored, add_places, add_setting,
    set_acceleration,
};
use crate::stack::{self, Desired, Facts};

pub use accept::accept;
pub use applied::{OF_THE_FILES, applied, held, texts, understand};
pub use database::{ask_database, schema_version, vitals};
pub use ended::{ApplyError, Report};
pub use operation::Operation;
pub use progress::{Event, Progress};
pub use restore::{Order, Then, foresee, restore, tree, wished};
pub use rotate::{Role, Rotation, rotate};
pub use secrets::{commit_secrets, random_password};
pub use steps::{StepError, check_covered, check_generated};

/// The lock that everything that changes the host holds.
pub const LOCK: &str = "/run/photos-agent/lock";

/// Held while Immich scans a library, which may take hours, and by whoever exchanges the trees of photographs. Whoever needs both
/// takes this one first.
pub const SCANNING: &str = "/run/photos-agent/scan.lock";

/// How often an operation may find that there is more to do: an enabled socket, pulled images, the rest, what is asked of a
/// server that has only then come up, and a card that came meanwhile are five; more means that something undoes what is done.
const ROUNDS: usize = 7;

/// How long after a refusal it is asked again, before another configuration is tried.
const SECOND_THOUGHT: Duration = Duration::from_secs(20);

/// Everything known at one moment.
#[derive(Debug)]
pub struct Survey {
    /// What should be.
    pub desired: Desired,
    /// What is.
    pub observed: Observed,
    /// The steps between.
    pub plan: Plan,
}

/// Looks and plans. Writes nothing, anywhere, and sends no call that changes anything.
pub async fn survey(host: &Host, loaded: &Loaded) -> Result<Survey, ApplyError> {
    let facts = known(&host.root, loaded)?;
    survey_with(host, loaded, facts).await
}

fn known(root: &Root, loaded: &Loaded) -> Result<Facts, ApplyError> {
    Ok(facts(root, &loaded.settings)?)
}

async fn survey_with(host: &Host, loaded: &Loaded, facts: Facts) -> Result<Survey, ApplyError> {
    let desired = stack::desire(&loaded.settings, &facts).map_err(|refusal| ApplyError::Refused(vec![refusal]))?;
    let observed = observe(host, &desired).await?;
    let mut plan = plan(&observed, &desired);
    plan.refusals.extend(restore::unknown(&host.root, &desired)?);
    Ok(Survey { desired, observed, plan })
}

/// Converges the host under the one lock. A second run changes nothing.
pub async fn apply(
    host: &Host,
    loaded: &Loaded,
    command: &str,
    progress: &mut dyn Progress,
) -> Result<Report, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), command, lock::PATIENCE).await?;
    operate(host, loaded, command, progress).await
}

/// Finishes the open operation, if there still is one once the lock is free. `waiting` is called if somebody has it;
/// `choose` gives the configurations to try, each where the one before it is refused twice, and is asked under the lock.
pub async fn resume<E: From<ApplyError>>(
    host: &Host,
    command: &str,
    progress: &mut dyn Progress,
    waiting: impl FnOnce(),
    choose: impl FnOnce(&Pending) -> Result<Vec<Loaded>, E>,
) -> Result<Option<Report>, E> {
    let path = host.root.join(LOCK);
    let _lock = match lock::take(&path, command, Duration::ZERO).await {
        Err(LockError::Held { .. }) => {
            waiting();
            lock::take(&path, command, Duration::MAX).await
        }
        taken => taken,
    }
    .map_err(ApplyError::from)?;
    let Some(open) = Pending::read(&host.root).map_err(ApplyError::from)? else { return Ok(None) };
    let mut ways = choose(&open)?.into_iter().peekable();
    while let Some(loaded) = ways.next() {
        let mut done = Box::pin(operate(host, &loaded, command, progress)).await;
        if ways.peek().is_some() && matches!(done, Err(ApplyError::Refused(_))) {
            // In the middle of a boot, Podman or systemd may not have answered in time: that is no reason to go back.
            tokio::time::sleep(SECOND_THOUGHT).await;
            done = Box::pin(operate(host, &loaded, command, progress)).await;
        }
        match done {
            Err(error @ ApplyError::Refused(_)) if ways.peek().is_some() => {
                tracing::error!("back to the configuration that was applied last: {}", crate::observe::chain(&error));
            }
            done => return Ok(Some(done?)),
        }
    }
    Ok(None)
}

/// One operation, by whoever holds the lock.
async fn operate(
    host: &Host,
    loaded: &Loaded,
    command: &str,
    progress: &mut dyn Progress,
) -> Result<Report, ApplyError> {
    let mut operation = Operation::take_up(&host.root, command)?;
    if operation.lets_services_start() {
        progress.hear(Event::GateOpened);
    }
    if operation.upgrade().is_none() {
        open_stray_doors(host).await?;
    }
    if operation.upgrade().is_some() {
        // Seldom, and of a size that the others need not carry.
        return Box::pin(upgrade::resume(host, operation, progress)).await;
    }
    // One that was begun goes on with its own configuration, whatever the files say by now.
    let restore = operation.restore().map(|restore| restore.snapshot.clone());
    let (restored, result) = match restore::take_up(host, &mut operation, progress).await {
        Ok(restored) => {
            let result = converge(host, restored.as_ref().unwrap_or(loaded), &mut operation, progress).await;
            (restored, result)
        }
        Err(error) => (None, Err(error)),
    };
    let mut report = conclude(host, restored.as_ref().unwrap_or(loaded), operation, result)?;
    if let (Some(_), Some(snapshot)) = (restored, restore) {
        report.notes.push(format!("the restore of {snapshot} is finished; the configuration files were not applied"));
    }
    Ok(report)
}

/// Opens doors that were left closed, unless somebody is at work or something is open, who sees to it.
pub async fn tidy_doors(host: &Host, command: &str) -> Result<(), ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), command, Duration::ZERO).await?;
    if Pending::read(&host.root)?.is_some() {
        return Ok(());
    }
    open_stray_doors(host).await
}

/// Doors that nobody keeps closed any more: no upgrade is open that would see to it.
async fn open_stray_doors(host: &Host) -> Result<(), ApplyError> {
    if !door::is_any_closed(&host.root).unwrap_or(false) {
        return Ok(());
    }
    tracing::warn!("the doors to the server were closed although no upgrade is open; they are opened");
    let failed = |source: door::DoorError| ApplyError::Step {
        step: "open the doors of the server".to_owned(),
        source: Box::new(source.into()),
    };
    door::open(&host.root).await.map_err(failed)
}

/// Closes the operation and writes down what it came to.
pub fn conclude(
    host: &Host,
    loaded: &Loaded,
    mut operation: Operation<'_>,
    result: Result<(Survey, jiff::Timestamp), ApplyError>,
) -> Result<Report, ApplyError> {
    if result.is_ok() {
        operation.settled();
    }
    let restored = held_on(host, loaded, &operation);
    let recorded = result.and_then(|(survey, more)| Ok((record(host, loaded, &survey, more, restored?)?, survey)));
    match recorded {
        Ok((generation, survey)) => {
            let (id, steps) = operation.finish(Outcome::Done, Some(generation))?;
            let Plan { notes, concerns, .. } = survey.plan;
            Ok(Report { operation: id, steps, generation, notes, concerns })
        }
        Err(error) => {
            // A full disk may be the reason of both; what a person needs is the first.
            if let Err(unwritten) = operation.finish(Outcome::Failed(crate::observe::chain(&error)), None) {
                tracing::error!("the failed operation is not in the history: {}", crate::observe::chain(&unwritten));
            }
            Err(error)
        }
    }
}

/// Writes down what the host has come to. Returns the generation's number.
fn record(
    host: &Host,
    loaded: &Loaded,
    survey: &Survey,
    more: jiff::Timestamp,
    restored: Option<Restored>,
) -> Result<u32, ApplyError> {
    // Those that somebody else had made, too.
    ImageLock::read(&host.root)?.put_in_force(survey.desired.runs.clone(), [])?;
    // What it is already is the agent's own from here on: it has to be set back as soon as there is no card.
    let wanted = transcoding_wanted(&survey.desired.acceleration.encoding);
    if let Some(Asked::Seen(seen)) = &survey.observed.transcoding
        && seen.now == wanted
        && wanted != Setting::default()
    {
        add_setting(&host.root, &wanted.accel, &wanted.device)?;
    }
    let places = survey.desired.subvolumes.iter().map(|place| (place.subvolume, place.path.clone())).collect();
    add_places(&host.root, places)?;
    let boot = if survey.desired.awaited.is_empty() { kernel::boot(&host.root) } else { None };
    set_acceleration(&host.root, &survey.desired.acceleration, boot)?;
    let generation = Generation { restored, ..generation(loaded, &survey.desired, more) };
    Ok(Generations::new(&host.root).record(generation)?)
}

/// What a restore has put out of force: it stays so until the files are applied.
fn held_on(host: &Host, loaded: &Loaded, operation: &Operation<'_>) -> Result<Option<Restored>, RecordError> {
    if !operation.is_of_its_own() && OF_THE_FILES.contains(&operation.command()) {
        return Ok(None);
    }
    let last = Generations::new(&host.root).last()?.filter(|last| last.config == texts(&loaded.sources));
    Ok(last.and_then(|last| last.restored))
}

async fn converge(
    host: &Host,
    loaded: &Loaded,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, jiff::Timestamp), ApplyError> {
    let (mut left, mut tried) = (String::new(), false);
    for _ in 0..ROUNDS {
        let survey = survey(host, loaded).await?;
        if !survey.plan.refusals.is_empty() {
            return Err(ApplyError::Refused(survey.plan.refusals));
        }
        units::remove_leftovers(host, &survey.desired)
            .map_err(|error| ApplyError::Step { step: "tidy up".to_owned(), source: Box::new(error.into()) })?;
        if survey.plan.steps.is_empty() || (tried && only_transcoding(&survey.plan)) {
            return Ok((survey, jiff::Timestamp::now()));
        }
        tried = only_transcoding(&survey.plan);
        left = survey.plan.steps.iter().map(|planned| planned.step.to_string()).collect::<Vec<_>>().join(", ");
        steps::run(host, &survey, operation, progress).await?;
    }
    Err(ApplyError::Unsettled(left))
}

/// Whether all that is left to do is Immich's own setting: one that it does not take is no reason that all else has failed.
fn only_transcoding(plan: &Plan) -> bool {
    !plan.steps.is_empty() && plan.steps.iter().all(|planned| matches!(planned.step, Step::SetTranscoding { .. }))
}

fn generation(loaded: &Loaded, desired: &Desired, created: jiff::Timestamp) -> Generation {
    Generation {
        schema: 0,
        number: 0,
        created,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        release: desired.runs.release.to_string(),
        config: texts(&loaded.sources),
        images: desired.services.iter().map(|service| (service.service, service.image.clone())).collect(),
        files: desired.files.iter().map(|file| (file.path.clone(), file.text.clone())).collect(),
        snapshot: None,
        restored: None,
    }
}

/// The place where texts that somebody had edited are kept.
pub fn displaced(root: &Root, operation: u64, name: &str) -> std::path::PathBuf {
    root.join(format!("{STATE}/displaced/{operation:06}-{name}"))
}
