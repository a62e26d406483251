//! Whether the disks have room for a snapshot, or for putting one back.

use crate::apply::ApplyError;
use crate::host::storage;
use crate::model::{Root, Subvolume};
use crate::plan::space;
use crate::snapshot::failed;
use crate::stack::Disk;

/// Says which of them fill up. One that cannot be measured says so where it is needed.
pub fn low(root: &Root, disks: &[Disk]) -> Vec<String> {
    let tell = |disk: &Disk| {
        let found = storage::allocation(&root.join(disk.base.as_path())).ok().flatten()?;
        space::tell_low(&disk.base, &found.room(), disk.subvolumes.contains(&Subvolume::Postgres))
    };
    disks.iter().filter_map(tell).collect()
}

/// Refuses where one of them has not. One that is no BTRFS has no such trouble; it has no snapshots either.
pub fn refuse_full(root: &Root, disks: &[Disk]) -> Result<(), ApplyError> {
    let mut refusals = Vec::new();
    for disk in disks {
        let found = storage::allocation(&root.join(disk.base.as_path()));
        let Some(found) = found.map_err(|error| failed("measure the disk", error))? else { continue };
        let databases = disk.subvolumes.contains(&Subvolume::Postgres);
        refusals.extend(space::refuse_full(&disk.base, &found.room(), databases));
    }
    if refusals.is_empty() { Ok(()) } else { Err(ApplyError::Refused(refusals)) }
}
