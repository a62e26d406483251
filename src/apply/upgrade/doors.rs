//! The doors of the server as steps of an upgrade: closed before anything is stopped, open when nothing is taken back any more.

use crate::apply::restore::{begin, failed};
use crate::apply::{ApplyError, Operation, Progress, Survey, survey};
use crate::config::Loaded;
use crate::host::{Host, door, files};
use crate::model::Refusal;
use crate::model::layout::DOORS;
use crate::plan::door::{Doors, doors};
use crate::plan::{Gate, Observed, Unreachable};
use crate::stack::Desired;

/// Whatever has become of them meanwhile. Those that are closed were, when more was known of the server's networks.
pub(super) async fn keep_closed(
    host: &Host,
    loaded: &Loaded,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let text = files::read(&host.root.join(DOORS)).map_err(failed("look at the doors of the server"))?;
    match text {
        Some(text) => door::close(&host.root, &[text]).await.map_err(failed("keep the doors of the server closed")),
        None => close(host, loaded, operation, progress).await,
    }
}

/// Keeps people out of the server, the one that runs and whichever comes after it.
pub(super) async fn close(
    host: &Host,
    loaded: &Loaded,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let step = "close the doors of the server";
    let reason = "what is uploaded before the new release is known to work could be lost";
    let begun = begin(operation, progress, step, reason, Gate::Open, false)?;
    let doors = {
        let Survey { observed, desired, .. } = survey(host, loaded).await?;
        of(&observed, &desired)?
    };
    door::close(&host.root, &doors.rules()).await.map_err(failed(step))?;
    operation.step_done(begun);
    Ok(())
}

pub(super) fn of(observed: &Observed, desired: &Desired) -> Result<Doors, ApplyError> {
    let silent = |unreachable: &Unreachable| {
        let why = format!("cannot be asked: {}", unreachable.0);
        vec![Refusal::new("Podman", why, "systemctl restart podman.socket")]
    };
    let podman = observed.podman.as_ref().map_err(silent).map_err(ApplyError::Refused)?;
    doors(podman, desired).map_err(ApplyError::Refused)
}

/// Lets people in again.
pub(super) async fn open(
    host: &Host,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let step = "open the doors of the server";
    let begun = begin(operation, progress, step, "nothing is taken back any more", Gate::Open, false)?;
    door::open(&host.root).await.map_err(failed(step))?;
    operation.step_done(begun);
    Ok(())
}
