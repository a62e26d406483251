//! What somebody who died has left: a restore is finished before anything else, and debris of snapshots is removed after it.

use std::time::Duration;

use super::status::{Narrator, Voice};
use crate::apply::{self, ApplyError, applied};
use crate::host::Host;
use crate::host::podman::PodmanError;
use crate::model::Root;
use crate::observe::chain;
use crate::record::{Generations, Pending};
use crate::snapshot;

/// Under which the lock is held for what snapshots and upgrades left.
const TIDY: &str = "daemon: tidy";

/// The command under which an interrupted restore is finished.
const FINISH: &str = "daemon: restore";

/// Removes what an interrupted snapshot or deletion left, and opens doors that were left closed. Returns whether there is no need to try again.
pub(super) async fn tidy(root: &Root) -> bool {
    let Ok(host) = Host::new(root.clone()) else { return false };
    if let Err(error) = apply::tidy_doors(&host, TIDY).await
        && !matches!(error, ApplyError::Locked(_))
    {
        tracing::error!("the doors to the server stay closed for now: {}", chain(&error));
    }
    match snapshot::tidy(&host, TIDY, Duration::ZERO).await {
        Ok(_) => true,
        // Whoever is at work may leave something, too.
        Err(ApplyError::Locked(_)) => false,
        Err(error) => {
            tracing::error!("what is left of a snapshot stays for now: {}", chain(&error));
            true
        }
    }
}

/// Finishes a restore that was interrupted, if there is one, before anything is looked at: a plan of what is
/// half-exchanged says nothing.
pub(super) async fn finish_restore(root: &Root, voice: &mut Voice) -> Result<bool, ApplyError> {
    if Pending::read(root)?.is_none_or(|open| !open.goes_back_or_on()) {
        return Ok(false);
    }
    // Where it is undone, what was applied goes on.
    let Some(loaded) = Generations::new(root).last()?.and_then(applied) else { return Ok(false) };
    let host = Host::new(root.clone()).map_err(no_client)?;
    voice.yield_status();
    let last = |_: &Pending| Ok(vec![loaded]);
    apply::resume::<ApplyError>(&host, FINISH, &mut Narrator, || (), last).await?;
    Ok(true)
}

pub(super) fn no_client(error: PodmanError) -> ApplyError {
    ApplyError::Step { step: "look at the host".to_owned(), source: Box::new(error.into()) }
}
