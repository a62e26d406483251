//! Deletes snapshots: those that somebody names, and those that the policy does not keep.
//!
//! Of each the manifest goes first, for good; what dies after that leaves debris, and nothing that looks whole.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::apply::{ApplyError, Event, LOCK, Operation, Progress, StepError};
use crate::config::Keep;
use crate::host::lock::{self, Lock};
use crate::host::{Host, subvolume};
use crate::model::{Root, SnapshotId};
use crate::observe::chain;
use crate::plan::Gate;
use crate::plan::retention::{Candidate, Decision, Need, Verdict, retain};
use crate::record::{Found, Outcome, RecordError, Snapshots, trials};
use crate::snapshot::debris::{remove_all, remove_debris};
use crate::snapshot::replaced::{self, Replaced};
use crate::snapshot::{Applied, failed, hold_alone, refuse_open_operation};

/// With more than this to delete, several share a step: the journal is written anew with each.
const STEPS: usize = 100;

/// What is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doomed {
    /// A snapshot, and why.
    Snapshot(SnapshotId, String),
    /// Live trees that were replaced.
    Replaced(Replaced),
}

/// A decision on each snapshot, and what it came to.
#[derive(Debug)]
pub struct Pruned {
    /// One for each that is understood, the newest first.
    pub verdicts: Vec<Verdict>,
    /// Those that are not, and why: they stay.
    pub left: Vec<(SnapshotId, String)>,
    /// The number of the operation, if there was anything to do.
    pub operation: Option<u64>,
}

/// What the policy says of each snapshot, `proven` being the last one that was; changes nothing.
pub fn judge(found: Vec<(SnapshotId, Found)>, proven: Option<&SnapshotId>, keep: &Keep, now: Timestamp) -> Pruned {
    let (mut candidates, mut left) = (Vec::new(), Vec::new());
    for (id, found) in found {
        match found {
            Found::Whole(summary) => {
                let needed = if summary.keep { vec![Need::AskedToKeep] } else { Vec::new() };
                let proven = proven == Some(&id);
                candidates.push(Candidate { id, moment: summary.created, needed, proven });
            }
            Found::Newer(_) | Found::Damaged(_) => left.push((id, why_left(&found))),
            Found::Debris => {}
        }
    }
    Pruned { verdicts: retain(candidates, keep, now, &TimeZone::system()), left, operation: None }
}

/// Why it is of no use to this agent.
pub fn why_left(found: &Found) -> String {
    match found {
        Found::Newer(format) => format!("its manifest has format {format}, of a newer photos-agent"),
        Found::Damaged(why) => format!("its manifest is damaged: {why}"),
        Found::Debris => "it has no manifest, so it is not whole".to_owned(),
        Found::Whole(_) => String::new(),
    }
}

/// Deletes what the policy does not keep.
pub async fn prune(host: &Host, command: &str, progress: &mut dyn Progress) -> Result<Pruned, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), command, lock::PATIENCE).await?;
    let (applied, snapshots) = begin(&host.root)?;
    let keep = &applied.loaded.settings.snapshots.keep;
    let proven = last_proven(&host.root)?;
    let mut pruned = judge(snapshots.all()?, proven.as_ref(), keep, Timestamp::now());
    let doomed = |verdict: &Verdict| match &verdict.decision {
        Decision::Keep(_) => None,
        Decision::Delete(surplus) => Some(Doomed::Snapshot(verdict.id.clone(), surplus.to_string())),
    };
    // The oldest first: whatever ends it, what is left is the newest.
    let mut doomed: Vec<Doomed> = pruned.verdicts.iter().rev().filter_map(doomed).collect();
    // One that is being verified goes the next time.
    let mut held = Vec::new();
    doomed.retain(|doomed| hold(&snapshots, doomed).map(|lock| held.push(lock)).is_ok());
    pruned.operation = work(&host.root, &applied, &snapshots, &doomed, command, progress)?;
    Ok(pruned)
}

/// Deletes what somebody named. Who calls it has asked, and looked whether it exists.
pub async fn delete(
    host: &Host,
    doomed: &[Doomed],
    command: &str,
    progress: &mut dyn Progress,
) -> Result<Option<u64>, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), command, lock::PATIENCE).await?;
    let (applied, snapshots) = begin(&host.root)?;
    let _held = doomed.iter().map(|doomed| hold(&snapshots, doomed)).collect::<Result<Vec<_>, _>>()?;
    work(&host.root, &applied, &snapshots, doomed, command, progress)
}

/// Nobody reads it while it is deleted.
fn hold(snapshots: &Snapshots, doomed: &Doomed) -> Result<Option<Lock>, ApplyError> {
    match doomed {
        Doomed::Snapshot(id, _) => hold_alone(snapshots, id).map(Some),
        Doomed::Replaced(_) => Ok(None),
    }
}

/// The last snapshot that was proven.
pub fn last_proven(root: &Root) -> Result<Option<SnapshotId>, RecordError> {
    Ok(trials(root)?.proven.map(|proof| proof.snapshot))
}

/// Under the lock.
fn begin(root: &Root) -> Result<(Applied, Snapshots), ApplyError> {
    refuse_open_operation(root, "and may need what is to be deleted")?;
    let applied = Applied::read(root)?;
    let snapshots = applied.snapshots(root);
    remove_debris(root, &applied).map_err(|error| failed("remove what is left of a snapshot", error))?;
    Ok((applied, snapshots))
}

fn work(
    root: &Root,
    applied: &Applied,
    snapshots: &Snapshots,
    doomed: &[Doomed],
    command: &str,
    progress: &mut dyn Progress,
) -> Result<Option<u64>, ApplyError> {
    let mut operation = Operation::begin(root, command)?;
    let share = doomed.len().div_ceil(STEPS).max(1);
    for (number, some) in doomed.chunks(share).enumerate() {
        let (step, reason) = words(some);
        progress.hear(Event::Step { step: &step, reason: &reason });
        let begun = operation.begin_step(step.clone(), &reason, Gate::Open, false)?;
        let is_last = (number + 1) * share >= doomed.len();
        let deleted = some.iter().try_for_each(|one| delete_one(root, applied, snapshots, one));
        if let Err(source) = deleted.and_then(|()| if is_last { commit(root, applied) } else { Ok(()) }) {
            operation.finish(Outcome::Failed(chain(&source)), None)?;
            return Err(ApplyError::Step { step, source: Box::new(source) });
        }
        operation.step_done(begun);
    }
    Ok(operation.finish(Outcome::Done, Some(applied.generation.number))?.0)
}

/// While the journal is open: a power cut brings back what the filesystems have not committed, as debris.
fn commit(root: &Root, applied: &Applied) -> Result<(), StepError> {
    let commit = |disk: &crate::stack::Disk| subvolume::commit(&root.join(disk.base.as_path()));
    Ok(applied.desired.disks.iter().try_for_each(commit)?)
}

fn words(doomed: &[Doomed]) -> (String, String) {
    let name = |one: &Doomed| match one {
        Doomed::Snapshot(id, _) => format!("snapshot {id}"),
        Doomed::Replaced(replaced) => replaced.name(),
    };
    let reason = match doomed {
        [Doomed::Snapshot(_, reason), ..] => reason.clone(),
        _ => "asked for".to_owned(),
    };
    (format!("delete {}", doomed.iter().map(name).collect::<Vec<_>>().join(", ")), reason)
}

fn delete_one(root: &Root, applied: &Applied, snapshots: &Snapshots, doomed: &Doomed) -> Result<(), StepError> {
    match doomed {
        Doomed::Snapshot(id, _) => {
            snapshots.forget(id)?;
            Ok(remove_all(root, &applied.desired.disks, id)?)
        }
        Doomed::Replaced(replaced) => Ok(replaced::remove(root, &applied.desired.disks, *replaced)?),
    }
}
