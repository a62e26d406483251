//! One step after the other. Each may run again after an interruption, at any point of it.

use crate::apply::operation::Operation;
use crate::apply::progress::{Event, Progress};
use crate::apply::{ApplyError, Survey, images, secrets, units};
use crate::host::files::{self, FileError};
use crate::host::generator::GeneratorError;
use crate::host::podman::PodmanError;
use crate::host::storage::{self, StorageError};
use crate::host::systemd::{SystemdError, Verb};
use crate::host::{Host, kernel};
use crate::model::{NetworkName, UnitName};
use crate::plan::Step;
use crate::record::RecordError;
use crate::stack::{INNER_INTERFACE, UNITS};

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
    /// The digest could not be locked.
    #[error(transparent)]
    Record(#[from] RecordError),
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
    /// Units did not come up, or down.
    #[error("{}", .0.join("\n"))]
    Jobs(Vec<String>),
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
    for planned in survey.plan.certain_steps() {
        let words = planned.step.to_string();
        let begun = operation.step(&words, &planned.reason, planned.step == Step::StopStack)?;
        progress.hear(Event::Step { step: &words, reason: &planned.reason });
        let result = execute(host, survey, &planned.step, operation.id(), progress).await;
        result.map_err(|source| ApplyError::Step { step: words, source })?;
        operation.step_done(begun);
    }
    Ok(())
}

fn check_units(host: &Host, survey: &Survey) -> Result<(), ApplyError> {
    let installs = |step: &Step| matches!(step, Step::InstallFiles { .. });
    if !survey.plan.steps.iter().any(|planned| installs(&planned.step)) {
        return Ok(());
    }
    units::check(host, &survey.desired)
        .map_err(|source| ApplyError::Step { step: "check the units".to_owned(), source: source.into() })
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
        Step::MakeFolder { path, mode } => Ok(storage::make_folder(&root.join(path.as_path()), *mode)?),
        Step::MakeSubvolume { subvolume, path, label } => {
            let (nocow, owner, mode) = (subvolume.nocow(), subvolume.owner(), subvolume.mode());
            Ok(storage::make_subvolume(&root.join(path.as_path()), nocow, owner, mode, *label)?)
        }
        Step::SetNocow { path } => Ok(storage::set_nocow(&root.join(path.as_path()))?),
        Step::SetOwner { path, owner, mode } => Ok(storage::set_owner(&root.join(path.as_path()), *owner, *mode)?),
        Step::MakeSecret { secret } => secrets::make(host, secret).await,
        Step::Pull { image } => images::pull(host, image, progress).await,
        Step::StopStack => units::jobs(host, Verb::Stop, &stack_units(survey), progress).await,
        Step::InstallFiles { files } => units::install(host, survey, files, operation, progress).await,
        Step::Reload => units::reload(host, &survey.desired).await,
        Step::RemoveFiles { paths } => units::remove(host, paths).await,
        Step::RemoveNetwork { network, unit } => remove_network(host, network, unit, progress).await,
        Step::AllowForwarding => Ok(kernel::allow_forwarding(root)?),
        Step::DenyInnerForwarding => Ok(kernel::deny_forwarding(root, INNER_INTERFACE)?),
        Step::Stop { units } => units::jobs(host, Verb::Stop, units, progress).await,
        Step::Start { units } => units::jobs(host, Verb::Start, units, progress).await,
        Step::Restart { units } => units::jobs(host, Verb::Restart, units, progress).await,
    }
}

/// A target is started later with all services; a socket must listen now.
async fn enable(host: &Host, unit: &UnitName) -> Result<(), StepError> {
    let systemd = host.systemd().await?;
    systemd.enable(unit).await?;
    // systemd syncs no link: one that a power cut took back would look like the operator's `disable`.
    files::commit(&host.root.join(UNITS))?;
    if unit.as_str().ends_with(".socket") {
        systemd.run_jobs(Verb::Start, std::slice::from_ref(unit), &mut |_| {}).await?;
    }
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
