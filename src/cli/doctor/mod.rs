//! `photos-agent doctor`: every precondition, each with its remedy. Changes nothing.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::apply::{self, Survey};
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::host::{generator, process};
use crate::model::LoadState;
use crate::stack::INNER_INTERFACE;

#[derive(Serialize)]
struct Body {
    well: bool,
    checks: Vec<Check>,
}

/// One precondition. That it could not be looked at is another thing than that it does not hold.
#[derive(Serialize)]
struct Check {
    what: &'static str,
    #[serde(flatten)]
    finding: Finding,
}

#[derive(Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
enum Finding {
    Holds { detail: String },
    Fails { why: String, remedy: String },
    Unknown { why: String },
}

impl Finding {
    fn fails(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Fails { why: why.into(), remedy: remedy.into() }
    }

    fn holds(detail: impl Into<String>) -> Self {
        Self::Holds { detail: detail.into() }
    }
}

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let loaded = context.load()?;
    let survey = apply::survey(&context.host()?, &loaded).await?;
    let checks = vec![
        Check { what: "configuration", finding: Finding::holds("no mistake") },
        Check { what: "root", finding: root() },
        Check { what: "cgroups", finding: cgroups(context) },
        Check { what: "systemd", finding: systemd(&survey) },
        Check { what: "Podman", finding: podman(&survey) },
        Check { what: "quadlet generator", finding: quadlet() },
        Check { what: "storage and foreign objects", finding: refusals(&survey) },
        Check { what: "units", finding: units(&survey) },
        Check { what: "firewall", finding: firewall(&survey) },
        Check { what: "inner network", finding: inner_network(&survey) },
    ];
    let well = checks.iter().all(|check| matches!(check.finding, Finding::Holds { .. }));
    let body = Body { well, checks };
    context.output.answer("doctor", &body, || text(&body));
    Ok(ExitCode::from(if well { 0 } else { 2 }))
}

fn text(body: &Body) -> String {
    body.checks.iter().fold(String::new(), |mut text, Check { what, finding }| {
        let _ = match finding {
            Finding::Holds { detail } => writeln!(text, "ok       {what}: {detail}"),
            Finding::Fails { why, remedy } => writeln!(text, "FAILS    {what}: {why}\n         next: {remedy}"),
            Finding::Unknown { why } => writeln!(text, "unknown  {what}: {why}"),
        };
        text
    })
}

fn root() -> Finding {
    if nix::unistd::geteuid().is_root() {
        return Finding::holds("yes");
    }
    Finding::fails("apply needs it, and without it not everything can be looked at", "sudo photos-agent doctor")
}

fn cgroups(context: &Context) -> Finding {
    // Limits and the freezer of a snapshot are those of version 2; Podman 6 knows no other.
    if context.root.join("/sys/fs/cgroup/cgroup.controllers").exists() {
        return Finding::holds("version 2");
    }
    Finding::fails(
        "not version 2",
        "remove systemd.unified_cgroup_hierarchy=0 from the kernel's command line and reboot",
    )
}

fn systemd(survey: &Survey) -> Finding {
    match &survey.observed.units {
        Ok(_) => Finding::holds("answers on the bus"),
        Err(unreachable) => Finding::fails(unreachable.0.clone(), "systemctl status dbus.socket"),
    }
}

fn podman(survey: &Survey) -> Finding {
    match &survey.observed.podman {
        Ok(podman) => Finding::holds(format!("version {}", podman.version)),
        Err(unreachable) => Finding::fails(unreachable.0.clone(), "systemctl enable --now podman.socket"),
    }
}

fn quadlet() -> Finding {
    match generator::find() {
        Ok(path) => Finding::holds(path),
        Err(error) => Finding::fails(error.to_string(), "install the podman package whole"),
    }
}

fn refusals(survey: &Survey) -> Finding {
    let refusals = &survey.plan.refusals;
    let join = |texts: Vec<String>, by: &str| texts.join(by);
    if refusals.is_empty() {
        return Finding::holds("nothing in the way");
    }
    let why = join(refusals.iter().map(ToString::to_string).collect(), "; ");
    let remedy = join(refusals.iter().map(|refusal| refusal.remedy.clone()).collect(), "\n               ");
    Finding::fails(why, remedy)
}

fn units(survey: &Survey) -> Finding {
    let Ok(states) = &survey.observed.units else {
        return Finding::Unknown { why: "systemd does not answer".to_owned() };
    };
    let missing: Vec<&str> = survey
        .desired
        .units()
        .filter(|unit| {
            states.get(*unit).is_none_or(|state| !matches!(state.load, LoadState::Loaded | LoadState::Masked))
        })
        .map(crate::model::UnitName::as_str)
        .collect();
    if missing.is_empty() {
        return Finding::holds("all loaded");
    }
    Finding::fails(format!("not loaded: {}", missing.join(", ")), "photos-agent apply")
}

fn firewall(survey: &Survey) -> Finding {
    let arguments = ["list", "table", "inet", "photos_agent"].map(std::convert::AsRef::as_ref);
    match process::run("nft", &arguments) {
        Ok(_) => Finding::holds("rules are loaded"),
        Err(process::ProcessError::NotRun { .. }) => {
            Finding::fails("nft is not installed", "apt install nftables, or dnf install nftables")
        }
        Err(error) if !nix::unistd::geteuid().is_root() => Finding::Unknown { why: error.to_string() },
        Err(_) => {
            let unit = &survey.desired.firewall;
            Finding::fails("its rules are not loaded", format!("photos-agent apply, then: systemctl start {unit}"))
        }
    }
}

fn inner_network(survey: &Survey) -> Finding {
    match survey.observed.kernel.inner_forwarding {
        None => Finding::holds(format!("{INNER_INTERFACE} is not up")),
        Some(false) => Finding::holds(format!("{INNER_INTERFACE} forwards nothing")),
        Some(true) => Finding::fails(format!("{INNER_INTERFACE} forwards"), "photos-agent apply"),
    }
}
