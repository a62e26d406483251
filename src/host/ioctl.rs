//! The ioctls that libbtrfsutil lacks, or that must not wait as it does (docs/adr/0003). The one place of `unsafe`
//! calls to the kernel.
//!
//! Structures and numbers are those of linux/btrfs.h and linux/fs.h; each is handed over zeroed but for what is set.

#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::libc;
use serde::Serialize;

use crate::model::{Allocation, Device, Group, Profile, SubvolumeUuid};

/// `FS_NOCOW_FL`: data is written in place.
const FS_NOCOW_FL: libc::c_long = 0x0080_0000;

/// `BTRFS_SUBVOL_RDONLY`, which is asked for.
const READ_ONLY: u64 = 1 << 1;

/// `BTRFS_ROOT_SUBVOL_RDONLY`, which is told: the flags of a subvolume's root are those on the disk.
const IS_READ_ONLY: u64 = 1;

/// Longest name of a directory entry, in bytes (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// Room for the answer of `BTRFS_IOC_SPACE_INFO`: three kinds, each in as many profiles as there are.
const SPACES: usize = 32;

/// Bits of a space's flags (`BTRFS_BLOCK_GROUP_*`, `BTRFS_SPACE_INFO_GLOBAL_RSV`).
const DATA: u64 = 1;
const METADATA: u64 = 1 << 2;
const DUP: u64 = 1 << 5;
const PARITY: [(u64, u64); 2] = [(1 << 7, 1), (1 << 8, 2)];
const MIRRORED: [(u64, u64); 4] = [(1 << 4, 2), (1 << 6, 2), (1 << 9, 3), (1 << 10, 4)];
const RESERVE: u64 = 1 << 49;
/// Bytes of metadata that one search returns at most: as much as a block of metadata has.
const SEARCHED_AT_ONCE: usize = 16 * 1024;

/// Searches for one count, at most: a bound on the work, whatever the subvolume holds.
const SEARCHES: usize = 65_536;

mod raw {
    use nix::libc;

    /// `struct btrfs_ioctl_vol_args_v2`
    #[repr(C)]
    pub struct VolumeArgs {
        pub fd: i64,
        pub transid: u64,
        pub flags: u64,
        pub unused: [u64; 4],
        pub name: [u8; 4040],
    }

    /// `struct btrfs_ioctl_timespec`
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Time {
        pub seconds: u64,
        pub nanoseconds: u32,
    }

    /// `struct btrfs_ioctl_get_subvol_info_args`
    #[repr(C)]
    pub struct Info {
        pub treeid: u64,
        pub name: [u8; 256],
        pub parent_id: u64,
        pub dirid: u64,
        pub generation: u64,
        pub flags: u64,
        pub uuid: [u8; 16],
        pub parent_uuid: [u8; 16],
        pub received_uuid: [u8; 16],
        pub transids: [u64; 4],
        pub times: [Time; 4],
        pub reserved: [u64; 8],
    }

    /// `struct btrfs_ioctl_fs_info_args`
    #[repr(C)]
    pub struct Filesystem {
        pub max_id: u64,
        pub devices: u64,
        pub fsid: [u8; 16],
        pub rest: [u8; 992],
    }

    /// `struct btrfs_ioctl_dev_info_args`
    #[repr(C)]
    pub struct Device {
        pub devid: u64,
        pub uuid: [u8; 16],
        pub bytes_used: u64,
        pub total_bytes: u64,
        pub rest: [u64; 507],
    }

    /// `struct btrfs_ioctl_space_args`
    #[repr(C)]
    pub struct SpaceHead {
        pub slots: u64,
        pub spaces: u64,
    }

    /// `struct btrfs_ioctl_space_info`
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Space {
        pub flags: u64,
        pub total: u64,
        pub used: u64,
    }

    /// The head, and what follows it.
    #[repr(C)]
    pub struct Spaces {
        pub head: SpaceHead,
        pub spaces: [Space; super::SPACES],
    }

    /// `struct btrfs_ioctl_search_args_v2`, with room for what is found.
    #[repr(C)]
    pub struct Search {
        pub tree: u64,
        pub objects: [u64; 2],
        pub offsets: [u64; 2],
        pub transactions: [u64; 2],
        pub types: [u32; 2],
        pub items: u32,
        pub unused: [u32; 9],
        pub size: u64,
        pub found: [u8; super::SEARCHED_AT_ONCE],
    }

    /// Its size without that room, which is part of the call's number.
    const SEARCH_HEAD: usize = size_of::<Search>() - super::SEARCHED_AT_ONCE;

    /// `struct btrfs_ioctl_get_subvol_rootref_args`
    #[repr(C)]
    pub struct Children {
        pub first: u64,
        pub roots: [[u64; 2]; 255],
        pub count: u8,
        pub align: [u8; 7],
    }

    /// `struct btrfs_ioctl_ino_lookup_user_args`
    #[repr(C)]
    pub struct ChildPath {
        pub parent: u64,
        pub tree: u64,
        pub name: [u8; 256],
        pub path: [u8; 3824],
    }

    nix::ioctl_readwrite_bad!(tree_search, nix::request_code_readwrite!(0x94, 17, SEARCH_HEAD), Search);
    nix::ioctl_readwrite!(children, 0x94, 61, Children);
    nix::ioctl_readwrite!(child_path, 0x94, 62, ChildPath);
    // FS_IOC_GETFLAGS and FS_IOC_SETFLAGS: declared with `long`, though `int` is moved.
    nix::ioctl_read!(get_flags, b'f', 1, libc::c_long);
    nix::ioctl_write_ptr!(set_flags, b'f', 2, libc::c_long);
    nix::ioctl_write_ptr!(snapshot_create, 0x94, 23, VolumeArgs);
    nix::ioctl_write_ptr!(snapshot_destroy, 0x94, 63, VolumeArgs);
    nix::ioctl_read!(subvolume_info, 0x94, 60, Info);
    nix::ioctl_read!(filesystem_info, 0x94, 31, Filesystem);
    nix::ioctl_readwrite!(device_info, 0x94, 30, Device);
    nix::ioctl_readwrite!(space_info, 0x94, 20, SpaceHead);
    nix::ioctl_read!(start_sync, 0x94, 24, u64);
    nix::ioctl_write_ptr!(wait_sync, 0x94, 22, u64);
}

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

/// What the filesystem of `folder` says of its devices and of what is set aside on them.
pub fn allocation(folder: &File) -> io::Result<Allocation> {
    let mut filesystem = raw::Filesystem { max_id: 0, devices: 0, fsid: [0; 16], rest: [0; 992] };
    // SAFETY: the descriptor is open for the call, and the kernel writes one such structure.
    unsafe { raw::filesystem_info(folder.as_raw_fd(), &raw mut filesystem) }?;
    let mut found = Allocation::default();
    // Numbers of removed devices are not used again.
    for devid in 1..=filesystem.max_id {
        let mut device = raw::Device { devid, uuid: [0; 16], bytes_used: 0, total_bytes: 0, rest: [0; 507] };
        // SAFETY: as above; it is read first.
        match unsafe { raw::device_info(folder.as_raw_fd(), &raw mut device) } {
            Ok(_) => {}
            Err(nix::errno::Errno::ENODEV) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let unallocated = device.total_bytes.saturating_sub(device.bytes_used);
        found.devices.push(Device { total: device.total_bytes, unallocated });
    }
    for space in spaces(folder)? {
        let group = Group { profile: profile(space.flags), total: space.total, used: space.used };
        if space.flags & RESERVE != 0 {
            found.reserve = space.total;
            continue;
        }
        // Small filesystems have both in one.
        if space.flags & DATA != 0 {
            found.data.push(group);
        }
        if space.flags & METADATA != 0 {
            found.metadata.push(group);
        }
    }
    Ok(found)
}

fn spaces(folder: &File) -> io::Result<Vec<raw::Space>> {
    let head = raw::SpaceHead { slots: SPACES as u64, spaces: 0 };
    let mut spaces = raw::Spaces { head, spaces: [raw::Space { flags: 0, total: 0, used: 0 }; SPACES] };
    // SAFETY: the descriptor is open for the call; the kernel writes at most as many spaces as the head has slots for.
    unsafe { raw::space_info(folder.as_raw_fd(), (&raw mut spaces).cast()) }?;
    let count = usize::try_from(spaces.head.spaces).unwrap_or(SPACES);
    Ok(spaces.spaces.into_iter().take(count).collect())
}

fn profile(flags: u64) -> Profile {
    let bit = |(bit, number): &(u64, u64)| (flags & bit != 0).then_some(*number);
    if let Some(copies) = MIRRORED.iter().find_map(bit) {
        return Profile::Mirrored(copies);
    }
    if let Some(parity) = PARITY.iter().find_map(bit) {
        return Profile::Parity(parity);
    }
    if flags & DUP != 0 { Profile::Dup } else { Profile::Single }
}

/// Regular files of a subvolume that are newer than a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Newer {
    /// Made since, or changed.
    pub changed: u64,
    /// Of those, made since.
    pub created: u64,
    /// Whether there may be more: the count was given up.
    pub or_more: bool,
}

/// Counts the files of the subvolume of `folder` that were touched after `transaction`. Looks only at metadata that was
/// written after it: the time it takes grows with what has changed, not with what is there.
pub fn newer(folder: &File, transaction: u64) -> io::Result<Newer> {
    let mut search = Box::new(raw::Search {
        tree: 0,
        objects: [0, u64::MAX],
        offsets: [0, u64::MAX],
        transactions: [transaction.saturating_add(1), u64::MAX],
        types: [0, u32::from(u8::MAX)],
        items: 0,
        unused: [0; 9],
        size: 0,
        found: [0; SEARCHED_AT_ONCE],
    });
    let mut newer = Newer::default();
    for _ in 0..SEARCHES {
        search.items = u32::MAX;
        search.size = SEARCHED_AT_ONCE as u64;
        // SAFETY: the descriptor is open for the call, and the kernel writes at most `size` bytes behind the head.
        match unsafe { raw::tree_search(folder.as_raw_fd(), &raw mut *search) } {
            // An item of a larger block than nearly everybody has.
            Err(nix::errno::Errno::EOVERFLOW) => break,
            result => result?,
        };
        let Some(last) = count(&search.found, search.items, transaction, &mut newer) else { return Ok(newer) };
        // A file's own item is the first that it has: the rest of them, one for each piece of its data, is skipped.
        let Some(next) = last.checked_add(1) else { return Ok(newer) };
        search.objects = [next, u64::MAX];
        search.offsets = [0, u64::MAX];
        search.types = [0, u32::from(u8::MAX)];
    }
    Ok(Newer { or_more: true, ..newer })
}

/// Size of `struct btrfs_ioctl_search_header`.
const HEADER: usize = 32;

/// `BTRFS_INODE_ITEM_KEY`
const INODE_ITEM: u32 = 1;

/// Counts what a search found. Returns the number of the last inode; none if nothing was found.
fn count(found: &[u8], items: u32, transaction: u64, newer: &mut Newer) -> Option<u64> {
    let (mut at, mut last) = (0, None);
    for _ in 0..items {
        let header = found.get(at..)?;
        let (object, kind, length) = (u64_at(header, 8)?, u32_at(header, 24)?, u32_at(header, 28)?);
        let item = header.get(HEADER..)?;
        // `struct btrfs_inode_item`: generation, transid, ..., mode.
        if kind == INODE_ITEM {
            let (made, changed, kind) = (u64_at(item, 0)?, u64_at(item, 8)?, u32_at(item, 52)?);
            if kind & libc::S_IFMT == libc::S_IFREG && changed > transaction {
                newer.changed += 1;
                newer.created += u64::from(made > transaction);
            }
        }
        last = Some(object);
        at += HEADER + usize::try_from(length).ok()?;
    }
    last
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<raw::Search>() - SEARCHED_AT_ONCE, 112);
        assert_eq!(size_of::<raw::Children>(), 4096);
        assert_eq!(size_of::<raw::ChildPath>(), 4096);
        assert_eq!(size_of::<raw::VolumeArgs>(), 4096);
    }

    fn item(object: u64, kind: u32, made: u64, changed: u64, permissions: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [0, object, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(kind.to_le_bytes());
        bytes.extend(160_u32.to_le_bytes());
        let mut inode = vec![0_u8; 160];
        inode[..8].copy_from_slice(&made.to_le_bytes());
        inode[8..16].copy_from_slice(&changed.to_le_bytes());
        inode[52..56].copy_from_slice(&permissions.to_le_bytes());
        bytes.extend(inode);
        bytes
    }

    #[test]
    fn files_are_counted_and_nothing_else() {
        let found = [
            item(257, INODE_ITEM, 3, 9, libc::S_IFREG | 0o644),
            item(258, INODE_ITEM, 9, 9, libc::S_IFREG | 0o644),
            item(259, INODE_ITEM, 9, 9, libc::S_IFDIR | 0o755),
            item(260, INODE_ITEM, 3, 5, libc::S_IFREG | 0o644),
            item(261, 84, 9, 9, libc::S_IFREG),
        ]
        .concat();
        let mut newer = Newer::default();
        assert_eq!(count(&found, 5, 5, &mut newer), Some(261));
        assert_eq!(newer, Newer { changed: 2, created: 1, or_more: false });
        assert_eq!(count(&found, 0, 5, &mut newer), None);
        // What is cut short is not read beyond its end.
        assert_eq!(count(found.get(..40).unwrap(), 1, 5, &mut newer), None);
    }
}
