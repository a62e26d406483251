//! What a plan says of graphics cards: what was lost, and what a host that has just booted waits for.

use crate::plan::Plan;
use crate::stack::Desired;

pub(super) fn tell(desired: &Desired, plan: &mut Plan) {
    let acceleration = &desired.acceleration;
    plan.concerns.extend(acceleration.learning.concern().into_iter().chain(acceleration.encoding.concern()));
    if !desired.awaited.is_empty() {
        let missing = desired.awaited.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        plan.notes
            .push(format!("{missing} may still come: the host has only just booted, and what uses it is kept so long"));
    }
}
