//! Fills a new cluster: the database of the snapshot runs on a clone, with its own version, and what is in it is copied by the
//! tools of the new one, and then counted in both.
//!
//! The old cluster itself is not opened: it stays what it was when it was stopped, whatever happens here.

use std::time::{Duration, Instant};

use crate::apply::major::step;
use crate::apply::restore::disks;
use crate::apply::throwaway::Running;
use crate::apply::{ApplyError, Operation, Progress, StepError};
use crate::host::storage::{self, StorageError};
use crate::host::{Host, files, subvolume};
use crate::model::{HostPath, ImageRef, PostgresMajor, Restore, RestoredDisk, Subvolume};
use crate::observe::chain;
use crate::plan::census::differences;
use crate::stack::succession::{ANALYZE, CENSUS, COPY};
use crate::stack::throwaway::Throwaway;

/// How long room is waited for, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// Fills it, whole and on its disk on return. What it takes for that is [`clear`]ed by whoever calls it, in any case.
pub(super) async fn fill(
    host: &Host,
    forth: &Restore,
    disk: &RestoredDisk,
    (from, to): (PostgresMajor, PostgresMajor),
    images: &(ImageRef, ImageRef),
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(), ApplyError> {
    let text = format!("start PostgreSQL {from} on a clone of {}, and {to} on nothing", forth.snapshot);
    let up = start(host, forth, disk, (from, to), images);
    let (old, mut new) = step(operation, progress, &text, "the one is read, and the other one filled", up).await?;

    let text = format!("copy all databases to PostgreSQL {to}");
    let copied = async { Ok(new.run(COPY).await?) };
    step(operation, progress, &text, "with its own tools; roles and settings go along", copied).await?;

    let (was, is) = step(
        operation,
        progress,
        "count the rows of every table in both",
        "sequences, extensions and migrations have to be the same, too",
        async {
            let (was, is) = (old.run(CENSUS).await?, new.run(CENSUS).await?);
            let differences = differences(&was, &is);
            if differences.is_empty() { Ok((was, is)) } else { Err(StepError::Jobs(differences)) }
        },
    )
    .await?;
    tracing::info!("PostgreSQL {to} has what {from} has: {} of {} things", is.lines().count(), was.lines().count());

    let text = format!("analyze and shut down PostgreSQL {to}");
    let settled = async {
        new.run(ANALYZE).await?;
        new.shut_down().await?;
        // Nothing was waited for until now.
        Ok(files::commit(&host.root.join(place(disk).as_path())).await?)
    };
    step(operation, progress, &text, "its planner knows nothing yet, and its disk not all", settled).await
}

/// Both, as soon as they take statements.
async fn start(
    host: &Host,
    forth: &Restore,
    disk: &RestoredDisk,
    (from, to): (PostgresMajor, PostgresMajor),
    (old_image, new_image): &(ImageRef, ImageRef),
) -> Result<(Running, Running), StepError> {
    let id = &forth.snapshot;
    let clone = clone(host, forth, disk).await?;
    let (clone, cluster) = (clone.to_string_lossy(), host.root.join(place(disk).as_path()));
    let old = Throwaway::source(id, old_image, &clone, from);
    let new = Throwaway::successor(id, new_image, &cluster.to_string_lossy(), to, &clone);
    let mut old = Running::start(old, &host.podman.command(old_image).await?)?;
    let mut new = Running::start(new, &host.podman.command(new_image).await?)?;
    let not_up = |major: PostgresMajor| move |why: String| StepError::Jobs(vec![format!("PostgreSQL {major}: {why}")]);
    old.come_up().await.map_err(not_up(from))?;
    new.come_up().await.map_err(not_up(to))?;
    Ok((old, new))
}

/// The new cluster.
fn place(disk: &RestoredDisk) -> HostPath {
    disks::next(disk).join(Subvolume::Postgres.name())
}

/// A writable clone of the snapshot's database, where snapshots are tried, too: what is left there is known for what it is.
async fn clone(host: &Host, forth: &Restore, disk: &RestoredDisk) -> Result<std::path::PathBuf, StepError> {
    let disk = disks::disk_of(disk);
    let shot = host.root.join(disk.shot(&forth.snapshot, Subvolume::Postgres).as_path());
    let folder = host.root.join(disk.bench(&forth.snapshot).as_path());
    subvolume::make_private_folder(&folder)?;
    let clone = folder.join(Subvolume::Postgres.name());
    subvolume::clone_beside(&shot, &clone).await?;
    if storage::has_nocow(&clone)? { Ok(clone) } else { Err(StorageError::NocowLost(clone).into()) }
}

/// Removes both containers and the clone, if they are there. The containers first: they have it mounted, and the new cluster.
pub(super) async fn clear(host: &Host, forth: &Restore) -> Result<(), StepError> {
    let mut stuck = None;
    for name in [Throwaway::name(&forth.snapshot), Throwaway::successors_name(&forth.snapshot)] {
        if let Err(error) = host.podman.remove_container(&name).await {
            // On a disk that the new cluster has filled. Without its processes, what it holds can go.
            host.podman.end_process(&name).await?;
            stuck = Some(error);
        }
    }
    for disk in &forth.disks {
        let disk = disks::disk_of(disk);
        let folder = host.root.join(disk.bench(&forth.snapshot).as_path());
        let clone = folder.join(Subvolume::Postgres.name());
        let shot = subvolume::identify(&host.root.join(disk.shot(&forth.snapshot, Subvolume::Postgres).as_path()))?;
        if let Some(found) = subvolume::identify(&clone)? {
            if found.parent.is_none() || found.parent != shot.and_then(|shot| shot.uuid) {
                return Err(StepError::NotAsItWas(format!("{} is no clone of {}", clone.display(), forth.snapshot)));
            }
            subvolume::destroy(&clone)?;
        }
        // As long as it is there, the next command on snapshots looks for the containers.
        if stuck.is_none() {
            files::remove_empty_folder(&folder)?;
        }
    }
    stuck.map_or(Ok(()), |error| Err(error.into()))
}

/// The same once there is room again. What has been deleted gives it back only by and by.
pub(super) async fn clear_in_time(host: &Host, forth: &Restore) {
    let begun = Instant::now();
    while let Err(error) = clear(host, forth).await {
        if begun.elapsed() > PATIENCE {
            tracing::warn!("containers are left to the next command on snapshots: {}", chain(&error));
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
