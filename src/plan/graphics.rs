//! What a plan says of graphics cards: what cannot be, what was lost, and what a host that has just booted waits for.

use crate::model::Refusal;
use crate::model::hardware::{ENCODING, LEARNING};
use crate::plan::{Observed, Plan};
use crate::stack::Desired;

/// Whether a concern is about a card, and so nothing that stands in the way of anything else.
pub fn is_about(concern: &Refusal) -> bool {
    [LEARNING, ENCODING].contains(&concern.what.as_str())
}

/// What is wished for and cannot be is refused, but where something goes back: nothing may stand in the way of that.
pub(super) fn refuse(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    let said = if observed.going_back { &mut plan.concerns } else { &mut plan.refusals };
    said.extend(desired.unfit.iter().cloned());
}

pub(super) fn tell(desired: &Desired, plan: &mut Plan) {
    let acceleration = &desired.acceleration;
    plan.concerns.extend(acceleration.learning.concern().into_iter().chain(acceleration.encoding.concern()));
    if !desired.awaited.is_empty() {
        let missing = desired.awaited.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        plan.notes
            .push(format!("{missing} may still come: the host has only just booted, and what uses it is kept so long"));
    }
}
