//! What photos-resolve.service runs: finishes an operation that was cut off, before any service starts.
//!
//! The services wait for READY=1, which is sent as soon as nothing is left that one of them must not meet; what
//! else there is to do goes on beside them. Where that moment does not come, their conditions hold them.

use crate::agent::status::{Narrator, notify_ready};
use crate::apply::{self, ApplyError, LOCK, Report};
use crate::config::Loaded;
use crate::host::Host;
use crate::host::lock;
use crate::log;
use crate::record::Pending;

/// Finishes the open operation; none if there is none.
pub async fn resolve<E: From<ApplyError>>(
    host: &Host,
    load: impl FnOnce() -> Result<Loaded, E>,
) -> Result<Option<Report>, E> {
    if Pending::read(&host.root).map_err(ApplyError::from)?.is_none() {
        return Ok(None);
    }
    // Whoever is at work starts the services himself, and must not wait for those that wait for this unit.
    if lock::holder(&host.root.join(LOCK)).is_some() {
        notify_ready();
    }
    let report = apply::resume(host, &load()?, "photos-resolve", &mut Narrator).await?;
    if let Some(Report { generation, steps, .. }) = &report {
        tracing::info!(message_id = log::CONVERGED, generation, steps = steps.len(), "converged");
    }
    Ok(report)
}
