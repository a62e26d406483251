//! What snapshots take, where the operator has quotas on.

use std::path::PathBuf;

use crate::host::quota::{Quotas, Size};
use crate::host::storage::StorageError;
use crate::model::{Root, SnapshotId, Subvolume};
use crate::stack::Disk;

/// The quotas of each disk that has them on.
#[derive(Debug)]
pub struct Sizes<'a> {
    root: &'a Root,
    disks: Vec<(&'a Disk, Quotas)>,
}

impl<'a> Sizes<'a> {
    /// None where they are off on any of the disks: half a size says nothing.
    pub fn of(root: &'a Root, disks: &'a [Disk]) -> Result<Option<Self>, StorageError> {
        let mut known = Vec::new();
        for disk in disks {
            let Some(quotas) = Quotas::of(root, &root.join(disk.base.as_path()))? else { return Ok(None) };
            known.push((disk, quotas));
        }
        Ok(Some(Self { root, disks: known }))
    }

    /// Of all parts of a snapshot.
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Size, StorageError> {
        let mut sum = Size::default();
        for (disk, quotas) in &self.disks {
            for part in Subvolume::ALL {
                let shot = self.root.join(disk.shot(id, part).as_path());
                sum = sum + quotas.size(&shot)?.unwrap_or_default();
            }
        }
        Ok(sum)
    }

    /// Of the subvolumes at these places.
    pub fn places(&self, places: &[PathBuf]) -> Result<Size, StorageError> {
        let mut sum = Size::default();
        for place in places {
            let disk = self.disks.iter().find(|(disk, _)| place.starts_with(self.root.join(disk.base.as_path())));
            let size = disk.map(|(_, quotas)| quotas.size(place)).transpose()?.flatten();
            sum = sum + size.unwrap_or_default();
        }
        Ok(sum)
    }
}
