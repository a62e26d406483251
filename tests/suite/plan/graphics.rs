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
    world.transcoding = Some(Asked::Seen(transcoding::Seen::default()));
    assert_eq!(world.apply(None), End::Converged);
    world
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
    world.transcoding = Some(Asked::Seen(transcoding::Seen::default()));
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
    let desire = |world: &World| photos_agent::stack::desire(&world.settings, &world.facts);
    let refusal = desire(&world).unwrap_err();
    assert_eq!(refusal.what, "hardware.ml");
    assert!(refusal.why.contains("no card of AMD's"), "{refusal}");
    world.facts.graphics = machine("radeon-rx-6800").seen();
    assert_eq!(world.apply(None), End::Converged);
    take_out(&mut world);
    assert_eq!(world.apply(None), End::Converged);
    assert!(ml(&world).ends_with(":v3.2.2") && !world.plan().concerns.is_empty());
    // Nothing is remembered on a new host.
    world.facts.graphics.last = None;
    assert!(desire(&world).is_err());
    for (key, value) in [("device", "/dev/dri/renderD140"), ("transcoding", "qsv")] {
        let mut world = World::converged();
        world.facts.graphics = machine("radeon-rx-6800").seen();
        match key {
            "device" => world.settings.hardware.device = Some(value.parse().unwrap()),
            _ => world.settings.hardware.transcoding = value.parse().unwrap(),
        }
        assert_eq!(desire(&world).unwrap_err().what, format!("hardware.{key}"));
    }
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
    let refusal = photos_agent::stack::desire(&world.settings, &world.facts).unwrap_err();
    assert!(refusal.why.contains("names an image of CUDA"), "{refusal}");
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
    assert!(photos_agent::stack::desire(&world.settings, &world.facts).is_ok());
}
