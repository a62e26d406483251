//! Files as a container sees them: names are looked up in its own root, through its own mounts, and links lead where they
//! lead there.
//!
//! Nothing here writes. A process that ended takes its view with it only for new openings: what is open stays what it was.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::host::ioctl;
use crate::host::storage::{StorageError, io_error};
use crate::model::SubvolumeUuid;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A container's root, open.
#[derive(Debug)]
pub struct View {
    root: OwnedFd,
}

impl View {
    /// That of the container of this process.
    pub fn of(pid: u32) -> Result<Self, StorageError> {
        Self::open(&Path::new("/proc").join(pid.to_string()).join("root"))
    }

    /// That of a folder.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        let root = File::open(root).map_err(io_error("open", root))?;
        Ok(Self { root: root.into() })
    }

    /// Whether the name leads to anything that the container could look at.
    pub fn has(&self, path: &str) -> bool {
        self.resolve(path, OFlag::O_PATH).is_ok()
    }

    /// The UUID of the subvolume that a folder lies in; none where there is no such folder, or it lies on another filesystem.
    pub fn subvolume_of(&self, path: &str) -> Result<Option<SubvolumeUuid>, StorageError> {
        let failed = |source: io::Error| io_error("look at", Path::new(path))(source);
        let folder = match self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(folder) => File::from(folder),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
            Err(errno) => return Err(failed(errno.into())),
        };
        match ioctl::identity(&folder) {
            Ok(identity) => Ok(identity.uuid),
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOTTY) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// A short text file that is no link; none where there is none of this name, or something else.
    pub fn read(&self, path: &str) -> Result<Option<String>, StorageError> {
        let failed = |source: io::Error| io_error("read", Path::new(path))(source);
        // A pipe is not waited for.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = match self.resolve(path, flags) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => return Ok(None),
            Err(errno) => return Err(failed(errno.into())),
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Whether any file lies below the folder, those whose names begin with a dot not counted, nor what lies in folders whose
    /// names do. Stops at the first.
    pub fn holds_a_file(&self, path: &str) -> Result<bool, StorageError> {
        let mut folders = vec![PathBuf::from(path)];
        while let Some(folder) = folders.pop() {
            let failed = |errno: Errno| io_error("look through", &folder)(errno.into());
            let Some(text) = folder.to_str() else { continue };
            let open = match self.resolve(text, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
                Ok(open) => open,
                // Gone meanwhile.
                Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            for entry in nix::dir::Dir::from_fd(open).map_err(failed)?.iter() {
                let entry = entry.map_err(failed)?;
                let Ok(name) = entry.file_name().to_str() else { return Ok(true) };
                match entry.file_type() {
                    _ if name.starts_with('.') => {}
                    Some(nix::dir::Type::Directory) => folders.push(folder.join(name)),
                    _ => return Ok(true),
                }
            }
        }
        Ok(false)
    }

    /// As the container's own processes would: a link to `/` is one to its root, and none leads out of that.
    fn resolve(&self, path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        openat2(&self.root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve))
    }
}

/// Looks for each of these, and returns those that are there and those that are not.
pub async fn look_for(
    view: std::sync::Arc<View>,
    paths: Vec<String>,
) -> Result<(Vec<String>, Vec<String>), StorageError> {
    let look = move || paths.into_iter().partition(|path| view.has(path));
    super::beside(look).await.map_err(io_error("look for", Path::new("what is known")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_where_they_lead_in_the_container() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("external/a")).unwrap();
        std::fs::create_dir_all(root.join("empty/.hidden")).unwrap();
        std::fs::write(root.join("empty/.hidden/x.jpg"), "x").unwrap();
        std::fs::write(root.join("empty/.photos-agent"), "anna\n").unwrap();
        std::fs::write(root.join("external/a/b.jpg"), "x").unwrap();
        std::fs::write(outer.path().join("secret"), "x").unwrap();
        for (name, target) in [
            ("within", "/external/a"),
            ("host", "/etc/hostname"),
            ("up", "../../../secret"),
            ("loop", "/loop"),
            ("sentinel", "/empty/.photos-agent"),
        ] {
            std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        }
        nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let view = View::open(&root).unwrap();
        for (path, there) in [
            ("/external/a/b.jpg", true),
            ("/within/b.jpg", true),
            ("/external/a", true),
            ("/external/a/c.jpg", false),
            ("/external/a/b.jpg/c", false),
            ("/host", false),
            ("/up", false),
            ("/../secret", false),
            ("/loop", false),
        ] {
            assert_eq!(view.has(path), there, "{path}");
        }
        for none in ["/external/a/b.jpg", "/nowhere"] {
            assert_eq!(view.subvolume_of(none).unwrap(), None, "{none}");
        }
        assert_eq!(view.read("/empty/.photos-agent").unwrap().as_deref(), Some("anna\n"));
        for none in ["/sentinel", "/pipe", "/empty", "/nowhere"] {
            assert_eq!(view.read(none).unwrap(), None, "{none}");
        }
        assert!(view.holds_a_file("/external").unwrap());
        assert!(!view.holds_a_file("/empty").unwrap());
        assert!(!view.holds_a_file("/nowhere").unwrap());
    }
}
