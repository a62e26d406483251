//! Folders and subvolumes on disk: look, make, mend owner and mode.
//!
//! A subvolume appears under its name only when it is whole: made aside, NOCOW and owner set, read
//! back, renamed. Nothing here deletes data; the one thing it removes is an empty half-made
//! subvolume of its own. What must be where is decided elsewhere.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use btrfsutil::subvolume::Subvolume;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, statfs};

use crate::host::{beside, ioctl, process};
use crate::model::{Allocation, PlaceState, SubvolumeState};

/// How often the same place is set aside before a person has to look.
const ASIDES: usize = 3;

/// The inode of every subvolume's root (`BTRFS_FIRST_FREE_OBJECTID`), and of nothing else on BTRFS.
pub(super) const SUBVOLUME_ROOT: u64 = 256;

/// Why a place could not be made or mended.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A system call failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// libbtrfsutil failed.
    #[error("cannot {doing} {}", path.display())]
    Btrfs {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The library's reason.
        #[source]
        source: btrfsutil::BtrfsUtilError,
    },
    /// A file or folder.
    #[error(transparent)]
    File(#[from] super::files::FileError),
    /// There is something else, or nothing.
    #[error("{} is not a subvolume", .0.display())]
    NotASubvolume(PathBuf),
    /// The kernel accepted the flag and did not keep it, as it does for what is not empty (`ioctl_iflags`(2)).
    #[error("NOCOW did not stay set on {}", .0.display())]
    NocowLost(PathBuf),
    /// Nothing is decided about a disk that cannot be seen.
    #[error("{} is not there: is its disk mounted?", .0.display())]
    Missing(PathBuf),
    /// What was set aside before is still there.
    #[error(
        "{place} was set aside {ASIDES} times; see why its service never comes up (journalctl), then delete {place}.cut-off*",
        place = .0.display()
    )]
    Asides(PathBuf),
    /// The label that lets containers in could not be set.
    #[error("cannot label {} for containers", path.display())]
    Label {
        /// The folder.
        path: PathBuf,
        /// chcon's reason.
        #[source]
        source: process::ProcessError,
    },
}

pub(super) fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |source| StorageError::Io { doing, path: path.to_owned(), source }
}

/// What lies at `path`. A place that cannot be read is an error, never "nothing there".
pub fn observe(path: &Path) -> Result<PlaceState, StorageError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(PlaceState::Absent { btrfs: parent_is_btrfs(path)? });
        }
        Err(error) => return Err(io_error("look at", path)(error)),
    };
    if !metadata.is_dir() {
        return Ok(PlaceState::Other);
    }
    let btrfs = is_btrfs(path)?;
    if !btrfs || metadata.ino() != SUBVOLUME_ROOT {
        let empty = is_empty(path)?;
        return Ok(PlaceState::Folder {
            btrfs,
            empty,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: mode(&metadata),
        });
    }
    Ok(PlaceState::Subvolume(SubvolumeState {
        nocow: has_nocow(path)?,
        empty: is_empty(path)?,
        mount_point: is_mount_point(path)?,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: mode(&metadata),
    }))
}

/// Makes a plain folder and its missing parents (0755); the last one gets `mode`, owned by root.
pub fn make_folder(path: &Path, mode: u32) -> Result<(), StorageError> {
    fs::create_dir_all(path).map_err(io_error("make the folder", path))?;
    set_owner(path, 0, mode)
}

/// Makes a subvolume, whole or not at all, and waits until the filesystem has committed it.
pub async fn make_subvolume(path: &Path, nocow: bool, owner: u32, mode: u32, label: bool) -> Result<(), StorageError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io_error("name the subvolume", path)(io::ErrorKind::InvalidInput.into()));
    };
    let aside = parent.join(format!(".{name}.new"));
    remove_half_made(&aside)?;
    create_subvolume(&aside, nocow, owner, mode, label)?;
    // Not `rename` alone: it would silently replace an empty folder that appeared meanwhile.
    nix::fcntl::renameat2(
        nix::fcntl::AT_FDCWD,
        &aside,
        nix::fcntl::AT_FDCWD,
        path,
        nix::fcntl::RenameFlags::RENAME_NOREPLACE,
    )
    .map_err(|errno| io_error("put in place the subvolume", path)(errno.into()))?;
    let place = path.to_owned();
    let committed = beside(move || btrfsutil::sync::sync(place.as_path())).await;
    committed.map_err(io_error("commit the subvolume", path))?.map_err(|source| StorageError::Btrfs {
        doing: "commit the subvolume",
        path: path.to_owned(),
        source,
    })
}

/// Makes one under its name at once: whoever calls it knows otherwise whether it is whole.
pub fn create_subvolume(path: &Path, nocow: bool, owner: u32, mode: u32, label: bool) -> Result<(), StorageError> {
    Subvolume::create(path, None).map_err(|source| StorageError::Btrfs {
        doing: "create the subvolume",
        path: path.to_owned(),
        source,
    })?;
    if nocow {
        set_nocow(path)?;
    }
    set_owner(path, owner, mode)?;
    if label { label_for_containers(path) } else { Ok(()) }
}

/// Renames what was never used, `NAME.cut-off`, so that a new one can take its place. Deletes nothing, and so
/// does not do it for ever.
pub fn set_aside(path: &Path) -> Result<(), StorageError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let asides = (1..=ASIDES).map(|number| match number {
        1 => path.with_file_name(format!("{name}.cut-off")),
        _ => path.with_file_name(format!("{name}.cut-off-{number}")),
    });
    let Some(aside) = asides.into_iter().find(|aside| fs::symlink_metadata(aside).is_err()) else {
        return Err(StorageError::Asides(path.to_owned()));
    };
    fs::rename(path, &aside).map_err(io_error("set aside", path))
}

/// What an interrupted [`make_subvolume`] left: empty by construction, so that rmdir(2) suffices,
/// which refuses anything else.
fn remove_half_made(aside: &Path) -> Result<(), StorageError> {
    match fs::remove_dir(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove the half-made subvolume", aside)(error))
        }
        _ => Ok(()),
    }
}

/// Sets owner, group and permission bits of the folder itself, not of what it holds.
pub fn set_owner(path: &Path, owner: u32, mode: u32) -> Result<(), StorageError> {
    chown(path, Some(owner), Some(owner)).map_err(io_error("set the owner of", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_error("set the mode of", path))
}

/// Sets NOCOW on an empty folder and reads it back.
pub fn set_nocow(path: &Path) -> Result<(), StorageError> {
    let folder = File::open(path).map_err(io_error("open", path))?;
    ioctl::set_nocow(&folder).map_err(io_error("set NOCOW on", path))?;
    if has_nocow(path)? { Ok(()) } else { Err(StorageError::NocowLost(path.to_owned())) }
}

/// Whether new files in this folder are NOCOW.
pub fn has_nocow(path: &Path) -> Result<bool, StorageError> {
    let folder = File::open(path).map_err(io_error("open", path))?;
    ioctl::has_nocow(&folder).map_err(io_error("read the flags of", path))
}

/// Gives a fresh subvolume the type that container-selinux lets containers write; files made in it
/// inherit it. Once at creation, since a relabel of a whole library (`:Z`) takes minutes at each start.
fn label_for_containers(path: &Path) -> Result<(), StorageError> {
    let arguments = ["-t".as_ref(), "container_file_t".as_ref(), path.as_os_str()];
    process::run("chcon", &arguments).map(drop).map_err(|source| StorageError::Label { path: path.to_owned(), source })
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

/// Whether nothing is in a folder.
pub fn is_empty(path: &Path) -> Result<bool, StorageError> {
    let mut entries = fs::read_dir(path).map_err(io_error("list", path))?;
    Ok(entries.next().is_none())
}

fn is_btrfs(path: &Path) -> Result<bool, StorageError> {
    let found = statfs(path).map_err(|errno| io_error("find the filesystem of", path)(errno.into()))?;
    Ok(found.filesystem_type() == BTRFS_SUPER_MAGIC)
}

fn parent_is_btrfs(path: &Path) -> Result<bool, StorageError> {
    let existing = path.ancestors().skip(1).find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    is_btrfs(existing)
}

/// Whether a filesystem is mounted here, told by the mount table: a subvolume has a device number of
/// its own whether mounted or not.
fn is_mount_point(path: &Path) -> Result<bool, StorageError> {
    let folder = path.canonicalize().map_err(io_error("resolve", path))?;
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).map_err(io_error("read", table))?;
    let target = |line: &str| line.split(' ').nth(4).map(unescape);
    Ok(text.lines().any(|line| target(line).is_some_and(|target| Path::new(&target) == folder)))
}

/// What is mounted at `path` or anywhere below it.
pub fn mounts_below(path: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let folder = path.canonicalize().map_err(io_error("resolve", path))?;
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).map_err(io_error("read", table))?;
    let targets = text.lines().filter_map(|line| line.split(' ').nth(4)).map(|target| PathBuf::from(unescape(target)));
    Ok(targets.filter(|target| target.starts_with(&folder)).collect())
}

/// What is mounted below `path`, and not at it.
pub fn mounts_within(path: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let folder = path.canonicalize().map_err(io_error("resolve", path))?;
    Ok(mounts_below(&folder)?.into_iter().filter(|mounted| *mounted != folder).collect())
}

/// Room on a filesystem, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Space {
    /// Free for everybody.
    pub free: u64,
    /// In all.
    pub total: u64,
}

impl std::fmt::Display for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} GiB free of {} GiB", self.free >> 30, self.total >> 30)
    }
}

/// Room on the filesystem of `path`. On BTRFS an estimate: what is free depends on the profile that
/// the next chunk gets.
pub fn space(path: &Path) -> Result<Space, StorageError> {
    let found = nix::sys::statvfs::statvfs(path).map_err(|errno| io_error("measure", path)(errno.into()))?;
    let unit = found.fragment_size();
    Ok(Space { free: found.blocks_available() * unit, total: found.blocks() * unit })
}

/// What the BTRFS filesystem of `path` says of its devices; none where it is another one.
pub fn allocation(path: &Path) -> Result<Option<Allocation>, StorageError> {
    if !is_btrfs(path)? {
        return Ok(None);
    }
    let folder = File::open(path).map_err(io_error("open", path))?;
    ioctl::allocation(&folder).map(Some).map_err(io_error("measure", path))
}

/// Undoes the octal escapes of `proc_pid_mountinfo`(5).
pub(super) fn unescape(field: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}
