//! What no snapshot of a live tree holds, although it lies in it: subvolumes within a part, and what is mounted there.

use std::collections::BTreeSet;

use crate::host::storage::{self, StorageError};
use crate::host::subvolume;
use crate::model::{Root, Subvolume};
use crate::stack::Disk;

/// Those that are named where a person reads on.
const NAMED: usize = 3;

/// The folders of these parts that a snapshot taken now would be without.
pub fn holes(root: &Root, disks: &[Disk], wanted: impl Fn(Subvolume) -> bool) -> Result<Vec<String>, StorageError> {
    let mut holes = BTreeSet::new();
    for disk in disks {
        for part in disk.subvolumes.iter().filter(|part| wanted(**part)) {
            let path = disk.live().join(part.name());
            let at = root.join(path.as_path());
            if subvolume::identify(&at)?.is_none() {
                continue;
            }
            let mounted = storage::mounts_within(&at)?;
            let nested = subvolume::children(&at)?;
            let nested = nested.into_iter().map(|child| path.as_path().join(child));
            holes.extend(mounted.into_iter().chain(nested).map(|hole| hole.to_string_lossy().into_owned()));
        }
    }
    Ok(holes.into_iter().collect())
}

/// The first of them, as words; nothing that a terminal would obey.
pub fn name_holes(holes: &[String]) -> String {
    let names: Vec<String> = holes.iter().take(NAMED).map(|hole| plain(hole)).collect();
    let more = match holes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names.join(", "))
}

fn plain(path: &str) -> String {
    path.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::name_holes;

    #[test]
    fn holes_are_named_and_speak_to_no_terminal() {
        let named = |holes: &[&str]| name_holes(&holes.iter().map(|hole| (*hole).to_owned()).collect::<Vec<_>>());
        assert_eq!(named(&["/a/My Photos"]), "/a/My Photos");
        assert_eq!(named(&["/a", "/b", "/c"]), "/a, /b, /c");
        assert_eq!(named(&["/a", "/b", "/\u{1b}[2Jc", "/d", "/e"]), "/a, /b, /\u{fffd}[2Jc and 2 more");
    }
}
