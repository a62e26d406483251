//! Files below a folder, named by somebody who is not trusted: no name leads out of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat};

use crate::host::storage::{StorageError, io_error};

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File,
    /// A folder, a device, a pipe.
    Other,
    /// Nothing.
    Nothing,
    /// Out of the folder: by `..`, or by a link.
    Outside,
}

/// A folder, open.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens it.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        File::open(path).map(|folder| Self(folder.into())).map_err(io_error("open", path))
    }

    /// What `name` leads to. The kernel itself refuses every step out of the folder (`openat2`(2)), and nothing is
    /// opened for reading: a pipe does not block.
    pub fn look(&self, name: &Path) -> Result<Found, StorageError> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let failed = |errno: Errno| io_error("look at", name)(io::Error::from(errno));
        let found = match openat2(&self.0, name, how) {
            Ok(found) => found,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::EINVAL) => return Ok(Found::Nothing),
            Err(Errno::EXDEV | Errno::ELOOP) => return Ok(Found::Outside),
            Err(errno) => return Err(failed(errno)),
        };
        let kind = SFlag::from_bits_truncate(fstat(&found).map_err(failed)?.st_mode) & SFlag::S_IFMT;
        Ok(if kind == SFlag::S_IFREG { Found::File } else { Found::Other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        std::fs::create_dir_all(inner.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret"), "x").unwrap();
        std::fs::write(inner.join("sub/file"), "x").unwrap();
        std::fs::write(inner.join("plain"), "x").unwrap();
        for (name, target) in [
            ("up", "../secret"),
            ("absolute", "/etc/passwd"),
            ("across", "sub/../plain"),
            ("loop", "loop"),
            ("dangling", "nowhere"),
            ("magic", "/proc/self/cwd"),
        ] {
            std::os::unix::fs::symlink(target, inner.join(name)).unwrap();
        }
        nix::unistd::mkfifo(&inner.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let folder = Folder::open(&inner).unwrap();
        let long = "x".repeat(5000);
        for (name, found) in [
            ("plain", Found::File),
            ("sub/file", Found::File),
            ("across", Found::File),
            ("sub/../plain", Found::File),
            ("sub", Found::Other),
            ("pipe", Found::Other),
            (".", Found::Other),
            ("", Found::Nothing),
            ("nothing", Found::Nothing),
            ("dangling", Found::Nothing),
            ("plain/file", Found::Nothing),
            (&long, Found::Nothing),
            ("nul\0", Found::Nothing),
            ("..", Found::Outside),
            ("../secret", Found::Outside),
            ("sub/../../secret", Found::Outside),
            ("up", Found::Outside),
            ("absolute", Found::Outside),
            ("magic", Found::Outside),
            ("loop", Found::Outside),
            ("/etc/passwd", Found::Outside),
        ] {
            assert_eq!(folder.look(Path::new(name)).unwrap(), found, "{name}");
        }
    }
}
