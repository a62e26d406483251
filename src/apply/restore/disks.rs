//! The trees of one disk: look, make the new one, exchange, put aside, unmake.
//!
//! Each may run twice, at any point of the first time. Before each change the UUIDs are looked at once more. What takes as
//! long as the disk does is waited for beside the thread, since the daemon finishes restores, too, and has to beat.

use std::path::{Path, PathBuf};

use crate::apply::StepError;
use crate::host::storage::{self, StorageError};
use crate::host::{Host, files, kernel, subvolume};
use crate::model::{HostPath, Origin, Restore, RestoredDisk, SnapshotId, Subvolume, SubvolumeUuid};
use crate::plan::restore::{DiskState, Found, Tree, is_new, is_old, removable};
use crate::stack::{Disk, replaced_name};

pub(in crate::apply) fn disk_of(disk: &RestoredDisk) -> Disk {
    Disk { base: disk.base.clone(), subvolumes: disk.parts.keys().copied().collect() }
}

pub(super) fn live(disk: &RestoredDisk) -> HostPath {
    disk_of(disk).live()
}

pub(in crate::apply) fn next(disk: &RestoredDisk) -> HostPath {
    disk_of(disk).next()
}

/// Where what was live before a restore is kept.
pub(super) fn replaced(disk: &RestoredDisk, restore: &Restore) -> HostPath {
    disk_of(disk).replaced().join(&replaced_name(restore.operation, restore.failed))
}

/// What lies in the folders of each disk.
pub(in crate::apply) fn look(host: &Host, restore: &Restore) -> Result<Vec<DiskState>, StorageError> {
    let at = |path: HostPath| tree(&host.root.join(path.as_path()));
    let state = |disk: &RestoredDisk| {
        Ok(DiskState { live: at(live(disk))?, next: at(next(disk))?, replaced: at(replaced(disk, restore))? })
    };
    restore.disks.iter().map(state).collect()
}

/// What lies in a folder; none where there is none.
pub fn tree(folder: &Path) -> Result<Option<Tree>, StorageError> {
    match folder.symlink_metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Ok(Some(Tree { others: vec![".".to_owned()], ..Tree::default() })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let path = folder.to_owned();
            return Err(StorageError::Io { doing: "look at", path, source: error });
        }
    }
    let mut tree = Tree::default();
    for name in files::list(folder)? {
        let part = Subvolume::ALL.into_iter().find(|part| part.name() == name);
        let path = folder.join(&name);
        let found = subvolume::identify(&path)?;
        match part.zip(found.and_then(|found| Some((found.uuid?, found.parent)))) {
            Some((part, (uuid, of))) => {
                let empty = storage::is_empty(&path)?;
                tree.parts.insert(part, Found { uuid, of, empty });
            }
            None => tree.others.push(name),
        }
    }
    Ok(Some(tree))
}

/// Makes the tree that is to be exchanged, whole and on its disk on return.
pub(super) async fn make(host: &Host, disk: &RestoredDisk, snapshot: &SnapshotId) -> Result<(), StepError> {
    begin(host, disk).await?;
    complete(host, disk, snapshot).await
}

/// Its folder, with nothing in it.
async fn begin(host: &Host, disk: &RestoredDisk) -> Result<(), StepError> {
    let (live, next) = (at(host, &live(disk)), at(host, &next(disk)));
    let found = tree(&live)?.unwrap_or_default();
    if !is_old(disk, &found) {
        return Err(not_as_it_was(&live));
    }
    unmake(host, disk).await?;
    Ok(subvolume::make_folder_like(&live, &next)?)
}

/// The same with an empty subvolume for a part that is made anew, on its disk on return. Returns the UUID.
pub(in crate::apply) async fn make_anew(
    host: &Host,
    disk: &RestoredDisk,
    part: Subvolume,
) -> Result<SubvolumeUuid, StepError> {
    begin(host, disk).await?;
    let place = at(host, &next(disk)).join(part.name());
    let label = kernel::has_selinux(&host.root);
    storage::create_subvolume(&place, part.nocow(), part.owner(), part.mode(), label)?;
    subvolume::commit_beside(&place).await?;
    let uuid = subvolume::identify(&place)?.and_then(|found| found.uuid);
    Ok(uuid.ok_or(StorageError::NotASubvolume(place))?)
}

/// The clones of a tree that is being made, and all of it on its disk on return.
pub(in crate::apply) async fn complete(
    host: &Host,
    disk: &RestoredDisk,
    snapshot: &SnapshotId,
) -> Result<(), StepError> {
    let (live, next) = (at(host, &live(disk)), at(host, &next(disk)));
    for (part, change) in &disk.parts {
        let Origin::Clone(of) = &change.of else { continue };
        let source = if change.back { at(host, &disk_of(disk).shot(snapshot, *part)) } else { live.join(part.name()) };
        let uuid = subvolume::identify(&source)?.and_then(|found| found.uuid);
        if uuid.as_ref() != Some(of) {
            return Err(not_as_it_was(&source));
        }
        subvolume::clone_beside(&source, &next.join(part.name())).await?;
    }
    subvolume::commit_beside(&next).await?;
    check(host, disk, snapshot)
}

/// The way back from what is live now: of the same, under the UUIDs that its trees have by now.
pub(in crate::apply) fn from_here(host: &Host, back: Restore) -> Result<Restore, StorageError> {
    let mut disks = back.disks;
    for disk in &mut disks {
        let found = tree(&at(host, &live(disk)))?.unwrap_or_default();
        for (part, change) in &mut disk.parts {
            change.before = found.parts.get(part).map(|found| found.uuid.clone());
            if let (false, Some(before)) = (change.back, &change.before) {
                change.of = Origin::Clone(before.clone());
            }
        }
    }
    Ok(Restore { disks, failed: true, ..back })
}

/// Whether what was made is what was to be made, flags and all.
fn check(host: &Host, disk: &RestoredDisk, snapshot: &SnapshotId) -> Result<(), StepError> {
    let (live, next) = (at(host, &live(disk)), at(host, &next(disk)));
    let made = tree(&next)?.unwrap_or_default();
    if !is_new(disk, &made) || !made.others.is_empty() {
        return Err(not_as_it_was(&next));
    }
    for (part, change) in disk.parts.iter().filter(|(part, _)| part.nocow()) {
        let clone = next.join(part.name());
        let shot = at(host, &disk_of(disk).shot(snapshot, *part));
        let source = if change.back { shot } else { live.join(part.name()) };
        // A live one that has lost it long ago is told as a concern, and is no worse for being cloned.
        let must = change.back || matches!(change.of, Origin::Made { .. });
        if !storage::has_nocow(&clone)? && (must || storage::has_nocow(&source)?) {
            return Err(StorageError::NocowLost(clone).into());
        }
    }
    Ok(())
}

/// The one moment of this disk: before it everything in the tree is as it was, after it as it is to be.
pub(super) async fn exchange(host: &Host, disk: &RestoredDisk) -> Result<(), StepError> {
    let (live, next) = (at(host, &live(disk)), at(host, &next(disk)));
    let (old, new) = (tree(&live)?.unwrap_or_default(), tree(&next)?.unwrap_or_default());
    if !is_old(disk, &old) || !is_new(disk, &new) {
        return Err(not_as_it_was(&live));
    }
    subvolume::exchange(&live, &next)?;
    Ok(subvolume::commit_beside(&live).await?)
}

/// Renames what was live to the place where it is kept.
pub(super) async fn put_aside(host: &Host, disk: &RestoredDisk, restore: &Restore) -> Result<(), StepError> {
    let (live, next) = (at(host, &live(disk)), at(host, &next(disk)));
    let (new, old) = (tree(&live)?.unwrap_or_default(), tree(&next)?.unwrap_or_default());
    if !is_new(disk, &new) || !is_old(disk, &old) {
        return Err(not_as_it_was(&next));
    }
    let kept = at(host, &replaced(disk, restore));
    subvolume::make_private_folder(kept.parent().unwrap_or(&kept))?;
    subvolume::rename(&next, &kept)?;
    Ok(subvolume::commit_beside(&live).await?)
}

/// Removes clones that were never used; anything else in the folder is an error.
pub(super) async fn unmake(host: &Host, disk: &RestoredDisk) -> Result<(), StepError> {
    let (live, next) = (at(host, &live(disk)), at(host, &next(disk)));
    let Some(made) = tree(&next)? else { return Ok(()) };
    let found = tree(&live)?.unwrap_or_default();
    let parts = removable(disk, &made).filter(|_| is_old(disk, &found)).ok_or_else(|| not_as_it_was(&next))?;
    for part in parts {
        let place = next.join(part.name());
        // What is known by its being empty goes only while it is.
        let is_unknown = disk.parts.get(&part).is_some_and(|change| change.of == Origin::Made { made: None });
        if is_unknown {
            files::remove_empty_folder(&place)?;
        } else {
            subvolume::destroy(&place)?;
        }
    }
    files::remove_empty_folder(&next)?;
    Ok(subvolume::commit_beside(&live).await?)
}

fn at(host: &Host, path: &HostPath) -> PathBuf {
    host.root.join(path.as_path())
}

fn not_as_it_was(path: &Path) -> StepError {
    StepError::NotAsItWas(format!("{} is not what it was when the restore was begun", path.display()))
}
