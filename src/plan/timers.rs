//! Timers: enabled and started once, and then the operator's.

use crate::model::{ActiveState, LoadState, UnitName};
use crate::plan::{Observed, Plan, Step, unit};
use crate::stack::{Desired, UNITS};

/// As with the target (docs/adr/0009): what was stopped, disabled or masked stays so, and a note says it.
pub(super) fn plan(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    for name in &desired.timers {
        if let Some(service) = service(desired, name)
            && unit(observed, service.as_str()).load == LoadState::Masked
        {
            plan.notes.push(format!("{service} is masked and does nothing: systemctl unmask {service}"));
        }
        let state = unit(observed, name.as_str());
        // A file that the last generation does not have was not enabled yet by us, however far an operation came.
        let path = format!("{UNITS}/{name}");
        let is_new = !observed.settled.iter().any(|settled| settled.as_str() == path);
        let ours = is_new || state.load == LoadState::NotFound;
        match (state.load, state.active) {
            (LoadState::Masked, _) => plan.notes.push(format!("{name} is masked: systemctl unmask {name}")),
            // Told as a concern.
            (LoadState::Broken, _) => {}
            _ if state.file_state != "enabled" && ours => {
                plan.step(Step::Enable { unit: name.clone() }, "it works without the agent");
            }
            _ if state.file_state != "enabled" => {
                plan.notes.push(format!("{name} is disabled: systemctl enable --now {name}"));
            }
            (_, ActiveState::Inactive | ActiveState::Failed) if !state.job => {
                if state.inactive_since == 0 || ours {
                    plan.step(Step::Enable { unit: name.clone() }, "it is enabled and was not started");
                } else {
                    plan.notes.push(format!("{name} was stopped: systemctl start {name}"));
                }
            }
            _ => {}
        }
    }
}

/// Whether the unit is a timer of ours, or what one starts: masked, it keeps nothing else from its work.
pub(super) fn is_timed(desired: &Desired, name: &UnitName) -> bool {
    desired.timers.iter().any(|timer| timer == name || service(desired, timer).as_ref() == Some(name))
}

/// What it starts.
fn service(desired: &Desired, timer: &UnitName) -> Option<UnitName> {
    if let Some(account) = desired.accounts.iter().find(|account| account.timer.as_ref() == Some(timer)) {
        return Some(account.sync.clone());
    }
    format!("{}.service", timer.as_str().strip_suffix(".timer")?).parse().ok()
}
