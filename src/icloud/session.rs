//! The files of a session: icloudpd's folder of cookies, the last good copy of it, and the one in which a login is made.
//!
//! All are secrets. The container's user owns the first and the last and may put there what it likes, so nothing is followed
//! and nothing large is read.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};

use crate::icloud::jar::{self, JarError, LARGEST, Session};
use crate::model::AppleId;

/// Why the session's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Not read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Not understood.
    #[error("{} says nothing of a session", path.display())]
    Jar {
        /// The jar.
        path: PathBuf,
        /// Why.
        #[source]
        source: JarError,
    },
}

/// Files of one session, at most: icloudpd has two for each Apple ID.
const FILES: usize = 32;

/// The folders of an account's session.
#[derive(Debug, Clone)]
pub struct Cookies {
    folder: PathBuf,
    jar: String,
}

impl Cookies {
    /// Of the account that has its cookies in `folder` and signs in with `apple_id`.
    pub fn new(folder: PathBuf, apple_id: &AppleId) -> Self {
        Self { folder, jar: jar::file_name(apple_id.as_str()) }
    }

    /// Where a login is made.
    fn apart(&self) -> Self {
        Self { folder: self.beside("login"), jar: self.jar.clone() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn good(&self) -> PathBuf {
        self.beside("good")
    }

    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.folder.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{what}"));
        self.folder.with_file_name(name)
    }

    /// Until when it is good; none where nobody ever signed in.
    pub fn session(&self) -> Result<Option<Session>, SessionError> {
        self.session_in(&self.folder)
    }

    fn session_in(&self, folder: &Path) -> Result<Option<Session>, SessionError> {
        let path = folder.join(&self.jar);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let session = jar::session(&String::from_utf8_lossy(&bytes));
        session.map(Some).map_err(|source| SessionError::Jar { path, source })
    }

    /// Keeps a copy of a session that was good: icloudpd writes it anew all the time, in place.
    pub fn keep(&self) -> Result<(), SessionError> {
        let (good, new) = (self.good(), self.beside("good.new"));
        remove(&new)?;
        make_folder(&new)?;
        copy(&self.folder, &new, None)?;
        put(&new, &good)
    }

    /// Puts the copy back where what is there cannot be read, and returns whether it did.
    pub fn bring_back(&self) -> Result<bool, SessionError> {
        let is_readable = |folder: &Path| matches!(self.session_in(folder), Ok(Some(_)));
        if is_readable(&self.folder) || !is_readable(&self.good()) {
            return Ok(false);
        }
        let new = self.beside("back");
        remove(&new)?;
        let like = fs::symlink_metadata(&self.folder).map_err(failed("look at", &self.folder))?;
        make_folder(&new)?;
        copy(&self.good(), &new, Some((like.uid(), like.gid())))?;
        own(&new, (like.uid(), like.gid()))?;
        put(&new, &self.folder)?;
        Ok(true)
    }

    /// Makes the folder for a login: empty, or a copy of what there is, by which Apple knows a browser again and asks for no code.
    pub fn begin_apart(&self, known: bool) -> Result<Self, SessionError> {
        let apart = self.apart();
        apart.forget()?;
        let like = fs::symlink_metadata(&self.folder).map_err(failed("look at", &self.folder))?;
        make_folder(&apart.folder)?;
        if known {
            copy(&self.folder, &apart.folder, Some((like.uid(), like.gid())))?;
        }
        own(&apart.folder, (like.uid(), like.gid()))?;
        Ok(apart)
    }

    /// Puts what was made apart in the place of what is there.
    pub fn take_over(&self, apart: &Self) -> Result<(), SessionError> {
        sync_folder(&apart.folder)?;
        put(&apart.folder, &self.folder)
    }

    /// Removes what was made apart.
    pub fn forget(&self) -> Result<(), SessionError> {
        remove(&self.folder)
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SessionError {
    let path = path.to_owned();
    move |source| SessionError::Io { doing, path, source }
}

/// The content of a plain file; none where there is nothing.
fn read(path: &Path) -> Result<Option<Vec<u8>>, SessionError> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST as u64).read_to_end(&mut bytes).map_err(failed("read", path))?;
    Ok(Some(bytes))
}

/// Copies the plain files of a folder into a new one, durable on return.
fn copy(from: &Path, to: &Path, owner: Option<(u32, u32)>) -> Result<(), SessionError> {
    let entries = fs::read_dir(from).map_err(failed("list", from))?;
    for entry in entries.take(FILES) {
        let entry = entry.map_err(failed("list", from))?;
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Some(bytes) = read(&entry.path())? else { continue };
        let path = to.join(entry.file_name());
        let mut file =
            File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(failed("make", &path))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("write", &path))?;
        if let Some(owner) = owner {
            own(&path, owner)?;
        }
    }
    sync_folder(to)
}

fn own(path: &Path, (user, group): (u32, u32)) -> Result<(), SessionError> {
    std::os::unix::fs::lchown(path, Some(user), Some(group)).map_err(failed("set the owner of", path))
}

fn make_folder(path: &Path) -> Result<(), SessionError> {
    fs::create_dir(path).map_err(failed("make the folder", path))?;
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed("set the mode of", path))
}

/// Puts `new` in the place of what is at `path`, in one moment, and removes that.
fn put(new: &Path, path: &Path) -> Result<(), SessionError> {
    if path.exists() {
        renameat2(AT_FDCWD, new, AT_FDCWD, path, RenameFlags::RENAME_EXCHANGE)
            .map_err(|errno| failed("exchange", path)(errno.into()))?;
    } else {
        fs::rename(new, path).map_err(failed("put in place", path))?;
    }
    sync_folder(path.parent().unwrap_or(Path::new("/")))?;
    remove(new)
}

fn remove(path: &Path) -> Result<(), SessionError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync_folder(path: &Path) -> Result<(), SessionError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAR: &str = include_str!("../../tests/fixtures/icloudpd/jar");

    fn account(folder: &Path) -> Cookies {
        let cookies = Cookies::new(folder.join("anna"), &"anna@example.org".parse().unwrap());
        fs::create_dir(&cookies.folder).unwrap();
        cookies
    }

    fn jar_of(cookies: &Cookies) -> PathBuf {
        cookies.folder.join("annaexampleorg")
    }

    #[test]
    fn a_jar_that_was_torn_is_put_back_from_the_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let cookies = account(folder.path());
        assert_eq!(cookies.session().unwrap(), None);
        assert!(!cookies.bring_back().unwrap());
        fs::write(jar_of(&cookies), JAR).unwrap();
        fs::write(cookies.folder.join("annaexampleorg.session"), "{}").unwrap();
        cookies.keep().unwrap();
        // Twice: the second one has something to replace.
        cookies.keep().unwrap();
        assert!(!cookies.bring_back().unwrap());
        fs::write(jar_of(&cookies), JAR.split_at(100).0).unwrap();
        assert!(cookies.session().is_err());
        assert!(cookies.bring_back().unwrap());
        assert_eq!(fs::read_to_string(jar_of(&cookies)).unwrap(), JAR);
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        for entry in fs::read_dir(folder.path().join("anna.good")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_login_that_is_given_up_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let cookies = account(folder.path());
        fs::write(jar_of(&cookies), JAR).unwrap();
        let apart = cookies.begin_apart(true).unwrap();
        assert_eq!(fs::read_to_string(jar_of(&apart)).unwrap(), JAR);
        fs::write(jar_of(&apart), "other").unwrap();
        apart.forget().unwrap();
        assert_eq!(fs::read_to_string(jar_of(&cookies)).unwrap(), JAR);
        let apart = cookies.begin_apart(false).unwrap();
        assert!(!jar_of(&apart).exists());
        fs::write(jar_of(&apart), JAR.replace("2026-12-22", "2027-12-22")).unwrap();
        cookies.take_over(&apart).unwrap();
        assert!(cookies.session().unwrap().unwrap().signed_in_until.to_string().starts_with("2027-12-22"));
        assert!(!apart.folder.exists());
    }

    #[test]
    fn what_the_container_puts_in_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let cookies = account(folder.path());
        let secret = folder.path().join("shadow");
        fs::write(&secret, JAR).unwrap();
        std::os::unix::fs::symlink(&secret, jar_of(&cookies)).unwrap();
        assert!(cookies.session().is_err());
        cookies.keep().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("anna.good")).unwrap().count(), 0);
    }
}
