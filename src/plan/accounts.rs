//! Accounts of iCloud: their folders, and what must not change under photographs that are there.

use crate::model::icloud::{SENTINEL, Sentinel};
use crate::model::{ActiveState, LoadState, PlaceState, PodmanState, UnitName};
use crate::plan::{LibraryState, Observed, Plan, SentinelState, Step, unit};
use crate::stack::{Desired, DesiredAccount, icloudpd};

/// Of cookies: who has them is signed in.
const COOKIES_MODE: u32 = 0o700;

pub(super) fn plan(observed: &Observed, podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    for account in &desired.accounts {
        plan_photos(observed, account, plan);
        plan_folder(observed, account, Folder::Cookies, plan);
        refuse_foreign_container(podman, account, plan);
        tell_masked(observed, account, plan);
        if account.rewrites {
            plan.notes.push(format!(
                "{}: set_exif_datetime writes into pictures, which come down again beside themselves as other files; \
                 xmp_sidecar keeps what is known of them without that",
                account.name
            ));
        }
    }
}

#[derive(Clone, Copy)]
enum Folder {
    Photos,
    Cookies,
}

fn plan_photos(observed: &Observed, account: &DesiredAccount, plan: &mut Plan) {
    if plan_folder(observed, account, Folder::Photos, plan) {
        plan_sentinel(observed, account, plan);
    }
}

/// Whether the folder is there.
fn plan_folder(observed: &Observed, account: &DesiredAccount, which: Folder, plan: &mut Plan) -> bool {
    let (path, mode) = match which {
        Folder::Photos => (&account.photos, icloudpd::PHOTOS_MODE),
        Folder::Cookies => (&account.cookies, COOKIES_MODE),
    };
    let state = match observed.places.get(path) {
        Some(Ok(state)) => state,
        Some(Err(why)) => {
            plan.refuse(path.as_str(), why.clone(), format!("ls -ld '{path}'"));
            return false;
        }
        // Not looked at, since the subvolume above is not there yet.
        None => &PlaceState::Absent { btrfs: true },
    };
    let (uid, gid, found) = match state {
        PlaceState::Absent { .. } if matches!(which, Folder::Photos) && observed.filled.contains(&account.name) => {
            let why =
                format!("is gone, and pictures of {} lay in it: nothing is downloaded into an empty one", account.name);
            let remedy = format!(
                "put it back (is a disk not mounted?); or, to have all pictures again: mkdir -p '{path}' && \
                 photos-agent apply --accept {}",
                account.name
            );
            plan.concern(path.as_str(), why, remedy);
            return false;
        }
        PlaceState::Absent { .. } => {
            let step = match which {
                Folder::Photos => Step::MakeLibrary { path: path.clone(), sentinel: account.sentinel.clone() },
                Folder::Cookies => Step::MakeFolder { path: path.clone(), mode },
            };
            plan.step(step, "it is missing");
            if matches!(which, Folder::Cookies) {
                plan.step(
                    Step::SetOwner { path: path.clone(), owner: icloudpd::UID, mode },
                    "icloudpd keeps its session there",
                );
            }
            return false;
        }
        PlaceState::Other => {
            plan.refuse(path.as_str(), "is not a folder", format!("mv '{path}' '{path}.aside'"));
            return false;
        }
        PlaceState::Folder { uid, gid, mode, .. } => (*uid, *gid, *mode),
        PlaceState::Subvolume(found) => (found.uid, found.gid, found.mode),
    };
    if (uid, gid, found) != (icloudpd::UID, icloudpd::UID, mode) {
        let step = Step::SetOwner { path: path.clone(), owner: icloudpd::UID, mode };
        plan.step(step, format!("owner {uid}:{gid}, mode {found:04o}"));
    }
    true
}

fn plan_sentinel(observed: &Observed, account: &DesiredAccount, plan: &mut Plan) {
    let path = &account.photos;
    let state = match observed.libraries.get(&account.name) {
        Some(Ok(state)) => state,
        Some(Err(why)) => return plan.refuse(path.as_str(), why.clone(), format!("ls -la '{path}'")),
        None => return,
    };
    let wanted = &account.sentinel;
    match &state.sentinel {
        SentinelState::Says(found) if found == wanted => {}
        SentinelState::Says(found) if found.account == wanted.account && !state.has_pictures => {
            let step = Step::WriteSentinel { path: path.clone(), sentinel: wanted.clone() };
            plan.step(step, "nothing lies there yet by the old options");
        }
        SentinelState::Says(found) if found.account == wanted.account => tell_moved(observed, account, found, plan),
        SentinelState::Says(found) => {
            let why = format!("holds the pictures of another account: {}", found.account);
            plan.refuse(path.as_str(), why, format!("cat '{path}/{SENTINEL}'; mv '{path}' '{path}.aside'"));
        }
        SentinelState::Missing | SentinelState::Strange => tell_unsaid(account, state, plan),
    }
}

/// Where pictures lie by other options than those that are wanted, each would come down again at another path.
fn tell_moved(observed: &Observed, account: &DesiredAccount, found: &Sentinel, plan: &mut Plan) {
    let keys = found.paths.changed(&account.sentinel.paths).join(", ");
    let why = format!(
        "changed under pictures that are there: {keys}. All of {} would be downloaded again at other paths, and Immich would \
         take those that it knows for lost",
        account.name
    );
    let remedy = format!(
        "set back what was ({}); or, to have them all again: photos-agent apply --accept {}",
        said(&found.paths.changed(&account.sentinel.paths), found),
        account.name
    );
    let what = format!("icloud.account {}", account.name);
    // Half-way back is no place to stop: what is in force then is looked at again by the next one.
    if observed.going_back {
        plan.concern(what, why, remedy);
    } else {
        plan.refuse(what, why, remedy);
    }
}

/// The options as they were.
fn said(keys: &[&'static str], found: &Sentinel) -> String {
    let paths = serde_json::to_value(&found.paths).unwrap_or_default();
    let value = |key: &&str| match paths.get(*key) {
        None | Some(serde_json::Value::Null) => format!("no {key}"),
        Some(value) => format!("{key} = {value}"),
    };
    keys.iter().map(value).collect::<Vec<_>>().join(", ")
}

/// A folder of which nobody says whose it is may be another one, or that in which another disk is to be mounted.
fn tell_unsaid(account: &DesiredAccount, state: &LibraryState, plan: &mut Plan) {
    let path = &account.photos;
    let what = if state.sentinel == SentinelState::Missing { "has no" } else { "has a damaged" };
    let holds = if state.has_pictures { "" } else { ", and is empty" };
    let why = format!(
        "{what} {SENTINEL}{holds}: nobody can say that these are the pictures of {}, and Immich is not told to look",
        account.name
    );
    let name = &account.name;
    let remedy =
        format!("look whether they are (is a disk not mounted?), and if so: photos-agent apply --accept {name}");
    plan.concern(path.as_str(), why, remedy);
}

/// A container of our name that our unit did not make would be replaced by `podman run --replace`.
fn refuse_foreign_container(podman: &PodmanState, account: &DesiredAccount, plan: &mut Plan) {
    let name = icloudpd::container(&account.name);
    let Some(container) = podman.containers.get(&name) else { return };
    if container.unit.as_deref() != Some(account.run.as_str()) || container.hash.is_none() {
        let remedy = format!("podman rename {name} {name}-old   (and stop it: podman stop {name}-old)");
        plan.refuse(format!("container {name}"), "exists and was not made by photos-agent", remedy);
    }
}

/// Masked, it is the operator's: nothing is downloaded, and nothing else suffers.
fn tell_masked(observed: &Observed, account: &DesiredAccount, plan: &mut Plan) {
    if unit(observed, account.run.as_str()).load == LoadState::Masked {
        let name = &account.run;
        plan.notes.push(format!("{name} is masked, and nothing is downloaded: systemctl unmask {name}"));
    }
}

/// Whether the unit is an account's: it is down most of the time, and nothing else leans on it.
pub(super) fn is_of_one(desired: &Desired, name: &UnitName) -> bool {
    desired.accounts.iter().flat_map(DesiredAccount::units).any(|unit| unit == name)
}

/// Runs that are under way.
pub(super) fn any_runs(observed: &Observed, desired: &Desired) -> bool {
    let is_up = |account: &DesiredAccount| {
        !matches!(unit(observed, account.run.as_str()).active, ActiveState::Inactive | ActiveState::Failed)
    };
    desired.accounts.iter().any(is_up)
}
