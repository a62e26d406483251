//! What photos-resolve.service runs: finishes an operation that was cut off, before any service starts.
//!
//! The services wait for READY=1, which is sent as soon as nothing is left that one of them must not meet; what
//! else there is to do goes on beside them. Where that moment does not come, their conditions hold them.

use std::time::Duration;

use crate::agent::status::{Narrator, notify_ready};
use crate::apply::{self, ApplyError, Report, applied};
use crate::config::{Diagnostics, Loaded};
use crate::host::Host;
use crate::log;
use crate::model::Root;
use crate::observe::chain;
use crate::record::{Generations, Pending};
use crate::snapshot;

/// The command under which it stands in the history.
pub(super) const RESOLVE: &str = "photos-resolve";

/// The command under which the daemon applies the files.
pub(super) const APPLY: &str = "daemon";

/// Whether whoever began it was applying the files, or finishing for somebody who was.
pub(super) fn applies_files(open: &Pending) -> bool {
    [APPLY, "photos-agent apply", RESOLVE].contains(&open.command.as_str())
}

/// Finishes the open operation; none if there is none.
pub async fn resolve<E: From<ApplyError> + From<Diagnostics>>(
    host: &Host,
    load: impl FnOnce() -> Result<Loaded, Diagnostics>,
) -> Result<Option<Report>, E> {
    // Whoever is at work starts the services himself, and must not wait for those that wait for this unit.
    let choose = |open: &Pending| choose::<E>(&host.root, open, load);
    let report = apply::resume::<E>(host, RESOLVE, &mut Narrator, notify_ready, choose).await?;
    // Where nothing was to be started, nobody has said it yet; to end without it is a failure to systemd.
    notify_ready();
    // It goes on beside the services, and is no reason to hold them: what is not whole, nobody starts from.
    if let Err(error) = snapshot::tidy(host, RESOLVE, Duration::MAX).await {
        tracing::error!("what is left of a snapshot stays for now: {}", chain(&error));
    }
    if let Some(Report { generation, steps, .. }) = &report {
        tracing::info!(message_id = log::CONVERGED, generation, steps = steps.len(), "converged");
    }
    Ok(report)
}

/// The files, where they were being applied, and then what was applied last: services must not wait for somebody who
/// mends a file.
fn choose<E: From<ApplyError> + From<Diagnostics>>(
    root: &Root,
    open: &Pending,
    load: impl FnOnce() -> Result<Loaded, Diagnostics>,
) -> Result<Vec<Loaded>, E> {
    let last = Generations::new(root).last().map_err(ApplyError::from)?.and_then(applied);
    match last {
        Some(last) if !applies_files(open) => Ok(vec![last]),
        last => match load() {
            Ok(files) => Ok(std::iter::once(files).chain(last).collect()),
            Err(mistakes) => match last {
                Some(last) => {
                    tracing::error!(
                        message_id = log::REFUSED,
                        "the configuration has mistakes, back to the last one that was applied:\n{mistakes}"
                    );
                    Ok(vec![last])
                }
                None => Err(mistakes.into()),
            },
        },
    }
}
