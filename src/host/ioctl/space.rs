//! What a filesystem says of its devices, and of the room that is set aside on them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::raw;
use crate::model::{Allocation, Device, Group, Profile};

/// Room for the answer of `BTRFS_IOC_SPACE_INFO`: three kinds, each in as many profiles as there are.
pub(super) const SPACES: usize = 32;

/// Bits of a space's flags (`BTRFS_BLOCK_GROUP_*`, `BTRFS_SPACE_INFO_GLOBAL_RSV`).
const DATA: u64 = 1;
const METADATA: u64 = 1 << 2;
const DUP: u64 = 1 << 5;
const PARITY: [(u64, u64); 2] = [(1 << 7, 1), (1 << 8, 2)];
const MIRRORED: [(u64, u64); 4] = [(1 << 4, 2), (1 << 6, 2), (1 << 9, 3), (1 << 10, 4)];
const RESERVE: u64 = 1 << 49;

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
