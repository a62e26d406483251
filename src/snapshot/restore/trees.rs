//! The live trees: whether each can be exchanged, and what it would be exchanged for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::apply::{ApplyError, tree};
use crate::host::holders::{Holder, holders};
use crate::host::storage::{self, StorageError};
use crate::host::subvolume;
use crate::model::{Change, HostPath, Origin, Refusal, RestoredDisk, Root, Subvolume};
use crate::plan::restore::Tree;
use crate::record::Manifest;
use crate::snapshot::failed;
use crate::snapshot::restore::what;
use crate::stack::{Disk, SLICE};

/// What was found.
pub(super) struct Trees {
    pub disks: Vec<RestoredDisk>,
    pub kept: Vec<HostPath>,
    pub warnings: Vec<String>,
}

/// Folders of Immich with a `.immich` in media, without which it does not start again.
const MARKED: [&str; 4] = ["upload", "library", "profile", "backups"];

/// Looks at every disk that something goes back on; all that is in the way is told at once.
pub(super) fn look(
    root: &Root,
    disks: &[Disk],
    manifest: &Manifest,
    back: &BTreeSet<Subvolume>,
    operation: u64,
) -> Result<Trees, ApplyError> {
    let mut refusals = taken(root, disks, operation);
    let mut trees = Trees { disks: Vec::new(), kept: Vec::new(), warnings: Vec::new() };
    for disk in disks.iter().filter(|disk| disk.subvolumes.iter().any(|part| back.contains(part))) {
        let kept = disk.replaced().join(&format!("{operation:06}"));
        let goes_back = |part: Subvolume| back.contains(&part).then_some(manifest);
        let found = look_at(root, disk, goes_back, &mut refusals);
        let parts = found.map_err(|error| failed("look at what is live", error))?;
        trees.disks.push(RestoredDisk { base: disk.base.clone(), parts });
        trees.kept.push(kept);
    }
    if !refusals.is_empty() {
        return Err(ApplyError::Refused(refusals));
    }
    trees.warnings = unmarked(root, disks, manifest, back);
    Ok(trees)
}

/// The same of what is live alone, while nobody knows yet what it would be exchanged for.
pub(super) fn refuse_unexchangeable(root: &Root, disks: &[Disk], operation: u64) -> Result<(), ApplyError> {
    let mut refusals = taken(root, disks, operation);
    for disk in disks {
        look_at(root, disk, |_| None, &mut refusals).map_err(|error| failed("look at what is live", error))?;
    }
    if refusals.is_empty() { Ok(()) } else { Err(ApplyError::Refused(refusals)) }
}

/// Places that an exchange needs, and that are not free.
fn taken(root: &Root, disks: &[Disk], operation: u64) -> Vec<Refusal> {
    let places = disks.iter().flat_map(|disk| [disk.next(), disk.replaced().join(&format!("{operation:06}"))]);
    let taken = places.filter(|place| root.join(place.as_path()).symlink_metadata().is_ok());
    let why = "is there, and what goes back needs the place";
    taken.map(|place| Refusal::new(place.as_str(), why, format!("mv '{place}' '{place}.aside'"))).collect()
}

fn look_at<'a>(
    root: &Root,
    disk: &Disk,
    goes_back: impl Fn(Subvolume) -> Option<&'a Manifest>,
    refusals: &mut Vec<Refusal>,
) -> Result<BTreeMap<Subvolume, Change>, StorageError> {
    let live = disk.live();
    let at = root.join(live.as_path());
    let Some(found) = tree(&at)? else {
        refusals.push(Refusal::new(live.as_str(), "is not there: is its disk mounted?", "findmnt; systemctl --failed"));
        return Ok(BTreeMap::new());
    };
    refuse_foreign(disk, &found, refusals);
    for mounted in storage::mounts_below(&at)? {
        let why = "is a mount point, and a mount stays behind when the folder goes";
        let remedy = format!("umount '{}', and mount it elsewhere for good", mounted.display());
        refusals.push(Refusal::new(mounted.display().to_string(), why, remedy));
    }
    for Holder { pid, program } in holders(&at, SLICE)? {
        let why = format!(
            "is mounted by {program} (process {pid}), a container most likely, which would go on with what is put aside"
        );
        let remedy = format!("systemctl status {pid}, and stop what that shows until the restore is done (podman ps)");
        refusals.push(Refusal::new(live.as_str(), why, remedy));
    }
    let mut changes = BTreeMap::new();
    for part in &disk.subvolumes {
        let before = found.parts.get(part).map(|found| found.uuid.clone());
        let path = live.join(part.name());
        if before.is_some() && !subvolume::children(&root.join(path.as_path()))?.is_empty() {
            let why = "has subvolumes of its own within, which neither a snapshot nor a clone holds";
            let remedy = format!("move them elsewhere: btrfs subvolume list -o '{path}'");
            refusals.push(Refusal::new(path.as_str(), why, remedy));
        }
        let manifest = goes_back(*part);
        let of = match manifest {
            Some(manifest) => whole(root, disk, *part, manifest, refusals)?,
            None => before.clone(),
        };
        if let Some(of) = of {
            changes.insert(*part, Change { before, of: Origin::Clone(of), back: manifest.is_some() });
        }
    }
    Ok(changes)
}

/// The UUID of a part of the snapshot, if it is what the manifest says.
fn whole(
    root: &Root,
    disk: &Disk,
    part: Subvolume,
    manifest: &Manifest,
    refusals: &mut Vec<Refusal>,
) -> Result<Option<crate::model::SubvolumeUuid>, StorageError> {
    let shot = disk.shot(&manifest.id, part);
    let wanted = manifest.parts.get(&part).map(|part| &part.uuid);
    let why = match subvolume::identify(&root.join(shot.as_path()))? {
        Some(found) if !found.read_only => {
            format!("of {} can be written, so that it may have been changed", part.name())
        }
        Some(found) if found.uuid.is_some() && found.uuid.as_ref() == wanted => return Ok(found.uuid),
        Some(_) => format!("of {} is not the one in its manifest", part.name()),
        None => format!("of {} is gone", part.name()),
    };
    let remedy = "take another one: photos-agent snapshot list";
    refusals.push(Refusal::new(what(&manifest.id), format!("{shot}, {why}"), remedy));
    Ok(None)
}

/// One exchange takes the whole folder along, with whatever lies in it.
fn refuse_foreign(disk: &Disk, found: &Tree, refusals: &mut Vec<Refusal>) {
    let live = disk.live();
    // A database that has moved to a disk of its own may have left the old one here.
    let elsewhere = found.parts.keys().filter(|part| !disk.subvolumes.contains(part)).map(|part| part.name());
    let others = found.others.iter().map(String::as_str).filter(|name| !is_ours(name));
    for name in others.chain(elsewhere) {
        let (why, remedy) = if disk.subvolumes.iter().any(|part| part.name() == name) {
            ("is not a subvolume", format!("see: btrfs subvolume show '{live}/{name}'"))
        } else {
            let base = live.as_path().parent().unwrap_or(Path::new("/")).display();
            ("is not the agent's, and would go along with what is live now", format!("mv '{live}/{name}' '{base}/'"))
        };
        refusals.push(Refusal::new(format!("{live}/{name}"), why, remedy));
    }
}

/// What the agent itself leaves beside the parts: half-made ones, and first starts that were cut off.
fn is_ours(name: &str) -> bool {
    Subvolume::ALL.iter().any(|part| {
        let part = part.name();
        name == format!(".{part}.new") || name.strip_prefix(part).is_some_and(|rest| rest.starts_with(".cut-off"))
    })
}

/// Marks that are missing where Immich's database says that they are there.
fn unmarked(root: &Root, disks: &[Disk], manifest: &Manifest, back: &BTreeSet<Subvolume>) -> Vec<String> {
    let is_migrated = manifest.database.as_ref().is_some_and(|database| database.migration.is_some());
    if !is_migrated {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for disk in disks {
        for part in &disk.subvolumes {
            let folders: &[&str] = match part {
                Subvolume::Media => &MARKED,
                Subvolume::Thumbs | Subvolume::EncodedVideo => &["."],
                _ => continue,
            };
            let place =
                if back.contains(part) { disk.shot(&manifest.id, *part) } else { disk.live().join(part.name()) };
            let missing = |folder: &&&str| !root.join(place.as_path()).join(folder).join(".immich").exists();
            for folder in folders.iter().filter(missing) {
                let of = part.name();
                warnings.push(format!(
                    "{of}/{folder} has no .immich, without which Immich does not start: touch it afterwards"
                ));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_what_the_agent_leaves_there_itself_may_go_along() {
        for (name, ours) in [
            (".media.new", true),
            ("postgres.cut-off", true),
            ("postgres.cut-off-2", true),
            ("media", false),
            ("media.before", false),
            (".theirs", false),
            ("theirs", false),
        ] {
            assert_eq!(is_ours(name), ours, "{name}");
        }
    }
}
