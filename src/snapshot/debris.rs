//! What an interrupted snapshot or deletion leaves: a folder with a snapshot's name and no manifest.

use std::path::Path;

use crate::host::storage::StorageError;
use crate::host::{files, subvolume};
use crate::model::{Root, SnapshotId, Subvolume};
use crate::record::{PROOF, TEXTS};
use crate::snapshot::Applied;
use crate::stack::Disk;

/// Removes all of it, on every disk. Only by whoever holds the lock: what is being made looks the same.
pub fn remove_debris(root: &Root, applied: &Applied) -> Result<Vec<SnapshotId>, StorageError> {
    let snapshots = applied.snapshots(root);
    let mut removed = Vec::new();
    for disk in &applied.desired.disks {
        for name in files::list(&root.join(disk.snapshots().as_path()))? {
            let Ok(id) = name.parse::<SnapshotId>() else { continue };
            if !snapshots.is_whole(&id) {
                remove(root, disk, &id)?;
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
    disks.iter().try_for_each(|disk| remove(root, disk, id))
}

/// Subvolumes with the names of parts, files of ours, and then the folder, which must be empty: what else lies there is
/// somebody's, and stays.
fn remove(root: &Root, disk: &Disk, id: &SnapshotId) -> Result<(), StorageError> {
    let folder = root.join(disk.snapshots().join(id.as_str()).as_path());
    for part in Subvolume::ALL {
        let shot = root.join(disk.shot(id, part).as_path());
        if subvolume::identify(&shot)?.is_some() {
            subvolume::destroy(&shot)?;
        }
        files::remove_folder(shot.parent().unwrap_or(Path::new(&shot)))?;
    }
    files::remove_tree(&folder.join(TEXTS))?;
    files::remove(&folder.join(PROOF))?;
    files::remove_leftovers(&folder)?;
    Ok(files::remove_folder(&folder)?)
}
