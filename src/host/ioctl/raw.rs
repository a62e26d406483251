//! Structures and numbers of linux/btrfs.h and linux/fs.h, as the kernel has them. Nothing is called here.

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
    pub spaces: [Space; super::space::SPACES],
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
    pub found: [u8; super::search::SEARCHED_AT_ONCE],
}

/// Its size without that room, which is part of the call's number.
const SEARCH_HEAD: usize = size_of::<Search>() - super::search::SEARCHED_AT_ONCE;

/// `struct btrfs_ioctl_get_subvol_rootref_args`
#[repr(C)]
pub struct Children {
    pub first: u64,
    pub roots: [[u64; 2]; 255],
    pub count: u8,
    pub align: [u8; 7],
}

/// `struct btrfs_ioctl_ino_path_args`
#[repr(C)]
pub struct FilePaths {
    pub inode: u64,
    pub size: u64,
    pub unused: [u64; 4],
    /// Where the kernel writes a `struct btrfs_data_container` of this size.
    pub container: u64,
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
nix::ioctl_readwrite!(file_paths, 0x94, 35, FilePaths);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<Search>() - super::super::search::SEARCHED_AT_ONCE, 112);
        assert_eq!(size_of::<Children>(), 4096);
        assert_eq!(size_of::<ChildPath>(), 4096);
        assert_eq!(size_of::<VolumeArgs>(), 4096);
    }
}
