//! Accounts of iCloud: what a new, a changed and a removed one takes, and what is refused under pictures that are there.

use photos_agent::model::{ActiveState, ContainerState, HostPath, LoadState, PlaceState};
use photos_agent::plan::{LibraryState, SentinelState};

use super::said;
use super::world::{End, World, account_folder, path, unit_name};
use crate::accounts::settings;

const ANNA: &str = "[[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\n";
const BEN: &str = "[[icloud.account]]\nname = \"ben\"\napple_id = \"ben@example.org\"\n";

fn world(text: &str) -> World {
    World::converged_to(settings(text))
}

/// What a plan says after a change of a host that has one account.
fn after(change: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = world(ANNA);
    change(&mut world);
    said(&world.plan())
}

fn set(world: &mut World, place: &HostPath, state: PlaceState) {
    world.places.insert(place.clone(), state);
}

fn library(world: &mut World) -> &mut LibraryState {
    world.libraries.get_mut(&"anna".parse().unwrap()).unwrap()
}

#[test]
fn a_host_with_accounts_that_rest_has_nothing_to_do() {
    assert_eq!(said(&world(&format!("{ANNA}{BEN}")).plan()), [""; 0]);
    // A download that has failed is told by whoever reads why, and one that runs is left alone.
    for active in [ActiveState::Failed, ActiveState::Activating] {
        assert_eq!(
            after(|world| world.units.get_mut(&unit_name("icloudpd@anna.service")).unwrap().active = active),
            [""; 0]
        );
    }
}

#[test]
fn a_new_account_gets_folders_an_image_units_and_a_timer() {
    let mut world = World::converged();
    world.settings = settings(ANNA);
    insta::assert_snapshot!(said(&world.plan()).join("\n"), @r#"
    make folder /var/lib/photos/live/icloud/anna for the pictures of anna (it is missing)
    make folder /var/lib/photos/keep/icloudpd/anna (0700) (it is missing)
    set owner 53939 and mode 0700 on /var/lib/photos/keep/icloudpd/anna (icloudpd keeps its session there)
    pull docker.io/icloudpd/icloudpd:1.32.3 (its tag is not locked to a digest yet)
    write 6 files and reload systemd (5 missing, 1 out of date)
    enable icloudpd@anna.timer (it works without the agent)
    enable photos-scan.timer (it works without the agent)
    restart immich-server.service (running from an older text of the unit)
    note: Immich's own scan schedule and watcher are switched off, for every external library: they look at nothing before they scan. photos-scan.timer has them scanned instead, guarded, as photos-agent immich scan does
    "#);
    assert_eq!(world.apply(None), End::Converged);
    assert_eq!(said(&world.plan()), [""; 0]);
    assert_eq!(world.places[&path("/var/lib/photos/live/icloud/anna")], account_folder(0o755));
    assert_eq!(world.places[&path("/var/lib/photos/keep/icloudpd/anna")], account_folder(0o700));
    assert_eq!(world.units[&unit_name("icloudpd@anna.timer")].file_state, "enabled");
    assert_eq!(world.units[&unit_name("icloudpd@anna.service")].active, ActiveState::Inactive);
}

#[test]
fn a_folder_that_had_pictures_is_not_made_anew() {
    let photos = path("/var/lib/photos/live/icloud/anna");
    let gone = |is_filled: bool| {
        after(|world| {
            set(world, &photos, PlaceState::Absent { btrfs: true });
            world.libraries.clear();
            if is_filled {
                world.filled.insert("anna".parse().unwrap());
            }
        })
    };
    assert_eq!(gone(false), ["make folder /var/lib/photos/live/icloud/anna for the pictures of anna (it is missing)"]);
    let told = gone(true);
    assert!(
        told.len() == 1 && told[0].starts_with(&format!("concern: {photos}: is gone, and pictures of anna")),
        "{told:?}"
    );
}

#[test]
fn a_removed_account_loses_its_units_and_nothing_else() {
    let mut world = world(&format!("{ANNA}{BEN}"));
    let places = world.places.clone();
    world.units.get_mut(&unit_name("icloudpd@ben.service")).unwrap().active = ActiveState::Activating;
    world.settings = settings(ANNA);
    insta::assert_snapshot!(said(&world.plan()).join("\n"), @r#"
    stop icloudpd@ben.service, photos-icloud@ben.service (nothing in the configuration wants it any more)
    disable icloudpd@ben.timer (nothing in the configuration wants it any more)
    remove /etc/containers/systemd/photos-agent/icloudpd@ben.container, /etc/systemd/system/icloudpd@ben.timer, /etc/systemd/system/photos-icloud@ben.service (nothing in the configuration wants it any more)
    "#);
    assert_eq!(world.apply(None), End::Converged);
    assert_eq!(said(&world.plan()), [""; 0]);
    assert_eq!(world.units[&unit_name("icloudpd@ben.service")].active, ActiveState::Inactive);
    assert_eq!(world.places, places);
    assert!(world.libraries.contains_key(&"ben".parse().unwrap()));
    assert!(!world.files.keys().any(|file| file.as_str().contains("@ben")));
    // It comes back to what it left.
    world.settings = settings(&format!("{ANNA}{BEN}"));
    assert_eq!(world.apply(None), End::Converged);
    assert_eq!(world.places, places);
}

#[test]
fn a_changed_option_is_a_file_and_nothing_else() {
    insta::assert_snapshot!(after(|world| world.settings = settings(&format!("{ANNA}recent = 5\n"))).join("\n"), @r#"
    write 1 file and reload systemd (1 out of date)
    "#);
    insta::assert_snapshot!(after(|world| world.settings = settings(&format!("{ANNA}schedule = \"off\"\n"))).join("\n"), @r#"
    disable icloudpd@anna.timer (nothing in the configuration wants it any more)
    remove /etc/systemd/system/icloudpd@anna.timer (nothing in the configuration wants it any more)
    "#);
}

#[test]
fn options_that_move_pictures_are_refused_where_there_are_some() {
    let moved = format!("{ANNA}folder_structure = \"none\"\nsize = [\"adjusted\"]\ntimezone = \"Europe/Oslo\"\n");
    insta::assert_snapshot!(after(|world| world.settings = settings(&moved)).join("\n"), @r#"
    refused: icloud.account anna: changed under pictures that are there: folder_structure, size, timezone. All of anna would be downloaded again at other paths, and Immich would take those that it knows for lost
    write 2 files and reload systemd (2 out of date)
    "#);
    // Where there are none yet, they may change.
    let mut world = world(ANNA);
    library(&mut world).has_pictures = false;
    world.settings = settings(&moved);
    assert_eq!(world.apply(None), End::Converged);
    assert_eq!(said(&world.plan()), [""; 0]);
    // Nothing is left half-way while something is put back.
    let said = after(|world| {
        world.settings = settings(&moved);
        world.going_back = true;
    });
    assert!(said[0].starts_with("concern: icloud.account anna: changed under pictures"), "{said:?}");
}

#[test]
fn a_folder_that_does_not_say_whose_it_is_is_not_taken_for_one() {
    insta::assert_snapshot!(after(|world| library(world).sentinel = SentinelState::Missing).join("\n"), @r#"
    concern: /var/lib/photos/live/icloud/anna: has no .photos-agent: nobody can say that these are the pictures of anna, and Immich is not told to look
    "#);
    insta::assert_snapshot!(
        after(|world| *library(world) = LibraryState { has_pictures: false, sentinel: SentinelState::Strange }).join("\n"),
        @r#"
    concern: /var/lib/photos/live/icloud/anna: has a damaged .photos-agent, and is empty: nobody can say that these are the pictures of anna, and Immich is not told to look
    "#
    );
    let said = after(|world| {
        let ben = World::converged_to(settings(BEN)).libraries.remove(&"ben".parse().unwrap()).unwrap();
        *library(world) = ben;
    });
    assert_eq!(said, ["refused: /var/lib/photos/live/icloud/anna: holds the pictures of another account: ben"]);
}

#[test]
fn folders_are_kept_as_they_are_needed() {
    let photos = path("/var/lib/photos/live/icloud/anna");
    let cookies = path("/var/lib/photos/keep/icloudpd/anna");
    assert_eq!(
        after(|world| set(world, &cookies, account_folder(0o755))),
        ["set owner 53939 and mode 0700 on /var/lib/photos/keep/icloudpd/anna (owner 53939:53939, mode 0755)"]
    );
    assert_eq!(
        after(|world| set(world, &photos, PlaceState::Other)),
        ["refused: /var/lib/photos/live/icloud/anna: is not a folder"]
    );
    assert_eq!(
        after(|world| drop(world.unreadable.insert(photos.clone(), "an error of its disk".to_owned()))),
        ["refused: /var/lib/photos/live/icloud/anna: an error of its disk"]
    );
}

#[test]
fn what_is_somebody_elses_is_left_alone() {
    let foreign = ContainerState {
        id: "1".to_owned(),
        unit: None,
        networks: Vec::new(),
        secrets: std::collections::BTreeMap::new(),
        hash: None,
        has_devices: false,
    };
    assert_eq!(
        after(|world| drop(world.podman.containers.insert("icloudpd-anna".to_owned(), foreign))),
        ["refused: container icloudpd-anna: exists and was not made by photos-agent"]
    );
    assert_eq!(
        after(|world| world.units.get_mut(&unit_name("icloudpd@anna.service")).unwrap().load = LoadState::Masked),
        ["note: icloudpd@anna.service is masked, and nothing is downloaded: systemctl unmask icloudpd@anna.service"]
    );
    assert_eq!(
        after(|world| world.units.get_mut(&unit_name("photos-icloud@anna.service")).unwrap().load = LoadState::Masked),
        ["note: photos-icloud@anna.service is masked and does nothing: systemctl unmask photos-icloud@anna.service"]
    );
}

#[test]
fn an_option_that_rewrites_pictures_is_told() {
    let said = after(|world| world.settings = settings(&format!("{ANNA}set_exif_datetime = true\n")));
    assert!(said.iter().any(|line| line.starts_with("note: anna: set_exif_datetime writes into pictures")), "{said:?}");
}

#[test]
fn a_stop_of_the_stack_counts_a_download() {
    let said = after(|world| {
        world.units.get_mut(&unit_name("photos.target")).unwrap().active = ActiveState::Inactive;
        for service in ["postgres", "redis", "server", "ml"] {
            let unit = unit_name(&format!("immich-{service}.service"));
            world.units.get_mut(&unit).unwrap().active = ActiveState::Inactive;
        }
        world.units.get_mut(&unit_name("icloudpd@anna.service")).unwrap().active = ActiveState::Activating;
        world.podman.networks.get_mut("photos").unwrap().hash = Some("old".to_owned());
    });
    assert!(said.iter().any(|line| line.starts_with("stop the stack")), "{said:?}");
}
