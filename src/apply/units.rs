//! Unit files into place, all or nothing, and jobs followed to their end.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::apply::hasten::hasten;
use crate::apply::progress::{Event, Progress};
use crate::apply::steps::StepError;
use crate::apply::{Survey, displaced};
use crate::host::files::{self, Change, FileError};
use crate::host::generator::{self, GeneratorError, Staged};
use crate::host::systemd::{JobNews, JobResult, Verb};
use crate::host::{Host, journal};
use crate::model::layout::STATE;
use crate::model::{ActiveState, HostPath, LoadState, UnitName, UnitState};
use crate::observe::chain;
use crate::plan::FileChange;
use crate::record::{self, Texts, add_installed};
use crate::stack::{Desired, QUADLETS};

/// How many of a failed unit's last journal lines are repeated.
const LAST_WORDS: usize = 10;

/// Asks Podman's generator about the whole set.
pub(super) fn check(host: &Host, desired: &Desired) -> Result<(), GeneratorError> {
    let quadlet = |file: &crate::stack::DesiredFile| {
        let unit = file.unit.as_ref()?;
        let name = Path::new(file.path.as_str()).file_name()?.to_str()?;
        file.path.as_str().starts_with(QUADLETS).then(|| (name.to_owned(), file.text.clone(), unit.to_string()))
    };
    let set: Vec<(String, String, String)> = desired.files.iter().filter_map(quadlet).collect();
    let staged: Vec<Staged<'_>> =
        set.iter().map(|(file, text, unit)| Staged { file, text, unit: unit.clone() }).collect();
    generator::check(&host.root, QUADLETS, &staged)
}

/// Removes what an interrupted run left in the making, wherever the agent writes.
pub(super) fn remove_leftovers(host: &Host, desired: &Desired) -> Result<(), FileError> {
    let parents = desired.files.iter().filter_map(|file| file.path.as_path().parent()).map(Path::to_owned);
    let records = record::FOLDERS.map(|name| Path::new(STATE).join(name));
    let folders: BTreeSet<PathBuf> = parents.chain(records).collect();
    folders.iter().try_for_each(|folder| files::remove_leftovers(&host.root.join(folder)))?;
    // Whoever stages the next set clears it first; but there may be no next one.
    files::remove_tree(&host.root.join(generator::STAGE))
}

/// Writes the files, reloads, and puts the old ones back if a unit did not come of it.
pub(super) async fn install(
    host: &Host,
    survey: &Survey,
    changes: &[FileChange],
    operation: u64,
    progress: &mut dyn Progress,
) -> Result<(), StepError> {
    let Err(error) = replace(host, survey, changes, operation, progress).await else { return Ok(()) };
    let is_as_before = |change: &FileChange| {
        files::read(&host.root.join(change.path.as_path())).is_ok_and(|text| text == change.before)
    };
    Err(if changes.iter().all(is_as_before) { StepError::Undone(Box::new(error)) } else { error })
}

async fn replace(
    host: &Host,
    survey: &Survey,
    changes: &[FileChange],
    operation: u64,
    progress: &mut dyn Progress,
) -> Result<(), StepError> {
    keep_displaced(host, changes, operation, progress)?;
    let set = |text: fn(&FileChange) -> Option<String>| -> Vec<Change> {
        let change =
            |file: &FileChange| Change { path: host.root.join(file.path.as_path()), text: text(file), mode: file.mode };
        changes.iter().map(change).collect()
    };
    add_installed(&host.root, own_texts(changes))?;
    files::replace_all(&set(|file| Some(file.text.clone())))?;
    let Err(error) = reload(host, survey).await else { return Ok(()) };
    // What led here is what a person needs; what fails on the way back, the next run finds.
    if let Err(unmended) = put_back(host, &set(|file| file.before.clone())).await {
        tracing::error!("the old units were not put back: {}", chain(&unmended));
    }
    Err(error)
}

async fn put_back(host: &Host, before: &[Change]) -> Result<(), StepError> {
    files::replace_all(before)?;
    Ok(host.systemd().await?.reload().await?)
}

fn own_texts(changes: &[FileChange]) -> Texts {
    let own = |change: &FileChange| {
        let before = change.before.clone().filter(|_| !change.displaces);
        (change.path.clone(), before.into_iter().chain([change.text.clone()]).collect())
    };
    changes.iter().map(own).collect()
}

/// What somebody wrote into one of our files is kept, and the operator hears where.
fn keep_displaced(
    host: &Host,
    changes: &[FileChange],
    operation: u64,
    progress: &mut dyn Progress,
) -> Result<(), StepError> {
    for change in changes.iter().filter(|change| change.displaces) {
        let Some(before) = &change.before else { continue };
        let name = change.path.as_path().file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let kept = displaced(&host.root, operation, &name);
        let head = change
            .link
            .as_ref()
            .map(|target| format!("# {} was a symbolic link to {target}, which says:\n", change.path));
        files::write(&kept, &(head.unwrap_or_default() + before), 0o600)?;
        progress.hear(Event::Displaced { path: change.path.as_str(), kept: &kept.to_string_lossy() });
    }
    Ok(())
}

/// Reloads systemd and asserts that every unit came from our file: a generator's error is silent
/// (it goes to the kernel's log), and the reload succeeds all the same.
///
/// What a drop-in had broken before is no fault of what was just written: the plan tells of it, and it forbids nothing.
pub(super) async fn reload(host: &Host, survey: &Survey) -> Result<(), StepError> {
    let Survey { desired, observed, .. } = survey;
    let systemd = host.systemd().await?;
    systemd.reload().await?;
    let names: Vec<UnitName> = desired.units().cloned().collect();
    let states = systemd.units(&names).await?;
    for file in &desired.files {
        let Some(unit) = &file.unit else { continue };
        let state = states.get(unit).cloned().unwrap_or_default();
        let before = observed.units.as_ref().ok().and_then(|units| units.get(unit));
        let was_broken = before.is_some_and(|before| before.load == LoadState::Broken);
        if let Some(found) = misloaded(&state, &file.path, was_broken) {
            return Err(StepError::NotLoaded { unit: unit.clone(), file: file.path.to_string(), found });
        }
    }
    Ok(())
}

fn misloaded(state: &UnitState, file: &HostPath, was_broken: bool) -> Option<String> {
    match state.load {
        LoadState::Loaded => {}
        // By the operator, who will unmask it.
        LoadState::Masked => return None,
        LoadState::NotFound => return Some("systemd does not know it; see journalctl -k -g quadlet".to_owned()),
        LoadState::Broken if was_broken => return None,
        LoadState::Broken => return Some("systemd cannot read it; see systemctl status".to_owned()),
    }
    let from = if file.as_str().starts_with(QUADLETS) { &state.source } else { &state.fragment };
    (from != file.as_str()).then(|| format!("it comes from {from}"))
}

/// Removes files that are nobody's any more.
pub(super) async fn remove(host: &Host, paths: &[HostPath]) -> Result<(), StepError> {
    let change = |path: &HostPath| Change { path: host.root.join(path.as_path()), text: None, mode: 0 };
    files::replace_all(&paths.iter().map(change).collect::<Vec<_>>())?;
    Ok(host.systemd().await?.reload().await?)
}

/// Requests jobs, tells their progress, and fails with each unit that is not as it should be after.
pub(super) async fn jobs(
    host: &Host,
    verb: Verb,
    units: &[UnitName],
    progress: &mut dyn Progress,
) -> Result<(), StepError> {
    let systemd = host.systemd().await?;
    let mut tell = |news: JobNews<'_>| match news {
        JobNews::Ended(job) => progress.hear(Event::Unit { unit: &job.unit, result: &job.result, took: job.took }),
        JobNews::Waiting(units, long) => progress.hear(Event::Waiting(&units, long)),
    };
    let run = systemd.run_jobs(verb, units, &mut tell);
    let results = match verb {
        Verb::Start | Verb::Restart => tokio::select! {
            results = run => results?,
            () = hasten(host, units) => return Err(StepError::Jobs(Vec::new())),
        },
        Verb::Stop | Verb::Reload => run.await?,
    };
    let states = systemd.units(units).await?;
    let state = |unit: &UnitName| states.get(unit).cloned().unwrap_or_default();
    let failures: Vec<String> = results.iter().filter_map(|job| failure(verb, job, &state(&job.unit))).collect();
    if failures.is_empty() { Ok(()) } else { Err(StepError::Jobs(failures)) }
}

/// What is wrong with a unit after its job, if something is. `done` alone does not say that it is up:
/// a condition that was not met gives it too.
fn failure(verb: Verb, job: &JobResult, state: &UnitState) -> Option<String> {
    let up = state.active == ActiveState::Active;
    let well = match verb {
        Verb::Stop => job.result == "done",
        Verb::Start | Verb::Restart | Verb::Reload => job.result == "done" && up,
    };
    if well {
        return None;
    }
    let unit = &job.unit;
    let mut text = format!("{unit}: {} (result of its job: {}", state.sub, job.result);
    if !state.result.is_empty() && state.result != "success" {
        let _ = write!(text, ", of its last run: {}", state.result);
    }
    text.push(')');
    // A unit that waits for another has nothing to say of its own.
    if job.result != "dependency" {
        for line in journal::last_lines(unit, LAST_WORDS) {
            text.push_str("\n    ");
            text.push_str(&line);
        }
        let _ = write!(text, "\n  more: journalctl -u {unit}");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_misloaded_unless_it_was_broken_before() {
        let file: HostPath = format!("{QUADLETS}/immich-ml.container").parse().unwrap();
        let state = |load, source: &str| UnitState { load, source: source.to_owned(), ..UnitState::default() };
        let ours = file.as_str();
        for (load, source, was_broken, fault) in [
            (LoadState::Loaded, ours, false, None),
            (LoadState::Loaded, "/etc/theirs", true, Some("it comes from")),
            (LoadState::Masked, "", false, None),
            (LoadState::NotFound, "", true, Some("does not know it")),
            (LoadState::Broken, ours, false, Some("cannot read it")),
            // A drop-in of the operator's, which is a concern: the files of the others are written all the same.
            (LoadState::Broken, ours, true, None),
        ] {
            let found = misloaded(&state(load, source), &file, was_broken);
            assert_eq!(found.is_some(), fault.is_some(), "{load:?}: {found:?}");
            assert!(found.unwrap_or_default().contains(fault.unwrap_or_default()), "{load:?}");
        }
    }
}
