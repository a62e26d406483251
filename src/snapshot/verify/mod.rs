//! Tries whether a snapshot would do: its database is started from a clone, asked and read whole, and files that it
//! names are looked for.
//!
//! That takes minutes, so it does not hold the one lock: the snapshot's folder is held instead, which keeps whoever
//! deletes from it. Everything that is made for it is thrown away whatever happens.

mod bench;
mod checks;
mod files;

use std::time::Instant;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use crate::apply::throwaway::Running;
use crate::apply::{ApplyError, Event, Progress, StepError};
use crate::host::Host;
use crate::host::lock::{self, Lock, Sharing};
use crate::host::podman::commit_images;
use crate::model::{Refusal, Service, SnapshotId};
use crate::record::{Check, Finding, Proof, Snapshots, add_trial};
use crate::snapshot::failed;
use bench::Bench;

pub use bench::remove_abandoned;

/// Which snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest that is understood.
    Latest,
    /// This one.
    This(SnapshotId),
}

/// Tries it, and writes down what came of it. That it was found wanting is no error; that it could not be tried is one.
pub async fn verify(
    host: &Host,
    which: &Which,
    command: &str,
    progress: &mut dyn Progress,
) -> Result<Proof, ApplyError> {
    let (begun, clock) = (Timestamp::now(), Instant::now());
    let bench = Bench::set_up(host, which, command).await?;
    let id = bench.manifest.id.clone();
    let doing = format!("verify snapshot {id}");
    let examined = tokio::select! {
        examined = examine(host, &bench, progress) => examined,
        () = interrupted() => Err(StepError::Interrupted),
    };
    if let Err(error) = bench.clear(host).await {
        tracing::warn!("what was made for it is left to the next command: {}", crate::observe::chain(&error));
    }
    let (checks, found) = examined.map_err(|error| failed(&doing, error))?;
    let proof = Proof {
        schema: 1,
        snapshot: id,
        begun,
        took_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        image: bench.image.clone(),
        checks,
        rows: found.rows,
        files: found.sample,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
    };
    bench.snapshots.put_proof(&proof)?;
    add_trial(&host.root, &proof, bench.manifest.created)?;
    Ok(proof)
}

/// Takes a snapshot for oneself, as whoever deletes or changes it must first, under the one lock. Refused while it is
/// being read.
pub fn hold_alone(snapshots: &Snapshots, id: &SnapshotId) -> Result<Lock, ApplyError> {
    lock::hold(&snapshots.folder(id), Sharing::WithNobody)?.ok_or_else(|| {
        let why = "is being read just now, by `photos-agent snapshot verify` most likely";
        ApplyError::Refused(vec![Refusal::new(format!("snapshot {id}"), why, "wait for its end, then try again")])
    })
}

async fn examine(
    host: &Host,
    bench: &Bench,
    progress: &mut dyn Progress,
) -> Result<(Vec<Check>, checks::Found), StepError> {
    let mut tell = |step: &str| progress.hear(Event::Step { step, reason: "verify" });
    let mut all = vec![check("parts", bench.parts()?), check("stack", bench.texts()?)];
    all.extend(bench.holes().map(|finding| check("holes", finding)));
    let mut found = checks::Found::default();
    let image = &bench.image;
    if !host.podman.has(image).await? {
        tell(&format!("pull {image}"));
        host.podman.pull(image, &mut |_| {}).await?;
        commit_images(&host.root).await?;
    }
    tell("start a database of its own on a clone");
    let own = bench.throwaway(host);
    let command = host.podman.command(image).await?;
    let mut database = Running::start(own, &command)?;
    let start = match database.come_up().await {
        Ok(took) => {
            Finding::Passed { detail: format!("the database recovered and answered after {:.1} s", took.as_secs_f32()) }
        }
        Err(why) => Finding::Failed { why },
    };
    let up = start.has_passed();
    all.push(check(crate::record::START, start));
    if !up {
        return Ok((all, found));
    }
    let (rows, paths) = checks::ask(&database, &mut found).await;
    all.push(check(crate::record::ROWS, rows));
    tell("look for files that it names");
    let looked = match paths {
        Some(paths) => files::look(bench, &paths, &mut found)?,
        None => Finding::NotChecked { why: "the database did not tell its rows".to_owned() },
    };
    all.push(check("files", looked));
    tell("look at the structure of all tables and indexes");
    all.push(check("structure", checks::structure(&database).await));
    tell("read all pages");
    all.push(check("checksums", checks::checksums(database, &found).await));
    Ok((all, found))
}

/// What programs and databases say is shown to people: nothing that a terminal would obey.
fn check(what: &str, finding: Finding) -> Check {
    let plain = |text: String| text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    let finding = match finding {
        Finding::Passed { detail } => Finding::Passed { detail: plain(detail) },
        Finding::Failed { why } => Finding::Failed { why: plain(why) },
        Finding::NotChecked { why } => Finding::NotChecked { why: plain(why) },
    };
    Check { what: what.to_owned(), finding }
}

/// Waits until somebody wants us to end.
async fn interrupted() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The image of the database at that moment.
fn image_of(manifest: &crate::record::Manifest) -> Option<crate::model::ImageRef> {
    manifest.images.get(&Service::Postgres).filter(|image| image.digest().is_some()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_finding_speaks_to_a_terminal() {
        let said = check("structure", Finding::Failed { why: "table \u{1b}[2J\u{9b}31m\r\nline".to_owned() });
        assert_eq!(said.finding, Finding::Failed { why: "table \u{fffd}[2J\u{fffd}31m\u{fffd}\nline".to_owned() });
    }
}
