//! Files that arrived while a release was tried that did not work: nobody should have got in, and if somebody did, what he
//! brought is kept and named.

use std::path::Path;

use crate::host::{Host, subvolume};
use crate::model::{HostPath, Restore, Subvolume};
use crate::observe::chain;
use crate::record::Snapshots;
use crate::stack::Disk;

/// How many are looked at; nobody got in, or hardly.
const LOOKED_AT: usize = 10_000;

/// How many are named; of more there is the folder to look into.
const NAMED: usize = 100;

/// Where originals are, by the folders of their subvolumes; the rest Immich writes itself.
const ORIGINALS: [&str; 3] = ["upload", "library", "profile"];

/// Those in the trees that were put aside, by their paths. `kept` are these trees, one for each disk.
pub(super) fn arrived(host: &Host, back: &Restore, kept: &[HostPath]) -> Vec<HostPath> {
    let mut found = Vec::new();
    for (disk, kept) in back.disks.iter().zip(kept) {
        let disk = Disk { base: disk.base.clone(), subvolumes: disk.parts.keys().copied().collect() };
        let snapshots = Snapshots::new(host.root.join(disk.snapshots().as_path()));
        let Ok(Some(manifest)) = snapshots.get(&back.snapshot) else { continue };
        for part in [Subvolume::Media, Subvolume::Icloud] {
            let Some(taken) = manifest.parts.get(&part).filter(|_| disk.subvolumes.contains(&part)) else { continue };
            let folder = kept.join(part.name());
            let made = subvolume::made_since(&host.root.join(folder.as_path()), taken.generation, LOOKED_AT);
            match made {
                Ok(made) => found.extend(
                    made.iter()
                        .filter(|path| is_original(part, path))
                        .filter_map(|path| Some(folder.join(path.to_str()?))),
                ),
                Err(error) => tracing::warn!("nobody knows what arrived in {folder}: {}", chain(&error)),
            }
        }
    }
    if found.len() > NAMED {
        tracing::warn!("{} files arrived meanwhile; the first {NAMED} are named", found.len());
        found.truncate(NAMED);
    }
    found
}

fn is_original(part: Subvolume, path: &Path) -> bool {
    let is_marker = path.file_name().is_some_and(|name| name == ".immich");
    !is_marker && (part == Subvolume::Icloud || ORIGINALS.iter().any(|folder| path.starts_with(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_immich_writes_itself_did_not_arrive() {
        for (part, path, is) in [
            (Subvolume::Media, "upload/1/a.jpg", true),
            (Subvolume::Media, "library/admin/2026/a.jpg", true),
            (Subvolume::Media, "upload/.immich", false),
            (Subvolume::Media, "backups/immich-db-backup.sql.gz", false),
            (Subvolume::Icloud, "anna/a.heic", true),
        ] {
            assert_eq!(is_original(part, Path::new(path)), is, "{path}");
        }
    }
}
