//! The ioctls that libbtrfsutil lacks, or that must not wait as it does (docs/adr/0003). The one place of `unsafe`
//! calls to the kernel.
//!
//! Structures and numbers are those of linux/btrfs.h and linux/fs.h; each is handed over zeroed but for what is set.

#![allow(unsafe_code)]

mod paths;
mod raw;
mod search;
mod space;

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::libc;

use crate::model::SubvolumeUuid;

pub use paths::made_since;
pub use search::{Newer, newer};
pub use space::allocation;

/// `FS_NOCOW_FL`: data is written in place.
const FS_NOCOW_FL: libc::c_long = 0x0080_0000;

/// `BTRFS_SUBVOL_RDONLY`, which is asked for.
const READ_ONLY: u64 = 1 << 1;

/// `BTRFS_ROOT_SUBVOL_RDONLY`, which is told: the flags of a subvolume's root are those on the disk.
const IS_READ_ONLY: u64 = 1;

/// Longest name of a directory entry, in bytes (`NAME_MAX`).
const NAME_MAX: usize = 255;

fn flags(folder: &File) -> io::Result<libc::c_long> {
    let mut flags: libc::c_long = 0;
    // SAFETY: the descriptor is open for the call, and the kernel writes at most a long.
    unsafe { raw::get_flags(folder.as_raw_fd(), &raw mut flags) }?;
    Ok(flags)
}

/// Whether new files in this folder are NOCOW.
pub fn has_nocow(folder: &File) -> io::Result<bool> {
    Ok(flags(folder)? & FS_NOCOW_FL != 0)
}

/// Makes new files in it NOCOW. The kernel takes the call where it has no effect: read it back.
pub fn set_nocow(folder: &File) -> io::Result<()> {
    let flags = flags(folder)? | FS_NOCOW_FL;
    // SAFETY: the descriptor is open for the call, and the kernel reads at most a long.
    unsafe { raw::set_flags(folder.as_raw_fd(), &raw const flags) }?;
    Ok(())
}

/// What is known of a subvolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its number on the filesystem.
    pub id: u64,
    /// Its UUID; none on a filesystem of before 2013.
    pub uuid: Option<SubvolumeUuid>,
    /// The UUID of what it is a snapshot of.
    pub parent: Option<SubvolumeUuid>,
    /// The transaction in which it was last changed.
    pub generation: u64,
    /// The transaction in which it was made.
    pub made_in: u64,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// The identity of the subvolume that `folder` lies in.
pub fn identity(folder: &File) -> io::Result<Identity> {
    let none = raw::Time { seconds: 0, nanoseconds: 0 };
    let mut info = raw::Info {
        treeid: 0,
        name: [0; 256],
        parent_id: 0,
        dirid: 0,
        generation: 0,
        flags: 0,
        uuid: [0; 16],
        parent_uuid: [0; 16],
        received_uuid: [0; 16],
        transids: [0; 4],
        times: [none; 4],
        reserved: [0; 8],
    };
    // SAFETY: the descriptor is open for the call, and the kernel writes one such structure.
    unsafe { raw::subvolume_info(folder.as_raw_fd(), &raw mut info) }?;
    let [_, made_in, ..] = info.transids;
    Ok(Identity {
        id: info.treeid,
        uuid: SubvolumeUuid::from_bytes(info.uuid),
        parent: SubvolumeUuid::from_bytes(info.parent_uuid),
        generation: info.generation,
        made_in,
        read_only: info.flags & IS_READ_ONLY != 0,
    })
}

/// The UUID of the filesystem that `folder` lies on.
pub fn filesystem(folder: &File) -> io::Result<Option<SubvolumeUuid>> {
    let mut info = raw::Filesystem { max_id: 0, devices: 0, fsid: [0; 16], rest: [0; 992] };
    // SAFETY: the descriptor is open for the call, and the kernel writes one such structure.
    unsafe { raw::filesystem_info(folder.as_raw_fd(), &raw mut info) }?;
    Ok(SubvolumeUuid::from_bytes(info.fsid))
}

fn arguments(name: &CStr) -> io::Result<raw::VolumeArgs> {
    let bytes = name.to_bytes();
    let mut arguments = raw::VolumeArgs { fd: 0, transid: 0, flags: 0, unused: [0; 4], name: [0; 4040] };
    let room = arguments.name.get_mut(..bytes.len()).filter(|_| bytes.len() <= NAME_MAX);
    room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(bytes);
    Ok(arguments)
}

/// Makes a snapshot of the subvolume `source` in the folder `parent`; on its disk on return.
pub fn snapshot(source: &File, parent: &File, name: &CStr, read_only: bool) -> io::Result<()> {
    let mut arguments = arguments(name)?;
    arguments.fd = source.as_raw_fd().into();
    arguments.flags = if read_only { READ_ONLY } else { 0 };
    // SAFETY: both descriptors are open for the call, and the kernel reads one such structure.
    unsafe { raw::snapshot_create(parent.as_raw_fd(), &raw const arguments) }?;
    Ok(())
}

/// Deletes the subvolume of this name in the folder `parent`. Its room comes back later.
pub fn destroy(parent: &File, name: &CStr) -> io::Result<()> {
    let arguments = arguments(name)?;
    // SAFETY: the descriptor is open for the call, and the kernel reads one such structure.
    unsafe { raw::snapshot_destroy(parent.as_raw_fd(), &raw const arguments) }?;
    Ok(())
}

/// Waits until the filesystem has committed what was done to it. Unlike syncfs(2), it does not write out what others
/// have written into files.
pub fn commit(folder: &File) -> io::Result<()> {
    let mut transaction: u64 = 0;
    // SAFETY: the descriptor is open for both calls; the kernel writes, then reads, one number.
    unsafe { raw::start_sync(folder.as_raw_fd(), &raw mut transaction) }?;
    // SAFETY: as above.
    unsafe { raw::wait_sync(folder.as_raw_fd(), &raw const transaction) }?;
    Ok(())
}

/// The subvolumes within the subvolume of `folder`, of which no snapshot of it holds anything, by their paths in it; the
/// first 255.
pub fn children(folder: &File) -> io::Result<Vec<PathBuf>> {
    let mut children = raw::Children { first: 0, roots: [[0; 2]; 255], count: 0, align: [0; 7] };
    // SAFETY: the descriptor is open for the call, and the kernel writes one such structure.
    match unsafe { raw::children(folder.as_raw_fd(), &raw mut children) } {
        // There are more than fit.
        Ok(_) | Err(nix::errno::Errno::EOVERFLOW) => {}
        Err(errno) => return Err(errno.into()),
    }
    let found = children.roots.iter().take(children.count.into());
    found.filter_map(|[tree, parent]| child_path(folder, *tree, *parent).transpose()).collect()
}

/// The path of the subvolume `tree` in that of `folder`, where it lies in the folder with the number `parent`; none where
/// it is gone by now.
fn child_path(folder: &File, tree: u64, parent: u64) -> io::Result<Option<PathBuf>> {
    let mut answer = Box::new(raw::ChildPath { parent, tree, name: [0; 256], path: [0; 3824] });
    // SAFETY: the descriptor is open for the call, and the kernel reads and writes one such structure.
    match unsafe { raw::child_path(folder.as_raw_fd(), &raw mut *answer) } {
        Ok(_) => {}
        Err(nix::errno::Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let text = |bytes: &[u8]| {
        let text = CStr::from_bytes_until_nul(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok::<_, io::Error>(PathBuf::from(OsStr::from_bytes(text.to_bytes())))
    };
    Ok(Some(text(&answer.path)?.join(text(&answer.name)?)))
}
