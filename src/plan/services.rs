//! Services: what runs and should not, what does not and should, what runs from an old text.

use crate::model::{ActiveState, LoadState, PodmanState};
use crate::plan::{Observed, Plan, Step, networks, unit};
use crate::stack::{Desired, DesiredService};

/// Whether the stack is meant to be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Yes.
    Run,
    /// No: the operator stopped or disabled it, and it stays so.
    Leave(&'static str),
}

/// Reads the operator's will from the target (docs/adr/0009).
pub(super) fn wanted(observed: &Observed, desired: &Desired) -> Wanted {
    let target = unit(observed, desired.target.as_str());
    let up = target.active == ActiveState::Active || target.job;
    let new = target.load != LoadState::Loaded || !observed.converged;
    if up || new || observed.stack_was_stopped {
        return Wanted::Run;
    }
    if target.inactive_since > 0 {
        return Wanted::Leave("photos.target was stopped: systemctl start photos.target");
    }
    if target.file_state == "disabled" {
        return Wanted::Leave("photos.target is disabled: systemctl enable --now photos.target");
    }
    Wanted::Run
}

pub(super) fn target_is_up(observed: &Observed, desired: &Desired) -> bool {
    let target = unit(observed, desired.target.as_str());
    target.active == ActiveState::Active || target.job
}

pub(super) fn plan(
    observed: &Observed,
    podman: &PodmanState,
    desired: &Desired,
    wanted: &Wanted,
    stopped: bool,
    plan: &mut Plan,
) {
    networks::refuse_foreign(podman, desired, plan);
    refuse_foreign_containers(podman, desired, plan);
    refuse_masked(observed, desired, plan);
    if let Wanted::Leave(why) = wanted {
        plan.notes.push((*why).to_owned());
        return;
    }
    let target = unit(observed, desired.target.as_str());
    if target.file_state != "enabled" && (!observed.converged || target.load != LoadState::Loaded) {
        plan.step(Step::Enable { unit: desired.target.clone() }, "the stack comes up at boot without the agent");
    }
    let lost = networks::lost(observed, podman, desired);
    if !lost.is_empty() {
        let units = lost.iter().map(|network| network.unit.clone()).collect();
        plan.step(Step::Restart { units }, "the network is gone although its unit is up");
    }
    start_and_restart(observed, podman, desired, stopped, plan);
}

fn start_and_restart(observed: &Observed, podman: &PodmanState, desired: &Desired, stopped: bool, plan: &mut Plan) {
    let (mut start, mut restart) = (Vec::new(), Vec::new());
    let mut reasons = (Vec::new(), Vec::new());
    let target = unit(observed, desired.target.as_str());
    if stopped || target.active != ActiveState::Active {
        start.push(desired.target.clone());
    }
    if unit(observed, desired.firewall.as_str()).active != ActiveState::Active {
        start.push(desired.firewall.clone());
    }
    for service in &desired.services {
        let state = unit(observed, service.unit.as_str());
        if stopped || state.active != ActiveState::Active {
            start.push(service.unit.clone());
            reasons.0.push(format!("{} is {}", service.service.stem(), word(state.active)));
        } else if let Some(reason) = outdated(podman, service) {
            restart.push(service.unit.clone());
            reasons.1.push(format!("{} {reason}", service.service.stem()));
        }
    }
    if !restart.is_empty() {
        plan.step(Step::Restart { units: restart }, reasons.1.join("; "));
    }
    if !start.is_empty() {
        let reason = if reasons.0.is_empty() {
            "photos.target or its firewall is not active".to_owned()
        } else {
            reasons.0.join("; ")
        };
        plan.step(Step::Start { units: start }, reason);
    }
}

/// Why the running container is not the one that its unit describes.
fn outdated(podman: &PodmanState, service: &DesiredService) -> Option<&'static str> {
    let Some(container) = podman.containers.get(service.service.stem()) else {
        return Some("has no container although its unit is up");
    };
    if container.hash.as_ref() != Some(&service.hash) {
        return Some("runs from an older text of its unit");
    }
    let newer = |secret: &crate::model::SecretName| {
        podman.secrets.get(secret.as_str()).is_some_and(|secret| secret.updated > container.created)
    };
    service.secrets.iter().any(newer).then_some("was started with an older secret")
}

const fn word(state: ActiveState) -> &'static str {
    match state {
        ActiveState::Active => "active",
        ActiveState::Activating => "still starting",
        ActiveState::Deactivating => "stopping",
        ActiveState::Inactive => "not running",
        ActiveState::Failed => "failed",
    }
}

/// A container of one of our names that our unit did not make would be replaced by `podman run --replace`.
fn refuse_foreign_containers(podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    for service in &desired.services {
        let name = service.service.stem();
        let Some(container) = podman.containers.get(name) else { continue };
        if container.unit.as_deref() != Some(service.unit.as_str()) || container.hash.is_none() {
            let remedy = format!("podman rename {name} {name}-old   (and stop it: podman stop {name}-old)");
            plan.refuse(format!("container {name}"), "exists and was not made by photos-agent", remedy);
        }
    }
}

fn refuse_masked(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    let services = desired.services.iter().map(|service| &service.unit);
    for name in services.chain(std::iter::once(&desired.target)) {
        if unit(observed, name.as_str()).load == LoadState::Masked {
            plan.refuse(name.as_str(), "is masked", format!("systemctl unmask {name}"));
        }
    }
}
