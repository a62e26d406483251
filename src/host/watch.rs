//! Folders, listened to by inotify(7): which of the names that matter came, went or changed.
//!
//! A watch per folder, never one per file, and none below: what lies in the library costs nothing. The kernel
//! knows no names, so what is not asked for is dropped here. What a change means is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::unix::AsyncFd;

/// Names that come and go.
const COMINGS: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO);

/// What is behind a name changes: text, owner, mode. Reading is none of it, or a look would lead to the next; nor is
/// closing what was open for writing, as each health check does with the lock of Podman's secrets.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_MODIFY.union(AddWatchFlags::IN_ATTRIB);

/// The folder itself is no longer where it was.
const LOSSES: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_UNMOUNT)
    .union(AddWatchFlags::IN_IGNORED);

/// Flags of every watch. Added to what the folder has: two paths may lead to one folder.
const ALWAYS: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR)
    .union(AddWatchFlags::from_bits_retain(nix::libc::IN_MASK_ADD));

/// What matters in one folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)]
pub struct Ear {
    /// Names.
    pub names: BTreeSet<OsString>,
    /// Whether what is behind the names matters too, and not only whether they are there.
    pub changes: bool,
    /// Whether owner and mode of what is behind the names matter: of devices, which are written to without end.
    pub owners: bool,
    /// Whether it matters that somebody has done with what is behind a name: a lock.
    pub closing: bool,
    /// Whether any folder that comes or goes matters.
    pub folders: bool,
}

impl Ear {
    fn join(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.changes |= other.changes;
        self.owners |= other.owners;
        self.closing |= other.closing;
        self.folders |= other.folders;
    }

    fn flags(&self) -> AddWatchFlags {
        let wanted = |is_wanted: bool, flags: AddWatchFlags| if is_wanted { flags } else { AddWatchFlags::empty() };
        COMINGS
            | wanted(self.changes, CHANGES)
            | wanted(self.owners, AddWatchFlags::IN_ATTRIB)
            | wanted(self.closing, AddWatchFlags::IN_CLOSE_WRITE)
    }

    fn hears(&self, mask: AddWatchFlags, name: Option<&OsStr>) -> bool {
        let Some(name) = name else { return mask.intersects(LOSSES) };
        let folder = self.folders && mask.contains(AddWatchFlags::IN_ISDIR) && mask.intersects(COMINGS);
        folder || self.names.contains(name) && mask.intersects(self.flags())
    }
}

/// Folders and what matters in each.
pub type Ears = BTreeMap<PathBuf, Ear>;

/// Adds to `ears` each folder on the way to one of `folders`, since it may go and come back with all that is in it.
pub fn add_way(ears: &mut Ears, folder: &Path) {
    let mut below = folder;
    while let (Some(parent), Some(name)) = (below.parent(), below.file_name()) {
        ears.entry(parent.to_owned()).or_default().names.insert(name.to_owned());
        below = parent;
    }
}

/// An owned descriptor, with its number for tokio.
#[derive(Debug)]
struct Fd(Inotify);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[allow(unsafe_code)]
fn register(inotify: Inotify) -> io::Result<AsyncFd<Fd>> {
    // SAFETY: `Fd` owns the descriptor, names the same one each time, and closes it only when it is dropped.
    Ok(unsafe { AsyncFd::register(Fd(inotify)) }?)
}

/// The watches of this process.
#[derive(Debug)]
pub struct Watch {
    inotify: AsyncFd<Fd>,
    folders: BTreeMap<WatchDescriptor, (PathBuf, Ear)>,
}

/// Whether there is one more instance and one more watch to be had, for this user. Neither is kept.
pub fn can_listen() -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch("/", AddWatchFlags::IN_CREATE)?;
    Ok(())
}

impl Watch {
    /// Listens to nothing yet.
    pub fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self { inotify: register(inotify)?, folders: BTreeMap::new() })
    }

    /// Listens to these folders from now on, and to no others. One that is not there is left out: it is found by
    /// the ear of its parent. Folders that were exchanged meanwhile are taken anew.
    pub fn listen(&mut self, ears: &Ears) -> io::Result<()> {
        let mut folders: BTreeMap<WatchDescriptor, (PathBuf, Ear)> = BTreeMap::new();
        let inotify = &self.inotify.get_ref().0;
        for (path, ear) in ears {
            match inotify.add_watch(path, ALWAYS | ear.flags()) {
                Ok(watch) => folders.entry(watch).or_insert_with(|| (path.clone(), Ear::default())).1.join(ear),
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
                Err(errno) => return Err(io::Error::other(format!("{}: {errno}", path.display()))),
            }
        }
        for watch in self.folders.keys().filter(|watch| !folders.contains_key(watch)) {
            // Gone with its folder, as a rule.
            let _ = inotify.rm_watch(*watch);
        }
        self.folders = folders;
        Ok(())
    }

    /// Waits until something that matters changed, and says what. Loses nothing where it is dropped while waiting.
    pub async fn changed(&mut self) -> io::Result<PathBuf> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let events = match ready.get_inner().0.read_events() {
                Ok(events) => events,
                Err(Errno::EAGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            // All of them are of one moment: one that matters is enough.
            if let Some(found) = events.iter().find_map(|event| self.heard(event)) {
                return Ok(found);
            }
        }
    }

    fn heard(&self, event: &InotifyEvent) -> Option<PathBuf> {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            // What was lost may have mattered.
            return Some(PathBuf::from("/"));
        }
        let (folder, ear) = self.folders.get(&event.wd)?;
        let name = event.name.as_deref();
        ear.hears(event.mask, name).then(|| name.map_or_else(|| folder.clone(), |name| folder.join(name)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    type Change = fn(&Path);

    fn ear(names: &[&str]) -> Ear {
        Ear { names: names.iter().map(OsString::from).collect(), changes: true, ..Ear::default() }
    }

    async fn next(watch: &mut Watch) -> Option<PathBuf> {
        tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.ok().map(Result::unwrap)
    }

    #[tokio::test]
    async fn what_is_asked_for_is_heard_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut watch = Watch::new().unwrap();
        watch.listen(&Ears::from([(folder.path().to_owned(), ear(&["mine", "place"]))])).unwrap();

        fs::write(path("theirs"), "x").unwrap();
        fs::set_permissions(path("theirs"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(path("folder")).unwrap();
        assert_eq!(next(&mut watch).await, None);

        let changes: [(&str, Change); 6] = [
            ("written", |mine| fs::write(mine, "x").unwrap()),
            ("read", |mine| assert_eq!(fs::read(mine).unwrap(), b"x")),
            ("its mode", |mine| fs::set_permissions(mine, fs::Permissions::from_mode(0o600)).unwrap()),
            ("moved", |mine| fs::rename(mine, mine.with_extension("aside")).unwrap()),
            ("linked", |mine| std::os::unix::fs::symlink("/dev/null", mine).unwrap()),
            ("removed", |mine| fs::remove_file(mine).unwrap()),
        ];
        for (what, change) in changes {
            change(&path("mine"));
            let heard = next(&mut watch).await;
            assert_eq!(heard, (what != "read").then(|| path("mine")), "{what}");
            while next(&mut watch).await.is_some() {}
        }
        fs::create_dir(path("place")).unwrap();
        while next(&mut watch).await.is_some() {}
        fs::set_permissions(path("place"), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(next(&mut watch).await, Some(path("place")), "the mode of a folder");
    }

    #[tokio::test]
    async fn who_lets_go_of_a_lock_is_heard_and_who_looks_at_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        fs::write(&lock, "").unwrap();
        let mut watch = Watch::new().unwrap();
        let closing = Ear { names: ["lock".into()].into(), closing: true, ..Ear::default() };
        watch.listen(&Ears::from([(folder.path().to_owned(), closing)])).unwrap();
        let holder = fs::File::options().write(true).open(&lock).unwrap();
        drop(fs::File::open(&lock).unwrap());
        assert_eq!(next(&mut watch).await, None);
        drop(holder);
        assert_eq!(next(&mut watch).await, Some(lock));
    }

    #[tokio::test]
    async fn a_folder_that_goes_and_comes_back_is_heard_and_listened_to_again() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        let mut ears = Ears::from([(folder.clone(), ear(&["mine"]))]);
        add_way(&mut ears, &folder);
        let mut watch = Watch::new().unwrap();
        watch.listen(&ears).unwrap();

        fs::rename(top.path().join("a"), top.path().join("aside")).unwrap();
        assert_eq!(next(&mut watch).await, Some(top.path().join("a")));
        watch.listen(&ears).unwrap();
        fs::write(top.path().join("aside/b/mine"), "").unwrap();
        assert_eq!(next(&mut watch).await, None, "what lies elsewhere is somebody else's");
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(next(&mut watch).await, Some(top.path().join("a")));
        watch.listen(&ears).unwrap();
        while next(&mut watch).await.is_some() {}
        fs::write(folder.join("mine"), "").unwrap();
        assert_eq!(next(&mut watch).await, Some(folder.join("mine")));
        while next(&mut watch).await.is_some() {}
        fs::remove_dir_all(&folder).unwrap();
        assert!(next(&mut watch).await.is_some());
    }

    #[test]
    fn on_the_way_only_coming_and_going_matters() {
        let mut ears = Ears::new();
        add_way(&mut ears, Path::new("/etc/containers/systemd"));
        let names: Vec<_> = ears.iter().map(|(path, ear)| (path.to_str().unwrap(), ear.names.len())).collect();
        assert_eq!(names, [("/", 1), ("/etc", 1), ("/etc/containers", 1)]);
        let etc = &ears[Path::new("/etc")];
        let containers = Some(OsStr::new("containers"));
        assert!(etc.hears(AddWatchFlags::IN_MOVED_TO, containers));
        assert!(!etc.hears(AddWatchFlags::IN_ATTRIB, containers));
        assert!(!etc.hears(AddWatchFlags::IN_CREATE, Some(OsStr::new("passwd"))));
    }
}
