//! A card that goes, comes late and comes back: the stack is never without a plan that brings it up.

use photos_agent::hardware::Seen;
use photos_agent::model::hardware::EncoderChoice;
use photos_agent::model::{Component, Service};
use photos_agent::plan::transcoding::{self, Asked, Setting};

use super::said;
use super::world::{End, World};
use crate::hardware::machine;

/// A host with a Radeon RX 6800, converged.
fn with_card() -> World {
    let mut world = World::converged();
    world.facts.graphics = machine("radeon-rx-6800").seen();
    world.transcoding = Some(Asked::Seen(asked()));
    assert_eq!(world.apply(None), End::Converged);
    world
}

fn asked() -> transcoding::Seen {
    transcoding::Seen { codec: "h264".to_owned(), ..transcoding::Seen::default() }
}

/// What is refused of cards.
fn refused(world: &World) -> Vec<String> {
    world.plan().refusals.iter().map(ToString::to_string).collect()
}

fn ml(world: &World) -> String {
    world.desired().runs.written[&Component::Ml].to_string()
}

/// The nodes go, as with a card that is taken out.
fn take_out(world: &mut World) {
    let graphics = &mut world.facts.graphics;
    graphics.hardware = machine("no-gpu").seen().hardware;
}

fn put_in(world: &mut World) {
    world.facts.graphics.hardware = machine("radeon-rx-6800").seen().hardware;
}

fn setting(world: &World) -> Setting {
    let Some(Asked::Seen(seen)) = &world.transcoding else { panic!("nobody was asked") };
    seen.now.clone()
}

#[test]
fn a_card_is_taken_and_immich_is_told() {
    let mut world = World::converged();
    world.facts.graphics = machine("radeon-rx-6800").seen();
    world.transcoding = Some(Asked::Seen(asked()));
    let plan = said(&world.plan());
    let has = |text: &str| assert!(plan.iter().any(|line| line.contains(text)), "{text} in {plan:#?}");
    has("pull ghcr.io/immich-app/immich-machine-learning:v3.2.2-rocm (its tag is not locked to a digest yet)");
    has("write 2 files and reload systemd");
    has("set Immich's video encoding from \"disabled\" to \"vaapi on /dev/dri/renderD128\"");
    assert_eq!(world.apply(None), End::Converged);
    assert_eq!(said(&world.plan()), Vec::<String>::new());
    assert!(world.podman.containers[Service::Ml.stem()].has_devices);
    assert_eq!(setting(&world).accel, "vaapi");
}

#[test]
fn a_card_that_goes_leads_to_the_processor_and_its_return_leads_back() {
    let mut world = with_card();
    let with = said(&world.plan());
    assert_eq!(with, Vec::<String>::new());
    take_out(&mut world);
    let plan = said(&world.plan());
    let lost = "concern: machine learning: runs on the processor, since ROCm on Radeon RX 6800/6800 XT / 6900 XT \
                (/dev/dri/renderD128) cannot be used any more: /dev/dri/renderD128 is gone; /dev/kfd is gone";
    assert!(plan.iter().any(|line| line == lost), "{plan:#?}");
    assert_eq!(world.apply(None), End::Converged);
    assert!(ml(&world).ends_with(":v3.2.2"), "{}", ml(&world));
    assert_eq!(setting(&world), Setting::default());
    // It is told as long as it is so, and nothing more is done.
    let after = world.plan();
    assert!(after.steps.is_empty() && after.concerns.len() == 2, "{:#?}", said(&after));
    // Whoever says that it is gone for good is not told any more.
    let mut settled = world.settings.clone();
    settled.hardware.ml = "cpu".parse().unwrap();
    settled.hardware.transcoding = EncoderChoice::Off;
    std::mem::swap(&mut world.settings, &mut settled);
    assert_eq!(said(&world.plan()), Vec::<String>::new());
    std::mem::swap(&mut world.settings, &mut settled);
    put_in(&mut world);
    assert_eq!(world.apply(None), End::Converged);
    assert!(ml(&world).ends_with(":v3.2.2-rocm"));
    assert_eq!((said(&world.plan()), setting(&world).accel.as_str()), (Vec::new(), "vaapi"));
}

#[test]
fn a_driver_that_loads_late_does_not_cost_the_card() {
    let mut world = with_card();
    take_out(&mut world);
    world.facts.graphics.booting = true;
    // The services have started without it meanwhile.
    for service in [Service::Ml, Service::Server] {
        world.podman.containers.get_mut(service.stem()).unwrap().has_devices = false;
    }
    let plan = world.plan();
    assert!(plan.steps.is_empty() && plan.concerns.is_empty(), "{:#?}", said(&plan));
    assert!(plan.notes.iter().any(|note| note.contains("/dev/dri/renderD128") && note.contains("may still come")));
    put_in(&mut world);
    let plan = said(&world.plan());
    assert_eq!(
        plan,
        ["restart immich-server.service, immich-ml.service (started without its graphics card, which is there now)"]
    );
    assert_eq!(world.apply(None), End::Converged);
    take_out(&mut world);
    world.facts.graphics.booting = false;
    assert!(!world.plan().concerns.is_empty());
}

#[test]
fn what_is_forced_and_cannot_be_is_refused_and_what_was_forced_and_goes_is_not() {
    let mut world = World::converged();
    world.settings.hardware.ml = "rocm".parse().unwrap();
    let refusals = refused(&world);
    assert!(
        refusals.len() == 1 && refusals[0].starts_with("hardware.ml: \"rocm\" cannot be: no card of AMD's"),
        "{refusals:?}"
    );
    // What has nothing to do with cards goes on: a snapshot, a restore, a boot ask what is wanted.
    assert!(photos_agent::stack::desire(&world.settings, &world.facts).is_ok());
    world.facts.graphics = machine("radeon-rx-6800").seen();
    assert_eq!(world.apply(None), End::Converged);
    take_out(&mut world);
    assert_eq!(world.apply(None), End::Converged);
    assert!(ml(&world).ends_with(":v3.2.2") && !world.plan().concerns.is_empty());
    // Nothing is remembered on a new host.
    world.facts.graphics.last = None;
    assert_eq!(refused(&world).len(), 1);
    for (key, value) in [("device", "/dev/dri/renderD140"), ("transcoding", "qsv")] {
        let mut world = World::converged();
        world.facts.graphics = machine("radeon-rx-6800").seen();
        // Whether a card was in use before or not.
        for _ in 0..2 {
            let mut wished = world.settings.clone();
            match key {
                "device" => wished.hardware.device = Some(value.parse().unwrap()),
                _ => wished.hardware.transcoding = value.parse().unwrap(),
            }
            std::mem::swap(&mut world.settings, &mut wished);
            assert!(refused(&world)[0].starts_with(&format!("hardware.{key}: ")), "{:?}", refused(&world));
            assert_eq!(world.apply(None), End::Refused);
            std::mem::swap(&mut world.settings, &mut wished);
            assert_eq!(world.apply(None), End::Converged);
        }
    }
}

#[test]
fn what_worked_and_cannot_be_any_more_although_all_nodes_are_there_is_lost_and_not_refused() {
    let mut world = with_card();
    world.settings.hardware.ml = "rocm".parse().unwrap();
    assert_eq!(world.apply(None), End::Converged);
    // An agent that knows better, or a kernel that does not list it any more.
    world.facts.graphics.hardware.gpus[0].kfd = None;
    assert_eq!(world.apply(None), End::Converged);
    let plan = world.plan();
    assert!(plan.refusals.is_empty() && plan.concerns[0].why.contains("/sys/class/kfd"), "{:#?}", said(&plan));
}

#[test]
fn a_card_whose_number_is_anothers_by_now_is_found_by_its_place() {
    let mut world = World::converged();
    world.facts.graphics = machine("two-amd-cards").seen();
    assert_eq!(world.apply(None), End::Converged);
    let of = |world: &World| {
        let given = world.desired().acceleration.learning.given.clone();
        (given.render.unwrap().to_string(), given.address.unwrap().to_string())
    };
    let (node, place) = of(&world);
    let gpus = &mut world.facts.graphics.hardware.gpus;
    let (first, second) = (gpus[0].clone(), gpus[1].clone());
    (gpus[0].render, gpus[1].render) = (second.render, first.render);
    (gpus[0].node, gpus[1].node) = (second.node.clone(), first.node.clone());
    world.facts.graphics.booting = true;
    let (other, same) = of(&world);
    assert!(other != node && same == place);
    // The first has come, under the number of the one that has not.
    world.facts.graphics.hardware.gpus.remove(0);
    assert_eq!(of(&world), (node, place));
    assert_eq!(world.plan().refusals.len(), 0);
}

#[test]
fn a_card_of_nvidias_is_lost_with_any_node_that_its_specification_names() {
    let mut world = World::converged();
    world.facts.graphics = machine("nvidia-with-cdi").seen();
    assert_eq!(world.apply(None), End::Converged);
    assert!(ml(&world).ends_with("-cuda"));
    let hardware = &mut world.facts.graphics.hardware;
    hardware.cdi[0].missing = vec!["/dev/nvidia-uvm".parse().unwrap()];
    world.facts.graphics.booting = true;
    let desired = world.desired();
    assert!(desired.runs.written[&Component::Ml].to_string().ends_with("-cuda"));
    assert_eq!(desired.awaited[0].as_str(), "/dev/nvidia-uvm");
    world.facts.graphics.booting = false;
    let concern = &world.plan().concerns[0];
    assert!(concern.why.contains("/dev/nvidia-uvm is gone") && concern.why.contains("nvidia-modprobe"), "{concern}");
    assert_eq!(world.apply(None), End::Converged);
    assert!(ml(&world).ends_with(":v3.2.2"));
}

#[test]
fn what_goes_back_needs_no_other_image_and_nothing_is_refused_for_it() {
    let mut world = with_card();
    world.facts.in_force = Some(world.desired().runs);
    take_out(&mut world);
    world.facts.graphics.settles = true;
    let desired = world.desired();
    assert!(desired.runs.written[&Component::Ml].to_string().ends_with("-rocm"));
    assert!(!desired.acceleration.learning.given.is_some() && desired.acceleration.learning.lost.is_some());
    world.facts.graphics.settles = false;
    // The configuration of then wishes for what is not there.
    world.settings.hardware.ml = "cuda".parse().unwrap();
    world.going_back = true;
    let plan = world.plan();
    assert!(plan.refusals.is_empty() && !plan.concerns.is_empty(), "{:#?}", said(&plan));
}

#[test]
fn an_image_of_the_operators_is_never_another_variant() {
    let named = |tag: &str| format!("ghcr.io/immich-app/immich-machine-learning:{tag}").parse().unwrap();
    for (tag, has_card) in [("v3.2.2", false), ("v3.2.2-rocm", true), ("v3.2.2-cuda", false), ("main", false)] {
        let mut world = World::converged();
        world.settings.images.insert(Component::Ml, named(tag));
        world.facts.graphics = machine("radeon-rx-6800").seen();
        world.facts.in_force = None;
        let desired = world.desired();
        assert_eq!(desired.runs.written[&Component::Ml], named(tag));
        assert_eq!(desired.acceleration.learning.given.is_some(), has_card, "{tag}");
    }
    let mut world = World::converged();
    world.settings.images.insert(Component::Ml, named("v3.2.2-cuda"));
    world.settings.hardware.ml = "rocm".parse().unwrap();
    world.facts.in_force = None;
    assert!(refused(&world)[0].contains("names an image of CUDA"), "{:?}", refused(&world));
}

#[test]
fn without_room_for_its_image_a_card_waits() {
    let gib = 1 << 30;
    let mut world = World::converged();
    world.facts.graphics = Seen { room: Some(20 * gib), ..machine("radeon-rx-6800").seen() };
    let learning = world.desired().acceleration.learning;
    assert!(!learning.given.is_some());
    let why = &learning.not[&"rocm".parse().unwrap()];
    assert_eq!(why, "its image needs 35 GiB where images lie, and 20 are free");
    // What was pulled needs none.
    world.facts.graphics.room = Some(40 * gib);
    assert_eq!(world.apply(None), End::Converged);
    world.facts.graphics.room = Some(gib);
    assert_eq!(said(&world.plan()).iter().filter(|line| !line.starts_with("note")).count(), 0);
    world.settings.hardware.ml = "rocm".parse().unwrap();
    assert_eq!(refused(&world), Vec::<String>::new());
    // The next release is pulled while this one runs, and fails where there is no room: it is no reason to do without the card.
    let next = desired_of_another_release(&world);
    assert!(next.ends_with(":v3.1.0-rocm"), "{next}");
}

/// What an upgrade to it would pull.
fn desired_of_another_release(world: &World) -> String {
    let mut settings = world.settings.clone();
    settings.hardware.ml = "auto".parse().unwrap();
    settings.immich.version = "v3.1.0".parse().unwrap();
    let facts = photos_agent::stack::Facts { in_force: None, ..world.facts.clone() };
    photos_agent::stack::desire(&settings, &facts).unwrap().runs.written[&Component::Ml].to_string()
}
