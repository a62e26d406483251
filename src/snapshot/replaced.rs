//! Live trees that a restore has replaced: kept aside until somebody names them for deletion.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::host::storage::StorageError;
use crate::host::{files, subvolume};
use crate::model::{Root, Subvolume, Tree};
use crate::stack::Disk;

/// How its name on the command line begins.
const PREFIX: &str = "replaced-";

/// What one operation has replaced, by the operation's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Replaced(pub u64);

impl Replaced {
    /// `replaced-000012`
    pub fn name(self) -> String {
        format!("{PREFIX}{:06}", self.0)
    }

    /// Of that name.
    pub fn named(text: &str) -> Option<Self> {
        number(text.strip_prefix(PREFIX)?).map(Self)
    }
}

/// Six digits, or as many as there are.
fn number(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (format!("{number:06}") == text).then_some(number)
}

/// All, the oldest first.
pub fn all(root: &Root, disks: &[Disk]) -> Result<Vec<Replaced>, StorageError> {
    let mut found = BTreeSet::new();
    for disk in disks {
        let names = files::list(&root.join(disk.replaced().as_path()))?;
        found.extend(names.iter().filter_map(|name| number(name)).map(Replaced));
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
    root.join(disk.replaced().join(&format!("{:06}", replaced.0)).as_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_as_it_is_written_names_one() {
        assert_eq!(Replaced::named("replaced-000012"), Some(Replaced(12)));
        assert_eq!(Replaced(12).name(), "replaced-000012");
        for other in ["replaced-12", "replaced-", "replaced-+00012", "replaced-0000012", "000012", "replaced-00001x"] {
            assert_eq!(Replaced::named(other), None, "{other}");
        }
        assert_eq!(Replaced::named(&Replaced(1_234_567).name()), Some(Replaced(1_234_567)));
    }
}
