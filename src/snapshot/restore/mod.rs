//! What a restore would do, looked into before anything is touched; and the restore, if nothing has changed meanwhile.
//!
//! Everything that could make it fail half-way is looked for here, while all runs on. How it is done is `apply`'s.

mod choice;
mod stack;
mod trees;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::apply::{self, ApplyError, LOCK, Order, Progress, Report, SCANNING};
use crate::config::Source;
use crate::host::lock::LockError;
use crate::host::subvolume::{self, Newer};
use crate::host::{Host, files, lock};
use crate::model::{
    HostPath, ImageRef, Refusal, Restore, RestoredDisk, RestoredStack, Root, Service, SnapshotId, Subvolume, Tree,
};
use crate::plan::going_back::{parts, warnings};
use crate::record::{Generations, History, Manifest, Pending, Snapshots, is_first_start, mends};
use crate::snapshot::{Applied, failed, name_holes, refuse_full};
use crate::stack::Desired;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// A snapshot's name, the beginning of one, or `latest`.
    pub which: String,
    /// Only these parts; none: all.
    pub only: Vec<Subvolume>,
    /// Configuration and images stay as they are.
    pub keep_images: bool,
    /// The configuration files of the host.
    pub files: Vec<Source>,
    /// The command.
    pub command: String,
}

/// What would come of it.
#[derive(Debug, Serialize)]
pub struct Prospect {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When it was taken.
    pub created: Timestamp,
    /// Why.
    pub reason: String,
    /// What goes back.
    pub back: BTreeSet<Subvolume>,
    /// What stays as it is.
    pub stays: BTreeSet<Subvolume>,
    /// Immich's release.
    pub release: ReleaseChange,
    /// Images that change.
    pub images: Vec<ImageChange>,
    /// Whether the configuration goes back to another one.
    pub configuration_changes: bool,
    /// Whether the files on the host are put out of force.
    pub files_out_of_force: bool,
    /// Files that are newer than the snapshot, and will be gone from what is live.
    pub newer: BTreeMap<Subvolume, Newer>,
    /// Where everything that was live is kept.
    pub kept: Vec<HostPath>,
    /// What to know besides.
    pub warnings: Vec<String>,
    /// Whether the stack is started afterwards.
    pub starts: bool,
    /// All of it, for whoever does it.
    #[serde(skip)]
    pub order: Order,
    /// The stack after it.
    #[serde(skip)]
    pub desired: Desired,
}

/// A release that changes, or does not.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ReleaseChange {
    /// The one that runs.
    pub now: String,
    /// The one that will run.
    pub then: String,
}

/// A service whose image changes.
#[derive(Debug, Serialize)]
pub struct ImageChange {
    /// The service.
    pub service: Service,
    /// What it runs now.
    pub now: Option<ImageRef>,
    /// What it will run.
    pub then: ImageRef,
}

/// Restores, if it is still what was foreseen.
pub async fn restore(
    host: &Host,
    wish: &Wish,
    foreseen: &Prospect,
    progress: &mut dyn Progress,
) -> Result<Report, ApplyError> {
    let _scanning =
        lock::take(&host.root.join(SCANNING), &wish.command, lock::PATIENCE).await.map_err(while_scanning)?;
    let _lock = lock::take(&host.root.join(LOCK), &wish.command, lock::PATIENCE).await?;
    let now = foresee(host, wish).await?;
    if now.order != foreseen.order {
        let why = "is not what it was when this restore was looked into: somebody has changed the host meanwhile";
        let remedy = format!("photos-agent restore {} --dry-run", foreseen.snapshot);
        return Err(refused(Refusal::new("the stack", why, remedy)));
    }
    // Staged for Podman's generator, which a look alone must not do.
    apply::check_generated(host, &now.desired)?;
    apply::restore(host, &now.order, &wish.command, progress).await
}

/// Under a scan, another tree would cost what it does not hold.
fn while_scanning(error: LockError) -> ApplyError {
    let LockError::Held { holder, waited } = error else { return error.into() };
    let why = format!(
        "has Immich scan a library, or restores, and was waited for for {} s: what a scan does not find, it moves to the trash",
        waited.as_secs()
    );
    let remedy = "wait until it is done (Immich: Administration, Job Queues, External Libraries; clear what waits there to end a scan), \
                  then try again";
    refused(Refusal::new(holder, why, remedy))
}

/// Looks into it. Changes nothing.
pub async fn foresee(host: &Host, wish: &Wish) -> Result<Prospect, ApplyError> {
    let root = &host.root;
    refuse_open_operation(root)?;
    let applied = Applied::read(root)?;
    let snapshots = applied.snapshots(root);
    let (id, told) = choice::find(&snapshots, &wish.which)?;
    let manifest = manifest(&snapshots, &id)?;
    let back = parts(&manifest.parts.keys().copied().collect(), &wish.only);
    if let Some(missing) = wish.only.iter().find(|part| !back.contains(part)) {
        let why = format!("holds no {}", missing.name());
        return Err(refused(Refusal::new(what(&manifest.id), why, "name another one: photos-agent snapshot list")));
    }
    // What is overwritten after it needs new space, as after a snapshot.
    refuse_full(root, &applied.desired.disks)?;
    let operation = History::new(root).next_id()?;
    let trees = trees::look(root, &applied.desired.disks, &manifest, &back, operation)?;
    refuse_first_starts(root, &trees.disks)?;
    let stack = stack::look(host, wish, &applied, &manifest, &snapshots, &back).await?;

    let on_disks = applied.desired.disks.iter().flat_map(|disk| disk.subvolumes.iter().copied());
    let stays: BTreeSet<Subvolume> = on_disks.filter(|part| !back.contains(part)).collect();
    let mut warnings = warnings(&back, &stays);
    warnings.extend(told);
    warnings.extend(trees.warnings);
    if manifest.database.is_none() && back.contains(&Subvolume::Postgres) {
        warnings.push("the database did not run when it was taken, or did not answer".to_owned());
    }
    if !manifest.holes.is_empty() {
        let holes = name_holes(&manifest.holes);
        warnings.push(format!("the snapshot is without {holes}: what lay there then does not come back"));
    }
    Ok(Prospect {
        created: manifest.created,
        reason: manifest.reason.clone(),
        release: ReleaseChange {
            now: applied.generation.release.clone(),
            then: stack.desired.runs.release.to_string(),
        },
        images: stack.images,
        configuration_changes: stack.then.sources != applied.loaded.sources,
        files_out_of_force: stack.goes_back.as_ref().is_some_and(|stack| stack.out_of_force.is_some()),
        newer: newer(root, &applied, &manifest, &back).await?,
        kept: trees.kept,
        warnings,
        starts: stack.resume,
        desired: stack.desired,
        order: Order {
            restore: Restore {
                snapshot: manifest.id.clone(),
                operation: 0,
                disks: trees.disks,
                failed: false,
                stack: stack.goes_back,
            },
            now: applied.loaded,
            then: stack.then,
            pull: stack.pull,
            resume: stack.resume,
        },
        snapshot: manifest.id,
        back,
        stays,
    })
}

/// What puts everything back that a snapshot of just before holds, with the stack that ran. Nothing runs.
pub fn way_back(
    root: &Root,
    applied: &Applied,
    manifest: &Manifest,
    stack: RestoredStack,
    operation: u64,
) -> Result<Restore, ApplyError> {
    let back = manifest.parts.keys().copied().collect();
    let trees = trees::look(root, &applied.desired.disks, manifest, &back, operation)?;
    Ok(Restore { snapshot: manifest.id.clone(), operation: 0, disks: trees.disks, failed: false, stack: Some(stack) })
}

/// Refuses where what is live could not be exchanged, before anything is stopped for it.
pub fn refuse_unexchangeable(root: &Root, applied: &Applied) -> Result<(), ApplyError> {
    trees::refuse_unexchangeable(root, &applied.desired.disks, History::new(root).next_id()?)
}

fn refused(refusal: Refusal) -> ApplyError {
    ApplyError::Refused(vec![refusal])
}

fn what(id: &SnapshotId) -> String {
    format!("snapshot {id}")
}

/// What is half-changed is finished first: its own journal says how.
fn refuse_open_operation(root: &Root) -> Result<(), ApplyError> {
    let Some(open) = Pending::read(root)? else { return Ok(()) };
    let why = format!("({}) was begun and not ended", open.command);
    let remedy = open.remedy(Generations::new(root).last()?.as_ref());
    Err(refused(Refusal::new(format!("operation {}", open.id), why, remedy)))
}

/// A mark is of one subvolume, by its UUID: a clone of what was half-made by a first start would be taken for whole.
fn refuse_first_starts(root: &Root, disks: &[RestoredDisk]) -> Result<(), ApplyError> {
    for disk in disks {
        for (part, _) in disk.parts.iter().filter(|(_, change)| !change.back) {
            let place = disk.base.join(Tree::Live.folder()).join(part.name());
            if is_first_start(root, *part, &place).map_err(|error| failed("look for a first start", error))? {
                let why = "would stay as it is, and its first start has not ended yet";
                let mends = mends(Generations::new(root).last()?.as_ref());
                return Err(refused(Refusal::new(place.as_str(), why, format!("{mends}; photos-agent status"))));
            }
        }
    }
    Ok(())
}

/// Its manifest. A damaged one is not touched: without it the snapshot would be debris.
fn manifest(snapshots: &Snapshots, id: &SnapshotId) -> Result<Manifest, ApplyError> {
    let why = match snapshots.get(id) {
        Ok(Some(manifest)) if manifest.id == *id => return Ok(manifest),
        Ok(Some(other)) => format!("has the manifest of {}", other.id),
        Ok(None) => "is gone".to_owned(),
        Err(error) => crate::observe::chain(&error),
    };
    Err(refused(Refusal::new(what(id), why, "take another one: photos-agent snapshot list")))
}

/// Counted in what goes back, but for the databases, whose files tell people nothing.
async fn newer(
    root: &Root,
    applied: &Applied,
    manifest: &Manifest,
    back: &BTreeSet<Subvolume>,
) -> Result<BTreeMap<Subvolume, Newer>, ApplyError> {
    let mut newer = BTreeMap::new();
    for disk in &applied.desired.disks {
        let live = root.join(disk.live().as_path());
        // What is on its way to the disk is newer, too.
        files::commit(&live).await.map_err(|error| failed("count what is new", error))?;
        for part in disk.subvolumes.iter().filter(|part| back.contains(part) && !part.is_database()) {
            let path = live.join(part.name());
            let found = subvolume::identify(&path).map_err(|error| failed("count what is new", error))?;
            if let (Some(_), Some(taken)) = (found, manifest.parts.get(part)) {
                let count = subvolume::newer(&path, taken.generation);
                newer.insert(*part, count.map_err(|error| failed("count what is new", error))?);
            }
        }
    }
    Ok(newer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_restore_says_whose_scan_it_waits_for_and_how_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.lock");
        let _scan = lock::take(&path, "photos-agent immich scan anna", Duration::ZERO).await.unwrap();
        let held = lock::take(&path, "photos-agent restore", Duration::ZERO).await.unwrap_err();
        let ApplyError::Refused(refusals) = while_scanning(held) else { panic!("no refusal") };
        let said = format!("{} next: {}", refusals[0], refusals[0].remedy);
        for told in ["photos-agent immich scan anna (pid ", "has Immich scan a library", "next: wait", "Job Queues"] {
            assert!(said.contains(told), "{told}: {said}");
        }
    }
}
