//! Live trees that a restore has replaced: kept aside until somebody names them for deletion.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::host::storage::StorageError;
use crate::host::{files, subvolume};
use crate::model::{Root, Subvolume, Tree};
use crate::stack::{Disk, replaced_name};

/// How its name on the command line begins.
const PREFIX: &str = "replaced-";

/// What one operation has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Replaced {
    /// The operation's number.
    pub operation: u64,
    /// Whether it is what the same operation had put in the place of something else before, and did not work.
    pub failed: bool,
}

impl Replaced {
    /// `replaced-000012`
    pub fn name(self) -> String {
        format!("{PREFIX}{}", self.folder())
    }

    /// Of that name.
    pub fn named(text: &str) -> Option<Self> {
        Self::in_folder(text.strip_prefix(PREFIX)?)
    }

    /// The folder's name.
    fn folder(self) -> String {
        replaced_name(self.operation, self.failed)
    }

    /// Six digits, or as many as there are, and nothing else that the agent would not write.
    fn in_folder(text: &str) -> Option<Self> {
        let digits = text.split_once('-').map_or(text, |(digits, _)| digits);
        let operation = digits.parse().ok()?;
        let found = [false, true].map(|failed| Self { operation, failed });
        found.into_iter().find(|found| found.folder() == text)
    }
}

/// All, the oldest first.
pub fn all(root: &Root, disks: &[Disk]) -> Result<Vec<Replaced>, StorageError> {
    let mut found = BTreeSet::new();
    for disk in disks {
        let names = files::list(&root.join(disk.replaced().as_path()))?;
        found.extend(names.iter().filter_map(|name| Replaced::in_folder(name)));
    }
    Ok(found.into_iter().collect())
}

/// The places at which its subvolumes lie, if they do.
pub fn places(root: &Root, disks: &[Disk], replaced: Replaced) -> Vec<PathBuf> {
    let live = || Subvolume::ALL.into_iter().filter(|part| part.tree() == Tree::Live);
    disks.iter().flat_map(|disk| live().map(move |part| folder(root, disk, replaced).join(part.name()))).collect()
}

/// Deletes its subvolumes, and the folder if nothing else lies in it.
pub(super) fn remove(root: &Root, disks: &[Disk], replaced: Replaced) -> Result<(), StorageError> {
    for place in places(root, disks, replaced) {
        if subvolume::identify(&place)?.is_some() {
            subvolume::destroy(&place)?;
        }
    }
    for disk in disks {
        files::remove_empty_folder(&folder(root, disk, replaced))?;
    }
    Ok(())
}

fn folder(root: &Root, disk: &Disk, replaced: Replaced) -> PathBuf {
    root.join(disk.replaced().join(&replaced.folder()).as_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_as_it_is_written_names_one() {
        for (operation, failed, name) in [
            (12, false, "replaced-000012"),
            (12, true, "replaced-000012-failed"),
            (1_234_567, false, "replaced-1234567"),
        ] {
            assert_eq!(Replaced::named(name), Some(Replaced { operation, failed }));
            assert_eq!(Replaced { operation, failed }.name(), name);
        }
        for other in [
            "replaced-12",
            "replaced-",
            "replaced-+00012",
            "replaced-0000012",
            "000012",
            "replaced-00001x",
            "replaced-000012-",
            "replaced-000012-2",
            "replaced-000012-failed-failed",
        ] {
            assert_eq!(Replaced::named(other), None, "{other}");
        }
    }
}
