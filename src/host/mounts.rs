//! The table of mounts (`proc_pid_mountinfo`(5)): which filesystem is where. What that means is decided elsewhere.

use std::path::{Path, PathBuf};

use crate::host::files::{self, FileError};
use crate::host::storage::unescape;
use crate::model::Root;

const TABLE: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub at: PathBuf,
    /// Of which kind the filesystem is.
    pub kind: String,
    /// The device, or another name of what is mounted.
    pub source: String,
    /// Whether it can be written, as far as mounts decide.
    pub writable: bool,
}

/// All of them, the lower ones of one place first.
pub fn all(root: &Root) -> Result<Vec<Mount>, FileError> {
    Ok(parse(&files::read(&root.join(TABLE))?.unwrap_or_default()))
}

/// The mount that a path lies on.
pub fn around<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    // Of several at one place the last one is on top.
    mounts.iter().filter(|mount| path.starts_with(&mount.at)).max_by_key(|mount| mount.at.components().count())
}

fn parse(table: &str) -> Vec<Mount> {
    table.lines().filter_map(one).collect()
}

fn one(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut words = mount.split(' ').skip(4);
    let (at, options) = (words.next()?, words.next()?);
    let mut words = filesystem.split(' ');
    let (kind, source, more) = (words.next()?, words.next()?, words.next()?);
    let writable = |options: &str| options.split(',').any(|option| option == "rw");
    Some(Mount {
        at: unescape(at).into(),
        kind: kind.to_owned(),
        source: unescape(source),
        writable: writable(options) && writable(more),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "21 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                         30 21 0:45 / /srv/my\\040pool rw,noatime shared:2 master:7 - btrfs /dev/sda rw,ssd\n\
                         31 21 0:46 /@ /srv/old ro - btrfs /dev/sdb rw\n\
                         32 21 0:47 / /srv/older rw - btrfs /dev/sdc ro\n\
                         torn line\n\
                         33 21 0:48 / /srv/old rw - xfs /dev/sdd rw\n";

    #[test]
    fn each_line_is_a_place_a_kind_and_whether_it_can_be_written() {
        let found: Vec<_> =
            parse(TABLE).iter().map(|m| format!("{} {} {} {}", m.at.display(), m.kind, m.source, m.writable)).collect();
        assert_eq!(
            found,
            [
                "/ ext4 /dev/vda true",
                "/srv/my pool btrfs /dev/sda true",
                "/srv/old btrfs /dev/sdb false",
                "/srv/older btrfs /dev/sdc false",
                "/srv/old xfs /dev/sdd true",
            ]
        );
    }

    #[test]
    fn a_path_lies_on_the_nearest_mount_and_of_one_place_on_the_upper() {
        let mounts = parse(TABLE);
        let kind = |path: &str| around(&mounts, Path::new(path)).map(|mount| mount.source.as_str());
        assert_eq!(kind("/srv/my pool/photos"), Some("/dev/sda"));
        assert_eq!(kind("/srv/old/x"), Some("/dev/sdd"));
        assert_eq!(kind("/srv/oldest"), Some("/dev/vda"));
        assert_eq!(around(&[], Path::new("/")), None);
    }
}
