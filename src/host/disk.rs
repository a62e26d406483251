//! Whether a block device turns, as sysfs says (`queue/rotational`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::Root;

/// Whether this device lies on a disk that turns; none where the kernel does not tell. What lies on others (LUKS, LVM)
/// turns where one of them does: the kernel hands that up.
pub fn turns(root: &Root, device: &str) -> Option<bool> {
    let device = fs::canonicalize(root.join(device)).ok()?;
    let block = root.join(Path::new("/sys/class/block").join(device.file_name()?));
    let block = fs::canonicalize(block).ok()?;
    // A partition has no queue, its disk has.
    let queue = [Some(block.as_path()), block.parent()].into_iter().flatten().map(rotational).find(|it| it.exists())?;
    match fs::read_to_string(queue).ok()?.trim() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn rotational(block: &Path) -> PathBuf {
    block.join("queue/rotational")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_turns_where_its_disk_does_whatever_links_lead_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for (path, text) in [
            ("sys/devices/sda/queue/rotational", "1\n"),
            ("sys/devices/sda/sda1/partition", "1\n"),
            ("sys/devices/nvme0n1/queue/rotational", "0\n"),
            ("sys/devices/odd/queue/rotational", "?\n"),
            ("dev/sda1", ""),
            ("dev/nvme0n1", ""),
            ("dev/odd", ""),
            ("dev/lost", ""),
        ] {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        }
        fs::create_dir_all(at("sys/class/block")).unwrap();
        fs::create_dir_all(at("dev/mapper")).unwrap();
        for (name, target) in [("sda1", "sda/sda1"), ("nvme0n1", "nvme0n1"), ("odd", "odd")] {
            std::os::unix::fs::symlink(at("sys/devices").join(target), at("sys/class/block").join(name)).unwrap();
        }
        std::os::unix::fs::symlink("../sda1", at("dev/mapper/photos")).unwrap();
        let root = Root::new(folder.path());
        for (device, expected) in [
            ("/dev/sda1", Some(true)),
            ("/dev/mapper/photos", Some(true)),
            ("/dev/nvme0n1", Some(false)),
            ("/dev/odd", None),
            ("/dev/lost", None),
            ("/dev/none", None),
            ("tmpfs", None),
        ] {
            assert_eq!(turns(&root, device), expected, "{device}");
        }
    }
}
