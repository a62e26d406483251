//! Where a snapshot is tried: a writable clone of its database, in a folder that says whose it is and is held as long as
//! somebody works in it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::apply::{ApplyError, LOCK, StepError};
use crate::host::lock::{self, Lock, Sharing};
use crate::host::storage::{self, StorageError};
use crate::host::{Host, files, kernel, subvolume};
use crate::model::{ImageRef, PostgresMajor, Refusal, SnapshotId, Subvolume};
use crate::record::{Finding, Manifest, RecordError, Snapshots};
use crate::snapshot::verify::{Which, image_of};
use crate::snapshot::{Applied, failed, latest, name_holes, passed_over, refuse_full};
use crate::stack::throwaway::Throwaway;
use crate::stack::{self, BENCH, Disk};

/// One.
pub(super) struct Bench {
    pub(super) manifest: Manifest,
    pub(super) snapshots: Snapshots,
    pub(super) image: ImageRef,
    root: crate::model::Root,
    disks: Vec<Disk>,
    major: PostgresMajor,
    folder: PathBuf,
    _reading: Lock,
    _working: Lock,
}

impl Bench {
    /// Holds the snapshot and makes the clone, under the one lock: nobody deletes it in between.
    pub(super) async fn set_up(host: &Host, which: &Which, command: &str) -> Result<Self, ApplyError> {
        let root = &host.root;
        let _lock = lock::take(&root.join(LOCK), command, lock::PATIENCE).await?;
        let applied = Applied::read(root)?;
        remove_abandoned(host, &applied).await.map_err(|error| failed("remove what an earlier one left", error))?;
        refuse_full(root, &applied.desired.disks)?;
        let snapshots = applied.snapshots(root);
        let manifest = choose(&snapshots, which)?;
        let id = &manifest.id;
        let refused =
            |why: &str, remedy: &str| ApplyError::Refused(vec![Refusal::new(format!("snapshot {id}"), why, remedy)]);
        let reading = lock::hold(&snapshots.folder(id), Sharing::WithReaders)?;
        let reading = reading.ok_or_else(|| refused("is being deleted", "photos-agent snapshot list"))?;
        let image = image_of(&manifest).ok_or_else(|| {
            refused("does not say by its digest which image its database ran", "photos-agent snapshot show")
        })?;
        let disks = applied.desired.disks.clone();
        let shot = |disk: &Disk| root.join(disk.shot(id, Subvolume::Postgres).as_path());
        let disk = disks.iter().find(|disk| shot(disk).exists());
        let disk = disk.ok_or_else(|| refused("has no database any more", "choose another one"))?;
        let major = major(&shot(disk))
            .ok_or_else(|| refused("has a database without a PG_VERSION that is understood", "choose another one"))?;
        let folder = root.join(disk.bench(id).as_path());
        let step = "make a clone of the database";
        subvolume::make_private_folder(&folder).map_err(|error| failed(step, error))?;
        let working = lock::hold(&folder, Sharing::WithNobody)?;
        let working = working.ok_or_else(|| refused("is being verified already", "wait for its end"))?;
        clone(&shot(disk), &clone_in(&folder)).map_err(|error| failed(step, error))?;
        let root = root.clone();
        Ok(Self { manifest, snapshots, image, root, disks, major, folder, _reading: reading, _working: working })
    }

    /// The database to start.
    pub(super) fn throwaway(&self, host: &Host) -> Throwaway {
        let limits = (kernel::limits(&host.root, "memory"), kernel::limits(&host.root, "pids"));
        let clone = clone_in(&self.folder);
        Throwaway::new(&self.manifest.id, &self.image, &clone.to_string_lossy(), self.major, limits)
    }

    /// Where a part of the snapshot is; none where it has no such part, or it is not there.
    pub(super) fn part(&self, part: Subvolume) -> Option<PathBuf> {
        self.manifest.parts.get(&part)?;
        let at = |disk: &Disk| self.root.join(disk.shot(&self.manifest.id, part).as_path());
        self.disks.iter().map(at).find(|path| path.exists())
    }

    /// Whether every part is there, is the one that was taken, and cannot have been written to.
    pub(super) fn parts(&self) -> Result<Finding, StorageError> {
        let mut wrong = Vec::new();
        for (part, known) in &self.manifest.parts {
            let found = self.part(*part).map(|path| subvolume::identify(&path)).transpose()?.flatten();
            let name = part.name();
            match found {
                None => wrong.push(format!("{name} is gone")),
                Some(found) if found.uuid.as_ref() != Some(&known.uuid) => wrong.push(format!("{name} is another")),
                Some(found) if !found.read_only => wrong.push(format!("{name} can be written")),
                Some(_) => {}
            }
        }
        Ok(if wrong.is_empty() {
            Finding::Passed { detail: format!("{} subvolumes as they were taken", self.manifest.parts.len()) }
        } else {
            Finding::Failed { why: wrong.join(", ") }
        })
    }

    /// Whether units and configuration of the moment are there as they were.
    pub(super) fn texts(&self) -> Result<Finding, RecordError> {
        let mut wrong = Vec::new();
        for path in self.manifest.texts.keys() {
            if self.snapshots.text(&self.manifest, path)?.is_none() {
                wrong.push(path.as_str());
            }
        }
        Ok(if wrong.is_empty() {
            Finding::Passed { detail: format!("{} texts as they were", self.manifest.texts.len()) }
        } else {
            Finding::Failed { why: format!("missing or damaged: {}", wrong.join(", ")) }
        })
    }

    /// What it was without from the first; none where there is nothing to say.
    pub(super) fn holes(&self) -> Option<Finding> {
        let holes = &self.manifest.holes;
        let why = || format!("it is without {}, which nobody can put back from it", name_holes(holes));
        (!holes.is_empty()).then(|| Finding::NotChecked { why: why() })
    }

    /// Throws away what was made.
    pub(super) async fn clear(&self, host: &Host) -> Result<(), StepError> {
        clear(host, &self.manifest.id, &self.folder).await
    }
}

fn clone_in(folder: &Path) -> PathBuf {
    folder.join(Subvolume::Postgres.name())
}

fn clone(shot: &Path, clone: &Path) -> Result<(), StorageError> {
    subvolume::clone(shot, clone)?;
    if storage::has_nocow(clone)? { Ok(()) } else { Err(StorageError::NocowLost(clone.to_owned())) }
}

/// By the files themselves, since the manifest of a snapshot of a database that was down does not say.
fn major(shot: &Path) -> Option<PostgresMajor> {
    stack::cluster_files().find_map(|file| files::read(&shot.join(file)).ok().flatten()?.trim().parse().ok())
}

fn choose(snapshots: &Snapshots, which: &Which) -> Result<Manifest, ApplyError> {
    let refused = |what: String, why: &str, remedy: &str| ApplyError::Refused(vec![Refusal::new(what, why, remedy)]);
    let id = match which {
        Which::This(id) => id.clone(),
        Which::Latest => {
            let found = snapshots.all()?;
            let none = || refused("latest".to_owned(), "there is no snapshot", "photos-agent snapshot");
            let latest = latest(&found, Timestamp::now()).ok_or_else(none)?;
            if let Some(told) = passed_over(&latest) {
                tracing::warn!("{told}");
            }
            latest.one.clone()
        }
    };
    let unknown = || refused(format!("snapshot {id}"), "is not there", "photos-agent snapshot list");
    snapshots.get(&id)?.ok_or_else(unknown)
}

/// Throws away what a killed one left: container, clone and folder. What somebody works in stays. Podman is asked only
/// where there is such a folder.
pub async fn remove_abandoned(host: &Host, applied: &Applied) -> Result<(), StepError> {
    for disk in &applied.desired.disks {
        let snapshots = host.root.join(disk.snapshots().as_path());
        for name in files::list(&snapshots)? {
            let Some(id) = name.strip_prefix(BENCH).and_then(|id| id.parse::<SnapshotId>().ok()) else { continue };
            let folder = snapshots.join(&name);
            if let Some(_working) = lock::hold(&folder, Sharing::WithNobody)? {
                clear(host, &id, &folder).await?;
            }
        }
    }
    Ok(())
}

/// The container first: it has the clone mounted.
async fn clear(host: &Host, id: &SnapshotId, folder: &Path) -> Result<(), StepError> {
    host.podman.remove_container(&Throwaway::name(id)).await?;
    // Of a change to another major version, which works here, too.
    host.podman.remove_container(&Throwaway::successors_name(id)).await?;
    let clone = clone_in(folder);
    if subvolume::identify(&clone)?.is_some() {
        subvolume::destroy(&clone)?;
    }
    Ok(files::remove_empty_folder(folder).map(drop)?)
}
