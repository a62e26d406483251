//! The files that the agent owns: write what differs, remove what nothing wants, touch nothing else.

use crate::model::{ActiveState, FileKind, FileState, HostPath, LoadState, UnitName};
use crate::plan::{FileChange, FileDrift, Observed, Plan, Step, unit};
use crate::stack::{Desired, DesiredFile, FIREWALL_RULES, MARKER, QUADLETS, UNITS};

/// How the units begin that look after runs of icloudpd.
const SYNCS: &str = "photos-icloud@";

/// Where generators write (systemd.generator(7)).
const GENERATED: &str = "/run/systemd/generator";

pub(super) fn plan(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    refuse_shadows(observed, plan);
    refuse_elsewhere(observed, desired, plan);
    let files: Vec<FileChange> = desired.files.iter().filter_map(|file| change(observed, file, plan)).collect();
    let new_rules =
        files.iter().any(|file| file.path.as_str() == FIREWALL_RULES && file.before.as_ref() != Some(&file.text));
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
        plan.step(Step::LoadRules { unit: desired.firewall.clone() }, "they changed");
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
    let path = &file.path;
    let found = match observed.files.get(path) {
        None => None,
        Some(Err(reason)) => {
            plan.refuse(path.as_str(), reason.clone(), format!("ls -l {path}"));
            return None;
        }
        Some(Ok(FileState { kind: FileKind::Other, .. })) => {
            plan.refuse(path.as_str(), "is not a file", format!("mv {path} {path}.aside"));
            return None;
        }
        Some(Ok(state)) => Some(state),
    };
    if found.is_some_and(|state| is_right(file, state) || is_mask(file, state)) {
        return None;
    }
    let (before, link) = (found.map(|state| state.text.clone()), found.and_then(target));
    let recorded = observed.recorded.get(path);
    let is_known = |text: &String| *text == file.text || recorded.is_some_and(|texts| texts.contains(text));
    let displaces = link.is_some() || before.as_ref().is_some_and(|before| !is_known(before));
    if displaces && recorded.is_none() && !before.as_deref().is_some_and(is_ours) {
        let remedy = format!("mv {path} {path}.aside");
        plan.refuse(path.as_str(), "exists and was not written by photos-agent", remedy);
        return None;
    }
    Some(FileChange { path: path.clone(), before, text: file.text.clone(), mode: file.mode, displaces, link })
}

fn is_right(file: &DesiredFile, state: &FileState) -> bool {
    state.kind == FileKind::Regular
        && state.text == file.text
        && (state.uid, state.gid, state.mode) == (0, 0, file.mode)
}

/// What `systemctl mask` puts there is the operator's word, not a broken file.
fn is_mask(file: &DesiredFile, state: &FileState) -> bool {
    file.unit.is_some()
        && file.path.as_str().starts_with(UNITS)
        && matches!(&state.kind, FileKind::Link(target) if target == "/dev/null")
}

fn target(state: &FileState) -> Option<String> {
    if let FileKind::Link(target) = &state.kind { Some(target.clone()) } else { None }
}

fn is_ours(text: &str) -> bool {
    text.starts_with(MARKER)
}

fn reason(files: &[FileChange]) -> String {
    let kinds = [
        (FileDrift::Missing, "missing"),
        (FileDrift::OutOfDate, "out of date"),
        (FileDrift::Edited, "edited by hand"),
        (FileDrift::Permissions, "with another owner or mode"),
        (FileDrift::Link, "replaced by a link"),
    ];
    let count = |kind: FileDrift| files.iter().filter(|file| file.drift() == kind).count();
    let said = kinds.iter().map(|(kind, what)| (count(*kind), what)).filter(|(n, _)| *n > 0);
    said.map(|(n, what)| format!("{n} {what}")).collect::<Vec<_>>().join(", ")
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
    let ours = |path: &HostPath, state: &Result<FileState, String>| {
        let known = observed.recorded.get(path);
        let is_known = |state: &FileState| known.is_some_and(|texts| texts.contains(&state.text));
        state.as_ref().is_ok_and(|state| state.kind == FileKind::Regular && is_known(state))
    };
    let strays: Vec<HostPath> = observed
        .files
        .iter()
        .filter(|(path, state)| !wanted(path) && ours(path, state))
        .map(|(path, _)| path.clone())
        .collect();
    let units: Vec<UnitName> = strays.iter().filter_map(generated_unit).collect();
    if !units.is_empty() {
        plan.step(Step::Stop { units }, "nothing in the configuration wants it any more");
    }
    for unit in strays.iter().filter_map(timer) {
        plan.step(Step::Disable { unit }, "nothing in the configuration wants it any more");
    }
    if !strays.is_empty() {
        plan.step(Step::RemoveFiles { paths: strays }, "nothing in the configuration wants it any more");
    }
}

/// The timer that a file is: the only unit of ours that is enabled and may not be wanted any more.
fn timer(path: &HostPath) -> Option<UnitName> {
    let name = path.as_str().strip_prefix(UNITS)?.strip_prefix('/')?;
    let is_timer = name.strip_suffix(".timer").is_some();
    name.parse().ok().filter(|_| is_timer)
}

/// The unit that quadlet makes of a file (podman-systemd.unit(5)).
fn generated_unit(path: &HostPath) -> Option<UnitName> {
    let name = path.as_path().file_name()?.to_str()?;
    let stem = name.strip_suffix(".container").map(str::to_owned);
    let stem = stem.or_else(|| sync_stem(path));
    let stem = stem.or_else(|| name.strip_suffix(".network").map(|stem| format!("{stem}-network")))?;
    format!("{stem}.service").parse().ok()
}

/// What looks after a run, and would go on without an account.
fn sync_stem(path: &HostPath) -> Option<String> {
    let name = path.as_str().strip_prefix(UNITS)?.strip_prefix('/')?;
    name.strip_suffix(".service").filter(|stem| stem.starts_with(SYNCS)).map(str::to_owned)
}

fn refuse_shadows(observed: &Observed, plan: &mut Plan) {
    for path in &observed.shadows {
        let why = "has the name of a unit of photos-agent, and quadlet reads only one file of a name";
        // Without its suffix quadlet does not read it.
        plan.refuse(path.as_str(), why, format!("mv {path} {path}.aside"));
    }
}

/// Units of ours that systemd takes from somebody else's file: a job of ours would be a job for theirs.
fn refuse_elsewhere(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    for file in &desired.files {
        let Some(name) = &file.unit else { continue };
        let state = unit(observed, name.as_str());
        // Of what systemd has not read yet, it is read first.
        if matches!(state.load, LoadState::NotFound | LoadState::Masked) || state.needs_reload {
            continue;
        }
        let generated = state.fragment.starts_with(GENERATED);
        let from = if generated { &state.source } else { &state.fragment };
        let expected = generated == file.path.as_str().starts_with(QUADLETS) && from == file.path.as_str();
        let is_told = observed.shadows.iter().any(|shadow| shadow.as_str() == from);
        if !expected && !is_told && !from.is_empty() {
            let why = format!("systemd takes it from {from}, which wins over {}", file.path);
            plan.refuse(name.as_str(), why, format!("mv {from} {from}.aside && systemctl daemon-reload"));
        }
    }
}
