//! The files that the agent owns: write what differs, remove what nothing wants, touch nothing else.

use crate::model::{ActiveState, HostPath, LoadState, UnitName};
use crate::plan::{FileChange, Observed, Plan, Step, unit};
use crate::stack::{Desired, DesiredFile, FIREWALL_RULES, MARKER};

pub(super) fn plan(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    refuse_shadows(observed, plan);
    let files: Vec<FileChange> = desired.files.iter().filter_map(|file| change(observed, file, plan)).collect();
    let new_rules = files.iter().any(|file| file.path.as_str() == FIREWALL_RULES);
    let reload = needs_reload(observed, desired);
    if !files.is_empty() {
        let reason = reason(&files);
        plan.step(Step::InstallFiles { files }, reason);
    } else if let Some(reason) = reload {
        plan.step(Step::Reload, reason);
    }
    plan_strays(observed, desired, plan);
    plan_gate(observed, desired, plan);
    // Where the unit is down, its start loads them.
    if new_rules && unit(observed, desired.firewall.as_str()).active == ActiveState::Active {
        plan.step(Step::Restart { units: vec![desired.firewall.clone()] }, "its rules changed");
    }
}

/// Masked, it is the operator's: then the conditions of the services hold alone.
fn plan_gate(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    let state = unit(observed, desired.resolve.as_str());
    if state.file_state != "enabled" && state.load != LoadState::Masked {
        plan.step(
            Step::Enable { unit: desired.resolve.clone() },
            "a boot finishes what was cut off, without the agent",
        );
    }
}

fn change(observed: &Observed, file: &DesiredFile, plan: &mut Plan) -> Option<FileChange> {
    let before = match observed.files.get(&file.path) {
        None => None,
        Some(Err(reason)) => {
            plan.refuse(file.path.as_str(), reason.clone(), format!("ls -l {}", file.path));
            return None;
        }
        Some(Ok(text)) => Some(text.clone()),
    };
    if before.as_deref() == Some(&file.text) {
        return None;
    }
    let recorded = observed.recorded.get(&file.path);
    let displaces = before.as_ref().is_some_and(|before| !recorded.is_some_and(|texts| texts.contains(before)));
    if displaces && recorded.is_none() && !before.as_deref().is_some_and(is_ours) {
        let remedy = format!("mv {0} {0}.aside", file.path);
        plan.refuse(file.path.as_str(), "exists and was not written by photos-agent", remedy);
        return None;
    }
    Some(FileChange { path: file.path.clone(), before, text: file.text.clone(), mode: file.mode, displaces })
}

fn is_ours(text: &str) -> bool {
    text.starts_with(MARKER)
}

fn reason(files: &[FileChange]) -> String {
    let count = |matches: fn(&FileChange) -> bool| files.iter().filter(|file| matches(file)).count();
    let parts = [
        (count(|file| file.before.is_none()), "missing"),
        (count(|file| file.before.is_some() && !file.displaces), "out of date"),
        (count(|file| file.displaces), "edited by hand"),
    ];
    let said: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    said.join(", ")
}

/// Why systemd must read its files again although they all are as they should be: an interruption
/// between the last rename and the reload.
fn needs_reload(observed: &Observed, desired: &Desired) -> Option<String> {
    desired.units().find_map(|name| {
        let state = unit(observed, name.as_str());
        match state.load {
            LoadState::NotFound => Some(format!("systemd does not know {name} yet")),
            _ if state.needs_reload => Some(format!("systemd has an older text of {name}")),
            _ => None,
        }
    })
}

/// Files that the agent wrote, as it wrote them, and that no service wants any more: the unit is stopped while its
/// stop command is still known, then the file goes. A copy of one of ours is somebody's own, mark or not.
fn plan_strays(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    let wanted = |path: &HostPath| desired.files.iter().any(|file| file.path == *path);
    let ours = |path: &HostPath, text: &Result<String, String>| {
        let known = observed.recorded.get(path);
        text.as_ref().is_ok_and(|text| known.is_some_and(|texts| texts.contains(text)))
    };
    let strays: Vec<HostPath> = observed
        .files
        .iter()
        .filter(|(path, text)| !wanted(path) && ours(path, text))
        .map(|(path, _)| path.clone())
        .collect();
    let units: Vec<UnitName> = strays.iter().filter_map(generated_unit).collect();
    if !units.is_empty() {
        plan.step(Step::Stop { units }, "nothing in the configuration wants it any more");
    }
    if !strays.is_empty() {
        plan.step(Step::RemoveFiles { paths: strays }, "nothing in the configuration wants it any more");
    }
}

/// The unit that quadlet makes of a file (podman-systemd.unit(5)).
fn generated_unit(path: &HostPath) -> Option<UnitName> {
    let name = path.as_path().file_name()?.to_str()?;
    let stem = name.strip_suffix(".container").map(str::to_owned);
    let stem = stem.or_else(|| name.strip_suffix(".network").map(|stem| format!("{stem}-network")))?;
    format!("{stem}.service").parse().ok()
}

fn refuse_shadows(observed: &Observed, plan: &mut Plan) {
    for path in &observed.shadows {
        let why = "has the name of a unit of photos-agent, and quadlet reads only one file of a name";
        // Without its suffix quadlet does not read it.
        plan.refuse(path.as_str(), why, format!("mv {path} {path}.aside"));
    }
}
