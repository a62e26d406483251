//! What photos-resolve.service runs: finishes an operation that was cut off, before any service starts.
//!
//! The services wait for READY=1, which is sent as soon as nothing is left that one of them must not meet; what
//! else there is to do goes on beside them. Where that moment does not come, their conditions hold them.

use std::time::Duration;

use crate::agent::status::{Narrator, notify_ready};
use crate::apply::{self, ApplyError, LOCK, Report, applied};
use crate::config::{Diagnostics, Loaded};
use crate::host::Host;
use crate::host::lock;
use crate::log;
use crate::observe::chain;
use crate::record::{Generations, Pending};
use crate::snapshot;

/// The command under which it stands in the history.
pub(super) const RESOLVE: &str = "photos-resolve";

/// Finishes the open operation; none if there is none.
pub async fn resolve<E: From<ApplyError> + From<Diagnostics>>(
    host: &Host,
    load: impl FnOnce() -> Result<Loaded, Diagnostics>,
) -> Result<Option<Report>, E> {
    if Pending::read(&host.root).map_err(ApplyError::from)?.is_none() {
        notify_ready();
        return Ok(None);
    }
    // Whoever is at work starts the services himself, and must not wait for those that wait for this unit.
    if lock::holder(&host.root.join(LOCK)).is_some() {
        notify_ready();
    }
    let loaded = match load() {
        Ok(loaded) => loaded,
        // What was begun is undone: services must not wait for somebody who mends a file.
        Err(mistakes) => match Generations::new(&host.root).last().map_err(ApplyError::from)?.and_then(applied) {
            Some(loaded) => {
                tracing::error!(
                    message_id = log::REFUSED,
                    "the configuration has mistakes, back to the last one that was applied:\n{mistakes}"
                );
                loaded
            }
            None => return Err(mistakes.into()),
        },
    };
    let report = apply::resume(host, &loaded, RESOLVE, &mut Narrator).await?;
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
