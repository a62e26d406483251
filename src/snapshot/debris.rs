//! What an interrupted snapshot or deletion leaves: a folder with a snapshot's name and no manifest.

use std::path::Path;
use std::time::Duration;

use crate::apply::{ApplyError, LOCK};
use crate::host::storage::StorageError;
use crate::host::{Host, files, lock, subvolume};
use crate::model::{Root, SnapshotId, Subvolume};
use crate::record::{Generations, PROOF, TEXTS};
use crate::snapshot::{Applied, failed, remove_abandoned};
use crate::stack::Disk;

/// Takes the lock and removes all of it. For whoever starts, and for whoever has taken up an operation that was
/// interrupted. On a host where nothing was ever applied there is nothing.
pub async fn tidy(host: &Host, command: &str, patience: Duration) -> Result<Vec<SnapshotId>, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), command, patience).await?;
    if Generations::new(&host.root).last()?.is_none() {
        return Ok(Vec::new());
    }
    let applied = Applied::read(&host.root)?;
    remove_abandoned(host, &applied).await.map_err(|error| failed("remove what `snapshot verify` left", error))?;
    let removed = remove_debris(&host.root, &applied);
    let removed = removed.map_err(|error| failed("remove what is left of a snapshot", error))?;
    for id in &removed {
        tracing::info!(snapshot = %id, "removed what was left of snapshot {id}, which was never whole or is deleted");
    }
    Ok(removed)
}

/// Removes all of it, on every disk. Only by whoever holds the lock: what is being made looks the same.
pub fn remove_debris(root: &Root, applied: &Applied) -> Result<Vec<SnapshotId>, StorageError> {
    let snapshots = applied.snapshots(root);
    let mut removed = Vec::new();
    for disk in &applied.desired.disks {
        for name in files::list(&root.join(disk.snapshots().as_path()))? {
            let Ok(id) = name.parse::<SnapshotId>() else { continue };
            if !snapshots.is_whole(&id) && remove(root, disk, &id)? {
                removed.push(id);
            }
        }
    }
    removed.sort();
    removed.dedup();
    Ok(removed)
}

/// Removes what is left of one snapshot on every disk.
pub(super) fn remove_all(root: &Root, disks: &[Disk], id: &SnapshotId) -> Result<(), StorageError> {
    disks.iter().try_for_each(|disk| remove(root, disk, id).map(drop))
}

/// Subvolumes with the names of parts, files of ours, and then the folder, if it is empty: what else lies there is
/// somebody's, and stays. So does what has only the name of a snapshot. Returns whether there was anything to remove.
fn remove(root: &Root, disk: &Disk, id: &SnapshotId) -> Result<bool, StorageError> {
    let folder = root.join(disk.snapshots().join(id.as_str()).as_path());
    // A file, a link, or a subvolume that somebody has named so.
    if !subvolume::is_plain_folder(&folder)? {
        return Ok(false);
    }
    let mut found = false;
    for part in Subvolume::ALL {
        let shot = root.join(disk.shot(id, part).as_path());
        let parent = shot.parent().unwrap_or(Path::new(&shot));
        if !subvolume::is_plain_folder(parent)? {
            continue;
        }
        if subvolume::identify(&shot)?.is_some() {
            subvolume::destroy(&shot)?;
            found = true;
        }
        files::remove_empty_folder(parent)?;
    }
    let texts = folder.join(TEXTS);
    if subvolume::is_plain_folder(&texts)? {
        files::remove_tree(&texts)?;
        found = true;
    }
    files::remove(&folder.join(PROOF))?;
    files::remove_leftovers(&folder)?;
    Ok(files::remove_empty_folder(&folder)? || found)
}
