//! First starts: what an image makes of an empty folder, and what is done where that was cut off.
//!
//! PostgreSQL's image takes a half-made cluster for a whole one and never starts again; Immich notes in the database
//! that it wrote its `.immich` files before they are on disk. A mark says that a first start has begun (written by the
//! agent) and not ended well (removed by the unit), so what it covers was never used by anybody.

use crate::model::{ActiveState, HostPath, PlaceState, Service, Subvolume, SubvolumeState, UnitName};
use crate::plan::{Observed, Plan, Step, Wanted, unit};
use crate::stack::{Desired, DesiredService, SubvolumePlace};

/// Why a database is set aside.
pub(super) const REASON: &str = "its first start was cut off, and nobody has used it";

/// Subvolumes that a first start has left half-made.
pub(super) fn cut_off<'a>(observed: &Observed, desired: &'a Desired, wanted: &Wanted) -> Vec<&'a SubvolumePlace> {
    let half_made = |place: &&SubvolumePlace| {
        // The server's are mended in place.
        matches!(place.subvolume, Subvolume::Postgres | Subvolume::Redis)
            && observed.first_starts.contains(&place.subvolume)
            && holds_files(observed, place)
            && !user(desired, place.subvolume).is_some_and(|service| is_at_it(observed, service))
    };
    if *wanted == Wanted::Run { desired.subvolumes.iter().filter(half_made).collect() } else { Vec::new() }
}

/// Sets them aside. The stack is down by then, and the gate closed.
pub(super) fn set_aside(cut_off: &[&SubvolumePlace], label: bool, plan: &mut Plan) {
    for SubvolumePlace { subvolume, path } in cut_off {
        plan.step(Step::SetAside { subvolume: *subvolume, path: path.clone(), label }, REASON);
    }
}

/// Immich's marks, where its first start was cut off: without one of them it never starts again.
pub(super) fn write_markers(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    let is_cut_off = observed.first_starts.contains(&Subvolume::Media);
    if is_cut_off && !user(desired, Subvolume::Media).is_some_and(|service| is_at_it(observed, service)) {
        plan.step(Step::WriteMarkers { folders: marked_folders(desired) }, "the server's first start was cut off");
    }
}

/// Immich's folders with a `.immich`: four in `/data` itself, and what is mounted below it.
fn marked_folders(desired: &Desired) -> Vec<HostPath> {
    let of = |subvolume| desired.subvolumes.iter().find(move |place| place.subvolume == subvolume);
    let media = of(Subvolume::Media).into_iter();
    let inner = media.flat_map(|place| ["upload", "library", "profile", "backups"].map(|name| place.path.join(name)));
    let mounted = [Subvolume::Thumbs, Subvolume::EncodedVideo].into_iter().filter_map(of);
    inner.chain(mounted.map(|place| place.path.clone())).collect()
}

/// What the units that are started will find empty.
pub(super) fn first(observed: &Observed, desired: &Desired, units: &[UnitName]) -> Vec<Subvolume> {
    let is_first = |place: &&SubvolumePlace| {
        user(desired, place.subvolume).is_some_and(|service| units.contains(&service.unit))
            && (observed.first_starts.contains(&place.subvolume) || !holds_files(observed, place))
    };
    desired.subvolumes.iter().filter(is_first).map(|place| place.subvolume).collect()
}

/// The service whose first start fills `subvolume` in a way that is not taken up again.
fn user(desired: &Desired, subvolume: Subvolume) -> Option<&DesiredService> {
    let service = match subvolume {
        Subvolume::Postgres => Service::Postgres,
        Subvolume::Redis => Service::Redis,
        Subvolume::Media => Service::Server,
        _ => return None,
    };
    desired.services.iter().find(|desired| desired.service == service)
}

/// Whether the service is up, or has a container on its way up.
fn is_at_it(observed: &Observed, service: &DesiredService) -> bool {
    let state = unit(observed, service.unit.as_str());
    match state.active {
        ActiveState::Active => true,
        ActiveState::Activating => !state.sub.starts_with("auto-restart"),
        _ => false,
    }
}

fn holds_files(observed: &Observed, place: &SubvolumePlace) -> bool {
    match observed.places.get(&place.path) {
        Some(Ok(PlaceState::Subvolume(SubvolumeState { empty, .. }))) => !empty,
        Some(Ok(PlaceState::Absent { .. })) | None => false,
        // What cannot be looked at may hold anything; it is refused elsewhere.
        _ => true,
    }
}
