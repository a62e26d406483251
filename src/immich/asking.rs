//! A scan that is asked for: the last look, the call, and the wait for its end.
//!
//! The lock that restores take is held from the last look until Immich is done: one in between would put another tree under a scan that
//! was allowed for this one. What a restart leaves of it, the server's unit throws away (`stack`).

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::apply::{LOCK, SCANNING};
use crate::host::immich::{CallError, Library, Statistics};
use crate::host::{Host, lock};
use crate::immich::known;
use crate::immich::look::{self, QUEUE};
use crate::immich::scan::{Counts, Scanned, Wish};
use crate::immich::{Error, Server};
use crate::model::{MaxMissing, Refusal};
use crate::observe::chain;
use crate::plan::scan::{Seen, obstacles};
use crate::record::{Libraries, Scan, set_libraries};
use crate::snapshot::{Applied, refuse_open_operation};

/// How long a scan is waited for. It goes on all the same.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

/// Why nothing is scanned while an operation is open.
pub(super) const OPEN: &str = "and what it leaves may be another tree, so nothing is scanned";

/// How often the queue is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How often in a row it has to be empty: a job may be about to queue the next one.
const EMPTY: u32 = 3;

/// Refuses where something stands in the way.
pub(super) fn check(library: &Library, seen: &Seen, max_missing: MaxMissing, force: bool) -> Result<(), Error> {
    let standing = obstacles(seen, max_missing, force);
    if standing.is_empty() {
        return Ok(());
    }
    let error = Error::Guarded { name: library.name.clone(), id: library.id.clone(), obstacles: standing };
    tracing::warn!(known = seen.known(), missing = seen.missing(), "{error}");
    Err(error)
}

/// Has it scanned, and waits for the end. It is written down at once: whatever becomes of the wait, it was asked for.
pub(super) async fn scan(
    host: &Host,
    server: &Server,
    wish: &Wish,
    library: Library,
    seen: &Seen,
    mut known: Libraries,
) -> Result<Scanned, Error> {
    let _scanning = lock::take(&host.root.join(SCANNING), &wish.command, wish.patience).await?;
    let before = server.client.statistics(&library.id).await?;
    let last = known.scans.get(&library.id);
    let (at, seen) = ask(host, server, wish, &library, last, seen).await?;
    let Library { id, name, .. } = library;
    let mut scan = Scan {
        at,
        subvolumes: look::subvolumes(&seen),
        known: seen.known(),
        missing: seen.missing(),
        before: before.total,
        after: None,
        trashed: None,
    };
    known.scans.insert(id.clone(), scan.clone());
    set_libraries(&host.root, &known)?;
    let after = match wait(host, server, &id).await {
        Ok(after) => after,
        Err(error) => {
            tracing::warn!("what came of the scan of {name} is not known: {}", chain(&error));
            None
        }
    };
    scan.after = after.map(|after| after.total);
    scan.trashed = if after.is_some() { trashed(&id, at).await } else { None };
    let trashed = scan.trashed;
    known.scans.insert(id.clone(), scan);
    set_libraries(&host.root, &known)?;
    Ok(Scanned {
        name,
        library: id,
        known: seen.known(),
        missing: seen.missing(),
        before: before.into(),
        after: after.map(Counts::from),
        trashed,
        overridden: Vec::new(),
        own_scans_switched_off: false,
    })
}

/// Asks for it, if all that can be seen in a moment is still as it should be: what was counted may have taken hours. Nobody changes the
/// host meanwhile. Returns when it was asked for, and what was seen then.
async fn ask(
    host: &Host,
    server: &Server,
    wish: &Wish,
    library: &Library,
    last: Option<&Scan>,
    counted: &Seen,
) -> Result<(Timestamp, Seen), Error> {
    let _lock = lock::take(&host.root.join(LOCK), &wish.command, wish.patience).await?;
    refuse_open_operation(&host.root, OPEN)?;
    // An apply may have ended in between.
    let applied = Applied::read(&host.root)?;
    server.check_same(host).await?;
    let now = server.client.libraries().await?.into_iter().find(|now| now.id == library.id);
    if now.is_none_or(|now| now.import_paths != library.import_paths) {
        let why =
            "has got other import paths in Immich meanwhile, or is gone, and what was looked through was another tree";
        return Err(Refusal::new(format!("the library {}", library.name), why, "try again").into());
    }
    let seen = look::again(host, &applied, server, library, last, counted).await?;
    check(library, &seen, applied.loaded.settings.icloud.max_missing, wish.force)?;
    // What was looked at is what is asked.
    server.check_same(host).await?;
    let at = Timestamp::now();
    server.client.scan(&library.id).await?;
    Ok((at, seen))
}

/// What it has moved to the trash; none where the database does not say.
async fn trashed(id: &str, since: Timestamp) -> Option<u64> {
    match known::trashed(id, since).await {
        Ok(trashed) => Some(trashed),
        Err(error) => {
            tracing::warn!("the database does not say what the scan has moved to the trash: {}", chain(&error));
            None
        }
    }
}

/// What the library holds when nothing is left in the queue; none where that did not come in time. A server that is busy may not answer
/// for a while; one that was started anew has nothing left of the scan.
async fn wait(host: &Host, server: &Server, id: &str) -> Result<Option<Statistics>, Error> {
    let (begun, mut empty) = (Instant::now(), 0);
    while begun.elapsed() < PATIENCE {
        match look_after(server, id, &mut empty).await {
            Ok(Some(statistics)) => return Ok(Some(statistics)),
            Ok(None) => {}
            // It answers, and will say the same again.
            Err(error @ CallError::Refused { status: 400..=499, .. }) => return Err(error.into()),
            Err(error) => {
                empty = 0;
                if let Err(other @ Error::Refused(_)) = server.check_same(host).await {
                    return Err(other);
                }
                tracing::debug!("the queue of scans was not seen: {}", chain(&error));
            }
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(None)
}

/// One look at the queue, and at the library where there was nothing in it for long enough.
async fn look_after(server: &Server, id: &str, empty: &mut u32) -> Result<Option<Statistics>, CallError> {
    *empty = if server.client.queue(QUEUE).await?.left() == 0 { *empty + 1 } else { 0 };
    if *empty < EMPTY {
        return Ok(None);
    }
    server.client.statistics(id).await.map(Some)
}
