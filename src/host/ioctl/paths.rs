//! The path of a file whose number is known.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{raw, search};

/// Bytes for the paths of one file: the longest path that the kernel takes, and the head before it.
const SIZE: usize = 8192;

/// Size of the head of `struct btrfs_data_container`: four numbers of four bytes.
const HEAD: usize = 16;

/// Regular files of the subvolume of `folder` that were made after `transaction`, at most so many, by their paths in it.
pub fn made_since(folder: &File, transaction: u64, most: usize) -> io::Result<Vec<PathBuf>> {
    let (_, numbers) = search::look(folder, transaction, most)?;
    let mut paths = Vec::new();
    for number in numbers {
        paths.extend(path(folder, number)?);
    }
    Ok(paths)
}

/// The first path of a file; none where it has none any more.
fn path(folder: &File, inode: u64) -> io::Result<Option<PathBuf>> {
    // Eight bytes each, so that what the kernel writes lies as it has to.
    let mut container = vec![0_u64; SIZE / 8];
    let address = container.as_mut_ptr() as u64;
    let mut ask = raw::FilePaths { inode, size: SIZE as u64, unused: [0; 4], container: address };
    // SAFETY: descriptor and buffer outlive the call, and the kernel writes at most `size` bytes into the buffer.
    match unsafe { raw::file_paths(folder.as_raw_fd(), &raw mut ask) } {
        Ok(_) => {}
        Err(nix::errno::Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let bytes: Vec<u8> = container.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Ok(first(&bytes))
}

/// The first text in a `struct btrfs_data_container`: the offsets after its head count from the head's end.
fn first(bytes: &[u8]) -> Option<PathBuf> {
    let found = u32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?);
    if found == 0 {
        return None;
    }
    let offset = u64::from_ne_bytes(bytes.get(HEAD..HEAD + 8)?.try_into().ok()?);
    let text = bytes.get(HEAD + usize::try_from(offset).ok()?..)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    Some(PathBuf::from(OsStr::from_bytes(text.get(..end)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_where_the_kernel_says_it_is() {
        let mut bytes = vec![0_u8; 64];
        bytes[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        bytes[16..24].copy_from_slice(&8_u64.to_ne_bytes());
        bytes[24..33].copy_from_slice(b"upload/a\0");
        assert_eq!(first(&bytes), Some(PathBuf::from("upload/a")));
        bytes[16..24].copy_from_slice(&4096_u64.to_ne_bytes());
        assert_eq!(first(&bytes), None);
        bytes[8..12].copy_from_slice(&0_u32.to_ne_bytes());
        assert_eq!(first(&bytes), None);
    }
}
