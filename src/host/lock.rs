//! The one lock: whoever changes the host holds it.
//!
//! flock(2) on a file below /run: the kernel lets go of it however its holder dies.

use std::fs::{self, File, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How long a command waits for another one (design: 30 s).
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Permission bits of the lock file.
const MODE: u32 = 0o600;

/// Those of its folder, which is the agent's own.
const FOLDER_MODE: u32 = 0o700;

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{holder} is at work on this host; waited {} s for it to finish", waited.as_secs())]
    Held {
        /// Who: command and process id, as the holder wrote them down.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The lock file could not be used.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Held while it lives.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] Flock<File>);

/// Who may have a folder at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Others who read it.
    WithReaders,
    /// Nobody: it is made, changed or deleted.
    WithNobody,
}

/// Takes the lock at `path`, waiting at most `patience`; `who` is what others are told meanwhile.
pub async fn take(path: &Path, who: &str, patience: Duration) -> Result<Lock, LockError> {
    let failed = |source: io::Error| LockError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
        // What else lies there is nobody's business either, and an older agent made it readable.
        fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)).map_err(failed)?;
    }
    let mut file = open(path).map_err(failed)?;
    let begun = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0).and_then(|()| lock.rewind()).map_err(failed)?;
                write!(lock, "{who} (pid {})", std::process::id()).map_err(failed)?;
                return Ok(Lock(lock));
            }
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            Err((_, errno)) => return Err(failed(errno.into())),
        }
        if begun.elapsed() >= patience {
            let holder = fs::read_to_string(path).unwrap_or_default();
            let holder = if holder.is_empty() { "another photos-agent".to_owned() } else { holder };
            return Err(LockError::Held { holder, waited: begun.elapsed() });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Holds a folder while it lives: for oneself, or with others who only read it. None where somebody else has it in a way
/// that does not go with that. Nothing is written: whoever dies lets go.
pub fn hold(folder: &Path, sharing: Sharing) -> Result<Option<Lock>, LockError> {
    let failed = |source: io::Error| LockError::Io { path: folder.to_owned(), source };
    let kind = match sharing {
        Sharing::WithReaders => FlockArg::LockSharedNonblock,
        Sharing::WithNobody => FlockArg::LockExclusiveNonblock,
    };
    match Flock::lock(File::open(folder).map_err(failed)?, kind) {
        Ok(lock) => Ok(Some(Lock(lock))),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

/// Root's alone: whoever may open a file for reading may lock it, and an ordinary user could keep the agent
/// from its work for ever. The mode is set on the open file as well, since an older agent made it readable.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).read(true).write(true).mode(MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// Who holds the lock now, if anybody does. Takes nothing and writes nothing.
pub fn holder(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Err((_, Errno::EWOULDBLOCK)) => fs::read_to_string(path).ok().filter(|text| !text.is_empty()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_one_waits_and_then_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        let first = take(&path, "photos-agent apply", PATIENCE).await.unwrap();
        assert!(holder(&path).is_some_and(|holder| holder.starts_with("photos-agent apply")));
        let error = take(&path, "photos-agent secret", Duration::from_millis(1)).await.unwrap_err();
        assert!(error.to_string().starts_with("photos-agent apply (pid "), "{error}");
        drop(first);
        assert_eq!(holder(&path), None);
        take(&path, "photos-agent secret", Duration::from_millis(1)).await.unwrap();
    }

    #[test]
    fn who_reads_a_folder_keeps_others_from_deleting_it() {
        let folder = tempfile::tempdir().unwrap();
        let take = |sharing| hold(folder.path(), sharing).unwrap();
        let reader = take(Sharing::WithReaders).unwrap();
        assert!(take(Sharing::WithReaders).is_some());
        assert!(take(Sharing::WithNobody).is_none());
        drop(reader);
        let writer = take(Sharing::WithNobody).unwrap();
        assert!(take(Sharing::WithReaders).is_none());
        drop(writer);
        assert!(take(Sharing::WithNobody).is_some());
    }

    #[tokio::test]
    async fn nobody_else_can_lock_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        take(&path, "photos-agent apply", PATIENCE).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    }
}
