//! Folders and subvolumes: make what is missing, mend what can be, refuse what would cost data.

use crate::model::{HostPath, PlaceState, Subvolume, SubvolumeState};
use crate::plan::{Observed, Plan, Step};
use crate::stack::{Desired, Folder, SubvolumePlace};

pub(super) fn plan(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    for folder in &desired.folders {
        match observed.places.get(&folder.path) {
            Some(Ok(state)) => plan_folder(folder, state, plan),
            other => refuse_unread(&folder.path, other, plan),
        }
    }
    for place in &desired.subvolumes {
        match observed.places.get(&place.path) {
            // Empty is what it was before a first start that was cut off.
            Some(Ok(state @ PlaceState::Absent { .. })) if observed.first_starts.contains(&place.subvolume) => {
                plan_subvolume(observed, place, state, plan);
            }
            Some(Ok(PlaceState::Absent { .. })) if is_known(observed, place) => refuse_lost(observed, place, plan),
            Some(Ok(state)) => plan_subvolume(observed, place, state, plan),
            other => refuse_unread(&place.path, other, plan),
        }
    }
}

fn refuse_unread(path: &HostPath, state: Option<&Result<PlaceState, String>>, plan: &mut Plan) {
    let why = match state {
        Some(Err(reason)) => reason.clone(),
        _ => "was not looked at".to_owned(),
    };
    plan.refuse(path.as_str(), why, format!("ls -ld {}", quote(path)));
}

fn plan_folder(folder: &Folder, state: &PlaceState, plan: &mut Plan) {
    let path = &folder.path;
    match state {
        PlaceState::Absent { .. } => {
            plan.step(Step::MakeFolder { path: path.clone(), mode: folder.mode }, "it is missing");
        }
        // A link that the operator made, to another disk perhaps.
        PlaceState::Other if folder.ours => {}
        PlaceState::Other => {
            plan.refuse(path.as_str(), "is not a folder", format!("mv {0} {0}.aside", quote(path)));
        }
        PlaceState::Folder { uid, gid, mode, .. } | PlaceState::Subvolume(SubvolumeState { uid, gid, mode, .. }) => {
            if folder.ours && (*uid, *gid, *mode) != (0, 0, folder.mode) {
                let step = Step::SetOwner { path: path.clone(), owner: 0, mode: folder.mode };
                plan.step(step, format!("owner {uid}:{gid}, mode {mode:04o}"));
            }
        }
    }
}

fn plan_subvolume(observed: &Observed, place: &SubvolumePlace, state: &PlaceState, plan: &mut Plan) {
    let SubvolumePlace { subvolume, path } = place;
    match state {
        PlaceState::Absent { btrfs: true } => {
            let step = Step::MakeSubvolume { subvolume: *subvolume, path: path.clone(), label: observed.selinux };
            plan.step(step, "it is missing");
        }
        PlaceState::Absent { btrfs: false } | PlaceState::Folder { btrfs: false, .. } => refuse_filesystem(path, plan),
        PlaceState::Folder { empty: true, .. } => {
            let why = "is a plain folder where a subvolume belongs";
            plan.refuse(path.as_str(), why, format!("rmdir {}", quote(path)));
        }
        PlaceState::Folder { .. } => refuse_folder(*subvolume, path, plan),
        PlaceState::Other => {
            let why = "is not a folder, where a subvolume belongs";
            plan.refuse(path.as_str(), why, format!("mv {0} {0}.aside", quote(path)));
        }
        PlaceState::Subvolume(found) => verify(observed, place, found, plan),
    }
}

fn verify(observed: &Observed, place: &SubvolumePlace, found: &SubvolumeState, plan: &mut Plan) {
    let SubvolumePlace { subvolume, path } = place;
    if found.mount_point {
        let why = "is a mount point of its own, which cannot change places with a restored one";
        let remedy =
            "mount the disk elsewhere and set storage.root, storage.databases or storage.ml_cache to a folder on it";
        plan.refuse(path.as_str(), why, remedy);
    }
    if subvolume.nocow() && !found.nocow {
        if found.empty {
            plan.step(Step::SetNocow { path: path.clone() }, "NOCOW is not set");
        } else {
            tell_copy_on_write(observed, place, plan);
        }
    }
    let (owner, mode) = (subvolume.owner(), subvolume.mode());
    if (found.uid, found.gid, found.mode) != (owner, owner, mode) {
        let reason = format!("owner {}:{}, mode {:04o}", found.uid, found.gid, found.mode);
        plan.step(Step::SetOwner { path: path.clone(), owner, mode }, reason);
    }
}

/// Whether the stack lay in it before, here or elsewhere. Models can be downloaded again, so they may begin anew
/// in another place.
fn is_known(observed: &Observed, place: &SubvolumePlace) -> bool {
    match observed.known.get(&place.subvolume) {
        Some(path) => *path == place.path || place.subvolume != Subvolume::MlCache,
        None => false,
    }
}

/// A new and empty one in its place would be an empty library, and a scan would believe it.
fn refuse_lost(observed: &Observed, place: &SubvolumePlace, plan: &mut Plan) {
    let SubvolumePlace { subvolume, path } = place;
    let parent = path.as_path().parent().map(|parent| parent.display().to_string()).unwrap_or_default();
    let create = format!("mkdir -p '{}' && {}", parent.replace('\'', r"'\''"), create_commands(*subvolume, path));
    let anew = format!("to begin without that data: {create}");
    if let Some(old) = observed.known.get(subvolume).filter(|old| *old != path) {
        let why = format!("is not there: {} of this stack lies in {old}", subvolume.name());
        let copy = format!(
            "set the old path again, or move it: systemctl stop photos.target 'immich-*'; {create} && \
                 cp -a --reflink=auto {}/. {}/; {anew}",
            quote(old),
            quote(path)
        );
        plan.refuse(path.as_str(), why, copy);
    } else {
        let why = "is gone, and the stack lay in it: is its disk mounted?";
        plan.refuse(path.as_str(), why, format!("mount the disk (systemctl --failed; findmnt); {anew}"));
    }
}

fn create_commands(subvolume: Subvolume, path: &HostPath) -> String {
    let at = quote(path);
    let nocow = if subvolume.nocow() { format!(" && chattr +C {at}") } else { String::new() };
    format!("btrfs subvolume create {at}{nocow}")
}

fn refuse_filesystem(path: &HostPath, plan: &mut Plan) {
    let remedy =
        "mount a BTRFS filesystem and set storage.root (or storage.databases, storage.ml_cache) to a folder on it";
    plan.refuse(path.as_str(), "does not lie on BTRFS, which snapshots need", remedy);
}

/// A folder with data: copied by reflink into a subvolume, the old one kept until the operator is sure.
fn refuse_folder(subvolume: Subvolume, path: &HostPath, plan: &mut Plan) {
    let why = "is a plain folder with data where a subvolume belongs";
    plan.refuse(path.as_str(), why, copy_commands(subvolume, path));
}

/// A database works without the flag, only slower and slower: one that lies here already goes on, and none is begun so.
fn tell_copy_on_write(observed: &Observed, place: &SubvolumePlace, plan: &mut Plan) {
    let SubvolumePlace { subvolume, path } = place;
    let why = "holds files but is not NOCOW, and the flag has no effect on files that exist";
    let remedy = copy_commands(*subvolume, path);
    if observed.known.get(subvolume) == Some(path) {
        plan.concern(path.as_str(), why, remedy);
    } else {
        plan.refuse(path.as_str(), why, remedy);
    }
}

fn copy_commands(subvolume: Subvolume, path: &HostPath) -> String {
    let at = quote(path);
    let old = quote(&path_aside(path));
    // A NOCOW file cannot share extents with one that has checksums (EINVAL), so those are copied in full.
    let reflink = if subvolume.nocow() { "never" } else { "auto" };
    let create = create_commands(subvolume, path);
    // The target's own stop does not wait for that of its services, and a database must not be copied while it ends.
    format!(
        "systemctl stop photos.target 'immich-*'; mv {at} {old} && {create} && \
         cp -a --reflink={reflink} {old}/. {at}/   (remove {old} once all is well)"
    )
}

fn path_aside(path: &HostPath) -> HostPath {
    let aside = format!("{path}.before");
    aside.parse().unwrap_or_else(|_| path.clone())
}

/// For a shell, in single quotes where it needs them.
fn quote(path: &HostPath) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%".contains(c);
    if path.as_str().chars().all(plain) {
        return path.to_string();
    }
    format!("'{}'", path.as_str().replace('\'', r"'\''"))
}
