//! Takes a snapshot: what can be slow before, the moment, and then what makes it one.
//!
//! The manifest is last. Whatever dies before it leaves debris, which the next one removes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::apply::{ApplyError, Event, LOCK, Operation, Progress, StepError};
use crate::host::storage::{self, StorageError};
use crate::host::subvolume::{self, Shot};
use crate::host::{Host, files, lock};
use crate::model::{Root, SnapshotId, Subvolume, UnitName};
use crate::plan::Gate;
use crate::record::{DatabaseFacts, Manifest, Outcome, Part, Snapshots};
use crate::snapshot::debris::{refuse_missing, remove_all};
use crate::snapshot::frozen::{refuse_frozen, refuse_outside, running, settle, shoot_frozen, shoot_stopped};
use crate::snapshot::holes::holes;
use crate::snapshot::{Applied, database, failed, refuse_full, refuse_open_operation, remove_abandoned, remove_debris};
use crate::stack::Disk;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Why.
    pub reason: String,
    /// Never prune it.
    pub keep: bool,
    /// What Immich can make again, too.
    pub whole: bool,
    /// The command.
    pub command: String,
    /// Who gave it.
    pub by: String,
    /// What the database said of itself before it was stopped for this; else it is asked.
    pub database: Option<DatabaseFacts>,
}

/// A part: what it is, and where.
struct Place {
    part: Subvolume,
    live: PathBuf,
    shot: PathBuf,
}

/// Takes one under the one lock.
pub async fn create(host: &Host, request: &Request, progress: &mut dyn Progress) -> Result<Manifest, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), &request.command, lock::PATIENCE).await?;
    refuse_open_operation(&host.root, "so that a snapshot would be of something half-done")?;
    refuse_frozen(host).await?;
    let applied = Applied::read(&host.root)?;
    refuse_missing(&host.root, &applied.desired.disks)?;
    refuse_full(&host.root, &applied.desired.disks)?;
    remove_debris(&host.root, &applied).map_err(|error| failed("remove an interrupted snapshot", error))?;
    // It is no reason against a snapshot, and a later one tries again.
    if let Err(error) = remove_abandoned(host, &applied).await {
        tracing::warn!("what `snapshot verify` left is still there: {}", crate::observe::chain(&error));
    }
    let mut operation = Operation::begin(&host.root, &request.command)?;
    let taken = create_within(host, &applied, &mut operation, request, Gate::Open, progress).await;
    match &taken {
        Ok(_) => operation.finish(Outcome::Done, Some(applied.generation.number))?,
        Err(error) => operation.finish(Outcome::Failed(crate::observe::chain(error)), None)?,
    };
    taken
}

/// Takes one as a step of an operation.
pub async fn create_within(
    host: &Host,
    applied: &Applied,
    operation: &mut Operation<'_>,
    request: &Request,
    gate: Gate,
    progress: &mut dyn Progress,
) -> Result<Manifest, ApplyError> {
    let snapshots = applied.snapshots(&host.root);
    let now = Timestamp::now();
    let taken = snapshots.names()?;
    let is_free = |number: &u32| !taken.contains(&SnapshotId::of(now, *number));
    let id = SnapshotId::of(now, (1..u32::MAX).find(is_free).unwrap_or(u32::MAX));

    let step = format!("take snapshot {id}");
    progress.hear(Event::Step { step: &step, reason: &request.reason });
    let begun = operation.begin_step(step.clone(), &request.reason, gate, false)?;
    let places = places(&host.root, applied, &id, request.whole);
    match take(host, applied, &snapshots, &places, &id, request).await {
        Ok(manifest) => {
            operation.step_done(begun);
            Ok(manifest)
        }
        Err(source) => {
            throw_away(&host.root, &applied.desired.disks, &snapshots, &id);
            Err(ApplyError::Step { step, source: Box::new(source) })
        }
    }
}

/// What was taken of one that failed. Its manifest may be there, although to write it was an error: it goes first, or the
/// parts stay.
fn throw_away(root: &Root, disks: &[Disk], snapshots: &Snapshots, id: &SnapshotId) {
    let forgotten = snapshots.forget(id).map_err(StepError::from);
    let removed = forgotten.and_then(|()| Ok(remove_all(root, disks, id)?));
    if let Err(left) = removed {
        let why = crate::observe::chain(&left);
        tracing::warn!("what was taken of snapshot {id} is left to the next command on snapshots: {why}");
    }
}

fn places(root: &Root, applied: &Applied, id: &SnapshotId, whole: bool) -> Vec<Place> {
    let of = |disk: &Disk, part: Subvolume| {
        let live = root.join(disk.live().join(part.name()).as_path());
        Place { part, live, shot: root.join(disk.shot(id, part).as_path()) }
    };
    let wanted = |part: &Subvolume| whole || part.in_snapshots();
    let disks = applied.desired.disks.iter();
    disks.flat_map(|disk| disk.subvolumes.iter().copied().filter(wanted).map(move |part| of(disk, part))).collect()
}

async fn take(
    host: &Host,
    applied: &Applied,
    snapshots: &Snapshots,
    places: &[Place],
    id: &SnapshotId,
    request: &Request,
) -> Result<Manifest, StepError> {
    for place in places {
        subvolume::make_private_folder(place.shot.parent().unwrap_or(&place.shot))?;
    }
    let generation = &applied.generation;
    let files = generation.files.iter().map(|(path, text)| (path.to_string(), text.clone()));
    let texts = generation.config.clone().into_iter().chain(files).collect();
    // Before the disks are flushed, and the flush is theirs too: a commit alone writes out no text, only that there is one.
    let texts = snapshots.write_texts(id, &texts)?;
    let holes = holes(&host.root, &applied.desired.disks, |part| places.iter().any(|place| place.part == part))?;
    let services: Vec<UnitName> = applied.desired.services.iter().map(|service| service.unit.clone()).collect();
    let systemd = host.systemd().await?;
    let database = database::checkpoint(&settle(systemd, &services).await?).await.or_else(|| request.database.clone());
    for disk in &applied.desired.disks {
        files::commit(&host.root.join(disk.base.as_path())).await?;
    }
    let shots = places.iter().map(|place| Shot::new(&place.live, &place.shot));
    let shots = shots.collect::<Result<Vec<_>, _>>()?;
    // Much may have been started and stopped while the disks wrote.
    let mut states = settle(systemd, &services).await?;
    // A download may take hours, and is not waited for.
    let downloads: Vec<UnitName> = applied.desired.accounts.iter().map(|account| account.run.clone()).collect();
    states.extend(systemd.units(&downloads).await?);
    let running = running(&states);
    let frozen = if running.is_empty() {
        shoot_stopped(host, &shots, &[services, downloads].concat()).await?;
        Duration::ZERO
    } else {
        refuse_outside(host, &running).await?;
        shoot_frozen(host, id, &shots, &services).await?
    };
    let created = Timestamp::now();

    let parts = places.iter().map(identify).collect::<Result<BTreeMap<_, _>, _>>()?;
    for disk in &applied.desired.disks {
        subvolume::commit(&host.root.join(disk.snapshots().as_path()))?;
    }
    let manifest = Manifest {
        schema: 0,
        id: id.clone(),
        created,
        reason: request.reason.clone(),
        command: request.command.clone(),
        by: request.by.clone(),
        keep: request.keep,
        frozen_us: u64::try_from(frozen.as_micros()).unwrap_or(u64::MAX),
        filesystem: subvolume::filesystem(&snapshots.folder(id))?,
        parts,
        holes,
        release: generation.release.clone(),
        written: applied.desired.runs.written.clone(),
        database,
        generation: generation.number,
        images: generation.images.clone(),
        texts,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
    };
    snapshots.put(&manifest)?;
    Ok(manifest)
}

/// What a part has become.
fn identify(place: &Place) -> Result<(Subvolume, Part), StorageError> {
    let unknown = || StorageError::NotASubvolume(place.shot.clone());
    let found = subvolume::identify(&place.shot)?.ok_or_else(unknown)?;
    if place.part.nocow() && !storage::has_nocow(&place.shot)? {
        return Err(StorageError::NocowLost(place.shot.clone()));
    }
    let (uuid, of) = found.uuid.zip(found.parent).ok_or_else(unknown)?;
    Ok((place.part, Part { uuid, of, generation: found.made_in }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::HostPath;
    use crate::record::MANIFEST;

    #[test]
    fn what_may_have_a_manifest_keeps_its_parts() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let base: HostPath = "/photos".parse().unwrap();
        let disks = [Disk { base, subvolumes: vec![Subvolume::Media] }];
        let id: SnapshotId = "20261121T020000Z".parse().unwrap();
        let snapshots = Snapshots::new(folder.path().join("photos/.snapshots"));
        let (part, manifest) = (snapshots.folder(&id).join("media"), snapshots.folder(&id).join(MANIFEST));
        fs::create_dir_all(&part).unwrap();
        // What cannot be unlinked.
        fs::create_dir(&manifest).unwrap();
        throw_away(&root, &disks, &snapshots, &id);
        assert!(part.exists());
        fs::remove_dir(&manifest).unwrap();
        fs::write(&manifest, "{}").unwrap();
        throw_away(&root, &disks, &snapshots, &id);
        assert!(!snapshots.folder(&id).exists());
    }
}
