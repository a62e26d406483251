//! The stack around the exchange: down before it, and that of the moment in force after it.

use jiff::Timestamp;

use crate::apply::applied::{applied, understand};
use crate::apply::restore::{begin, of};
use crate::apply::{ApplyError, Operation, Progress, StepError, record, survey, units, wished};
use crate::config::Loaded;
use crate::host::systemd::Verb;
use crate::host::{Host, timed};
use crate::model::{ActiveState, Refusal, Restore, RestoredStack, Service, UnitName};
use crate::plan::Gate;
use crate::record::{Generations, ImageLock, Restored};
use crate::stack::{TARGET, icloudpd};

/// Images and configuration of the moment are in force from here on, and the generation says so before any service
/// starts: whatever becomes of that start, nobody takes the restored data for that of a newer release.
pub(super) async fn settle(
    host: &Host,
    then: &Loaded,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let restore = of(operation)?;
    let gate = if operation.lets_services_start() { Gate::Open } else { Gate::Closed };
    let step = format!("put the stack of {} in force", restore.snapshot);
    let begun = begin(operation, progress, &step, "data, images and units belong to one moment", gate, false)?;
    if let Some(RestoredStack { in_force, images, out_of_force, .. }) = &restore.stack {
        let in_force = match in_force {
            Some(in_force) => in_force.clone(),
            None => wished(host, then, None)?,
        };
        ImageLock::read(&host.root)?.put_in_force(in_force, images.clone())?;
        let survey = survey(host, then).await?;
        let restored =
            out_of_force.clone().map(|out_of_force| Restored { snapshot: restore.snapshot.clone(), out_of_force });
        record(host, then, &survey, Timestamp::now(), restored)?;
    }
    operation.step_done(begun);
    Ok(())
}

/// The configuration that holds after it.
pub(super) fn after(host: &Host, restore: &Restore) -> Result<Loaded, ApplyError> {
    let not_understood = |why: String| {
        let remedy = "install the photos-agent again that began it, then: systemctl start photos-resolve.service";
        ApplyError::Refused(vec![Refusal::new(format!("the configuration of {}", restore.snapshot), why, remedy)])
    };
    match &restore.stack {
        Some(stack) => understand(stack.config.clone())
            .map_err(|mistakes| not_understood(format!("is not understood by this photos-agent: {mistakes}"))),
        None => Generations::new(&host.root)
            .last()?
            .and_then(applied)
            .ok_or_else(|| not_understood("that runs is not understood by this photos-agent".to_owned())),
    }
}

/// Stops what is up, and makes sure that nothing is.
pub(in crate::apply) async fn stop(host: &Host, progress: &mut dyn Progress) -> Result<(), StepError> {
    let services = Service::ALL.iter().map(|service| UnitName::constant(service.unit()));
    let mut names: Vec<UnitName> = std::iter::once(UnitName::constant(TARGET)).chain(services).collect();
    names.extend(syncs(host).await?);
    stop_these(host, &names, progress).await
}

/// Downloads that are under way, of whatever account. The target stops them too, and does not wait for it.
pub(in crate::apply) async fn syncs(host: &Host) -> Result<Vec<UnitName>, StepError> {
    let systemd = host.systemd().await?;
    Ok(timed::neighbours(systemd, &[icloudpd::ALL_RUNS], &[]).await?.running)
}

/// The same of some of them. The gate is closed, or the target would start them again.
pub(in crate::apply) async fn stop_these(
    host: &Host,
    names: &[UnitName],
    progress: &mut dyn Progress,
) -> Result<(), StepError> {
    if !up(host, names).await?.is_empty() {
        units::jobs(host, Verb::Stop, names, progress).await?;
    }
    let up = up(host, names).await?;
    let failures: Vec<String> = up.iter().map(|name| format!("{name} did not stop")).collect();
    if failures.is_empty() { Ok(()) } else { Err(StepError::Jobs(failures)) }
}

/// Those that are up, or on their way up or down. One that only waits to start does not: the gate is closed.
async fn up(host: &Host, names: &[UnitName]) -> Result<Vec<UnitName>, StepError> {
    let is_up = |state: ActiveState| !matches!(state, ActiveState::Inactive | ActiveState::Failed);
    let states = host.systemd().await?.units(names).await?;
    Ok(states.into_iter().filter(|(_, state)| is_up(state.active)).map(|(name, _)| name).collect())
}
