//! What the filesystems are asked: room for snapshots, and whether one of several copies can be old.

use std::path::PathBuf;

use super::checks::refused;
use super::{Finding, Known};
use crate::host::storage::allocation;
use crate::model::{Allocation, HostPath, Root, Subvolume};
use crate::observe::chain;
use crate::plan::space::refuse_full;
use crate::snapshot::{holes, name_holes};

/// A place of the configuration, whether the databases lie there, and what its filesystem says, if it is BTRFS.
type Place<'a> = (&'a HostPath, bool, Option<Allocation>);

/// The places of what goes back together.
fn places<'a>(root: &Root, known: &'a Known) -> Result<Vec<Place<'a>>, Finding> {
    let Ok(loaded) = &known.loaded else { return Err(Finding::unknown("the configuration has mistakes")) };
    let storage = &loaded.settings.storage;
    let of_root = (&storage.root, storage.databases.is_none());
    let of_databases = storage.databases.as_ref().map(|path| (path, true));
    let look = |(path, databases): (&'a HostPath, bool)| match allocation(&existing(root, path)) {
        Ok(found) => Ok((path, databases, found)),
        Err(error) => Err(Finding::unknown(chain(&error))),
    };
    std::iter::once(of_root).chain(of_databases).map(look).collect()
}

/// The folder, or the one that it will be made in.
fn existing(root: &Root, path: &HostPath) -> PathBuf {
    let path = root.join(path.as_path());
    path.ancestors().find(|folder| folder.exists()).map_or_else(|| path.clone(), PathBuf::from)
}

pub(super) fn room(root: &Root, known: &Known) -> Finding {
    let places = match places(root, known) {
        Ok(places) => places,
        Err(unknown) => return unknown,
    };
    let rooms = || places.iter().filter_map(|(path, databases, found)| Some((path, databases, found.as_ref()?.room())));
    let refusals: Vec<_> = rooms().filter_map(|(path, databases, room)| refuse_full(path, &room, *databases)).collect();
    if !refusals.is_empty() {
        return refused(&refusals);
    }
    let told: Vec<String> = rooms().map(|(path, _, room)| format!("{path}: {room}")).collect();
    if told.is_empty() { Finding::unknown("the storage is not on BTRFS") } else { Finding::holds(told.join("; ")) }
}

pub(super) fn reach(root: &Root, known: &Known) -> Finding {
    let Ok(survey) = &known.survey else { return Finding::unknown("it is not known what there should be") };
    match holes(root, &survey.desired.disks, Subvolume::in_snapshots) {
        Ok(holes) if holes.is_empty() => Finding::holds("no mount and no subvolume lies within them"),
        Ok(holes) => Finding::fails(
            format!("{} is a subvolume of its own or a mount, which no snapshot holds", name_holes(&holes)),
            "copy what lies there into plain folders, or mount it elsewhere and see to copies of it yourself",
        ),
        Err(error) => Finding::unknown(chain(&error)),
    }
}

pub(super) fn copies(root: &Root, known: &Known) -> Finding {
    let places = match places(root, known) {
        Ok(places) => places,
        Err(unknown) => return unknown,
    };
    let databases = places.into_iter().find_map(|(path, databases, found)| databases.then_some((path, found)));
    match databases {
        Some((path, Some(found))) if found.may_read_stale() => Finding::fails(
            format!(
                "{path} lies on a BTRFS of {} devices that keeps several copies of data. The databases are written in \
                 place (NOCOW) and have no checksums of BTRFS: after one device has missed writes, BTRFS cannot tell \
                 which copy is right and may read the old one",
                found.devices.len()
            ),
            "give `databases` of [storage] a filesystem on one device (the library may stay where it is). Until then, \
             when a device was away: do not mount it again by itself, but replace it (btrfs replace), or go back to a \
             snapshot of before; and let `photos-agent snapshot verify` look at the pages",
        ),
        Some((_, Some(found))) if found.devices.len() > 1 => {
            Finding::holds(format!("one, on a filesystem of {} devices", found.devices.len()))
        }
        Some((_, Some(_))) => Finding::holds("one device"),
        _ => Finding::unknown("the databases are not on BTRFS"),
    }
}
