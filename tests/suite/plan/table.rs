//! One change of a converged host each, and exactly what follows from it.

use std::collections::BTreeMap;

use photos_agent::model::{
    ActiveState, FileKind, FileState, HostPath, LoadState, NetworkState, PlaceState, RolePassword, Subvolume,
};
use photos_agent::plan::PODMAN_SOCKET;
use photos_agent::stack::MARKER;

use super::said;
use super::world::{World, path, unit_name, whole};

/// What a plan says after `change`.
fn after(change: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = World::converged();
    change(&mut world);
    said(&world.plan())
}

const LIVE: &str = "/var/lib/photos/live";

fn place(world: &mut World, name: &str, state: PlaceState) {
    world.places.insert(path(&format!("{LIVE}/{name}")), state);
}

fn subvolume(name: &str, change: impl Fn(&mut photos_agent::model::SubvolumeState)) -> Vec<String> {
    after(|world| {
        let Some(PlaceState::Subvolume(state)) = world.places.get_mut(&path(&format!("{LIVE}/{name}"))) else {
            panic!("{name}")
        };
        change(state);
    })
}

fn unit(name: &str, change: impl Fn(&mut photos_agent::model::UnitState)) -> impl Fn(&mut World) {
    move |world| change(world.units.get_mut(&unit_name(name)).unwrap())
}

fn down(world: &mut World) {
    for service in ["postgres", "redis", "server", "ml"] {
        unit(&format!("immich-{service}.service"), |state| state.active = ActiveState::Inactive)(world);
    }
    unit("photos.target", |state| state.active = ActiveState::Inactive)(world);
    world.podman.containers.clear();
}

const START_ALL: &str = "start photos.target, immich-postgres.service, immich-redis.service, immich-server.service, \
                         immich-ml.service (not running)";

const STOPPED: &str = "note: photos.target was stopped: systemctl start photos.target";
const DISABLED: &str = "note: photos.target is disabled: systemctl enable --now photos.target";

#[test]
fn a_converged_host_has_nothing_to_do() {
    assert_eq!(after(|_| ()), Vec::<String>::new());
}

#[test]
fn an_empty_host_has_everything_to_do_in_this_order() {
    let mut world = World::empty();
    insta::assert_snapshot!(said(&world.plan()).join("\n"), @r"
    enable podman.socket (the agent speaks to Podman through it, and Debian ships it disabled)
    make folder /etc/containers/systemd/photos-agent (0755) (it is missing)
    make folder /var/lib/photos-agent (0700) (it is missing)
    make folder /var/lib/photos (0711) (it is missing)
    make folder /var/lib/photos/live (0711) (it is missing)
    make folder /var/lib/photos/keep (0711) (it is missing)
    make subvolume /var/lib/photos/live/postgres (NOCOW, owner 999, 0700) (it is missing)
    make subvolume /var/lib/photos/live/redis (NOCOW, owner 999, 0700) (it is missing)
    make subvolume /var/lib/photos/live/media (owner 0, 0750) (it is missing)
    make subvolume /var/lib/photos/live/thumbs (owner 0, 0750) (it is missing)
    make subvolume /var/lib/photos/live/encoded-video (owner 0, 0750) (it is missing)
    make subvolume /var/lib/photos/live/icloud (owner 0, 0750) (it is missing)
    make subvolume /var/lib/photos/keep/icloudpd (owner 0, 0700) (it is missing)
    make subvolume /var/lib/photos/keep/ml-cache (NOCOW, owner 0, 0750) (it is missing)
    make secret photos-db-password (32 random characters) (it does not exist)
    pull ghcr.io/immich-app/postgres:17-vectorchord1.1.1 (its tag is not locked to a digest yet)
    pull docker.io/valkey/valkey:9 (its tag is not locked to a digest yet)
    pull ghcr.io/immich-app/immich-server:v3.2.2 (its tag is not locked to a digest yet)
    pull ghcr.io/immich-app/immich-machine-learning:v3.2.2 (its tag is not locked to a digest yet)
    write 17 files and reload systemd (17 missing)
    enable photos-resolve.service (a boot finishes what was cut off, without the agent)
    turn on net.ipv4.ip_forward (a bridge made before it is on would forward as soon as it is)
    enable photos-snapshot.timer (it works without the agent)
    enable photos-verify.timer (it works without the agent)
    enable photos.target (the stack comes up at boot without the agent)
    start photos.target, photos-firewall.service, immich-postgres.service, immich-redis.service, immich-server.service, immich-ml.service (not running)
    ");
    // Nothing of Podman's is known yet: only its socket is certain. Then all pulls, and then the rest.
    let certain = |world: &World| world.plan().certain_steps().len();
    assert_eq!(certain(&world), 1);
    unit(PODMAN_SOCKET, |state| state.active = ActiveState::Active)(&mut world);
    assert_eq!(certain(&world), 18);
    world.facts = World::converged().facts;
    world.podman.images = World::converged().podman.images;
    assert_eq!(certain(&world), world.plan().steps.len());
}

/// A first start that was cut off by a boot: what it had begun to make, marked.
fn cut_off(world: &mut World) {
    down(world);
    for (subvolume, name) in [(Subvolume::Postgres, "postgres"), (Subvolume::Media, "media")] {
        place(world, name, PlaceState::Subvolume(whole(subvolume, false)));
        world.first_starts.insert(subvolume);
    }
    (world.converged, world.holds) = (false, true);
}

#[test]
fn what_an_interrupted_first_start_made_is_set_aside_and_nothing_else() {
    assert_eq!(
        after(cut_off),
        [
            "set /var/lib/photos/live/postgres aside and make it anew (its first start was cut off, and nobody has used it)",
            "write .immich in /var/lib/photos/live/media/upload, /var/lib/photos/live/media/library, \
             /var/lib/photos/live/media/profile, /var/lib/photos/live/media/backups, /var/lib/photos/live/thumbs, \
             /var/lib/photos/live/encoded-video (the server's first start was cut off)",
            START_ALL
        ]
    );
    // Not while its container is at it, nor once it is up; what waits to be tried again is stopped first.
    let at = |active: ActiveState, sub: &'static str| {
        after(move |world| {
            cut_off(world);
            for name in ["immich-postgres.service", "immich-server.service"] {
                unit(name, |state| (state.active, state.sub) = (active, sub.to_owned()))(world);
            }
        })
    };
    assert!(
        !at(ActiveState::Activating, "start-post")
            .iter()
            .any(|step| step.contains("aside") || step.contains(".immich"))
    );
    assert!(!at(ActiveState::Active, "running").iter().any(|step| step.contains("aside") || step.contains(".immich")));
    let tried_again = at(ActiveState::Activating, "auto-restart");
    assert!(
        tried_again[0].starts_with("stop the stack (its first start was cut off") && tried_again[1].contains("aside")
    );
    // A cluster that has no mark may be anybody's.
    let unmarked = |world: &mut World| {
        cut_off(world);
        world.first_starts.clear();
    };
    assert_eq!(after(unmarked), [START_ALL]);
    // It was renamed, and the power failed before there was a new one.
    let renamed = after(|world| {
        cut_off(world);
        place(world, "postgres", PlaceState::Absent { btrfs: true });
        let at = path("/var/lib/photos/live/postgres");
        world.known.insert(Subvolume::Postgres, at);
    });
    assert!(renamed[0].starts_with("make subvolume /var/lib/photos/live/postgres"), "{renamed:?}");
    // The operator's stop holds here too.
    let left = after(|world| {
        cut_off(world);
        unit("photos.target", |state| state.inactive_since = 1)(world);
    });
    assert_eq!(left, [STOPPED]);
}

#[test]
fn storage_is_made_mended_or_refused() {
    let plain = |empty, btrfs| PlaceState::Folder { btrfs, empty, uid: 0, gid: 0, mode: 0o755 };
    let at = |name: &'static str, state: PlaceState| after(move |world| place(world, name, state));

    assert_eq!(
        at("thumbs", PlaceState::Absent { btrfs: true }),
        ["make subvolume /var/lib/photos/live/thumbs (owner 0, 0750) (it is missing)"]
    );
    let refused = "refused: /var/lib/photos/live/thumbs: ";
    for (state, why) in [
        (PlaceState::Absent { btrfs: false }, "does not lie on BTRFS, which snapshots need"),
        (plain(true, false), "does not lie on BTRFS, which snapshots need"),
        (plain(true, true), "is a plain folder where a subvolume belongs"),
        (plain(false, true), "is a plain folder with data where a subvolume belongs"),
        (PlaceState::Other, "is not a folder, where a subvolume belongs"),
    ] {
        assert_eq!(at("thumbs", state), [format!("{refused}{why}")]);
    }
    assert_eq!(
        after(|world| drop(world.unreadable.insert(path(&format!("{LIVE}/thumbs")), "Permission denied".to_owned()))),
        [format!("{refused}Permission denied")]
    );
    assert_eq!(
        subvolume("media", |state| state.mount_point = true),
        [
            "refused: /var/lib/photos/live/media: is a mount point of its own, which cannot change places with a restored one"
        ]
    );
    assert_eq!(
        subvolume("redis", |state| (state.nocow, state.empty) = (false, true)),
        ["set NOCOW on /var/lib/photos/live/redis (NOCOW is not set)"]
    );
    let lost =
        "/var/lib/photos/live/redis: holds files but is not NOCOW, and the flag has no effect on files that exist";
    assert_eq!(subvolume("redis", |state| state.nocow = false), [format!("refused: {lost}")]);
    // Where the stack lies already, nothing else has to wait for it.
    let said = after(|world| {
        world.known = known();
        let Some(PlaceState::Subvolume(state)) = world.places.get_mut(&path(&format!("{LIVE}/redis"))) else {
            panic!()
        };
        state.nocow = false;
        world.files.remove(&World::own("immich-ml.container"));
    });
    assert_eq!(said, [format!("concern: {lost}").as_str(), "write 1 file and reload systemd (1 missing)"]);
    for change in [
        |state: &mut photos_agent::model::SubvolumeState| state.uid = 1000,
        |state: &mut photos_agent::model::SubvolumeState| state.gid = 1000,
        |state: &mut photos_agent::model::SubvolumeState| state.mode = 0o777,
    ] {
        let said = subvolume("media", change);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("set owner 0 and mode 0750 on /var/lib/photos/live/media (owner "), "{said:?}");
    }
    let root = |state: PlaceState| after(|world| world.places.extend([(path("/var/lib/photos"), state)]));
    assert_eq!(root(PlaceState::Other), ["refused: /var/lib/photos: is not a folder"]);
    assert_eq!(root(PlaceState::Absent { btrfs: true }), ["make folder /var/lib/photos (0711) (it is missing)"]);
    // It may be the operator's mount point, with whatever owner and mode.
    assert_eq!(root(plain(false, true)), Vec::<String>::new());
    assert_eq!(root(PlaceState::Subvolume(whole(Subvolume::Media, false))), Vec::<String>::new());
}

#[test]
fn refused_storage_names_the_commands_that_mend_it() {
    let mut world = World::converged();
    let data = PlaceState::Folder { btrfs: true, empty: false, uid: 0, gid: 0, mode: 0o755 };
    place(&mut world, "media", data.clone());
    place(&mut world, "postgres", data);
    let remedies: Vec<String> = world.plan().refusals.into_iter().map(|refusal| refusal.remedy).collect();
    assert!(remedies[0].contains("chattr +C") && remedies[0].contains("--reflink=never"), "{remedies:?}");
    assert!(remedies[1].contains("--reflink=auto") && !remedies[1].contains("chattr"), "{remedies:?}");
    assert!(remedies.iter().all(|remedy| remedy.contains("btrfs subvolume create") && !remedy.contains("rm ")));
}

#[test]
fn a_secret_is_made_once() {
    let lost = |empty: bool| {
        after(|world| {
            world.podman.secrets.clear();
            place(world, "postgres", PlaceState::Subvolume(whole(Subvolume::Postgres, empty)));
        })
    };
    assert_eq!(lost(true), ["make secret photos-db-password (32 random characters) (it does not exist)"]);
    assert_eq!(
        lost(false),
        ["concern: secret photos-db-password: is missing from Podman's store, but a database exists in \
          /var/lib/photos/live/postgres; what runs has a copy, and could not be started again"]
    );
    let file = after(|world| {
        world.podman.secrets.clear();
        world.files.remove(&World::own("immich-ml.container"));
    });
    assert_eq!(file.len(), 2, "all else is mended: {file:?}");
    // Whoever would be started again without it stays as it is.
    for change in [
        down,
        |world: &mut World| {
            down(world);
            unit("photos.target", |state| state.inactive_since = 1)(world);
        },
        |world: &mut World| world.podman.containers.get_mut("immich-server").unwrap().hash = Some("0".repeat(16)),
        |world: &mut World| world.podman.containers.get_mut("immich-server").unwrap().secrets.clear(),
        |world: &mut World| drop(world.podman.networks.remove("photos")),
        |world: &mut World| world.podman.networks.get_mut("photos").unwrap().hash = Some("0".repeat(16)),
        |world: &mut World| unit("immich-postgres.service", |state| state.active = ActiveState::Failed)(world),
    ] {
        let said = after(|world| {
            world.podman.secrets.clear();
            change(world);
        });
        let why = "is missing from Podman's store, but a database exists in /var/lib/photos/live/postgres";
        assert_eq!(said[0], format!("refused: secret photos-db-password: {why}"), "{said:?}");
    }
}

#[test]
fn images_are_pulled_when_missing_or_not_locked() {
    let world = World::converged();
    let image = world.desired().services[1].image.to_string();
    assert_eq!(
        after(|world| assert!(world.podman.images.remove(&image))),
        [format!("pull {image} (it is not in Podman's store)")]
    );
    let said = after(|world| {
        let tag = world.desired().runs.written[&photos_agent::model::Component::Redis].clone();
        world.facts.lock.remove(&tag);
    });
    assert_eq!(said[0], "pull docker.io/valkey/valkey:9 (its tag is not locked to a digest yet)");
}

#[test]
fn what_only_an_upgrade_puts_in_force_is_a_note() {
    let mut world = World::converged();
    world.facts.in_force = Some(world.desired().runs);
    let said = |world: &World| world.plan().notes;
    assert_eq!(said(&world), Vec::<String>::new());
    let mut with = |version: &str, redis: Option<&str>| {
        world.settings.immich.version = version.parse().unwrap();
        world
            .settings
            .images
            .extend(redis.map(|image| (photos_agent::model::Component::Redis, image.parse().unwrap())));
        said(&world)
    };
    assert_eq!(with("v3.0.2", None).len(), 1);
    assert!(with("v3.0.2", None)[0].contains("photos-agent rollback"));
    let image = "docker.io/mine/valkey:10";
    let same = with("v3.2.2", Some(image));
    assert_eq!(same, [format!("the files say redis = {image}; to put it in force: photos-agent upgrade")]);
}

#[test]
fn files_are_written_where_they_differ_and_only_where_they_are_ours() {
    let ml = World::own("immich-ml.container");
    let write = |why: &str| [format!("write 1 file and reload systemd (1 {why})")];
    assert_eq!(after(|world| drop(world.files.remove(&ml))), write("missing"));
    assert_eq!(
        after(|world| {
            world.files.insert(ml.clone(), "old text of a former agent".to_owned());
            world.recorded.insert(ml.clone(), "old text of a former agent".to_owned());
        }),
        write("out of date")
    );
    assert_eq!(after(|world| world.files.get_mut(&ml).unwrap().push_str("# mine")), write("edited by hand"));
    // Without a record, its first line tells whose it is.
    let unrecorded = |text: String| {
        after(|world| {
            world.recorded.clear();
            world.files.insert(ml.clone(), text);
        })
    };
    assert_eq!(unrecorded(format!("{MARKER} Something.\n")), write("edited by hand"));
    assert_eq!(
        unrecorded("[Container]\n".to_owned()),
        [format!("refused: {ml}: exists and was not written by photos-agent")]
    );
    let sysctl = path("/etc/sysctl.d/60-photos-agent.conf");
    assert_eq!(after(|world| drop(world.files.remove(&sysctl))), write("missing"));
    let rules = path("/var/lib/photos-agent/firewall.nft");
    assert_eq!(
        after(|world| world.files.get_mut(&rules).unwrap().push('#')),
        [write("edited by hand")[0].as_str(), "load the rules of the inner network (they changed)"]
    );
    // Once, whatever else is the matter with them.
    assert_eq!(
        after(|world| {
            world.files.get_mut(&rules).unwrap().push('#');
            world.kernel.rules = Some(false);
        }),
        [write("edited by hand")[0].as_str(), "load the rules of the inner network (they changed)"]
    );
}

#[test]
fn a_file_of_ours_is_roots_own_and_no_link() {
    let ml = World::own("immich-ml.container");
    let rules = path("/var/lib/photos-agent/firewall.nft");
    let spoil = |file: &HostPath, change: fn(&mut FileState)| {
        let file = file.clone();
        after(move |world| {
            let mut state = world.observe().files[&file].clone().unwrap();
            change(&mut state);
            world.spoiled.insert(file, state);
        })
    };
    let write = |why: &str| [format!("write 1 file and reload systemd (1 {why})")];
    let changes: [fn(&mut FileState); 4] =
        [|file| file.uid = 1000, |file| file.gid = 1000, |file| file.mode = 0o666, |file| file.mode = 0o4644];
    for change in changes {
        assert_eq!(spoil(&ml, change), write("with another owner or mode"));
        // The rules are loaded already.
        assert_eq!(spoil(&rules, change), write("with another owner or mode"));
    }
    let link: fn(&mut FileState) = |file| file.kind = FileKind::Link("/home/me/ml.container".to_owned());
    assert_eq!(spoil(&ml, link), write("replaced by a link"));
    assert_eq!(spoil(&ml, |file| file.kind = FileKind::Other), [format!("refused: {ml}: is not a file")]);
    // Somebody's own link, before anything of ours was there.
    let said = after(|world| {
        world.recorded.clear();
        world.files.insert(ml.clone(), "[Container]\n".to_owned());
        let mut state = world.observe().files[&ml].clone().unwrap();
        link(&mut state);
        world.spoiled.insert(ml.clone(), state);
    });
    assert_eq!(said, [format!("refused: {ml}: exists and was not written by photos-agent")]);
    // A mask is the operator's word.
    let masked = after(|world| {
        let file = path("/etc/systemd/system/photos-firewall.service");
        let state =
            FileState { kind: FileKind::Link("/dev/null".to_owned()), ..world.observe().files[&file].clone().unwrap() };
        world.files.insert(file.clone(), String::new());
        world.spoiled.insert(file, state);
        unit("photos-firewall.service", |unit| {
            (unit.load, unit.active) = (LoadState::Masked, ActiveState::Inactive);
        })(world);
    });
    assert_eq!(masked, ["concern: photos-firewall.service: is masked, and the stack cannot be kept without it"]);
    // So does the text of a link that once was ours stay where it is, once nothing wants it.
    let stray = World::own("icloudpd.container");
    let said = after(|world| {
        let text = format!("{MARKER} x");
        world.recorded.insert(stray.clone(), text.clone());
        world.files.insert(stray.clone(), text);
        let mut state = world.observe().files[&stray].clone().unwrap();
        link(&mut state);
        world.spoiled.insert(stray.clone(), state);
    });
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn the_agents_own_folders_are_roots() {
    for (folder, mode) in [("/etc/containers/systemd/photos-agent", "0755"), ("/var/lib/photos-agent", "0700")] {
        let at = |state: PlaceState| after(|world| world.places.extend([(path(folder), state)]));
        let plain = |uid, mode| PlaceState::Folder { btrfs: false, empty: false, uid, gid: 0, mode };
        for (uid, found) in [(0, 0o777), (1000, 0o755), (0, 0o1700)] {
            let why = format!("owner {uid}:0, mode {found:04o}");
            assert_eq!(at(plain(uid, found)), [format!("set owner 0 and mode {mode} on {folder} ({why})")]);
        }
        // A link that the operator made.
        assert_eq!(at(PlaceState::Other), Vec::<String>::new());
    }
}

#[test]
fn a_unit_that_systemd_takes_from_elsewhere_is_refused() {
    let from = |name: &'static str, fragment: &'static str, source: &'static str| {
        after(unit(name, move |unit| {
            fragment.clone_into(&mut unit.fragment);
            source.clone_into(&mut unit.source);
        }))
    };
    let (ml, own) = ("immich-ml.service", "/etc/containers/systemd/photos-agent/immich-ml.container");
    let generated = "/run/systemd/generator/immich-ml.service";
    let theirs = "/etc/systemd/system/immich-ml.service";
    let refused = |name: &str, from: &str, file: &str| {
        [format!("refused: {name}: systemd takes it from {from}, which wins over {file}")]
    };
    assert_eq!(from(ml, generated, own), Vec::<String>::new());
    assert_eq!(from(ml, theirs, ""), refused(ml, theirs, own));
    // Whatever it says of itself.
    assert_eq!(from(ml, theirs, own), refused(ml, theirs, own));
    let other = "/etc/containers/systemd/theirs/immich-ml.container";
    assert_eq!(from(ml, generated, other), refused(ml, other, own));
    let target = "/etc/systemd/system/photos.target";
    let control = "/run/systemd/system.control/photos.target";
    assert_eq!(from("photos.target", target, ""), Vec::<String>::new());
    assert_eq!(from("photos.target", control, ""), refused("photos.target", control, target));
    let mut world = World::converged();
    unit(ml, |unit| theirs.clone_into(&mut unit.fragment))(&mut world);
    let remedy = world.plan().refusals.remove(0).remedy;
    assert_eq!(remedy, format!("mv {theirs} {theirs}.aside && systemctl daemon-reload"));
    // It was moved away, and systemd has not read that yet.
    let said = after(unit(ml, |unit| {
        theirs.clone_into(&mut unit.fragment);
        unit.needs_reload = true;
    }));
    assert_eq!(said, [format!("reload systemd (systemd has an older text of {ml})")]);
    // Another quadlet of the name is told once.
    let said = after(|world| {
        world.shadows.push(path(other));
        unit(ml, |unit| {
            generated.clone_into(&mut unit.fragment);
            other.clone_into(&mut unit.source);
        })(world);
    });
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn what_nothing_wants_is_removed_if_it_is_ours() {
    let file = |text: &str, recorded: bool| {
        let text = text.to_owned();
        after(|world| {
            if recorded {
                world.recorded.insert(World::own("icloudpd.container"), format!("{MARKER} x"));
            }
            world.files.insert(World::own("icloudpd.container"), text);
        })
    };
    let stray = |text: &str| file(text, true);
    let why = "nothing in the configuration wants it any more";
    // A copy of one of ours is somebody's own.
    assert_eq!(file(&format!("{MARKER} x"), false), Vec::<String>::new());
    assert_eq!(
        stray(&format!("{MARKER} x")),
        [format!("stop icloudpd.service ({why})"), format!("remove {} ({why})", World::own("icloudpd.container")),]
    );
    assert_eq!(stray("[Container]\nImage=theirs\n"), Vec::<String>::new());
    assert_eq!(
        after(|world| world.shadows.push(path("/etc/containers/systemd/immich-ml.container"))),
        ["refused: /etc/containers/systemd/immich-ml.container: has the name of a unit of photos-agent, and quadlet \
          reads only one file of a name"]
    );
}

#[test]
fn systemd_is_told_to_read_again_what_it_has_not_read() {
    assert_eq!(
        after(unit("photos.slice", |state| state.needs_reload = true)),
        ["reload systemd (systemd has an older text of photos.slice)"]
    );
    let said = after(unit("immich-ml.service", |state| *state = photos_agent::model::UnitState::default()));
    assert_eq!(said[0], "reload systemd (systemd does not know immich-ml.service yet)");
}

#[test]
fn a_changed_network_stops_the_stack_and_a_foreign_one_is_refused() {
    let change = |change: fn(&mut NetworkState)| {
        move |world: &mut World| change(world.podman.networks.get_mut("photos").unwrap())
    };
    assert_eq!(
        after(change(|network| {
            network.hash = Some("0".repeat(16));
            network.subnets = vec!["10.1.0.0/24".to_owned()];
        })),
        [
            "stop the stack (Podman cannot change a network in place: photos)",
            "remove network photos (subnet 10.1.0.0/24, wanted 10.89.5.0/24)",
            "start photos.target, photos-firewall.service, immich-postgres.service, immich-redis.service, \
             immich-server.service, immich-ml.service (stopped above)",
        ]
    );
    assert_eq!(
        after(change(|network| network.hash = Some("0".repeat(16))))[1],
        "remove network photos (made from another text of its unit (0000000000000000))"
    );
    assert_eq!(
        after(change(|network| network.hash = None)),
        ["refused: network photos: exists and was not made by photos-agent"]
    );
    assert_eq!(
        after(|world| drop(world.podman.networks.remove("photos"))),
        ["restart photos-network.service (the network is gone although its unit is up)"]
    );
    assert_eq!(
        after(|world| world.settings.network.server_networks.push("proxy".parse().unwrap()))[0],
        "refused: network proxy: is named in network.server_networks and does not exist"
    );
    // A stack that is down is not started for it.
    let said = after(|world| {
        down(world);
        unit("photos.target", |state| state.inactive_since = 1)(world);
        change(|network| network.hash = Some("0".repeat(16)))(world);
    });
    assert_eq!(said, ["remove network photos (made from another text of its unit (0000000000000000))", STOPPED]);
}

#[test]
fn forwarding_is_on_and_the_inner_bridge_has_none() {
    assert_eq!(
        after(|world| world.kernel.ip_forward = false),
        ["turn on net.ipv4.ip_forward (a bridge made before it is on would forward as soon as it is)"]
    );
    assert_eq!(
        after(|world| world.kernel.inner_forwarding = Some(true)),
        ["turn off forwarding on the inner bridge (the database would have a way out)"]
    );
    assert_eq!(after(|world| world.kernel.inner_forwarding = None), Vec::<String>::new());
    // Flushed by hand, or by a firewall that thinks it is alone.
    let why = "somebody flushed them: the inner network is open, and published ports may be dead";
    assert_eq!(
        after(|world| world.kernel.rules = Some(false)),
        [format!("load the rules of the inner network ({why})")]
    );
    assert_eq!(after(|world| world.kernel.rules = None), Vec::<String>::new(), "an ordinary user cannot tell");
    let said = after(|world| {
        world.kernel.rules = Some(false);
        unit("photos-firewall.service", |state| state.active = ActiveState::Inactive)(world);
    });
    assert_eq!(said, ["start photos-firewall.service (not running)"]);
}

#[test]
fn the_operators_stop_is_obeyed_and_ours_is_not() {
    // Never up in this boot, and enabled: the start at boot failed, or the crash came first.
    assert_eq!(after(down), [START_ALL]);
    let stopped = |world: &mut World| {
        down(world);
        unit("photos.target", |state| state.inactive_since = 1)(world);
    };
    assert_eq!(after(stopped), [STOPPED]);
    assert_eq!(
        after(|world| {
            down(world);
            unit("photos.target", |state| "disabled".clone_into(&mut state.file_state))(world);
        }),
        [DISABLED]
    );
    // An interrupted operation stopped it.
    assert_eq!(
        after(|world| {
            stopped(world);
            world.stack_was_stopped = true;
        }),
        [START_ALL]
    );
    // Somebody starts it just now.
    assert_eq!(
        after(|world| {
            stopped(world);
            unit("photos.target", |state| state.job = true)(world);
        }),
        [START_ALL]
    );
    // Before all went well for the first time, too.
    let said = after(|world| {
        stopped(world);
        world.converged = false;
    });
    assert_eq!(said, [STOPPED]);
    // An operator who disabled it while it runs means the next boot.
    assert_eq!(
        after(unit("photos.target", |state| "disabled".clone_into(&mut state.file_state))),
        Vec::<String>::new()
    );
    // Files of a stopped stack are kept right all the same.
    let said = after(|world| {
        stopped(world);
        world.files.remove(&World::own("immich-ml.container"));
    });
    assert_eq!(said, ["write 1 file and reload systemd (1 missing)", STOPPED]);
}

#[test]
fn what_is_not_up_is_started() {
    for (state, word) in [
        (ActiveState::Inactive, "not running"),
        (ActiveState::Failed, "failed"),
        (ActiveState::Activating, "still starting"),
        (ActiveState::Deactivating, "stopping"),
    ] {
        assert_eq!(
            after(unit("immich-ml.service", |unit| unit.active = state)),
            [format!("start immich-ml.service ({word})")]
        );
    }
    assert_eq!(
        after(unit("photos-firewall.service", |unit| unit.active = ActiveState::Failed)),
        ["start photos-firewall.service (failed)"]
    );
    // systemd tries it again and again: so do we, and say so.
    for (state, word) in [(ActiveState::Activating, "still starting"), (ActiveState::Deactivating, "stopping")] {
        let tried = |job| {
            after(unit("immich-ml.service", move |unit| {
                (unit.active, unit.restarts, unit.job) = (state, 3, job);
                "exit-code".clone_into(&mut unit.result);
            }))
        };
        assert_eq!(
            tried(false),
            [
                "concern: immich-ml.service: keeps failing: 3 restarts, the last run ended with exit-code".to_owned(),
                format!("start immich-ml.service ({word})")
            ]
        );
        // Its end belongs to its run, unless somebody stops it.
        assert_eq!(tried(true).len(), if state == ActiveState::Activating { 2 } else { 1 });
    }
    // A start of the text that was there has no container yet, and would be waited for.
    let rewritten = |with_container: bool| {
        after(move |world| {
            unit("immich-ml.service", |unit| unit.active = ActiveState::Activating)(world);
            world.files.get_mut(&World::own("immich-ml.container")).unwrap().push_str("# old");
            if !with_container {
                world.podman.containers.remove("immich-ml");
            }
        })
    };
    assert!(rewritten(false)[1].starts_with("restart immich-ml.service (starting from an older text)"));
    assert!(rewritten(true)[1].starts_with("start immich-ml.service (still starting)"), "of our own text");
    // A drop-in of somebody's that systemd cannot use: the others go on.
    let said = after(|world| {
        for name in ["immich-ml.service", "immich-redis.service"] {
            unit(name, |unit| unit.active = ActiveState::Inactive)(world);
        }
        unit("immich-ml.service", |unit| unit.load = LoadState::Broken)(world);
    });
    assert!(said[0].starts_with("concern: immich-ml.service: cannot be used by systemd as it is"), "{said:?}");
    assert_eq!(said[1..], ["start immich-redis.service (not running)"]);
    // One that the server needs: no start of the server could succeed, unless it still runs.
    let broken = |active: ActiveState| {
        after(move |world| {
            unit("immich-server.service", |unit| unit.active = ActiveState::Inactive)(world);
            unit("immich-postgres.service", |unit| (unit.load, unit.active) = (LoadState::Broken, active))(world);
        })
    };
    for (active, steps) in
        [(ActiveState::Failed, &[][..]), (ActiveState::Active, &["start immich-server.service (not running)"])]
    {
        let said = broken(active);
        assert!(said[0].starts_with("concern: immich-postgres.service: cannot be used by systemd"), "{said:?}");
        assert_eq!(said[1..], *steps);
    }
    // What came up after all is well, whatever it took.
    assert_eq!(after(unit("immich-ml.service", |unit| unit.restarts = 30)), Vec::<String>::new());
    // A stack of which nothing but the target is up was stopped by nobody.
    assert_eq!(
        after(|world| {
            down(world);
            unit("photos.target", |state| state.active = ActiveState::Active)(world);
        })
        .len(),
        1
    );
}

#[test]
fn what_runs_from_an_old_text_or_secret_is_restarted() {
    let container = |change: fn(&mut photos_agent::model::ContainerState)| {
        after(|world| change(world.podman.containers.get_mut("immich-postgres").unwrap()))
    };
    assert_eq!(
        container(|container| container.hash = Some("0".repeat(16))),
        ["restart immich-postgres.service (running from an older text of the unit)"]
    );
    assert_eq!(
        after(|world| drop(world.podman.containers.remove("immich-postgres"))),
        ["restart immich-postgres.service (no container although the unit is up)"]
    );
    assert_eq!(
        after(|world| "2".clone_into(&mut world.podman.secrets.get_mut("photos-db-password").unwrap().id)),
        ["restart immich-postgres.service, immich-server.service (started with an older secret)"]
    );
    let foreign = "refused: container immich-postgres: exists and was not made by photos-agent";
    assert_eq!(container(|container| container.unit = None)[0], foreign);
    assert_eq!(container(|container| container.unit = Some("theirs.service".to_owned()))[0], foreign);
    assert_eq!(container(|container| container.hash = None)[0], foreign);
}

#[test]
fn masked_units_stay_down() {
    let said = after(unit("immich-ml.service", |state| {
        (state.load, state.active) = (LoadState::Masked, ActiveState::Inactive);
    }));
    let unmask = "systemctl unmask immich-ml.service";
    assert_eq!(said, [format!("note: immich-ml.service is masked and stays down: {unmask}")]);
    // Not what was meant, perhaps: and no start of the server could succeed.
    let needed = after(|world| {
        for name in ["immich-postgres.service", "immich-server.service"] {
            unit(name, |state| state.active = ActiveState::Inactive)(world);
        }
        unit("immich-postgres.service", |state| state.load = LoadState::Masked)(world);
    });
    let cannot = "is masked, and immich-server.service cannot be without it";
    assert_eq!(needed, [format!("concern: immich-postgres.service: {cannot}")]);
    let said = after(unit("photos.target", |state| state.load = LoadState::Masked));
    assert_eq!(said, ["note: photos.target is masked: systemctl unmask photos.target"]);
}

fn known() -> BTreeMap<Subvolume, HostPath> {
    World::converged().desired().subvolumes.iter().map(|place| (place.subvolume, place.path.clone())).collect()
}

#[test]
fn data_is_not_left_behind_by_a_changed_path() {
    let said = after(|world| {
        world.known = known();
        world.settings.storage.databases = "/ssd".parse().ok();
    });
    let refused = ["postgres", "redis"].map(|name| {
        format!("refused: /ssd/live/{name}: is not there: {name} of this stack lies in /var/lib/photos/live/{name}")
    });
    assert!(refused.iter().all(|line| said.contains(line)), "{said:?}");
}

#[test]
fn a_taken_subnet_is_refused_before_anything_stops() {
    let said = after(|world| {
        let mut other = world.podman.networks["photos"].clone();
        other.subnets = vec!["10.77.0.0/16".to_owned()];
        world.podman.networks.insert("theirs".to_owned(), other);
        world.settings.network.subnet = "10.77.1.0/24".parse().unwrap();
    });
    assert!(
        said.contains(&"refused: network.subnet 10.77.1.0/24: is taken by the network theirs".to_owned()),
        "{said:?}"
    );
}

#[test]
fn a_subvolume_that_is_gone_is_refused() {
    let said = after(|world| {
        world.known = known();
        place(world, "media", PlaceState::Absent { btrfs: true });
    });
    let gone = "is gone, and the stack lay in it: is its disk mounted?";
    assert_eq!(said, [format!("refused: /var/lib/photos/live/media: {gone}")]);
}

#[test]
fn a_network_with_guests_is_not_removed() {
    let said = after(|world| {
        world.podman.networks.get_mut("photos").unwrap().hash = Some("0".repeat(16));
        let mut guest = world.podman.containers["immich-ml"].clone();
        (guest.unit, guest.hash, guest.networks) = (None, None, vec!["photos".to_owned()]);
        world.podman.containers.insert("guest".to_owned(), guest);
    });
    assert!(said[0].starts_with("refused: container guest: is on the network photos"), "{said:?}");
}

#[test]
fn without_systemd_or_podman_nothing_is_guessed() {
    assert_eq!(after(|world| world.systemd_is_deaf = true), ["refused: systemd: cannot be asked: no bus"]);
    assert_eq!(after(|world| world.podman_is_deaf = true), ["refused: Podman: cannot be asked: no answer within 60 s"]);
    for version in ["5.3.9", "4.9.4", "5.3.0-rc1"] {
        assert_eq!(
            after(|world| version.clone_into(&mut world.podman.version)),
            [format!("refused: Podman: version {version} does not know all keys of the units that are written")]
        );
    }
    for version in ["5.4.0", "5.10.0", "6.0.0-dev"] {
        assert_eq!(after(|world| version.clone_into(&mut world.podman.version)), Vec::<String>::new());
    }
    // Its socket is not up: that is mended first, and nothing is said of a secret that may be there.
    let said = after(unit(PODMAN_SOCKET, |state| state.active = ActiveState::Inactive));
    assert_eq!(said[0], "enable podman.socket (the agent speaks to Podman through it, and Debian ships it disabled)");
    assert!(!said.iter().any(|line| line.contains("secret") && line.contains("make")), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("refused")), "{said:?}");
}

#[test]
fn a_role_that_was_given_the_secret_while_it_ran_needs_no_restart() {
    let rotated = |container: &str, secret: &str| {
        after(|world| {
            "2".clone_into(&mut world.podman.secrets.get_mut("photos-db-password").unwrap().id);
            world.role = Some(RolePassword { container: container.to_owned(), secret: secret.to_owned() });
        })
    };
    let both = ["restart immich-postgres.service, immich-server.service (started with an older secret)"];
    let server = ["restart immich-server.service (started with an older secret)"];
    assert_eq!(rotated("1", "2"), server);
    // Of a container that is gone, or another secret: nobody told this one.
    assert_eq!(rotated("0", "2"), both);
    assert_eq!(rotated("1", "1"), both);
    // A database that was started again since has its secret from its start, whatever it was told before.
    let said = after(|world| {
        world.role = Some(RolePassword { container: "0".to_owned(), secret: "0".to_owned() });
    });
    assert_eq!(said, Vec::<String>::new());
    // Nor does what the role has excuse another text of the unit.
    let said = after(|world| {
        world.role = Some(RolePassword { container: "1".to_owned(), secret: "1".to_owned() });
        world.podman.containers.get_mut("immich-postgres").unwrap().hash = Some("0".repeat(16));
    });
    assert_eq!(said, ["restart immich-postgres.service (running from an older text of the unit)"]);
}

const TIMER: &str = "photos-snapshot.timer";

#[test]
fn the_timer_is_enabled_once_and_then_the_operators() {
    let timer = |change: fn(&mut photos_agent::model::UnitState)| after(unit(TIMER, change));
    let disabled = ["note: photos-snapshot.timer is disabled: systemctl enable --now photos-snapshot.timer"];
    assert_eq!(timer(|state| state.file_state = "disabled".to_owned()), disabled);
    let stopped = ["note: photos-snapshot.timer was stopped: systemctl start photos-snapshot.timer"];
    assert_eq!(timer(|state| (state.active, state.inactive_since) = (ActiveState::Inactive, 1)), stopped);
    let masked = ["note: photos-snapshot.timer is masked: systemctl unmask photos-snapshot.timer"];
    assert_eq!(timer(|state| state.load = LoadState::Masked), masked);
    // Whatever became of it before all was well for the first time was not the operator's doing.
    let interrupted = after(|world| {
        world.settled.remove(&path("/etc/systemd/system/photos-snapshot.timer"));
        let state = world.units.get_mut(&unit_name(TIMER)).unwrap();
        "disabled".clone_into(&mut state.file_state);
        state.active = ActiveState::Inactive;
    });
    assert_eq!(interrupted, ["enable photos-snapshot.timer (it works without the agent)"]);
    let never_started = timer(|state| (state.active, state.inactive_since) = (ActiveState::Inactive, 0));
    assert_eq!(never_started, ["enable photos-snapshot.timer (it is enabled and was not started)"]);
}

#[test]
fn a_schedule_that_is_off_takes_the_timer_away_and_back_again() {
    let mut world = World::converged();
    let schedule = world.settings.snapshots.schedule.take();
    assert_eq!(
        said(&world.plan()),
        [
            "disable photos-snapshot.timer (nothing in the configuration wants it any more)",
            "remove /etc/systemd/system/photos-snapshot.timer (nothing in the configuration wants it any more)",
        ]
    );
    assert_eq!(world.apply(None), super::world::End::Converged);
    assert!(world.plan().is_empty() && world.plan().notes.is_empty());
    world.settings.snapshots.schedule = schedule;
    // systemd forgets a unit without a file.
    world.units.remove(&unit_name(TIMER));
    let steps = said(&world.plan());
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert_eq!(steps[1], "enable photos-snapshot.timer (it works without the agent)");
    assert_eq!(world.apply(None), super::world::End::Converged);
    assert!(world.plan().is_empty() && world.plan().notes.is_empty());
}
