//! The database as text of PostgreSQL's own, taken before every upgrade: what is left where a snapshot is of no use, on another
//! machine or for another major version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::apply::{ApplyError, Event, Operation, Progress, StepError};
use crate::host::{Host, files, process, storage};
use crate::model::{Service, SnapshotId};
use crate::plan::Gate;
use crate::snapshot::Applied;
use crate::stack;

/// Longest that it may take: a large library on a slow disk, with room to spare.
const PATIENCE: Duration = Duration::from_secs(6 * 60 * 60);

/// How many are kept: that of this upgrade, and of the one before it.
const KEPT: usize = 2;

/// What each ends in.
const DUMP: &str = ".dump";

/// Takes one, whole and on its disk on return.
pub(super) async fn take(
    host: &Host,
    applied: &Applied,
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let Some(disk) = applied.desired.disks.first() else { return Ok(()) };
    let folder = disk.base.join("dumps");
    // Named by the moment, as snapshots are, and by what wrote it.
    let name = format!("{}-{}{DUMP}", SnapshotId::of(Timestamp::now(), 1), applied.desired.runs.release);
    let path = folder.join(&name);
    let step = format!("dump the database to {path}");
    let reason = "a second way back, while everything runs";
    progress.hear(Event::Step { step: &step, reason });
    let begun = operation.begin_step(step.clone(), reason, Gate::Open, false)?;
    let folder = host.root.join(folder.as_path());
    let taken = write(&folder, &name).await;
    taken.map_err(|source| ApplyError::Step { step, source: Box::new(source) })?;
    operation.step_done(begun);
    for old in too_many(files::list(&folder).unwrap_or_default(), &name) {
        if let Err(error) = files::remove(&folder.join(&old)) {
            tracing::warn!("the old dump {old} is still there: {}", crate::observe::chain(&error));
        }
    }
    Ok(())
}

async fn write(folder: &Path, name: &str) -> Result<(), StepError> {
    storage::make_folder(folder, 0o700)?;
    // What was cut off.
    for part in files::list(folder)?.iter().filter(|name| name.ends_with(".dump.part")) {
        files::remove(&folder.join(part))?;
    }
    let part: PathBuf = folder.join(format!("{name}.part"));
    let written = process::write_output("podman", &stack::dump(Service::Postgres.stem()), &part, PATIENCE).await;
    if let Err(error) = written {
        // A full disk most likely, of which this is a part.
        let _ = files::remove(&part);
        return Err(error.into());
    }
    Ok(files::finish(&part, &folder.join(name))?)
}

/// All but `newest` and those before it by their names; a clock may have been set back.
fn too_many(mut names: Vec<String>, newest: &str) -> Vec<String> {
    names.retain(|name| name.ends_with(DUMP) && name != newest);
    names.sort();
    names.truncate((names.len() + 1).saturating_sub(KEPT));
    names
}

#[cfg(test)]
mod tests {
    use super::too_many;

    #[test]
    fn the_newest_two_stay_and_what_is_no_dump() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let three = [
            "20261121T020000Z-v3.2.0.dump",
            "mine.sql",
            "20261101T020000Z-v3.1.0.dump",
            "20261120T020000Z-v3.1.0.dump",
        ];
        assert_eq!(too_many(names(&three), "20261121T020000Z-v3.2.0.dump"), ["20261101T020000Z-v3.1.0.dump"]);
        assert!(too_many(names(&three[..2]), "20261121T020000Z-v3.2.0.dump").is_empty());
    }
}
