//! The way back: what ran, with its data where that may have been migrated. What failed is kept.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::apply::restore::{self, begin, failed, stop};
use crate::apply::upgrade::arrived::arrived;
use crate::apply::upgrade::watch::journal_of;
use crate::apply::upgrade::{WentBack, doors, of, trial};
use crate::apply::{ApplyError, Operation, Progress, Survey, schema_version, units};
use crate::config::Loaded;
use crate::host::systemd::Verb;
use crate::host::{Host, files};
use crate::model::layout::STATE;
use crate::model::{
    Component, Digest, HostPath, ImageRef, Phase, Quarantined, Restore, Service, Side, UnitName, Upgrade,
};
use crate::observe::chain;
use crate::plan::Gate;
use crate::record::{End, ImageLock, Upgraded, add_quarantined, set_last_upgrade};
use crate::stack::major_of;

/// Decides what has to go back, writes it down, and does it.
pub(super) async fn go_back(
    host: &Host,
    loaded: &Loaded,
    back: Restore,
    why: String,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let upgrade = of(operation)?;
    if let Err(error) = keep_journal(host, &upgrade, &why).await {
        tracing::error!("the journal of the services is not kept: {}", chain(&error));
    }
    let data = may_be_migrated(host, &upgrade, operation, progress).await;
    let phase = Phase::GoingBack { back, why, data };
    operation.set_upgrade(Some(Upgrade { phase, ..upgrade }))?;
    finish(host, loaded, operation, progress).await
}

/// Whether the database may have been changed by the new release. With its server down it is asked itself, and where it does
/// not answer, it has been.
async fn may_be_migrated(
    host: &Host,
    upgrade: &Upgrade,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> bool {
    if !databases_stay(&upgrade.from, &upgrade.to) {
        return true;
    }
    // The target would start it again, were the gate not closed.
    let step = "stop the server";
    let server = UnitName::constant(Service::Server.unit());
    let stopped = async {
        let begun =
            begin(operation, progress, step, "to see whether it has migrated the database", Gate::Closed, true)?;
        units::jobs(host, Verb::Stop, std::slice::from_ref(&server), progress).await.map_err(failed(step))?;
        operation.step_done(begun);
        Ok::<_, ApplyError>(())
    };
    if let Err(error) = stopped.await {
        tracing::warn!("{}", chain(&error));
        return true;
    }
    match schema_version().await {
        // What has no tables may be about to make them.
        Ok(migrations) => migrations.is_none() || migrations != upgrade.migrations,
        Err(error) => {
            tracing::warn!("the database does not say whether it was migrated: {}", chain(&error));
            true
        }
    }
}

/// Whether both sides run the same database and the same queue.
pub(super) fn databases_stay(from: &Side, to: &Side) -> bool {
    [Component::Postgres, Component::Redis]
        .iter()
        .all(|component| image_of(from, *component) == image_of(to, *component))
}

/// What a component of a side runs.
pub(in crate::apply) fn image_of(side: &Side, component: Component) -> Option<ImageRef> {
    let written = side.in_force.written.get(&component)?;
    match side.images.get(written) {
        Some(digest) if written.digest().is_none() => Some(written.at(digest.clone())),
        _ => Some(written.clone()),
    }
}

/// Does what is left to do of it.
pub(super) async fn finish(
    host: &Host,
    loaded: &Loaded,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(Survey, Timestamp), ApplyError> {
    let upgrade = of(operation)?;
    let Phase::GoingBack { back, why, data } = upgrade.phase.clone() else {
        return Err(failed("go back")(crate::apply::StepError::NotAsItWas("nothing is going back".to_owned())));
    };
    let from = &upgrade.from.in_force.release;
    let step = format!("stop the stack to go back to Immich {from}");
    let begun = begin(operation, progress, &step, why.lines().next().unwrap_or(&why), Gate::Closed, true)?;
    stop(host, progress).await.map_err(failed(&step))?;
    operation.step_done(begun);

    let kept = if data {
        restore::put_back(host, loaded, &back, operation, progress).await?
    } else {
        let step = format!("put Immich {from} in force again");
        let begun = begin(operation, progress, &step, "the database was not migrated", Gate::Closed, false)?;
        let mut lock = ImageLock::read(&host.root)?;
        lock.put_in_force(upgrade.from.in_force.clone(), upgrade.from.images.clone())?;
        operation.step_done(begun);
        Vec::new()
    };
    let arrived = arrived(host, &back, &kept);
    if let Err(error) = remember(host, &upgrade, &why, data, (&kept, &arrived)) {
        // No reason to keep anybody from their photographs.
        tracing::error!("what did not work is not written down: {}", chain(&error));
    }
    let started = trial::start_and_watch(host, loaded, from, operation, progress).await;
    if let Err(error @ (ApplyError::Step { .. } | ApplyError::Unsettled(_))) = &started
        && !data
    {
        // Nobody was let in meanwhile, so that nothing is lost with the data of then.
        let why = format!("{why}\nThen {from} did not start either on what looked unchanged: {}", chain(error));
        operation.set_upgrade(Some(Upgrade { phase: Phase::GoingBack { back, why, data: true }, ..upgrade }))?;
        return Box::pin(finish(host, loaded, operation, progress)).await;
    }
    // Nothing is taken back any more, however it stands.
    doors::open(host, operation, progress).await?;
    operation.set_upgrade(None)?;

    let journal = journal_path(&upgrade);
    let there = host.root.join(journal.as_path()).exists();
    let kept = kept.iter().chain(there.then_some(&journal)).map(ToString::to_string).collect();
    let to = upgrade.to.in_force.release.clone();
    let [was, tried] = [&upgrade.from, &upgrade.to].map(|side| side.in_force.written.get(&Component::Postgres));
    let database = tried.filter(|tried| was != Some(*tried)).cloned();
    let went_back = WentBack { from: from.clone(), to, database, why, data, kept, arrived };
    match started {
        Ok(converged) => {
            operation.settled();
            Err(ApplyError::WentBack { went_back: Box::new(went_back), well: Some(Box::new(converged)), source: None })
        }
        Err(error) => {
            Err(ApplyError::WentBack { went_back: Box::new(went_back), well: None, source: Some(Box::new(error)) })
        }
    }
}

/// What is known of it from now on, whoever asks.
fn remember(
    host: &Host,
    upgrade: &Upgrade,
    why: &str,
    data: bool,
    (kept, arrived): (&[HostPath], &[HostPath]),
) -> Result<(), ApplyError> {
    let now = Timestamp::now();
    let release = upgrade.to.in_force.release.clone();
    let changed = |component: &Component| {
        let new = image_of(&upgrade.to, *component)?;
        (image_of(&upgrade.from, *component).as_ref() != Some(&new)).then(|| new.digest().cloned()).flatten()
    };
    let components = upgrade.to.in_force.written.keys();
    let others: BTreeSet<Digest> =
        components.filter(|component| **component != Component::Ml).filter_map(changed).collect();
    // Machine learning is in the variant of the host: with another card the same release would look like another one.
    let changed = if others.is_empty() { changed(&Component::Ml).into_iter().collect() } else { others };
    let first = why.lines().next().unwrap_or_default().to_owned();
    let failed = Quarantined { since: now, release: release.clone(), digests: changed, why: first };
    let journal = journal_path(upgrade);
    let journal = host.root.join(journal.as_path()).exists().then_some(journal);
    let upgraded = Upgraded {
        at: now,
        operation: upgrade.operation,
        command: upgrade.command.clone(),
        from: upgrade.from.in_force.release.clone(),
        to: release,
        snapshot: upgrade.phase.snapshot().cloned(),
        end: End::WentBack { why: why.to_owned(), data, kept: kept.to_vec(), arrived: arrived.to_vec(), journal },
    };
    // The release works, and another major version of its database is tried by name only.
    if !changes_major(upgrade) {
        add_quarantined(&host.root, failed)?;
    }
    Ok(set_last_upgrade(&host.root, upgraded)?)
}

/// Whether it is one to another major version of the database.
fn changes_major(upgrade: &Upgrade) -> bool {
    let major = |side: &Side| side.in_force.written.get(&Component::Postgres).and_then(major_of);
    let (from, to) = (major(&upgrade.from), major(&upgrade.to));
    from.is_some() && to.is_some() && from != to
}

fn journal_path(upgrade: &Upgrade) -> HostPath {
    HostPath::constant(format!("{STATE}/failed/{:06}-{}.log", upgrade.operation, upgrade.to.in_force.release))
}

/// What the services said last, before the next start of them is written over it.
async fn keep_journal(host: &Host, upgrade: &Upgrade, why: &str) -> Result<(), files::FileError> {
    let units = Service::ALL.map(|service| UnitName::constant(service.unit()));
    let mut text = format!("Immich {}: {why}\n", upgrade.to.in_force.release);
    text.push_str(&journal_of(&units, upgrade.begun).await);
    files::write(&host.root.join(journal_path(upgrade).as_path()), &text, 0o600)
}
