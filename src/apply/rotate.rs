//! A new password for the database, while it runs: the secret, then the role, then whoever reads the secret.
//!
//! In this order, so that a database that starts again at any moment in between gives its role the secret that is in the
//! store by then (docs/adr/0004). What is left half-done here, the next plan sees: the database was not told, or the
//! server mounts the old secret.

use std::time::Duration;

use serde::Serialize;

use crate::apply::{ApplyError, LOCK, Operation, Progress, Report, StepError, Survey, conclude, converge, survey};
use crate::apply::{Event, commit_secrets, random_password};
use crate::config::Loaded;
use crate::host::{Host, lock, process};
use crate::model::{ActiveState, Refusal, RolePassword, Root, SecretName, Service};
use crate::plan::Gate;
use crate::record::{Generations, mends, set_role_password};
use crate::stack::{self, Desired};

/// How long the database may take for one statement. It waits for nobody's lock but that of another `ALTER ROLE`.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that is found by its name (`host::process`).
const PODMAN: &str = "podman";

/// What became of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotation {
    /// The secret.
    pub secret: SecretName,
    /// Whether the role has it.
    pub role: Role,
    /// The operation.
    #[serde(flatten)]
    pub report: Report,
}

/// When the database's role gets the new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It has it.
    Set,
    /// The database is down, and gives it to the role when it starts.
    AtNextStart,
}

/// Makes a new random password under the one lock and brings it to everybody who has to know it.
pub async fn rotate(
    host: &Host,
    loaded: &Loaded,
    secret: &SecretName,
    command: &str,
    progress: &mut dyn Progress,
) -> Result<Rotation, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), command, lock::PATIENCE).await?;
    let survey = survey(host, loaded).await?;
    refuse_unconverged(&host.root, secret, &survey)?;
    let container = running_database(&survey);
    if let Some(container) = &container {
        // Asked before anything is changed: a database that takes no statement now takes none then.
        tell(container, stack::NO_STATEMENT).await.map_err(|source| failed("reach the running database", source))?;
    }
    let mut operation = Operation::begin(&host.root, command)?;
    let done = match change(host, secret, container.as_deref(), &mut operation, progress).await {
        Ok(()) => converge(host, loaded, &mut operation, progress).await,
        Err(error) => Err(error),
    };
    let report = conclude(host, loaded, operation, done)?;
    let role = if container.is_some() { Role::Set } else { Role::AtNextStart };
    Ok(Rotation { secret: secret.clone(), role, report })
}

/// What a restart would bring about besides is not what was asked for.
fn refuse_unconverged(root: &Root, secret: &SecretName, survey: &Survey) -> Result<(), ApplyError> {
    let plan = &survey.plan;
    if !plan.refusals.is_empty() {
        return Err(ApplyError::Refused(plan.refusals.clone()));
    }
    let Some(first) = plan.steps.first() else { return Ok(()) };
    let why = format!("is changed only where nothing else is to do, and this is: {}", first.step);
    let remedy = mends(Generations::new(root).last()?.as_ref());
    Err(ApplyError::Refused(vec![Refusal::new(format!("secret {secret}"), why, remedy)]))
}

/// The container of the database, where it is up.
fn running_database(survey: &Survey) -> Option<String> {
    let Survey { desired: Desired { services, .. }, observed, .. } = survey;
    let service = services.iter().find(|service| service.service == Service::Postgres)?;
    let unit = observed.units.as_ref().ok()?.get(&service.unit)?;
    let container = observed.podman.as_ref().ok()?.containers.get(service.service.stem())?;
    (unit.active == ActiveState::Active).then(|| container.id.clone())
}

async fn change(
    host: &Host,
    secret: &SecretName,
    container: Option<&str>,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let password = random_password().map_err(StepError::Random);
    let password = password.map_err(|source| failed("make a password", source))?;
    let statement = stack::password_statement(&String::from_utf8_lossy(&password));

    let step = format!("replace secret {secret} (32 random characters)");
    let begun = begin(operation, progress, &step, "a new password was asked for")?;
    let stored = host.podman.replace_secret(secret, password).await;
    let id = stored.map_err(|source| failed(&step, source.into()))?;
    commit_secrets(&host.root).await.map_err(|source| failed(&step, source.into()))?;
    operation.step_done(begun);

    let Some(container) = container else { return Ok(()) };
    let step = "set the password of the database's role";
    let begun = begin(operation, progress, step, "the database runs, and takes it without a restart")?;
    tell(container, &statement).await.map_err(|source| failed(step, source))?;
    let role = RolePassword { container: container.to_owned(), secret: id };
    set_role_password(&host.root, role).map_err(|source| failed(step, source.into()))?;
    operation.step_done(begun);
    Ok(())
}

fn begin(
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
    step: &str,
    reason: &str,
) -> Result<std::time::Instant, ApplyError> {
    progress.hear(Event::Step { step, reason });
    Ok(operation.begin_step(step.to_owned(), reason, Gate::Open, false)?)
}

fn failed(step: &str, source: StepError) -> ApplyError {
    ApplyError::Step { step: step.to_owned(), source: Box::new(source) }
}

/// Has the database in this container execute statements. They go through standard input, since arguments and
/// environment of a process are anybody's to read.
async fn tell(container: &str, statements: &str) -> Result<(), StepError> {
    let arguments = stack::session(container);
    Ok(process::feed(PODMAN, &arguments, statements.as_bytes(), PATIENCE).await.map(drop)?)
}
