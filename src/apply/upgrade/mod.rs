//! The second half of an upgrade: the new release is put in force and started behind closed doors, and then it is kept, or
//! everything is as it was. Cut off anywhere, it is finished from the journal, at a boot before any service starts.
//!
//! What comes before (looking, pulling, the dump, the snapshot) is `upgrade`'s. Nothing that was live is deleted here.

mod arrived;
mod back;
mod doors;
pub(super) mod trial;
pub mod watch;

use std::time::Duration;

use jiff::Timestamp;

use crate::apply::restore::{begin, failed, stop, stop_these};
use crate::apply::{ApplyError, Event, Operation, Progress, Report, Survey, conclude, converge, major, understand};
use crate::config::Loaded;
use crate::host::{Host, kernel};
use crate::model::{HostPath, ImageRef, Phase, Refusal, Release, Restore, Service, Side, UnitName, Upgrade};
use crate::plan::Gate;
use crate::record::DatabaseFacts;
pub(super) use back::image_of;

/// How often the host may go down while the new release is started.
const CUT_OFF: u32 = 2;

/// What is wanted of an upgrade.
#[derive(Debug, Clone)]
pub struct Change {
    /// What runs.
    pub from: Side,
    /// What is to run.
    pub to: Side,
    /// The configuration in force.
    pub loaded: Loaded,
    /// What the database says of itself.
    pub before: DatabaseFacts,
    /// How long everything has to be well without a break.
    pub settle: Duration,
    /// Within which time.
    pub timeout: Duration,
}

/// How an upgrade did not end well, and what runs instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WentBack {
    /// What runs again.
    pub from: Release,
    /// What was tried.
    pub to: Release,
    /// The image of the database that was tried, where it was another one.
    pub database: Option<ImageRef>,
    /// Why it did not work.
    pub why: String,
    /// Whether the data went back, too.
    pub data: bool,
    /// Where what failed is kept, journal included.
    pub kept: Vec<String>,
    /// Photographs that arrived all the same, where they are kept.
    pub arrived: Vec<HostPath>,
}

impl std::fmt::Display for WentBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, database, why, data, kept, arrived } = self;
        if let (Some(database), true) = (database, from == to) {
            write!(f, "{database} did not work here, and Immich {from} runs on the old database again")?;
        } else if from == to {
            write!(f, "The newer images of Immich {to} did not work here, and the old ones run again")?;
        } else {
            write!(f, "Immich {to} did not work here, and {from} runs again")?;
        }
        let with = if *data { "with the data of before" } else { "the data had not been migrated and is untouched" };
        write!(f, ", {with}.\nWhy: {why}")?;
        if !kept.is_empty() {
            write!(f, "\nKept: {}", kept.join(", "))?;
        }
        arrived.iter().try_for_each(|path| write!(f, "\nArrived meanwhile, and kept: {path}"))
    }
}

/// Stops what writes. From here on whatever dies has the journal to go by.
pub async fn begin_upgrade(
    change: &Change,
    host: &Host,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    operation.set_upgrade(Some(Upgrade {
        operation: 0,
        command: operation.command().to_owned(),
        begun: Timestamp::now(),
        from: change.from.clone(),
        to: change.to.clone(),
        config: crate::apply::texts(&change.loaded.sources),
        migrations: change.before.migrations.clone(),
        checksum_failures: change.before.checksum_failures,
        settle_s: change.settle.as_secs(),
        timeout_s: change.timeout.as_secs(),
        cut_off: 0,
        boot: kernel::boot(&host.root),
        phase: Phase::Stopping,
    }))?;
    doors::close(host, &change.loaded, operation, progress).await?;
    // Databases that stay the same stand still for the snapshot, as for every other one, and need not start again.
    let stays = back::databases_stay(&change.from, &change.to);
    let step = if stays { "stop the server and machine learning" } else { "stop the stack" };
    let reason = format!("for the snapshot before Immich {}", change.to.in_force.release);
    let begun = begin(operation, progress, step, &reason, Gate::Closed, true)?;
    let stopped = if stays {
        let above = [Service::Server, Service::Ml].map(|service| UnitName::constant(service.unit()));
        stop_these(host, &above, progress).await
    } else {
        stop(host, progress).await
    };
    stopped.map_err(failed(step))?;
    operation.step_done(begun);
    Ok(())
}

/// What failed before anything was put in force: what ran is started again.
pub async fn give_up(
    host: &Host,
    loaded: &Loaded,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let converged = converge(host, loaded, operation, progress).await;
    doors::open(host, operation, progress).await?;
    operation.set_upgrade(None)?;
    if converged.is_ok() {
        operation.settled();
    }
    converged
}

/// Puts the new release in force, and tries it; `back` is the way back. Ends with the new one well, or with an error that
/// says what runs instead.
pub async fn try_out(
    host: &Host,
    loaded: &Loaded,
    back: Restore,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let upgrade = of(operation)?;
    let back = Restore { operation: upgrade.operation, ..back };
    operation.set_upgrade(Some(Upgrade { phase: Phase::Trying { back: back.clone() }, ..upgrade }))?;
    trial::run(host, loaded, back, operation, progress).await
}

/// Finishes one that was cut off. It goes on with its own configuration, whatever the files say by now.
pub(super) async fn resume(
    host: &Host,
    mut operation: Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<Report, ApplyError> {
    if let Some(id) = operation.take_resumed() {
        progress.hear(Event::Resumed(id));
    }
    let upgrade = of(&operation)?;
    let (from, to) = (upgrade.from.in_force.release.clone(), upgrade.to.in_force.release.clone());
    let loaded = understand(upgrade.config.clone()).map_err(|mistakes| {
        let why = format!("was begun with a configuration that this photos-agent does not understand: {mistakes}");
        let remedy = "install the photos-agent again that began it, then: systemctl start photos-resolve.service";
        ApplyError::Refused(vec![Refusal::new(format!("the upgrade to Immich {to}"), why, remedy)])
    })?;
    let (result, note) = match upgrade.phase.clone() {
        Phase::Stopping => {
            let note = format!("the upgrade to Immich {to} was cut off before anything was changed; {from} runs");
            (give_up(host, &loaded, &mut operation, progress).await, note)
        }
        Phase::Moving { back, .. } => {
            let (moved, is_exchanged) = Box::pin(major::resume(host, &loaded, back, &mut operation, progress)).await;
            let note = if is_exchanged {
                "the change of PostgreSQL's major version is finished"
            } else {
                "the change of PostgreSQL's major version was cut off and is undone; the old one runs"
            };
            (moved, note.to_owned())
        }
        Phase::Trying { back } => {
            // Who is killed, or told to stop, goes on; a host that goes down with it must not do so for ever.
            let boot = kernel::boot(&host.root);
            let cut_off = upgrade.cut_off + u32::from(boot.is_none() || boot != upgrade.boot);
            operation.set_upgrade(Some(Upgrade { cut_off, boot, ..upgrade }))?;
            let tried = if cut_off < CUT_OFF {
                trial::run(host, &loaded, back, &mut operation, progress).await
            } else {
                let why = format!("the host went down {cut_off} times while it was started");
                back::go_back(host, &loaded, back, why, &mut operation, progress).await
            };
            (tried, format!("the upgrade to Immich {to} is finished"))
        }
        Phase::GoingBack { .. } => {
            (back::finish(host, &loaded, &mut operation, progress).await, format!("Immich {from} is back"))
        }
        Phase::Committed { .. } => {
            let committed = trial::commit(host, &mut operation, progress).await;
            let converged = match committed {
                Ok(()) => converge(host, &loaded, &mut operation, progress).await,
                Err(error) => Err(error),
            };
            (converged, format!("the upgrade to Immich {to} is finished"))
        }
    };
    conclude_resumed(host, &loaded, operation, result, note)
}

/// What came of it is told in the report: that an upgrade went back is no failure of whoever saw to it.
fn conclude_resumed(
    host: &Host,
    loaded: &Loaded,
    operation: Operation<'_>,
    result: Result<(Survey, Timestamp), ApplyError>,
    note: String,
) -> Result<Report, ApplyError> {
    let (result, note) = match result {
        Err(ApplyError::WentBack { went_back, well: Some(well), .. }) => (Ok(*well), went_back.to_string()),
        result => (result, note),
    };
    let mut report = conclude(host, loaded, operation, result)?;
    report.notes.push(format!("{note}; the configuration files were not applied"));
    Ok(report)
}

pub(super) fn of(operation: &Operation<'_>) -> Result<Upgrade, ApplyError> {
    let none = || crate::apply::StepError::NotAsItWas("no upgrade was begun".to_owned());
    operation.upgrade().cloned().ok_or_else(none).map_err(failed("go on"))
}
