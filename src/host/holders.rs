//! Who else has a folder mounted: a container has mounts of its own, and keeps what was there when the folder is exchanged.
//!
//! Only looks. What is mounted on the host itself is `storage`'s.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::host::storage::{StorageError, io_error, unescape};

/// A process that sees the folder, or something in it, through a mount of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// What it runs, as the kernel calls it.
    pub program: String,
}

/// One of each container, or other namespace of mounts, that has `folder` or what lies in it mounted; but for those whose
/// control group has `slice` in its path. Of processes that may not be looked at nothing is said.
pub fn holders(folder: &Path, slice: &str) -> Result<Vec<Holder>, StorageError> {
    let folder = folder.canonicalize().map_err(io_error("resolve", folder))?;
    let table = Path::new("/proc/self/mountinfo");
    let own = fs::read_to_string(table).map_err(io_error("read", table))?;
    let Some((device, within)) = locate(&own, &folder) else { return Ok(Vec::new()) };
    let processes = Path::new("/proc");
    let mut seen: BTreeSet<PathBuf> = fs::read_link("/proc/self/ns/mnt").into_iter().collect();
    let mut holders = Vec::new();
    for entry in fs::read_dir(processes).map_err(io_error("read", processes))? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).ok();
        // One that has ended meanwhile holds nothing.
        let (Ok(namespace), Some(group)) = (fs::read_link(entry.path().join("ns/mnt")), read("cgroup")) else {
            continue;
        };
        if group.contains(&format!("/{slice}/")) || !seen.insert(namespace) {
            continue;
        }
        if read("mountinfo").is_some_and(|mounts| holds(&mounts, &device, &within)) {
            let program = read("comm").unwrap_or_default().trim().to_owned();
            holders.push(Holder { pid, program });
        }
    }
    Ok(holders)
}

/// A line of `proc_pid_mountinfo`(5): the device, the path on it, and where that is mounted.
fn fields(line: &str) -> Option<(&str, PathBuf, PathBuf)> {
    let mut words = line.split(' ').skip(2);
    let (device, root, target) = (words.next()?, words.next()?, words.next()?);
    Some((device, unescape(root).into(), unescape(target).into()))
}

/// The device of a folder, and its path on that.
fn locate(mounts: &str, folder: &Path) -> Option<(String, PathBuf)> {
    let around = mounts.lines().filter_map(fields).filter(|(_, _, target)| folder.starts_with(target));
    // Of several at one place the last one is on top.
    let (device, root, target) = around.max_by_key(|(_, _, target)| target.components().count())?;
    Some((device.to_owned(), root.join(folder.strip_prefix(target).ok()?)))
}

fn holds(mounts: &str, device: &str, within: &Path) -> bool {
    mounts.lines().filter_map(fields).any(|(on, root, _)| on == device && root.starts_with(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "21 1 0:20 / / rw - ext4 /dev/vda rw\n\
                        30 21 0:45 / /srv/my\\040pool rw - btrfs /dev/sda rw\n\
                        31 21 0:45 /photos /var/lib/photos rw - btrfs /dev/sda rw\n";

    #[test]
    fn a_folder_is_found_on_its_device_wherever_that_is_mounted() {
        let found =
            |folder: &str| locate(HOST, Path::new(folder)).map(|(device, path)| format!("{device} {}", path.display()));
        assert_eq!(found("/var/lib/photos/live").as_deref(), Some("0:45 /photos/live"));
        assert_eq!(found("/srv/my pool/photos/live").as_deref(), Some("0:45 /photos/live"));
        assert_eq!(found("/home").as_deref(), Some("0:20 /home"));
    }

    #[test]
    fn only_what_lies_in_the_folder_holds_it() {
        let container = |root: &str, device: &str| format!("99 98 {device} {root} /m rw - btrfs /dev/sda rw\n");
        let holds = |root: &str, device: &str| holds(&container(root, device), "0:45", Path::new("/photos/live"));
        assert!(holds("/photos/live/media", "0:45") && holds("/photos/live", "0:45"));
        assert!(!holds("/photos/live/media", "0:46") && !holds("/photos/lively", "0:45") && !holds("/photos", "0:45"));
    }
}
