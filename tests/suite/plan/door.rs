//! Which ways lead to the server, which of them cannot be closed, and the text that closes the others.

use photos_agent::model::{ContainerState, NetworkState};
use photos_agent::plan::door::{Doors, Way, doors};

use super::world::World;

const OWN: [&str; 2] = ["photos", "photos-egress"];

/// The doors of a converged host after `change`, or what is refused.
fn after(change: impl FnOnce(&mut World)) -> Result<Doors, Vec<String>> {
    let mut world = World::converged();
    server(&mut world).networks = OWN.map(str::to_owned).into();
    change(&mut world);
    let doors = doors(&world.podman, &world.desired());
    doors.map_err(|refusals| refusals.iter().map(ToString::to_string).collect())
}

fn network(world: &mut World, name: &str, change: impl FnOnce(&mut NetworkState)) {
    let mut state = NetworkState {
        driver: "bridge".to_owned(),
        interface: format!("{name}0"),
        internal: false,
        subnets: vec!["10.91.0.0/24".to_owned(), "fd00:1::/64".to_owned()],
        hash: None,
    };
    change(&mut state);
    world.podman.networks.insert(name.to_owned(), state);
}

fn join(world: &mut World, name: &str) {
    world.settings.network.server_networks.push(name.parse().unwrap());
}

fn server(world: &mut World) -> &mut ContainerState {
    world.podman.containers.get_mut("immich-server").unwrap()
}

fn interfaces(doors: &Doors) -> Vec<&str> {
    doors.ways.iter().map(|way| way.interface.as_str()).collect()
}

#[test]
fn the_agents_own_networks_are_closed_made_or_not() {
    let made = after(|_| ()).unwrap();
    assert_eq!((interfaces(&made), made.shared), (vec!["photos0", "photos1"], false));
    assert!(made.ways.iter().all(|way| !way.subnets.is_empty()));
    let unmade = after(|world| world.podman.networks.clear()).unwrap();
    assert_eq!(interfaces(&unmade), ["photos0", "photos1"]);
    assert_eq!(unmade.ways[0], made.ways[0], "its subnet is in the configuration");
    assert_eq!(unmade.ways[1].subnets, [], "nobody knows it yet");
}

#[test]
fn the_operators_networks_are_closed_on_their_bridges() {
    let by_settings = after(|world| {
        network(world, "proxy", |_| ());
        join(world, "proxy");
    });
    // What a drop-in says is seen on the container alone.
    let by_drop_in = after(|world| {
        network(world, "proxy", |_| ());
        server(world).networks = ["photos", "photos-egress", "proxy"].map(str::to_owned).into();
    });
    for doors in [by_settings.unwrap(), by_drop_in.unwrap()] {
        assert_eq!((interfaces(&doors), doors.shared), (vec!["photos0", "photos1", "proxy0"], true));
        assert_eq!(doors.ways[2].subnets.len(), 2);
        assert!(doors.rules().iter().all(|text| text.contains("ip6 daddr fd00:1::/64")));
    }
    let guest = after(|world| {
        let networks = vec!["photos-egress".to_owned()];
        let guest = ContainerState { networks, ..server(world).clone() };
        world.podman.containers.insert("guest".to_owned(), guest);
    });
    assert!(guest.unwrap().shared, "somebody else is on the agent's network");
    let neighbour = after(|world| {
        network(world, "other", |_| ());
        let guest = ContainerState { networks: vec!["other".to_owned()], ..server(world).clone() };
        world.podman.containers.insert("guest".to_owned(), guest);
    });
    assert_eq!(neighbour.unwrap(), after(|_| ()).unwrap(), "a network that the server is not on");
}

#[test]
fn doors_cover_a_server_whose_every_network_they_know() {
    let doors = after(|_| ()).unwrap();
    let is_covered = |names: &[&str]| doors.cover(&names.iter().map(|&name| name.to_owned()).collect());
    assert!(is_covered(&OWN) && is_covered(&OWN[..1]));
    assert!(!is_covered(&["photos", "proxy"]));
    assert!(!is_covered(&[]), "on the host's own network");
}

#[test]
fn a_way_that_cannot_be_closed_is_refused() {
    type Change = fn(&mut World);
    let cases: [(&str, Change); 6] = [
        ("network lan: is a macvlan", |world| {
            network(world, "lan", |state| "macvlan".clone_into(&mut state.driver));
            join(world, "lan");
        }),
        ("network nowhere: is named for the server, and Podman has no such network", |world| join(world, "nowhere")),
        ("network odd: has an interface that is not understood", |world| {
            network(world, "odd", |state| "a\" drop; \"".clone_into(&mut state.interface));
            join(world, "odd");
        }),
        ("network odd: has a subnet that is not understood", |world| {
            network(world, "odd", |state| state.subnets.push("10.0.0.0/24; accept".to_owned()));
            join(world, "odd");
        }),
        ("network photos-egress: has a subnet that is not understood", |world| {
            world.podman.networks.get_mut("photos-egress").unwrap().subnets = vec!["?".to_owned()];
        }),
        ("container immich-server: is on no network of Podman's", |world| server(world).networks.clear()),
    ];
    for (why, change) in cases {
        let refused = after(change).unwrap_err();
        assert!(refused.len() == 1 && refused[0].starts_with(why), "{why}: {refused:?}");
    }
}

#[test]
fn texts_go_from_the_best_to_what_any_kernel_takes() {
    let way = |interface: &str, subnets: &[&str]| Way {
        network: interface.to_owned(),
        interface: interface.to_owned(),
        subnets: subnets.iter().map(|subnet| subnet.parse().unwrap()).collect(),
    };
    let mut doors =
        Doors { ways: vec![way("photos0", &["10.89.5.0/24"]), way("photos1", &["10.89.0.7/24"])], shared: true };
    let texts = doors.rules();
    let counts = |word: &str| texts.iter().map(|text| text.matches(word).count()).collect::<Vec<_>>();
    assert_eq!(counts("reject with tcp reset"), [7, 4, 0]);
    assert_eq!(counts("delete table bridge photos_agent_gate"), [1, 1, 1], "containers of others are on its bridges");
    doors.shared = false;
    assert_eq!(doors.rules()[..3], texts);
    assert!(doors.rules()[3..].iter().all(|text| !text.contains("table bridge")) && doors.rules().len() == 5);
    assert_eq!(texts[1], include_str!("../../fixtures/doors.nft"), "what a kernel with less than all of it gets");
}
