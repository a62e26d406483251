//! Networks: quadlet makes them and never changes them, so a changed one is removed and made anew.

use crate::model::{ActiveState, PodmanState};
use crate::plan::{Observed, Plan, Step, unit};
use crate::stack::{Desired, DesiredNetwork};

/// A network that must go, and why.
pub(super) struct Changed<'a> {
    network: &'a DesiredNetwork,
    reason: String,
}

/// Networks that exist and are not what their unit says.
pub(super) fn changed<'a>(podman: &PodmanState, desired: &'a Desired) -> Vec<Changed<'a>> {
    let differs = |network: &'a DesiredNetwork| {
        let found = podman.networks.get(network.name.as_str())?;
        let old = found.hash.as_ref().filter(|hash| **hash != network.hash)?;
        let subnets = found.subnets.join(", ");
        let reason = match network.subnet {
            Some(subnet) if subnets != subnet.to_string() => format!("subnet {subnets}, wanted {subnet}"),
            _ => format!("made from another text of its unit ({old})"),
        };
        Some(Changed { network, reason })
    };
    desired.networks.iter().filter_map(differs).collect()
}

pub(super) fn reason(changed: &[Changed<'_>]) -> String {
    let names: Vec<&str> = changed.iter().map(|changed| changed.network.name.as_str()).collect();
    format!("Podman cannot change a network in place: {}", names.join(", "))
}

/// Removes changed networks: before the new units are written, so that a boot in between finds nothing that
/// does not fit together.
pub(super) fn remove(changed: &[Changed<'_>], plan: &mut Plan) {
    for Changed { network, reason } in changed {
        let step = Step::RemoveNetwork { network: network.name.clone(), unit: network.unit.clone() };
        plan.step(step, reason.clone());
    }
}

/// The kernel's switches, and the rules in its packet filter.
pub(super) fn plan_kernel(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    if !observed.kernel.ip_forward {
        let reason = "a bridge made before it is on would forward as soon as it is";
        plan.step(Step::AllowForwarding, reason);
    }
    if observed.kernel.inner_forwarding == Some(true) {
        plan.step(Step::DenyInnerForwarding, "the database would have a way out");
    }
    // Where the unit is down, its start loads them; where their text changed, they are loaded for that.
    let load = Step::LoadRules { unit: desired.firewall.clone() };
    let is_up = unit(observed, desired.firewall.as_str()).active == ActiveState::Active;
    if is_up && observed.kernel.rules == Some(false) && plan.steps.iter().all(|planned| planned.step != load) {
        let reason = "somebody flushed them: the inner network is open, and published ports may be dead";
        plan.step(load, reason);
    }
}

/// Networks whose unit is up although the network is gone, so that no start would make it again.
pub(super) fn lost<'a>(observed: &Observed, podman: &PodmanState, desired: &'a Desired) -> Vec<&'a DesiredNetwork> {
    let gone = |network: &&DesiredNetwork| {
        !podman.networks.contains_key(network.name.as_str())
            && unit(observed, network.unit.as_str()).active == ActiveState::Active
    };
    desired.networks.iter().filter(gone).collect()
}

/// Containers of other people on a network that must go: Podman would not remove it, and the stack would be down.
pub(super) fn refuse_guests(changed: &[Changed<'_>], podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    let is_ours = |name: &String| desired.has_container(name);
    for Changed { network, reason } in changed {
        let is_on = |networks: &[String]| networks.iter().any(|name| name == network.name.as_str());
        for (name, _) in podman.containers.iter().filter(|(name, state)| !is_ours(name) && is_on(&state.networks)) {
            let why = format!("is on the network {}, which has to be made anew ({reason})", network.name);
            plan.refuse(format!("container {name}"), why, format!("podman network disconnect {} {name}", network.name));
        }
    }
}

/// Networks of our names that somebody else made.
pub(super) fn refuse_foreign(podman: &PodmanState, desired: &Desired, plan: &mut Plan) {
    for network in &desired.networks {
        let Some(found) = podman.networks.get(network.name.as_str()) else { continue };
        if found.hash.is_none() {
            let what = format!("network {}", network.name);
            let remedy = format!("podman network rm {}", network.name);
            plan.refuse(what, "exists and was not made by photos-agent", remedy);
        }
    }
    for network in &desired.networks {
        let Some(subnet) = network.subnet else { continue };
        let others = podman.networks.iter().filter(|(name, _)| *name != network.name.as_str());
        let taken = others.filter(|(_, state)| state.subnets.iter().any(|other| subnet.overlaps(other)));
        for (name, _) in taken {
            let why = format!("is taken by the network {name}");
            plan.refuse(
                format!("network.subnet {subnet}"),
                why,
                "write another one into the configuration: [network] subnet",
            );
        }
    }
    for name in &desired.joined {
        if !podman.networks.contains_key(name.as_str()) {
            let what = format!("network {name}");
            let why = "is named in network.server_networks and does not exist";
            plan.refuse(what, why, format!("podman network create {name}"));
        }
    }
}
