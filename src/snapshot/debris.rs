//! What an interrupted snapshot or deletion leaves: a folder with a snapshot's name and no manifest.
//!
//! That a manifest is not seen is not enough where it would lie on another disk, which may be away or a new one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::apply::{ApplyError, LOCK};
use crate::host::storage::StorageError;
use crate::host::{Host, files, lock, subvolume};
use crate::model::layout::STATE;
use crate::model::{HostPath, Refusal, Root, SnapshotId, Subvolume};
use crate::record::{FOLDERS, Generations, MANIFEST, Manifest, PROOF, Snapshots, TEXTS};
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
    // A journal that was being written.
    for folder in FOLDERS {
        files::remove_leftovers(&root.join(STATE).join(folder))?;
    }
    let swept = sweep(root, &applied.desired.disks, &applied.snapshots(root))?;
    if let Some((disk, id)) = swept.strangers.first() {
        let count = swept.strangers.len();
        tracing::warn!(
            "{count} snapshots, {id} on {disk} among them, have no manifest in {}: they are left as they are",
            applied.desired.snapshots
        );
    }
    Ok(swept.removed)
}

/// Refuses where a disk is away: neither what is there nor what is whole can be told then.
pub fn refuse_missing(root: &Root, disks: &[Disk]) -> Result<(), ApplyError> {
    let mut refusals = Vec::new();
    for disk in disks {
        if !has_live(root, disk).map_err(|error| failed("look at what is live", error))? {
            let why = "is not there: is its disk mounted?";
            refusals.push(Refusal::new(disk.live().as_str(), why, "findmnt; systemctl --failed"));
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(ApplyError::Refused(refusals)) }
}

fn has_live(root: &Root, disk: &Disk) -> Result<bool, StorageError> {
    Ok(files::is_there(&root.join(disk.live().as_path()))?)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Swept {
    removed: Vec<SnapshotId>,
    /// What lies on a disk and is whole by its copy of the manifest, while the first disk knows nothing of it.
    strangers: Vec<(HostPath, SnapshotId)>,
}

/// On the first disk, whatever has no manifest is debris: the two lie in one folder. On another disk it must have no copy
/// either; or the first disk must have begun it, or begun to delete it, by the filesystem that the copy names.
fn sweep(root: &Root, disks: &[Disk], snapshots: &Snapshots) -> Result<Swept, StorageError> {
    for disk in disks {
        if !has_live(root, disk)? {
            return Err(StorageError::Missing(root.join(disk.live().as_path())));
        }
    }
    let (mut swept, mut debris) = (Swept::default(), BTreeSet::new());
    for disk in disks {
        for name in files::list(&root.join(disk.snapshots().as_path()))? {
            let Ok(id) = name.parse::<SnapshotId>() else { continue };
            if !snapshots.is_whole(&id)? {
                debris.insert(id);
            }
        }
    }
    let Some((first, others)) = disks.split_first() else { return Ok(swept) };
    let here = subvolume::filesystem(&root.join(first.base.as_path()))?;
    for id in debris {
        let begun = subvolume::is_plain_folder(&snapshots.folder(&id))?;
        let mut found = false;
        // The first disk is the last: as long as its folder is there, the copies on the others are known for what they are.
        for disk in others {
            let copies = Snapshots::new(root.join(disk.snapshots().as_path()));
            if copies.is_whole(&id)? {
                let is_ours = |copy: &Manifest| copy.id == id && copy.filesystem == here;
                if !begun || !copies.get(&id).ok().flatten().as_ref().is_some_and(is_ours) {
                    swept.strangers.push((disk.base.clone(), id.clone()));
                    continue;
                }
                files::remove(&copies.folder(&id).join(MANIFEST))?;
            }
            found |= remove(root, disk, &id)?;
        }
        found |= remove(root, first, &id)?;
        if found {
            swept.removed.push(id);
        }
    }
    Ok(swept)
}

/// Removes what is left of one snapshot on every disk, on the first one last.
pub(super) fn remove_all(root: &Root, disks: &[Disk], id: &SnapshotId) -> Result<(), StorageError> {
    disks.iter().rev().try_for_each(|disk| remove(root, disk, id).map(drop))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const IDS: [&str; 2] = ["20261121T020000Z", "20261122T020000Z"];

    /// Two disks; each has something of two snapshots. No BTRFS: what is removed are folders.
    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            for (disk, part) in [("photos", "media"), ("databases", "postgres")] {
                fs::create_dir_all(world.at(disk).join("live")).unwrap();
                for id in IDS {
                    fs::create_dir_all(world.at(disk).join(".snapshots").join(id).join(part)).unwrap();
                }
            }
            world
        }

        fn at(&self, name: &str) -> std::path::PathBuf {
            self.0.path().join("srv").join(name)
        }

        /// Writes a manifest, or a copy of one, that names this filesystem.
        fn put(&self, disk: &str, id: &str, filesystem: Option<&str>) {
            let filesystem = serde_json::to_string(&filesystem).unwrap();
            let text = format!(
                r#"{{"schema": 1, "id": "{id}", "created": "2026-11-21T02:00:00Z", "reason": "", "command": "", "by": "",
                "keep": false, "frozen_us": 1, "filesystem": {filesystem}, "parts": {{}}, "release": "", "database": null,
                "generation": 1, "images": {{}}, "texts": {{}}, "agent": ""}}"#
            );
            fs::write(self.at(disk).join(".snapshots").join(id).join(MANIFEST), text).unwrap();
        }

        fn sweep(&self) -> Result<Swept, StorageError> {
            let base = |name: &str| format!("/srv/{name}").parse::<HostPath>().unwrap();
            let disks = [
                Disk { base: base("photos"), subvolumes: vec![Subvolume::Media] },
                Disk { base: base("databases"), subvolumes: vec![Subvolume::Postgres] },
            ];
            let folder = |disk: &Disk| self.0.path().join(disk.snapshots().as_path().strip_prefix("/").unwrap());
            let snapshots = Snapshots::with_copies(folder(&disks[0]), vec![folder(&disks[1])]);
            sweep(&Root::new(self.0.path()), &disks, &snapshots)
        }

        /// What there is on a disk.
        fn left(&self, disk: &str) -> Vec<String> {
            files::list(&self.at(disk).join(".snapshots")).unwrap()
        }
    }

    fn removed(ids: &[&str]) -> Swept {
        Swept { removed: ids.iter().map(|id| id.parse().unwrap()).collect(), strangers: Vec::new() }
    }

    fn strangers(ids: &[&str]) -> Swept {
        let disk: HostPath = "/srv/databases".parse().unwrap();
        let strangers = ids.iter().map(|id| (disk.clone(), id.parse().unwrap())).collect();
        Swept { strangers, ..Swept::default() }
    }

    #[test]
    fn what_was_never_finished_goes_from_both_disks() {
        let world = World::new();
        world.put("photos", IDS[0], None);
        world.put("databases", IDS[0], None);
        assert_eq!(world.sweep().unwrap(), removed(&IDS[1..]));
        assert_eq!((world.left("photos"), world.left("databases")), (vec![IDS[0].to_owned()], vec![IDS[0].to_owned()]));
        assert_eq!(world.sweep().unwrap(), Swept::default());
    }

    #[test]
    fn a_disk_that_is_away_costs_nothing() {
        for away in ["photos", "databases"] {
            let world = World::new();
            for disk in ["photos", "databases"] {
                world.put(disk, IDS[0], None);
            }
            fs::rename(world.at(away), world.at("elsewhere")).unwrap();
            fs::create_dir(world.at(away)).unwrap();
            assert!(matches!(world.sweep(), Err(StorageError::Missing(_))), "{away}");
            // Somebody has made the folders anew.
            fs::create_dir_all(world.at(away).join("live")).unwrap();
            fs::create_dir_all(world.at(away).join(".snapshots")).unwrap();
            if away == "photos" {
                let swept = world.sweep().unwrap();
                assert_eq!(swept.strangers, strangers(&IDS[..1]).strangers, "the other was never finished");
            } else {
                world.sweep().unwrap();
            }
            let other = if away == "photos" { "databases" } else { "photos" };
            assert_eq!((world.left("elsewhere").len(), world.left(other)), (2, vec![IDS[0].to_owned()]), "{away}");
        }
    }

    #[test]
    fn what_was_cut_off_between_two_disks_goes_only_where_it_was_begun() {
        let here = subvolume::filesystem(World::new().0.path()).unwrap().map(|uuid| uuid.to_string());
        let elsewhere = Some("93f18ddd-47e7-2942-880b-de79f92b74b1");
        for (filesystem, begun, gone) in
            [(here.as_deref(), true, true), (here.as_deref(), false, false), (elsewhere, true, false)]
        {
            let world = World::new();
            world.put("photos", IDS[0], None);
            world.put("databases", IDS[0], None);
            world.put("databases", IDS[1], filesystem);
            if !begun {
                fs::remove_dir_all(world.at("photos").join(".snapshots").join(IDS[1])).unwrap();
            }
            let swept = world.sweep().unwrap();
            assert_eq!(swept.strangers.is_empty(), gone, "{filesystem:?}, {begun}: {swept:?}");
            assert_eq!(world.left("databases").len(), if gone { 1 } else { 2 }, "{filesystem:?}, {begun}");
        }
        // A copy that nobody understands.
        let world = World::new();
        fs::write(world.at("databases").join(".snapshots").join(IDS[1]).join(MANIFEST), "{").unwrap();
        assert_eq!(world.sweep().unwrap().strangers, strangers(&IDS[1..]).strangers);
        assert_eq!(world.left("databases"), IDS[1..]);
    }

    #[test]
    fn a_manifest_that_cannot_be_looked_at_stops_it() {
        let world = World::new();
        let folder = world.at("photos").join(".snapshots").join(IDS[0]);
        fs::remove_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(IDS[0], &folder).unwrap();
        assert!(world.sweep().is_err());
        assert_eq!(world.left("databases"), IDS);
    }
}
