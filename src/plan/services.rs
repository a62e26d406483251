//! Services: what runs and should not, what does not and should, what runs from an old text.

use crate::model::{ActiveState, ContainerState, HostPath, LoadState, PodmanState, Service, UnitName};
use crate::plan::{Observed, Plan, Step, accounts, first_start, networks, timers, unit};
use crate::stack::{Desired, DesiredService};

/// So many restarts in a row are no mishap any more.
const FAILING: u32 = 3;

/// Whether the stack is meant to be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Yes.
    Run,
    /// No: the operator stopped or disabled it, and it stays so.
    Leave(&'static str),
}

/// Reads the operator's will from the target (docs/adr/0009).
pub fn wanted(observed: &Observed, desired: &Desired) -> Wanted {
    let target = unit(observed, desired.target.as_str());
    if target.load == LoadState::Masked {
        return Wanted::Leave("photos.target is masked: systemctl unmask photos.target");
    }
    let up = target.active == ActiveState::Active || target.job;
    if up || target.load != LoadState::Loaded || observed.stack_was_stopped {
        return Wanted::Run;
    }
    if target.inactive_since > 0 {
        return Wanted::Leave("photos.target was stopped: systemctl start photos.target");
    }
    // Before the first time that all went well, it is the agent that has not enabled it yet.
    if target.file_state == "disabled" && observed.converged {
        return Wanted::Leave("photos.target is disabled: systemctl enable --now photos.target");
    }
    Wanted::Run
}

/// Whether the target or a service is up, or on its way up or down. One that only waits to start is not: the gate
/// is closed before anything is done that it could meet.
pub(super) fn any_is_up(observed: &Observed, desired: &Desired) -> bool {
    let services = desired.services.iter().map(|service| &service.unit);
    let is_up = |name: &UnitName| {
        let state = unit(observed, name.as_str());
        !matches!(state.active, ActiveState::Inactive | ActiveState::Failed)
    };
    services.chain(std::iter::once(&desired.target)).any(is_up) || accounts::any_runs(observed, desired)
}

pub(super) fn plan(
    observed: &Observed,
    podman: &PodmanState,
    desired: &Desired,
    wanted: &Wanted,
    stopped_here: bool,
    plan: &mut Plan,
) {
    refuse_foreign_containers(podman, desired, plan);
    tell_masked(observed, desired, plan);
    tell_broken(observed, desired, plan);
    tell_failing(observed, desired, plan);
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
    start_and_restart(observed, podman, desired, stopped_here, plan);
}

fn start_and_restart(
    observed: &Observed,
    podman: &PodmanState,
    desired: &Desired,
    stopped_here: bool,
    plan: &mut Plan,
) {
    let (mut start, mut restart) = (Units::default(), Units::default());
    for name in [&desired.target, &desired.firewall].into_iter().filter(|name| !is_masked(observed, name)) {
        let state = unit(observed, name.as_str());
        if stopped_here || state.active != ActiveState::Active {
            start.add(name, why_start(stopped_here, state.active));
        }
    }
    let can_run = |service: &&DesiredService| {
        let name = &service.unit;
        is_startable(observed, name) && !lacks_need(observed, desired, service)
    };
    for service in desired.services.iter().filter(can_run) {
        let state = unit(observed, service.unit.as_str());
        let has_container = podman.containers.contains_key(service.service.stem());
        let old = match state.active {
            _ if stopped_here => None,
            ActiveState::Active => outdated(observed, podman, service),
            // A start would join the one under way, of a text that may never become healthy.
            ActiveState::Activating if has_container => outdated(observed, podman, service),
            // It has no container yet, and is about to make one of the text that is replaced above.
            ActiveState::Activating if is_rewritten(plan, desired, service) => Some("starting from an older text"),
            _ => None,
        };
        if let Some(reason) = old {
            restart.add(&service.unit, reason);
        } else if stopped_here || state.active != ActiveState::Active {
            start.add(&service.unit, why_start(stopped_here, state.active));
        }
    }
    if !restart.names.is_empty() {
        let reason = restart.reason();
        plan.step(Step::Restart { units: restart.names }, reason);
    }
    if !start.names.is_empty() {
        let reason = start.reason();
        first_start::write_markers(observed, desired, plan);
        let first = first_start::first(observed, desired, &start.names);
        plan.step(Step::Start { units: start.names, first }, reason);
    }
}

/// Whether a step before this writes another text of a unit that is there.
fn is_rewritten(plan: &Plan, desired: &Desired, service: &DesiredService) -> bool {
    let is_its_own = |path: &HostPath| {
        desired.files.iter().any(|file| file.path == *path && file.unit.as_ref() == Some(&service.unit))
    };
    plan.steps.iter().any(|planned| {
        let Step::InstallFiles { files } = &planned.step else { return false };
        files.iter().any(|change| change.before.is_some() && is_its_own(&change.path))
    })
}

/// Units for one step, by what is the matter with them.
#[derive(Default)]
struct Units {
    names: Vec<UnitName>,
    by_reason: Vec<(&'static str, Vec<UnitName>)>,
}

impl Units {
    fn add(&mut self, name: &UnitName, reason: &'static str) {
        self.names.push(name.clone());
        match self.by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name.clone()),
            None => self.by_reason.push((reason, vec![name.clone()])),
        }
    }

    /// One reason for all of them, or each with its units.
    fn reason(&self) -> String {
        if let [(reason, _)] = self.by_reason.as_slice() {
            return (*reason).to_owned();
        }
        let join = |names: &[UnitName]| names.iter().map(UnitName::as_str).collect::<Vec<_>>().join(", ");
        let said = self.by_reason.iter().map(|(reason, names)| format!("{reason}: {}", join(names)));
        said.collect::<Vec<_>>().join("; ")
    }
}

/// Why the running container is not the one that its unit describes.
fn outdated(observed: &Observed, podman: &PodmanState, service: &DesiredService) -> Option<&'static str> {
    let Some(container) = podman.containers.get(service.service.stem()) else {
        return Some("no container although the unit is up");
    };
    if container.hash.as_ref() != Some(&service.hash) {
        return Some("running from an older text of the unit");
    }
    if !service.devices.is_empty()
        && !container.has_devices
        && service.devices.iter().all(|path| observed.devices.contains(path))
    {
        return Some("started without its graphics card, which is there now");
    }
    // By identity, not by time: clocks jump.
    let changed = |secret: &crate::model::SecretName| {
        let mounted = container.secrets.get(secret.as_str());
        let stored = podman.secrets.get(secret.as_str()).map(|secret| &secret.id);
        mounted.is_some() && stored.is_some() && mounted != stored && !role_has(observed, container, service, stored)
    };
    service.secrets.iter().any(changed).then_some("started with an older secret")
}

/// Whether the role of the running database was given this secret since its container started.
fn role_has(
    observed: &Observed,
    container: &ContainerState,
    service: &DesiredService,
    secret: Option<&String>,
) -> bool {
    service.service == Service::Postgres
        && observed.role.as_ref().is_some_and(|role| role.container == container.id && Some(&role.secret) == secret)
}

const fn why_start(stopped_here: bool, state: ActiveState) -> &'static str {
    match state {
        _ if stopped_here => "stopped above",
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

/// Masked is the operator's word for "this one stays down". Where another service cannot be without it, that may not
/// have been meant.
fn tell_masked(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    for service in desired.services.iter().filter(|service| is_masked(observed, &service.unit)) {
        let name = &service.unit;
        let mut waiting = desired
            .services
            .iter()
            .filter(|other| other.needs.contains(&service.service) && !is_masked(observed, &other.unit));
        match waiting.next() {
            Some(other) => {
                let why = format!("is masked, and {} cannot be without it", other.unit);
                plan.concern(name.as_str(), why, format!("systemctl unmask {name} && photos-agent apply"));
            }
            None => plan.notes.push(format!("{name} is masked and stays down: systemctl unmask {name}")),
        }
    }
    // Networks, rules, the slice. The target is the operator's switch for all of it.
    let is_service = |name: &UnitName| {
        desired.services.iter().any(|service| service.unit == *name)
            || timers::is_timed(desired, name)
            || accounts::is_of_one(desired, name)
    };
    let others = desired.units().filter(|name| !is_service(name) && **name != desired.target);
    for name in others.filter(|name| is_masked(observed, name)) {
        let why = "is masked, and the stack cannot be kept without it";
        plan.concern(name.as_str(), why, format!("systemctl unmask {name} && photos-agent apply"));
    }
}

/// Our text is whole, since it is compared: it is a drop-in of somebody's that systemd cannot use. What runs goes on, and
/// no job for it would be accepted.
fn tell_broken(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    for name in desired.units().filter(|name| is_broken(observed, name)) {
        let why =
            "cannot be used by systemd as it is, with its drop-ins: it runs on, if it runs, and cannot be started";
        let then = "mend or remove the drop-in that they name, then: systemctl daemon-reload && photos-agent apply";
        plan.concern(name.as_str(), why, format!("systemctl status {name}; journalctl -u {name}   ({then})"));
    }
}

fn is_broken(observed: &Observed, name: &UnitName) -> bool {
    let state = unit(observed, name.as_str());
    state.load == LoadState::Broken && !state.needs_reload
}

/// systemd starts it again and again, and so it never counts as failed.
fn tell_failing(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    for service in &desired.services {
        let (name, state) = (&service.unit, unit(observed, service.unit.as_str()));
        // Its end belongs to its run, unless somebody stops it.
        let tries = match state.active {
            ActiveState::Activating => true,
            ActiveState::Deactivating => !state.job,
            _ => false,
        };
        if tries && state.restarts >= FAILING {
            let why = format!("keeps failing: {} restarts, the last run ended with {}", state.restarts, state.result);
            plan.concern(name.as_str(), why, format!("journalctl -u {name}"));
        }
    }
}

/// Whether a service that it needs is down and cannot be started, so that no start of it can succeed.
fn lacks_need(observed: &Observed, desired: &Desired, service: &DesiredService) -> bool {
    let is_needed = |other: &&DesiredService| service.needs.contains(&other.service);
    let is_up = |name: &UnitName| unit(observed, name.as_str()).active == ActiveState::Active;
    desired.services.iter().filter(is_needed).any(|other| !is_startable(observed, &other.unit) && !is_up(&other.unit))
}

fn is_startable(observed: &Observed, name: &UnitName) -> bool {
    !is_masked(observed, name) && !is_broken(observed, name)
}

fn is_masked(observed: &Observed, name: &UnitName) -> bool {
    unit(observed, name.as_str()).load == LoadState::Masked
}
