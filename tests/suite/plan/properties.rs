//! Any drift, any interruption: only what is ours is touched, and the end is always the same.

use photos_agent::model::{ActiveState, HostPath, LoadState, PlaceState, Subvolume, UnitState};
use photos_agent::plan::transcoding::{Asked, Setting};
use photos_agent::plan::{Observed, PODMAN_SOCKET, Plan, Step, plan};
use photos_agent::stack::{Desired, MARKER};
use proptest::prelude::*;

use super::said;
use super::world::{Cut, End, World, moment, path, unit_name, whole};

/// Names of things that are not ours, in every drawn world.
const FOREIGN: [&str; 3] = ["theirs", "immich-ml-old", "photos-of-theirs"];

/// A converged host among foreign things.
fn inhabited() -> World {
    let mut world = World::converged();
    for name in FOREIGN {
        let network = world.podman.networks["photos-egress"].clone();
        world.podman.networks.insert(name.to_owned(), network);
        let container = world.podman.containers["immich-ml"].clone();
        world.podman.containers.insert(name.to_owned(), container);
        let secret = world.podman.secrets["photos-db-password"].clone();
        world.podman.secrets.insert(name.to_owned(), secret);
        world.files.insert(World::own(&format!("{name}.container")), "[Container]\nImage=theirs\n".to_owned());
    }
    world
}

/// One thing that happens to a host: which, and to which of its kind.
type Change = (u8, prop::sample::Index);

fn changes(kinds: u8) -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((0..kinds, any::<prop::sample::Index>()), 0..7)
}

/// Changes up to here are mended; those after are refused, mostly.
const MENDED: u8 = 23;
const ALL: u8 = 37;

/// The operator disables the target.
const DISABLED: u8 = 15;

fn subvolume<'a>(world: &'a mut World, path: &HostPath) -> Option<&'a mut photos_agent::model::SubvolumeState> {
    if let Some(PlaceState::Subvolume(state)) = world.places.get_mut(path) { Some(state) } else { None }
}

fn unit<'a>(world: &'a mut World, name: &str) -> &'a mut UnitState {
    world.units.entry(unit_name(name)).or_default()
}

fn change(world: &mut World, (kind, which): &Change) {
    let desired = world.desired();
    let place = which.get(&desired.subvolumes).clone();
    let file = which.get(&desired.files).clone();
    let service = which.get(&desired.services).clone();
    let network = which.get(&desired.networks).clone();
    let stem = service.service.stem();
    match kind {
        0 => drop(world.places.remove(&place.path)),
        1 => drop(world.places.insert(place.path, PlaceState::Subvolume(whole(place.subvolume, true)))),
        2 => {
            if let Some(state) = subvolume(world, &place.path) {
                state.nocow &= !state.empty;
            }
        }
        3 => {
            if let Some(state) = subvolume(world, &place.path) {
                (state.uid, state.mode) = (1000, 0o777);
            }
        }
        4 => {
            if let Some(PlaceState::Subvolume(state)) = world.places.get_mut(&path("/var/lib/photos/live/postgres"))
                && state.empty
            {
                world.podman.secrets.remove("photos-db-password");
            }
        }
        5 => {
            world.podman.images.remove(&service.image.to_string());
        }
        6 => drop(world.facts.lock.remove(&desired.runs.written[&service.service.component()])),
        7 => drop(world.files.remove(&file.path)),
        8 => with(world.files.get_mut(&file.path), |text| text.push_str("# mine\n")),
        9 => {
            world.files.insert(World::own("icloudpd.container"), format!("{MARKER}\n"));
        }
        10 => with(world.podman.networks.get_mut(network.name.as_str()), |state| state.hash = Some("old".to_owned())),
        11 => drop(world.podman.networks.remove(network.name.as_str())),
        12 => unit(world, service.unit.as_str()).active = ActiveState::Inactive,
        13 => unit(world, service.unit.as_str()).active = ActiveState::Failed,
        14 => {
            let target = unit(world, "photos.target");
            (target.active, target.inactive_since) = (ActiveState::Inactive, 1);
            for service in &desired.services {
                unit(world, service.unit.as_str()).active = ActiveState::Inactive;
            }
        }
        &DISABLED => "disabled".clone_into(&mut unit(world, "photos.target").file_state),
        16 => {
            (world.converged, world.recorded, world.settled) = Default::default();
        }
        17 => world.stack_was_stopped = true,
        18 => with(world.podman.containers.get_mut(stem), |state| state.hash = Some("old".to_owned())),
        19 => with(world.podman.secrets.get_mut("photos-db-password"), |state| state.updated = moment(900)),
        20 => {
            let (ip_forward, inner_forwarding, rules) = (false, Some(true), Some(false));
            world.kernel = photos_agent::model::Kernel { ip_forward, inner_forwarding, rules };
        }
        21 => unit(world, service.unit.as_str()).needs_reload = true,
        22 => unit(world, PODMAN_SOCKET).active = ActiveState::Inactive,
        23 => with(world.podman.containers.get_mut(stem), |state| state.unit = None),
        24 => with(world.podman.networks.get_mut(network.name.as_str()), |state| state.hash = None),
        25 => unit(world, service.unit.as_str()).load = LoadState::Masked,
        26 => drop(world.podman.secrets.remove("photos-db-password")),
        27 => drop(world.places.insert(place.path, PlaceState::Other)),
        28 => {
            let state = PlaceState::Folder { btrfs: true, empty: false, uid: 0, gid: 0, mode: 0o755 };
            world.places.insert(place.path, state);
        }
        29 => drop(world.places.insert(place.path, PlaceState::Absent { btrfs: false })),
        30 => with(subvolume(world, &place.path), |state| state.mount_point = true),
        31 => with(subvolume(world, &place.path), |state| state.nocow = false),
        32 => {
            world.recorded.remove(&file.path);
            world.files.insert(file.path, "theirs\n".to_owned());
        }
        33 => world.shadows.push(path("/etc/containers/systemd/immich-ml.container")),
        34 => world.podman_is_deaf = true,
        35 => world.systemd_is_deaf = true,
        _ => "5.2.0".clone_into(&mut world.podman.version),
    }
}

fn with<T>(item: Option<&mut T>, change: impl FnOnce(&mut T)) {
    if let Some(item) = item {
        change(item);
    }
}

fn drawn(changes: &[Change]) -> World {
    let mut world = inhabited();
    for one in changes {
        change(&mut world, one);
    }
    world
}

/// Whether all that the step touches is ours.
fn touches_only_ours(step: &Step, observed: &Observed, desired: &Desired) -> bool {
    let empty = photos_agent::model::PodmanState::default();
    let podman = observed.podman.as_ref().unwrap_or(&empty);
    let is_ours = |path: &HostPath, text: &str| text.starts_with(MARKER) || observed.recorded.contains_key(path);
    let stray = |name: &photos_agent::model::UnitName| {
        let file = World::own(&name.as_str().replace("-network.service", ".network").replace(".service", ".container"));
        observed.files.get(&file).is_some_and(|state| state.as_ref().is_ok_and(|state| is_ours(&file, &state.text)))
    };
    let unit = |name: &photos_agent::model::UnitName| desired.units().any(|unit| unit == name) || stray(name);
    match step {
        Step::Disable { unit: name } => observed.recorded.keys().any(|path| path.as_str().ends_with(name.as_str())),
        Step::Enable { unit: name } => unit(name) || name.as_str() == PODMAN_SOCKET,
        Step::MakeFolder { path, .. } => {
            desired.folders.iter().any(|folder| folder.path == *path)
                && matches!(observed.places[path], Ok(PlaceState::Absent { .. }))
        }
        Step::MakeLibrary { path, .. } => {
            desired.accounts.iter().any(|account| account.photos == *path)
                && matches!(observed.places[path], Ok(PlaceState::Absent { .. }))
        }
        Step::WriteSentinel { path, sentinel } => {
            let empty = |state: &photos_agent::plan::LibraryState| !state.has_pictures;
            desired.accounts.iter().any(|account| account.photos == *path)
                && observed.libraries.get(&sentinel.account).is_some_and(|state| state.as_ref().is_ok_and(empty))
        }
        Step::MakeSubvolume { path, .. } => {
            desired.subvolumes.iter().any(|place| place.path == *path)
                && matches!(observed.places[path], Ok(PlaceState::Absent { btrfs: true }))
        }
        Step::SetOwner { path, .. } if desired.folders.iter().any(|folder| folder.ours && folder.path == *path) => true,
        Step::SetNocow { path } | Step::SetOwner { path, .. } => {
            desired.subvolumes.iter().any(|place| place.path == *path)
                && matches!(observed.places[path], Ok(PlaceState::Subvolume(_)))
        }
        Step::MakeSecret { secret } => {
            desired.secrets.contains(secret) && !podman.secrets.contains_key(secret.as_str())
        }
        Step::SetTranscoding { from, .. } => matches!(
            &observed.transcoding,
            Some(Asked::Seen(seen)) if seen.now == *from && (seen.ours.contains(from) || *from == Setting::default())
        ),
        Step::Pull { image } => desired.services.iter().any(|service| service.image == *image),
        Step::InstallFiles { files } => files.iter().all(|file| {
            let ours = file.before.as_deref().is_none_or(|before| is_ours(&file.path, before));
            ours && desired.files.iter().any(|wanted| wanted.path == file.path)
        }),
        Step::RemoveFiles { paths } => paths.iter().all(|path| {
            let ours = observed.files[path].as_ref().is_ok_and(|state| is_ours(path, &state.text));
            ours && desired.files.iter().all(|file| file.path != *path)
        }),
        Step::RemoveNetwork { network, unit: name } => {
            let ours = podman.networks.get(network.as_str()).is_some_and(|state| state.hash.is_some());
            ours && unit(name) && desired.networks.iter().any(|wanted| wanted.name == *network)
        }
        Step::LoadRules { unit: name } => unit(name),
        Step::Stop { units } | Step::Start { units, .. } | Step::Restart { units } => units.iter().all(unit),
        Step::SetAside { subvolume, path, .. } => {
            observed.first_starts.contains(subvolume)
                && desired.subvolumes.iter().any(|place| place.path == *path && place.subvolume == *subvolume)
        }
        Step::WriteMarkers { folders } => folders.iter().all(|folder| {
            let is_above = |place: &photos_agent::stack::SubvolumePlace| folder.starts_with(&place.path);
            observed.first_starts.contains(&Subvolume::Media) && desired.subvolumes.iter().any(is_above)
        }),
        Step::StopStack { .. } | Step::Reload | Step::AllowForwarding | Step::DenyInnerForwarding => true,
    }
}

/// After an operation that went through: everything is up, unless the operator wants it down.
fn assert_at_rest(world: &World, plan: &Plan) {
    assert!(plan.is_empty(), "{:?}", said(plan));
    assert!(world.runs() != (plan.notes.len() == 1), "up, or left alone: {:?}", plan.notes);
    assert_eq!(world.podman_names().iter().filter(|name| FOREIGN.contains(&name.as_str())).count(), FOREIGN.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_what_is_ours_is_touched(changes in changes(ALL)) {
        let world = drawn(&changes);
        let (observed, desired) = (world.observe(), world.desired());
        let made = plan(&observed, &desired);
        prop_assert_eq!(&made, &plan(&observed, &desired));
        for planned in &made.steps {
            prop_assert!(touches_only_ours(&planned.step, &observed, &desired), "{}", planned.step);
            prop_assert!(!planned.reason.is_empty());
        }
        for refusal in &made.refusals {
            prop_assert!(!refusal.what.is_empty() && !refusal.why.is_empty() && !refusal.remedy.is_empty());
        }
    }

    #[test]
    fn any_drift_converges_and_any_interruption_of_it_too(
        changes in changes(MENDED),
        at in 0_usize..30,
        cut in prop::sample::select(vec![Cut::Before, Cut::Within, Cut::After]),
        reboot: bool,
    ) {
        let mut world = drawn(&changes);
        // A database may have lost its secret by the drift.
        prop_assume!(world.plan().refusals.is_empty());
        // Disabled while it runs, it is left alone from the next boot on.
        let disabled = changes.iter().any(|(kind, _)| *kind == DISABLED);
        let wanted_down = !world.plan().notes.is_empty() || (disabled && reboot);
        let end = world.apply(Some((at, cut)));
        prop_assert!(matches!(end, End::Cut | End::Converged), "{:?}", end);
        let stopped_by_us = world.stack_was_stopped;
        if reboot {
            world.reboot();
        }
        let end = world.apply(None);
        prop_assert_eq!(&end, &End::Converged, "after {:?}", changes);
        let plan = world.plan();
        assert_at_rest(&world, &plan);
        if stopped_by_us {
            prop_assert!(world.runs(), "the stop was ours");
        }
        if !wanted_down {
            prop_assert!(world.runs(), "nobody stopped it: {:?}", plan.notes);
        }
    }
}

#[test]
fn a_first_apply_that_is_cut_off_at_any_step_is_finished_by_the_next() {
    let steps = (0..100).take_while(|at| World::empty().apply(Some((*at, Cut::Before))) == End::Cut).count();
    assert!(steps > 15, "{steps}");
    for at in 0..steps {
        for cut in [Cut::Before, Cut::Within, Cut::After] {
            for reboot in [false, true] {
                let mut world = World::empty();
                assert_eq!(world.apply(Some((at, cut))), End::Cut);
                if reboot {
                    world.reboot();
                }
                assert_eq!(world.apply(None), End::Converged, "step {at}, {cut:?}, reboot {reboot}");
                assert!(world.runs() && world.plan().is_empty(), "step {at}, {cut:?}: {:?}", said(&world.plan()));
            }
        }
    }
}

#[test]
fn a_changed_subnet_that_is_cut_off_at_any_step_is_finished_by_the_next() {
    let changed = || {
        let mut world = World::converged();
        world.settings.network.subnet = "10.99.7.0/24".parse().unwrap();
        world
    };
    let steps = (0..100).take_while(|at| changed().apply(Some((*at, Cut::Before))) == End::Cut).count();
    assert!(steps > 3, "{steps}");
    for at in 0..steps {
        for cut in [Cut::Before, Cut::Within, Cut::After] {
            for reboot in [false, true] {
                let mut world = changed();
                assert_eq!(world.apply(Some((at, cut))), End::Cut);
                if reboot {
                    world.reboot();
                }
                assert_eq!(world.apply(None), End::Converged, "step {at}, {cut:?}, reboot {reboot}");
                assert!(world.runs() && world.plan().is_empty(), "step {at}, {cut:?}: {:?}", said(&world.plan()));
                assert_eq!(world.podman.networks["photos"].subnets, ["10.99.7.0/24"]);
            }
        }
    }
}

#[test]
fn a_subvolume_is_never_made_anew_in_place_of_data() {
    let mut world = World::converged();
    world.places.insert(
        path("/var/lib/photos/live/media"),
        PlaceState::Subvolume(photos_agent::model::SubvolumeState { nocow: true, ..whole(Subvolume::Media, false) }),
    );
    assert!(world.plan().is_empty(), "NOCOW that nobody asked for is left alone");
}
