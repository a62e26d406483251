//! Which files of a subvolume are newer than a moment, told from metadata alone.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use serde::Serialize;

use super::raw;

/// Bytes of metadata that one search returns at most: as much as a block of metadata has.
pub(super) const SEARCHED_AT_ONCE: usize = 16 * 1024;

/// Searches for one count, at most: a bound on the work, whatever the subvolume holds.
const SEARCHES: usize = 65_536;

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
    Ok(look(folder, transaction, 0)?.0)
}

/// The same, and the numbers of the first `most` of those that were made since.
pub(super) fn look(folder: &File, transaction: u64, most: usize) -> io::Result<(Newer, Vec<u64>)> {
    let mut made = Vec::new();
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
        let Some(last) = count(&search.found, search.items, transaction, &mut newer, &mut made) else {
            made.truncate(most);
            return Ok((newer, made));
        };
        made.truncate(most);
        // A file's own item is the first that it has: the rest of them, one for each piece of its data, is skipped.
        let Some(next) = last.checked_add(1) else { return Ok((newer, made)) };
        search.objects = [next, u64::MAX];
        search.offsets = [0, u64::MAX];
        search.types = [0, u32::from(u8::MAX)];
    }
    Ok((Newer { or_more: true, ..newer }, made))
}

/// Size of `struct btrfs_ioctl_search_header`.
const HEADER: usize = 32;

/// `BTRFS_INODE_ITEM_KEY`
const INODE_ITEM: u32 = 1;

/// Counts what a search found. Returns the number of the last inode; none if nothing was found.
fn count(found: &[u8], items: u32, transaction: u64, newer: &mut Newer, new: &mut Vec<u64>) -> Option<u64> {
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
                if made > transaction {
                    newer.created += 1;
                    new.push(object);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut made = Vec::new();
        assert_eq!(count(&found, 5, 5, &mut newer, &mut made), Some(261));
        assert_eq!(made, [258]);
        assert_eq!(newer, Newer { changed: 2, created: 1, or_more: false });
        assert_eq!(count(&found, 0, 5, &mut newer, &mut made), None);
        // What is cut short is not read beyond its end.
        assert_eq!(count(found.get(..40).unwrap(), 1, 5, &mut newer, &mut made), None);
    }
}
