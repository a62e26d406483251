//! Images: pulled before a unit needs them, so that a start never waits for a registry.

use std::collections::BTreeSet;

use crate::model::PodmanState;
use crate::plan::{Plan, Step};
use crate::stack::Desired;

pub(super) fn plan(podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    let mut asked = BTreeSet::new();
    for service in &desired.services {
        let image = &service.image;
        if podman.images.contains(&image.to_string()) || !asked.insert(image) {
            continue;
        }
        let reason = match image.digest() {
            Some(_) => "it is not in Podman's store",
            None => "its tag is not locked to a digest yet",
        };
        plan.step(Step::Pull { image: image.clone() }, reason);
    }
}
