//! Where every folder and subvolume lies.

use super::{Disk, Folder, Refusal, SNAPSHOTS, SubvolumePlace};
use crate::config::Storage;
use crate::model::layout::STATE;
use crate::model::{HostPath, Subvolume, Tree};

/// Nobody but root has business in these folders, yet a path through them may be opened to someone (a backup
/// user, say) by the rights of one subvolume alone. So: to be passed through, not to be listed.
const FOLDER_MODE: u32 = 0o711;

/// The folders and subvolumes of one storage configuration.
pub(super) struct Places {
    folders: Vec<HostPath>,
    root: HostPath,
    databases: HostPath,
    ml_cache: Option<HostPath>,
}

impl Places {
    /// Where `subvolume` lies.
    pub(super) fn of(&self, subvolume: Subvolume) -> HostPath {
        match (&self.ml_cache, subvolume) {
            (Some(path), Subvolume::MlCache) => path.clone(),
            _ => self.base(subvolume).join(subvolume.tree().folder()).join(subvolume.name()),
        }
    }

    fn base(&self, subvolume: Subvolume) -> &HostPath {
        if subvolume.is_database() { &self.databases } else { &self.root }
    }

    /// All plain folders, parents first.
    pub(super) fn folders(&self) -> Vec<Folder> {
        self.folders.iter().map(|path| Folder { path: path.clone(), mode: FOLDER_MODE, ours: false }).collect()
    }

    /// Where manifests lie.
    pub(super) fn snapshots(&self) -> HostPath {
        self.root.join(SNAPSHOTS)
    }

    /// Where live trees lie, that of `storage.root` first.
    pub(super) fn disks(&self) -> Vec<Disk> {
        let live = || Subvolume::ALL.into_iter().filter(|subvolume| subvolume.tree() == Tree::Live);
        let all_on = |base: &HostPath| live().filter(|subvolume| self.base(*subvolume) == base).collect();
        let mut bases = vec![&self.root, &self.databases];
        bases.dedup();
        bases.into_iter().map(|base| Disk { base: base.clone(), subvolumes: all_on(base) }).collect()
    }

    /// All subvolumes.
    pub(super) fn subvolumes(&self) -> Vec<SubvolumePlace> {
        Subvolume::ALL.map(|subvolume| SubvolumePlace { subvolume, path: self.of(subvolume) }).into()
    }
}

/// Lays the storage out, or says what lies in what.
pub(super) fn lay_out(storage: &Storage) -> Result<Places, Refusal> {
    let root = storage.root.clone();
    let databases = storage.databases.clone().unwrap_or_else(|| root.clone());
    let mut folders = vec![root.clone(), root.join(Tree::Live.folder()), root.join(Tree::Keep.folder())];
    if databases != root {
        folders.extend([databases.clone(), databases.join(Tree::Live.folder())]);
    }
    let places = Places { folders, root, databases, ml_cache: storage.ml_cache.clone() };
    check(&places)?;
    Ok(places)
}

/// A subvolume is exchanged, snapshotted and restored as one: nothing else of ours may lie in it.
fn check(places: &Places) -> Result<(), Refusal> {
    let subvolumes = places.subvolumes();
    for SubvolumePlace { subvolume, path } in &subvolumes {
        let others = subvolumes.iter().filter(|other| other.subvolume != *subvolume).map(|other| &other.path);
        if let Some(inside) = places.folders.iter().chain(others).find(|other| other.starts_with(path)) {
            let why = format!("{inside} would lie in {path}, the subvolume of {}.", subvolume.name());
            return Err(refusal(why));
        }
        let taken = [&places.root, &places.databases].map(|base| base.join(SNAPSHOTS));
        if let Some(taken) = taken.iter().chain([&HostPath::constant(STATE)]).find(|taken| path.starts_with(taken)) {
            return Err(refusal(format!("{path} would lie in {taken}, which the agent keeps for itself.")));
        }
    }
    Ok(())
}

fn refusal(why: String) -> Refusal {
    Refusal::new(
        "storage",
        why,
        "Give `root`, `databases` and `ml_cache` of [storage] folders that do not lie in one another's subvolumes.",
    )
}
