//! Pure decisions: from what is there and what is wanted to the steps between them.
//!
//! Knows no clock, no file, no bus, no async. The same input gives the same plan, to the letter; the
//! apply decides nothing that could have been decided here.

mod accounts;
pub mod census;
pub mod door;
pub mod failing;
mod first_start;
pub mod going_back;
pub mod graphics;
pub mod health;
mod images;
pub mod learning;
mod networks;
pub mod newest;
pub mod night;
mod observed;
mod obstacle;
pub mod restore;
pub mod retention;
pub mod scan;
mod secrets;
mod services;
pub mod space;
mod step;
mod storage;
pub mod sync;
mod timers;
pub mod transcoding;
mod units;
pub mod upgrade;

pub use observed::{LibraryState, Observed, SentinelState, Unreachable};
pub use services::{Wanted, wanted};
pub use step::{FileChange, FileDrift, Gate, Plan, Planned, Step};

use crate::model::{ActiveState, PodmanState, UnitName, UnitState};
use crate::quadlet::{FLOOR, PodmanVersion};
use crate::stack::Desired;

/// Units of the host's own that the stack leans on.
pub const PODMAN_SOCKET: &str = "podman.socket";

/// Everything that takes the host from `observed` to `desired`.
///
/// The order of the steps is the order in which they are safe: storage before secrets before images
/// before units, so that an interruption never leaves a unit whose folder, secret or image is missing.
pub fn plan(observed: &Observed, desired: &Desired) -> Plan {
    let mut plan = Plan::default();
    let empty = PodmanState::default();
    if let Err(Unreachable(reason)) = &observed.units {
        plan.refuse("systemd", format!("cannot be asked: {reason}"), "systemctl status dbus.socket");
        return plan;
    }
    let silent = observed.podman.is_err();
    let podman = match &observed.podman {
        Ok(state) => state,
        Err(_) if !socket_is_up(observed) => {
            enable_socket(&mut plan);
            // Of a host that was converged nothing true can be said without Podman; of a new one, that nothing is there.
            if observed.converged {
                plan.notes.push("what else there is to do is known once Podman answers".to_owned());
                return plan;
            }
            &empty
        }
        Err(Unreachable(reason)) => {
            let remedy = "run this as root; if it stays silent: systemctl restart podman.socket";
            plan.refuse("Podman", format!("cannot be asked: {reason}"), remedy);
            return plan;
        }
    };
    if !silent {
        networks::refuse_foreign(podman, desired, &mut plan);
    }
    refuse_old_podman(podman, &mut plan);
    graphics::refuse(observed, desired, &mut plan);
    storage::plan(observed, desired, &mut plan);
    accounts::plan(observed, podman, desired, &mut plan);
    secrets::plan(observed, podman, desired, &mut plan);
    images::plan(podman, desired, &mut plan);
    let wanted = services::wanted(observed, desired);
    let networks = networks::changed(podman, desired);
    networks::refuse_guests(&networks, podman, desired, &mut plan);
    let cut_off = first_start::cut_off(observed, desired, &wanted);
    let why_stop = if networks.is_empty() { first_start::REASON.to_owned() } else { networks::reason(&networks) };
    let stop = !(networks.is_empty() && cut_off.is_empty()) && services::any_is_up(observed, desired);
    if stop {
        plan.step(Step::StopStack { resume: wanted == Wanted::Run }, why_stop);
    }
    first_start::set_aside(&cut_off, observed.selinux, &mut plan);
    networks::remove(&networks, &mut plan);
    units::plan(observed, desired, &mut plan);
    scan::tell_own_scans(&mut plan);
    networks::plan_kernel(observed, desired, &mut plan);
    timers::plan(observed, desired, &mut plan);
    services::plan(observed, podman, desired, &wanted, stop, &mut plan);
    transcoding::plan(observed, desired, &mut plan);
    graphics::tell(desired, &mut plan);
    secrets::tell_lost(observed, podman, desired, &mut plan);
    plan
}

fn socket_is_up(observed: &Observed) -> bool {
    unit(observed, PODMAN_SOCKET).active == ActiveState::Active
}

fn enable_socket(plan: &mut Plan) {
    if let Ok(unit) = PODMAN_SOCKET.parse() {
        plan.step(Step::Enable { unit }, "the agent speaks to Podman through it, and Debian ships it disabled");
    }
}

fn refuse_old_podman(podman: &PodmanState, plan: &mut Plan) {
    let mut numbers = podman.version.split('.').map_while(|part| part.parse::<u32>().ok());
    if let (Some(major), Some(minor)) = (numbers.next(), numbers.next())
        && PodmanVersion(major, minor) < FLOOR
    {
        let why = format!("version {} does not know all keys of the units that are written", podman.version);
        plan.refuse("Podman", why, format!("upgrade to Podman {FLOOR} or newer (Debian 13, Fedora 42, RHEL 9.6)"));
    }
}

/// The state of a unit, or that of one systemd has never heard of.
fn unit<'a>(observed: &'a Observed, name: &str) -> std::borrow::Cow<'a, UnitState> {
    let known = observed.units.as_ref().ok().and_then(|units| {
        let name: UnitName = name.parse().ok()?;
        units.get(&name)
    });
    known.map_or_else(|| std::borrow::Cow::Owned(UnitState::default()), std::borrow::Cow::Borrowed)
}
