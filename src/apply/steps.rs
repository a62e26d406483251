//! One step after the other. Each may run again after an interruption, at any point of it.

use std::path::Path;

use crate::apply::operation::Operation;
use crate::apply::progress::{Event, Progress};
use crate::apply::upgrade::watch::Unwell;
use crate::apply::{ApplyError, Survey, images, restore, secrets, transcoding, units};
use crate::host::door::DoorError;
use crate::host::files::{self, FileError};
use crate::host::generator::GeneratorError;
use crate::host::immich::CallError;
use crate::host::lock::LockError;
use crate::host::podman::PodmanError;
use crate::host::process::ProcessError;
use crate::host::storage::{self, StorageError};
use crate::host::systemd::{SystemdError, Verb};
use crate::host::{Host, kernel, library};
use crate::model::icloud::SENTINEL;
use crate::model::{ActiveState, HostPath, NetworkName, Refusal, Root, UnitName};
use crate::plan::Step;
use crate::record::{MarkError, Places, RecordError, add_places, mark_first_start};
use crate::stack::{Desired, INNER_INTERFACE, UNITS, icloudpd};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// On disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Podman.
    #[error(transparent)]
    Podman(#[from] PodmanError),
    /// systemd.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// The units were not accepted.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// Another program.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The digest could not be locked.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The mark of a first start.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The system gave no random bytes.
    #[error("no random bytes from the system")]
    Random(#[source] getrandom::Error),
    /// systemd did not take a unit from our file.
    #[error("{unit} was not loaded from {file}: {found}")]
    NotLoaded {
        /// The unit.
        unit: UnitName,
        /// Our file.
        file: String,
        /// What systemd says instead.
        found: String,
    },
    /// Files were replaced, the new ones were of no use, and the old ones are in place again.
    #[error(transparent)]
    Undone(Box<StepError>),
    /// The services did not stand still while snapshots were taken of them.
    #[error("the services did not stand still throughout: {} ms, and 2000 are allowed", after.as_millis())]
    NotHeld {
        /// How long they were to.
        after: std::time::Duration,
    },
    /// Nothing ran when snapshots were begun, and something did when they were taken.
    #[error("{} started while snapshots were taken of what stood still; try again", .0.join(", "))]
    Started(Vec<String>),
    /// Services that would not stand still with the others.
    #[error("{} not in photos.slice, which is what stands still for a snapshot: a drop-in of yours says Slice= (systemctl cat)", .0.join(", "))]
    Outside(Vec<String>),
    /// Somebody wanted it to end.
    #[error("was interrupted")]
    Interrupted,
    /// Another one is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What goes back is not what it was when that was decided.
    #[error("{0}")]
    NotAsItWas(String),
    /// The doors of the server.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// Immich.
    #[error(transparent)]
    Immich(#[from] CallError),
    /// Immich's configuration is not what it was.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was started is not well.
    #[error(transparent)]
    Unwell(#[from] Unwell),
    /// What was started did not come up in its time.
    #[error("{0}")]
    NotWell(String),
    /// Units did not come up, or down.
    #[error("{}", .0.join("\n"))]
    Jobs(Vec<String>),
}

impl StepError {
    /// Whether the host is as it was before the step.
    pub(super) const fn is_undone(&self) -> bool {
        matches!(self, Self::Undone(_))
    }
}

/// Runs the steps of a plan up to the first whose outcome changes what the rest should be.
pub(super) async fn run(
    host: &Host,
    survey: &Survey,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    if let Some(id) = operation.take_resumed() {
        progress.hear(Event::Resumed(id));
    }
    // Before anything is touched: a set of units that cannot work must not cost a stopped stack.
    check_units(host, survey)?;
    check_volumes(host, survey).await?;
    for planned in survey.plan.certain_steps() {
        let words = planned.step.to_string();
        let begun = operation.step(&planned.step, &planned.reason)?;
        progress.hear(Event::Step { step: &words, reason: &planned.reason });
        if operation.lets_services_start() {
            progress.hear(Event::GateOpened);
        }
        let result = execute(host, survey, &planned.step, operation.id(), progress).await;
        if matches!(&planned.step, Step::Start { units, .. } if units.contains(&survey.desired.target))
            && (result.is_ok() || target_is_up(host, survey).await)
        {
            operation.stack_started()?;
        }
        if let (Err(source), Step::SetTranscoding { .. }) = (&result, &planned.step) {
            // Photographs do not wait for it: it is planned again, and the plan says so.
            tracing::warn!("could not {words}: {}", crate::observe::chain(source));
            continue;
        }
        if let Err(source) = result {
            if source.is_undone() {
                operation.step_undone();
            }
            return Err(ApplyError::Step { step: words, source: Box::new(source) });
        }
        operation.step_done(begun);
    }
    Ok(())
}

/// A target is up at once, whatever becomes of its services: the stack is not stopped any more.
async fn target_is_up(host: &Host, survey: &Survey) -> bool {
    let target = std::slice::from_ref(&survey.desired.target);
    let Ok(systemd) = host.systemd().await else { return false };
    let states = systemd.units(target).await.unwrap_or_default();
    states.values().any(|state| state.active == ActiveState::Active)
}

fn check_units(host: &Host, survey: &Survey) -> Result<(), ApplyError> {
    let reads = |step: &Step| matches!(step, Step::InstallFiles { .. } | Step::Reload);
    if !survey.plan.steps.iter().any(|planned| reads(&planned.step)) {
        return Ok(());
    }
    check_generated(host, &survey.desired)
}

/// Refuses a set of units that Podman's generator makes nothing of.
pub fn check_generated(host: &Host, desired: &Desired) -> Result<(), ApplyError> {
    units::check(host, desired).map_err(|error| match error {
        GeneratorError::Refused { files, said } => {
            let why = format!("Podman's generator makes no unit of it: {said}");
            let remedy = "mend or remove the drop-in that it speaks of (ls -d /etc/containers/systemd/*.d \
                          /etc/containers/systemd/photos-agent/*.d), then: photos-agent apply";
            ApplyError::Refused(vec![Refusal::new(files.join(", "), why, remedy)])
        }
        other => ApplyError::Step { step: "check the units".to_owned(), source: Box::new(other.into()) },
    })
}

/// A path that an image declares as a volume and that nothing is mounted at becomes an anonymous volume,
/// which Podman deletes with the container at every stop (containers/podman#20070): for a database, its data.
async fn check_volumes(host: &Host, survey: &Survey) -> Result<(), ApplyError> {
    let steps = || survey.plan.steps.iter().map(|planned| &planned.step);
    // Until all images are there, the units are not installed either.
    if !steps().any(|step| matches!(step, Step::InstallFiles { .. })) || steps().any(Step::reveals) {
        return Ok(());
    }
    check_covered(host, &survey.desired).await
}

/// The same for images that are all in the store.
pub async fn check_covered(host: &Host, desired: &Desired) -> Result<(), ApplyError> {
    let mut refusals = Vec::new();
    for service in &desired.services {
        let volumes = host.podman.volumes(&service.image).await.map_err(|error| ApplyError::Step {
            step: format!("look at {}", service.image),
            source: Box::new(error.into()),
        })?;
        for volume in uncovered(&volumes, &service.mounts) {
            let why = format!("keeps data in {volume}, where nothing is mounted: Podman would delete it at every stop");
            let remedy = "name another image in [images]; for postgres, one of the major version of postgres.major";
            refusals.push(Refusal::new(service.image.to_string(), why, remedy));
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(ApplyError::Refused(refusals)) }
}

fn uncovered<'a>(volumes: &'a [String], mounts: &[&str]) -> Vec<&'a String> {
    let is_covered = |volume: &str| mounts.iter().any(|mount| Path::new(volume).starts_with(mount));
    volumes.iter().filter(|volume| !is_covered(volume)).collect()
}

async fn execute(
    host: &Host,
    survey: &Survey,
    step: &Step,
    operation: u64,
    progress: &mut dyn Progress,
) -> Result<(), StepError> {
    let root = &host.root;
    match step {
        Step::Enable { unit } => enable(host, unit).await,
        Step::Disable { unit } => disable(host, unit).await,
        Step::MakeFolder { path, mode } => Ok(storage::make_folder(&root.join(path.as_path()), *mode)?),
        Step::MakeSubvolume { subvolume, path, label } => {
            let (nocow, owner, mode) = (subvolume.nocow(), subvolume.owner(), subvolume.mode());
            storage::make_subvolume(&root.join(path.as_path()), nocow, owner, mode, *label).await?;
            Ok(add_places(root, Places::from([(*subvolume, path.clone())]))?)
        }
        Step::MakeLibrary { path, sentinel } => {
            let file = (SENTINEL, &*sentinel.text());
            Ok(library::make(&root.join(path.as_path()), icloudpd::UID, icloudpd::PHOTOS_MODE, file).await?)
        }
        Step::WriteSentinel { path, sentinel } => {
            Ok(library::say(&root.join(path.as_path()), (SENTINEL, &sentinel.text()))?)
        }
        Step::SetNocow { path } => Ok(storage::set_nocow(&root.join(path.as_path()))?),
        Step::SetOwner { path, owner, mode } => Ok(storage::set_owner(&root.join(path.as_path()), *owner, *mode)?),
        Step::MakeSecret { secret } => secrets::make(host, secret).await,
        Step::Pull { image } => images::pull(host, image, progress).await,
        Step::StopStack { .. } => {
            let mut names = stack_units(survey);
            names.extend(restore::syncs(host).await?);
            units::jobs(host, Verb::Stop, &names, progress).await
        }
        Step::InstallFiles { files } => units::install(host, survey, files, operation, progress).await,
        Step::Reload => units::reload(host, survey).await,
        Step::RemoveFiles { paths } => units::remove(host, paths).await,
        Step::SetAside { subvolume, path, label } => {
            let at = root.join(path.as_path());
            storage::set_aside(&at)?;
            storage::make_subvolume(&at, subvolume.nocow(), subvolume.owner(), subvolume.mode(), *label).await?;
            // The mark was of the one that went.
            Ok(mark_first_start(root, *subvolume, path)?)
        }
        Step::WriteMarkers { folders } => write_markers(root, folders),
        Step::RemoveNetwork { network, unit } => remove_network(host, network, unit, progress).await,
        Step::AllowForwarding => Ok(kernel::allow_forwarding(root)?),
        Step::DenyInnerForwarding => Ok(kernel::deny_forwarding(root, INNER_INTERFACE)?),
        Step::LoadRules { unit } => units::jobs(host, Verb::Reload, std::slice::from_ref(unit), progress).await,
        Step::Stop { units } => units::jobs(host, Verb::Stop, units, progress).await,
        Step::Start { units, first } => {
            for place in survey.desired.subvolumes.iter().filter(|place| first.contains(&place.subvolume)) {
                mark_first_start(root, place.subvolume, &place.path)?;
            }
            units::jobs(host, Verb::Start, units, progress).await
        }
        Step::Restart { units } => units::jobs(host, Verb::Restart, units, progress).await,
        Step::SetTranscoding { from, to } => Box::pin(transcoding::set(host, from, to)).await,
    }
}

/// Immich writes the time of the file into it, and asks only whether it can be read and written.
fn write_markers(root: &Root, folders: &[HostPath]) -> Result<(), StepError> {
    for folder in folders {
        let marker = root.join(folder.join(".immich").as_path());
        if !marker.exists() {
            files::write(&marker, "", 0o644)?;
        }
    }
    Ok(())
}

/// A target is started later with all services; a socket must listen now, and a timer count.
async fn enable(host: &Host, unit: &UnitName) -> Result<(), StepError> {
    let systemd = host.systemd().await?;
    systemd.enable(unit).await?;
    // systemd syncs no link: one that a power cut took back would look like the operator's `disable`.
    files::commit(&host.root.join(UNITS)).await?;
    if matches!(unit.as_str().rsplit_once('.'), Some((_, "socket" | "timer"))) {
        systemd.run_jobs(Verb::Start, std::slice::from_ref(unit), &mut |_| {}).await?;
    }
    Ok(())
}

async fn disable(host: &Host, unit: &UnitName) -> Result<(), StepError> {
    let systemd = host.systemd().await?;
    systemd.disable(unit).await?;
    files::commit(&host.root.join(UNITS)).await?;
    systemd.run_jobs(Verb::Stop, std::slice::from_ref(unit), &mut |_| {}).await?;
    Ok(())
}

/// The target and, since its own stop job ends before those it passes on, every service.
fn stack_units(survey: &Survey) -> Vec<UnitName> {
    let services = survey.desired.services.iter().map(|service| service.unit.clone());
    std::iter::once(survey.desired.target.clone()).chain(services).collect()
}

async fn remove_network(
    host: &Host,
    network: &NetworkName,
    unit: &UnitName,
    progress: &mut dyn Progress,
) -> Result<(), StepError> {
    units::jobs(host, Verb::Stop, std::slice::from_ref(unit), progress).await?;
    Ok(host.podman.remove_network(network).await?)
}

#[cfg(test)]
mod tests {
    use super::uncovered;

    #[test]
    fn a_volume_is_covered_by_a_mount_at_or_above_it() {
        let volumes = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(uncovered(&volumes(&["/data"]), &["/data", "/data/thumbs"]).is_empty());
        assert!(uncovered(&volumes(&["/var/lib/postgresql/data"]), &["/var/lib/postgresql"]).is_empty());
        // The image of PostgreSQL 18 with the mount of those before it.
        let parent = volumes(&["/var/lib/postgresql"]);
        assert_eq!(uncovered(&parent, &["/var/lib/postgresql/data"]), ["/var/lib/postgresql"]);
    }
}
