//! Deletes snapshots: those that somebody names, and those that the policy does not keep.
//!
//! Of each the manifest goes first, for good; what dies after that leaves debris, and nothing that looks whole.

use crate::apply::{ApplyError, Event, LOCK, Operation, Progress, StepError};
use crate::host::lock::{self, LockError, Sharing};
use crate::host::{Host, subvolume};
use crate::model::{Root, SnapshotId};
use crate::observe::chain;
use crate::plan::Gate;
use crate::plan::retention::{Decision, Verdict};
use crate::record::{Outcome, Snapshots};
use crate::snapshot::debris::{refuse_missing, remove_all, remove_debris};
use crate::snapshot::replaced::{self, Replaced};
use crate::snapshot::{Applied, Pruned, failed, hold_alone, judge, refuse_open_operation};

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

/// Deletes what the policy does not keep.
pub async fn prune(host: &Host, command: &str, progress: &mut dyn Progress) -> Result<Pruned, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), command, lock::PATIENCE).await?;
    let (applied, snapshots) = begin(&host.root)?;
    let mut pruned = judge(&host.root, &applied, snapshots.all()?)?;
    leave_read(&snapshots, &mut pruned)?;
    let doomed = |verdict: &Verdict| match &verdict.decision {
        Decision::Keep(_) => None,
        Decision::Delete(surplus) => Some(Doomed::Snapshot(verdict.id.clone(), surplus.to_string())),
    };
    // The oldest first: whatever ends it, what is left is the newest.
    let doomed: Vec<Doomed> = pruned.verdicts.iter().rev().filter_map(doomed).collect();
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
    // Refused before the first one goes. Whoever begins to read one takes the lock for that.
    for one in doomed {
        if let Doomed::Snapshot(id, _) = one {
            drop(hold_alone(&snapshots, id)?);
        }
    }
    work(&host.root, &applied, &snapshots, doomed, command, progress)
}

/// One that is being read goes the next time.
fn leave_read(snapshots: &Snapshots, pruned: &mut Pruned) -> Result<(), LockError> {
    for verdict in std::mem::take(&mut pruned.verdicts) {
        if verdict.keeps() || lock::hold(&snapshots.folder(&verdict.id), Sharing::WithNobody)?.is_some() {
            pruned.verdicts.push(verdict);
        } else {
            pruned.left.push((verdict.id, "it is being verified, and goes with the next prune".to_owned()));
        }
    }
    Ok(())
}

/// Under the lock.
fn begin(root: &Root) -> Result<(Applied, Snapshots), ApplyError> {
    refuse_open_operation(root, "and may need what is to be deleted")?;
    let applied = Applied::read(root)?;
    let snapshots = applied.snapshots(root);
    refuse_missing(root, &applied.desired.disks)?;
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
            // Held as long as it takes, one after the other: there may be more of them than files that one may open.
            let held = lock::hold(&snapshots.folder(id), Sharing::WithNobody)?;
            let _held = held.ok_or_else(|| StepError::NotAsItWas(format!("snapshot {id} is being read just now")))?;
            snapshots.forget(id)?;
            Ok(remove_all(root, &applied.desired.disks, id)?)
        }
        Doomed::Replaced(replaced) => Ok(replaced::remove(root, &applied.desired.disks, *replaced)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::retention::Surplus;

    #[test]
    fn what_is_being_read_is_counted_among_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(folder.path().to_owned());
        let verdict = |id: &str| {
            let id: SnapshotId = id.parse().unwrap();
            std::fs::create_dir(snapshots.folder(&id)).unwrap();
            let moment = "2026-11-20T02:00:00Z".parse().unwrap();
            Verdict { id, moment, decision: Decision::Delete(Surplus::default()) }
        };
        let verdicts = vec![verdict("20261121T020000Z"), verdict("20261120T020000Z")];
        let read = verdicts[0].id.clone();
        let _reader = lock::hold(&snapshots.folder(&read), Sharing::WithReaders).unwrap().unwrap();
        let mut pruned = Pruned { verdicts, left: Vec::new(), operation: None };
        leave_read(&snapshots, &mut pruned).unwrap();
        assert_eq!(pruned.verdicts.len(), 1);
        assert_ne!(pruned.verdicts[0].id, read);
        assert_eq!(pruned.left.iter().map(|(id, _)| id).collect::<Vec<_>>(), [&read]);
        // That it cannot be found out is not that somebody reads it.
        std::fs::remove_dir(snapshots.folder(&pruned.verdicts[0].id)).unwrap();
        assert!(leave_read(&snapshots, &mut pruned).is_err());
    }
}
