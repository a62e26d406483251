//! What a subvolume takes, where the operator has turned quotas on (`btrfs quota enable`).
//!
//! They are read from sysfs and never turned on here: they make each write, snapshot and deletion dearer.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::host::ioctl;
use crate::host::storage::{StorageError, io_error};
use crate::model::Root;

/// Bytes of one subvolume, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Size {
    /// What goes with it: nothing else refers to it.
    pub exclusive: u64,
    /// All that it refers to.
    pub total: u64,
}

impl std::ops::Add for Size {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let exclusive = self.exclusive.saturating_add(other.exclusive);
        Self { exclusive, total: self.total.saturating_add(other.total) }
    }
}

/// The groups of a filesystem whose quotas are on.
#[derive(Debug)]
pub struct Quotas {
    groups: PathBuf,
}

impl Quotas {
    /// Those of the filesystem of `folder`; none where they are off, or it is not BTRFS.
    pub fn of(root: &Root, folder: &Path) -> Result<Option<Self>, StorageError> {
        let opened = File::open(folder).map_err(io_error("open", folder))?;
        let found = match ioctl::filesystem(&opened) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOTTY) => None,
            found => found.map_err(io_error("identify the filesystem of", folder))?,
        };
        let groups = found.map(|uuid| root.join(format!("/sys/fs/btrfs/{uuid}/qgroups")));
        Ok(groups.filter(|groups| groups.is_dir()).map(|groups| Self { groups }))
    }

    /// The size of the subvolume at `path`; none where there is no subvolume, or it has not been counted.
    pub fn size(&self, path: &Path) -> Result<Option<Size>, StorageError> {
        let Some(identity) = super::subvolume::identify(path)? else { return Ok(None) };
        let group = self.groups.join(format!("0_{}", identity.id));
        let number = |name: &str| {
            let file = group.join(name);
            match fs::read_to_string(&file) {
                Ok(text) => Ok(text.trim().parse::<u64>().ok()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(io_error("read", &file)(error)),
            }
        };
        let sizes = number("exclusive")?.zip(number("referenced")?);
        Ok(sizes.map(|(exclusive, total)| Size { exclusive, total }))
    }
}
