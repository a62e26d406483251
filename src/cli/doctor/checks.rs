//! The checks, in the order in which their remedies are to be done.

use std::io;

use super::storage::{copies, reach, room};
use super::{Check, Finding, Known, Silence, is_root};
use crate::cli::failure::{Failure, hint_of_record};
use crate::cli::open::{self, Open};
use crate::config::Diagnostic;
use crate::host::firewall::{Family, has_rules};
use crate::host::process::{self, ProcessError};
use crate::host::{generator, kernel};
use crate::model::{LoadState, Refusal, Root, UnitName};
use crate::observe::chain;
use crate::quadlet::{FLOOR, PodmanVersion};
use crate::record::{Generations, History, ImageLock, Pending, installed, role_password};
use crate::stack::{FIREWALL, FIREWALL_CHAINS, FIREWALL_TABLE, INNER_INTERFACE};

/// Oldest systemd that knows every key of the units: photos-agent.service has `RestartSteps=`.
const SYSTEMD: u32 = 254;

/// Between the remedies of one check.
pub(super) const BETWEEN: &str = "\n               ";

pub(super) fn all(root: &Root, known: &Known) -> Vec<Check> {
    let check = |what, finding| Check { what, finding };
    vec![
        check("configuration", configuration(known)),
        check("root", as_root()),
        check("cgroups", cgroups(root)),
        check("systemd", systemd()),
        check("system bus", bus(known)),
        check("processor", super::processor::processor(root, known)),
        check("clock", super::clock::clock(root)),
        check("Podman", podman(known)),
        check("Podman's socket", super::podman::socket(known)),
        check("Podman's store", super::podman::store(known)),
        check("quadlet generator", quadlet()),
        check("units at boot", super::early::early(root)),
        check("records", records(root)),
        check("open operation", open_operation(root)),
        check("storage and foreign objects", refusals(known)),
        check("room for snapshots", room(root, known)),
        check("reach of snapshots", reach(root, known)),
        check("copies of the databases", copies(root, known)),
        check("drift that is yours to mend", concerns(known)),
        check("public name", super::public::public(&known.public)),
        check("graphics", super::graphics::graphics(known)),
        check("units", units(known)),
        check("labels", super::labels::labels(root, known)),
        check("address of the server", super::ports::listen(root, known)),
        check("hearing of changes", super::watches::watches(root)),
        check("firewall", firewall()),
        check("doors", super::doors::doors(root)),
        check("inner network", inner_network(root)),
        check("program that is told", super::told::told(root, known)),
    ]
}

fn configuration(known: &Known) -> Finding {
    match &known.loaded {
        Ok(_) => Finding::holds("no mistake"),
        Err(Failure::Config(mistakes)) => {
            let mistakes: Vec<String> = mistakes.iter().map(on_one_line).collect();
            Finding::fails(mistakes.join("\n         "), "photos-agent config check")
        }
        Err(error) => Finding::fails(chain(error), "photos-agent config check"),
    }
}

/// A mistake without its excerpt, which `config check` shows.
fn on_one_line(mistake: &Diagnostic) -> String {
    let place = mistake.position.map(|position| format!(":{position}")).unwrap_or_default();
    let parts = [
        mistake.expected.as_ref().map(|expected| format!("expected {expected}")),
        mistake.found.as_ref().map(|found| format!("found {found}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let mut texts = vec![mistake.message.clone(), parts.join(", ")];
    texts.extend(mistake.help.clone());
    texts.retain(|text| !text.is_empty());
    format!("{}{place}: {}", mistake.file, texts.join("; "))
}

fn as_root() -> Finding {
    if is_root() {
        return Finding::holds("yes");
    }
    Finding::fails("apply needs it, and without it not everything can be looked at", "sudo photos-agent doctor")
}

fn cgroups(root: &Root) -> Finding {
    // Limits and the freezer of a snapshot are those of version 2; Podman 6 knows no other.
    if root.join("/sys/fs/cgroup/cgroup.controllers").exists() {
        return Finding::holds("version 2");
    }
    Finding::fails(
        "not version 2",
        "remove systemd.unified_cgroup_hierarchy=0 from the kernel's command line and reboot",
    )
}

fn systemd() -> Finding {
    let said = match process::run("systemctl", &["--version".as_ref()]) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => return Finding::fails(chain(&error), "boot the host with systemd"),
    };
    match version_of_systemd(&said) {
        Some(version) if version >= SYSTEMD => Finding::holds(format!("version {version}")),
        Some(version) => Finding::fails(
            format!("version {version} does not know all keys of the units"),
            format!("upgrade to systemd {SYSTEMD} or newer (Debian 13, Fedora 39)"),
        ),
        None => Finding::unknown("systemctl does not tell its version"),
    }
}

/// From `systemd 257 (257.9-1~deb13u1)`.
fn version_of_systemd(said: &str) -> Option<u32> {
    said.split_whitespace().nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn bus(known: &Known) -> Finding {
    match &known.bus {
        Ok(()) => Finding::holds("systemd answers"),
        Err(why) => Finding::fails(why, "systemctl status dbus.socket"),
    }
}

fn podman(known: &Known) -> Finding {
    let version = match &known.podman {
        Ok(version) => version,
        Err(why) => return Finding::fails_for_root(why, "systemctl enable --now podman.socket"),
    };
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if PodmanVersion(major, minor) < FLOOR => Finding::fails(
            format!("version {version} does not know all keys of the units"),
            format!("upgrade to Podman {FLOOR} or newer"),
        ),
        _ => Finding::holds(format!("version {version}")),
    }
}

fn quadlet() -> Finding {
    match generator::find() {
        Ok(path) => Finding::holds(path),
        Err(error) => Finding::fails(error.to_string(), "install the podman package whole"),
    }
}

fn records(root: &Root) -> Finding {
    let read = [
        ImageLock::read(root).map(drop),
        installed(root).map(drop),
        role_password(root).map(drop),
        Pending::read(root).map(drop),
        Generations::new(root).last().map(drop),
        History::new(root).entries().map(drop),
    ];
    let errors: Vec<_> = read.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() {
        return Finding::holds("readable");
    }
    let whys: Vec<String> = errors.iter().map(|error| chain(error)).collect();
    let mend = || "mend what is named above, then: photos-agent doctor".to_owned();
    let remedies: Vec<String> = errors.iter().map(|error| hint_of_record(error).unwrap_or_else(mend)).collect();
    Finding::fails_for_root(whys.join("; "), remedies.join(BETWEEN))
}

fn open_operation(root: &Root) -> Finding {
    match open::look(root) {
        Ok(Open { operation: None, .. }) => Finding::holds("none"),
        Ok(Open { operation: Some(begun), busy: Some(busy) }) => {
            Finding::holds(format!("{}, at work: {busy}", begun.id))
        }
        Ok(Open { operation: Some(begun), busy: None }) => Finding::fails(begun.to_string(), begun.remedy),
        Err(_) => Finding::unknown("the agent's records cannot be read"),
    }
}

fn refusals(known: &Known) -> Finding {
    match &known.survey {
        Ok(survey) if survey.plan.refusals.is_empty() => Finding::holds("nothing in the way"),
        Ok(survey) => refused(&survey.plan.refusals),
        Err(Silence::Refused(refusals)) => refused(refusals),
        Err(Silence::Because(why)) => Finding::unknown(why),
    }
}

fn concerns(known: &Known) -> Finding {
    match &known.survey {
        Ok(survey) if survey.plan.concerns.is_empty() => Finding::holds("none"),
        Ok(survey) => refused(&survey.plan.concerns),
        Err(Silence::Refused(_)) => Finding::unknown("what is wanted is refused"),
        Err(Silence::Because(why)) => Finding::unknown(why),
    }
}

pub(super) fn refused(refusals: &[Refusal]) -> Finding {
    let whys: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    let remedies: Vec<&str> = refusals.iter().map(|refusal| refusal.remedy.as_str()).collect();
    Finding::fails_for_root(whys.join("; "), remedies.join(BETWEEN))
}

fn units(known: &Known) -> Finding {
    let survey = match &known.survey {
        Ok(survey) => survey,
        Err(Silence::Refused(_)) => return Finding::unknown("what is wanted is refused"),
        Err(Silence::Because(why)) => return Finding::unknown(why),
    };
    let Ok(states) = &survey.observed.units else {
        return Finding::unknown("systemd does not answer");
    };
    let is_there = |unit: &&UnitName| {
        states.get(*unit).is_some_and(|state| matches!(state.load, LoadState::Loaded | LoadState::Masked))
    };
    let missing: Vec<&str> = survey.desired.units().filter(|unit| !is_there(unit)).map(UnitName::as_str).collect();
    if missing.is_empty() {
        return Finding::holds("all loaded");
    }
    Finding::fails(format!("not loaded: {}", missing.join(", ")), "photos-agent apply")
}

fn firewall() -> Finding {
    let has_nft = !matches!(process::run("nft", &["--version".as_ref()]), Err(ProcessError::NotRun { .. }));
    judge_firewall(has_nft, has_rules(Family::Inet, FIREWALL_TABLE, &FIREWALL_CHAINS))
}

/// By the same question as the plan's: a table whose chains somebody emptied closes nothing.
fn judge_firewall(has_nft: bool, has_rules: io::Result<bool>) -> Finding {
    match has_rules {
        _ if !has_nft => Finding::fails("nft is not installed", "apt install nftables, or dnf install nftables"),
        Ok(true) => Finding::holds("rules are loaded"),
        Ok(false) => {
            Finding::fails("its rules are not loaded", format!("photos-agent apply, then: systemctl start {FIREWALL}"))
        }
        Err(error) => Finding::unknown(format!("the kernel does not tell: {error}")),
    }
}

fn inner_network(root: &Root) -> Finding {
    match kernel::observe(root, INNER_INTERFACE, FIREWALL_TABLE, &FIREWALL_CHAINS).unwrap_or_default().inner_forwarding
    {
        None => Finding::holds(format!("{INNER_INTERFACE} is not up")),
        Some(false) => Finding::holds(format!("{INNER_INTERFACE} forwards nothing")),
        Some(true) => Finding::fails(format!("{INNER_INTERFACE} forwards"), "photos-agent apply"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_loaded_missing_or_not_to_be_asked_for() {
        let denied = || Err(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(judge_firewall(true, Ok(true)), Finding::Holds { .. }));
        assert!(matches!(judge_firewall(true, Ok(false)), Finding::Fails { why, .. } if why.contains("not loaded")));
        assert!(matches!(judge_firewall(true, denied()), Finding::Unknown { .. }));
        assert!(matches!(judge_firewall(false, denied()), Finding::Fails { why, .. } if why.contains("nft")));
    }

    #[test]
    fn systemd_tells_its_version_in_more_than_one_way() {
        for (said, version) in [
            ("systemd 257 (257.9-1~deb13u1)\n+PAM", Some(257)),
            ("systemd 258~rc1 (258~rc1-1)", Some(258)),
            ("systemd", None),
            ("", None),
        ] {
            assert_eq!(version_of_systemd(said), version, "{said}");
        }
    }
}
