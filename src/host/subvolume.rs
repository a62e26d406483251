//! Subvolumes as wholes: snapshots side by side, clones, deletion, exchange.
//!
//! What may be deleted or exchanged is decided elsewhere. Nothing here reads what a subvolume holds.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::host::storage::{StorageError, io_error};
use crate::host::{beside, beside_to_its_end, ioctl};
use crate::model::SubvolumeUuid;

pub use crate::host::ioctl::{Identity, Newer};

/// Nobody but root may enter: photographs and the database of a moment.
const PRIVATE: u32 = 0o700;

/// A snapshot to take, ready to be taken without another look at a path.
#[derive(Debug)]
pub struct Shot {
    source: File,
    parent: File,
    name: CString,
    path: PathBuf,
}

impl Shot {
    /// Of the subvolume `source`, at `path`, in a folder that exists.
    pub fn new(source: &Path, path: &Path) -> Result<Self, StorageError> {
        let (parent, name) = split(path)?;
        let open = |path: &Path| File::open(path).map_err(io_error("open", path));
        Ok(Self { source: open(source)?, parent: open(parent)?, name, path: path.to_owned() })
    }
}

/// Takes all of them, read-only, each on a thread of its own: the kernel works on different parents side by side.
/// Nothing else happens here, since whoever calls it may have stopped the world.
pub fn shoot(shots: &[Shot]) -> Result<(), StorageError> {
    std::thread::scope(|scope| {
        let take = |shot: &Shot| {
            ioctl::snapshot(&shot.source, &shot.parent, &shot.name, true).map_err(io_error("snapshot", &shot.path))
        };
        let running: Vec<_> = shots.iter().map(|shot| scope.spawn(move || take(shot))).collect();
        let results = running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(died())));
        // All of them have ended before the first error is told.
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

fn died() -> StorageError {
    io_error("snapshot", Path::new("."))(io::Error::other("the thread died"))
}

/// Whether there is a folder at `path` that is neither a link nor a subvolume of its own.
pub fn is_plain_folder(path: &Path) -> Result<bool, StorageError> {
    use std::os::unix::fs::MetadataExt;
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir() && metadata.ino() != super::storage::SUBVOLUME_ROOT),
        Err(error) if is_nothing(&error) => Ok(false),
        Err(error) => Err(io_error("look at", path)(error)),
    }
}

/// A writable snapshot of `source` at `path`, in a folder that exists.
pub fn clone(source: &Path, path: &Path) -> Result<(), StorageError> {
    let shot = Shot::new(source, path)?;
    ioctl::snapshot(&shot.source, &shot.parent, &shot.name, false).map_err(io_error("clone", path))
}

/// The same beside this thread: it waits until dirty data of the source is on the disk.
pub async fn clone_beside(source: &Path, path: &Path) -> Result<(), StorageError> {
    let (from, to) = (source.to_owned(), path.to_owned());
    beside_to_its_end(move || clone(&from, &to)).await.map_err(io_error("clone", path))?
}

/// Deletes the subvolume at `path` with all that it holds. Where there is none, there is nothing to do.
pub fn destroy(path: &Path) -> Result<(), StorageError> {
    let (parent, name) = split(path)?;
    let parent = match File::open(parent) {
        Ok(parent) => parent,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("open", parent)(error)),
    };
    match ioctl::destroy(&parent, &name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("delete the subvolume", path)(error)),
        _ => Ok(()),
    }
}

/// What is known of the subvolume at `path`; none where there is nothing, or something else.
pub fn identify(path: &Path) -> Result<Option<Identity>, StorageError> {
    use std::os::unix::fs::MetadataExt;
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() && metadata.ino() == super::storage::SUBVOLUME_ROOT => {}
        Ok(_) => return Ok(None),
        Err(error) if is_nothing(&error) => return Ok(None),
        Err(error) => return Err(io_error("look at", path)(error)),
    }
    let folder = File::open(path).map_err(io_error("open", path))?;
    match ioctl::identity(&folder) {
        Ok(identity) => Ok(Some(identity)),
        // Inode 256 of another filesystem.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOTTY) => Ok(None),
        Err(error) => Err(io_error("identify the subvolume", path)(error)),
    }
}

/// The UUID of the filesystem of `path`; none where it is another than BTRFS.
pub fn filesystem(path: &Path) -> Result<Option<SubvolumeUuid>, StorageError> {
    let folder = File::open(path).map_err(io_error("open", path))?;
    match ioctl::filesystem(&folder) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOTTY) => Ok(None),
        found => found.map_err(io_error("identify the filesystem of", path)),
    }
}

/// Files of the subvolume at `path` that were touched after `transaction`.
pub fn newer(path: &Path, transaction: u64) -> Result<Newer, StorageError> {
    let folder = File::open(path).map_err(io_error("open", path))?;
    ioctl::newer(&folder, transaction).map_err(io_error("count what is new in", path))
}

/// Files of the subvolume at `path` that were made after `transaction`, at most so many, by their paths in it.
pub fn made_since(path: &Path, transaction: u64, most: usize) -> Result<Vec<PathBuf>, StorageError> {
    let folder = File::open(path).map_err(io_error("open", path))?;
    ioctl::made_since(&folder, transaction, most).map_err(io_error("look for what is new in", path))
}

/// The subvolumes within the one at `path`, by their paths in it: no clone of it holds what they hold.
pub fn children(path: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let folder = File::open(path).map_err(io_error("open", path))?;
    ioctl::children(&folder).map_err(io_error("look for subvolumes in", path))
}

/// A folder like `model`: its owner and mode.
pub fn make_folder_like(model: &Path, path: &Path) -> Result<(), StorageError> {
    use std::os::unix::fs::MetadataExt;
    let like = fs::symlink_metadata(model).map_err(io_error("look at", model))?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io_error("make the folder", path)(error));
        }
        _ => {}
    }
    std::os::unix::fs::chown(path, Some(like.uid()), Some(like.gid())).map_err(io_error("set the owner of", path))?;
    fs::set_permissions(path, like.permissions()).map_err(io_error("set the mode of", path))
}

/// Two folders or subvolumes of one filesystem change places, in one step.
pub fn exchange(one: &Path, other: &Path) -> Result<(), StorageError> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
        .map_err(|errno| io_error("exchange", one)(errno.into()))
}

/// Renames, and replaces nothing.
pub fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE)
        .map_err(|errno| io_error("rename", from)(errno.into()))
}

/// Makes a folder that nobody but root may enter; its parent too, where that is missing.
pub fn make_private_folder(path: &Path) -> Result<(), StorageError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(path).map_err(io_error("make the folder", path))
}

/// Waits until the filesystem has committed what was done to it.
pub fn commit(path: &Path) -> Result<(), StorageError> {
    let folder = File::open(path).map_err(io_error("open", path))?;
    ioctl::commit(&folder).map_err(io_error("commit the filesystem of", path))
}

/// The same beside this thread.
pub async fn commit_beside(path: &Path) -> Result<(), StorageError> {
    let place = path.to_owned();
    beside(move || commit(&place)).await.map_err(io_error("commit the filesystem of", path))?
}

/// Whether there is nothing at a path, be it that what should be a folder is a file.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn split(path: &Path) -> Result<(&Path, CString), StorageError> {
    use std::os::unix::ffi::OsStrExt;
    let name = path.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
    path.parent().zip(name).ok_or_else(|| io_error("name the subvolume", path)(io::ErrorKind::InvalidInput.into()))
}
