//! Files that are whole or not there: read, replace one, replace a set, remove.
//!
//! A file is written aside in its own folder, fsynced, renamed, and its folder fsynced. The temporary
//! name has no quadlet suffix, since Podman's generator reads hidden files too. What a file says is
//! none of this room's business.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::host::beside;
use crate::model::{FileKind, FileState};

/// First part of the name of every file in the making; a later run removes what a power cut left.
const TEMPORARY: &str = ".photos-agent-";

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct FileError {
    /// What was being done.
    pub doing: &'static str,
    /// To what.
    pub path: PathBuf,
    /// The system's reason.
    #[source]
    pub source: io::Error,
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError { doing, path: path.to_owned(), source }
}

/// The text of a file, or `None` where there is none. Not UTF-8 is read with replacement characters,
/// so that a damaged file is different from what it should be instead of an error.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// What lies at `path`, or `None` where nothing does. Only what is a file, or points at one, is read.
pub fn look(path: &Path) -> Result<Option<FileState>, FileError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("look at", path)(error)),
    };
    let (kind, text) = if found.is_symlink() {
        let target = fs::read_link(path).map_err(failed("follow", path))?;
        let text = if path.is_file() { read(path)? } else { None };
        (FileKind::Link(target.to_string_lossy().into_owned()), text)
    } else if found.is_file() {
        (FileKind::Regular, read(path)?)
    } else {
        (FileKind::Other, None)
    };
    let mode = found.mode() & 0o7777;
    Ok(Some(FileState { text: text.unwrap_or_default(), kind, uid: found.uid(), gid: found.gid(), mode }))
}

/// Whether there is anything at `path`. Only the system's word that there is nothing is a no.
pub fn is_there(path: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// Names in a folder, sorted; none where the folder is missing.
pub fn list(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", folder))?;
        names.push(entry.file_name().into_string().unwrap_or_else(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// One file of a set: its text, or `None` to remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: PathBuf,
    /// What it shall say.
    pub text: Option<String>,
    /// Permission bits of a written file.
    pub mode: u32,
}

/// Writes one file, whole or not at all, durable on return.
pub fn write(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    let staged = stage(path, text, mode)?;
    put(staged, path)?;
    sync_folder(path)
}

/// Writes a file that is not there yet, with its folders. Durable when the filesystem is flushed, see [`commit`].
pub fn create(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    use std::os::unix::fs::OpenOptionsExt;
    make_parent(path)?;
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).map_err(failed("create", path))?;
    file.write_all(text.as_bytes()).map_err(failed("write", path))
}

/// Gives a file that was written aside its name, both of them durable on return.
pub fn finish(part: &Path, path: &Path) -> Result<(), FileError> {
    File::open(part).and_then(|file| file.sync_all()).map_err(failed("sync", part))?;
    fs::rename(part, path).map_err(failed("rename", part))?;
    sync_folder(path)
}

/// Makes a set of changes: first everything is written aside, then all of it is renamed into place.
///
/// If a rename fails, what was already changed is put back, and the error is that of the rename.
/// A power cut in between leaves old and new files side by side, each of them whole; the journal knows.
pub fn replace_all(changes: &[Change]) -> Result<(), FileError> {
    let mut staged = Vec::new();
    for change in changes {
        let before = read(&change.path)?;
        let file = change.text.as_ref().map(|text| stage(&change.path, text, change.mode)).transpose()?;
        staged.push((change, before, file));
    }
    let mut done = Vec::new();
    for (change, before, file) in staged {
        done.push((change, before));
        let result = match file {
            Some(file) => put(file, &change.path),
            None => remove(&change.path),
        };
        if let Err(error) = result {
            put_back(&done);
            return Err(error);
        }
    }
    changes.iter().try_for_each(|change| sync_folder(&change.path))
}

/// Undoes in reverse. An error here cannot be helped: the one that led here is the one to report, and
/// the next run finds the difference.
fn put_back(done: &[(&Change, Option<String>)]) {
    for (change, before) in done.iter().rev() {
        let undone = match before {
            Some(text) => write(&change.path, text, change.mode),
            None => remove(&change.path),
        };
        if let Err(error) = undone {
            tracing::warn!(path = %change.path.display(), error = &error as &dyn std::error::Error, "file not put back");
        }
    }
}

/// Removes a file, for good on return; one that is not there is fine.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

/// Adds one line to a file, durable on return; where that fails, the file is as it was.
pub fn append(path: &Path, line: &str) -> Result<(), FileError> {
    make_parent(path)?;
    let is_new = !path.exists();
    let mut file = File::options().create(true).append(true).open(path).map_err(failed("open", path))?;
    // A power cut may have torn the last line: it must not swallow this one.
    let torn = read(path)?.is_some_and(|text| !text.is_empty() && !text.ends_with('\n'));
    let text = format!("{}{line}\n", if torn { "\n" } else { "" });
    let whole = file.metadata().map_err(failed("open", path))?.len();
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // A full disk takes the first half of a line. What cannot be undone is a torn line, which the next call sees.
        let _ = if is_new { fs::remove_file(path) } else { file.set_len(whole) };
        failed("append to", path)(error)
    })?;
    sync_folder(path)
}

/// Waits until all that was written to the filesystem of `folder` is on its disk, whoever wrote it.
pub async fn commit(folder: &Path) -> Result<(), FileError> {
    let file = File::open(folder).map_err(failed("open", folder))?;
    let committed = beside(move || nix::unistd::syncfs(file)).await;
    committed.and_then(|done| Ok(done?)).map_err(failed("commit", folder))
}

/// Removes a folder unless there is something in it, and returns whether it did; one that is not there is fine.
pub fn remove_empty_folder(path: &Path) -> Result<bool, FileError> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Ok(false),
        Err(error) => Err(failed("remove the folder", path)(error)),
    }
}

/// Removes a folder with all files in it; one that is not there is fine. Follows no link.
pub fn remove_tree(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove the folder", path)(error)),
        _ => Ok(()),
    }
}

/// Removes files in the making that an interrupted run left in `folder`.
pub fn remove_leftovers(folder: &Path) -> Result<(), FileError> {
    let names = list(folder)?;
    names.iter().filter(|name| name.starts_with(TEMPORARY)).try_for_each(|name| remove(&folder.join(name)))
}

fn make_parent(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(failed("make the folder", parent))
}

fn stage(path: &Path, text: &str, mode: u32) -> Result<NamedTempFile, FileError> {
    make_parent(path)?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(parent)
        .map_err(failed("write beside", path))?;
    file.write_all(text.as_bytes()).map_err(failed("write", path))?;
    // The mode above went through the umask.
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", path))?;
    file.as_file().sync_all().map_err(failed("sync", path))?;
    Ok(file)
}

fn put(staged: NamedTempFile, path: &Path) -> Result<(), FileError> {
    staged.persist(path).map(drop).map_err(|error| failed("put in place", path)(error.error))
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder", parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(folder: &Path, name: &str, text: Option<&str>) -> Change {
        Change { path: folder.join(name), text: text.map(str::to_owned), mode: 0o644 }
    }

    #[test]
    fn a_set_that_fails_at_any_file_leaves_all_as_they_were() {
        let names = ["a", "b", "c", "d"];
        for broken in 0..names.len() {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("a"), "old a").unwrap();
            fs::write(folder.path().join("b"), "old b").unwrap();
            // A folder with something in it cannot be replaced by a file, nor removed as one.
            let wall = folder.path().join(names[broken]);
            fs::remove_file(&wall).ok();
            fs::create_dir_all(wall.join("x")).unwrap();
            let before: Vec<_> = names.map(|name| fs::read_to_string(folder.path().join(name)).ok()).into();
            let changes = [
                change(folder.path(), "a", Some("new a")),
                change(folder.path(), "b", None),
                change(folder.path(), "c", Some("new c")),
                change(folder.path(), "d", Some("new d")),
            ];
            assert!(replace_all(&changes).is_err(), "{broken}");
            let after: Vec<_> = names.map(|name| fs::read_to_string(folder.path().join(name)).ok()).into();
            assert_eq!(before, after, "broken at {broken}");
            assert!(wall.join("x").exists());
            assert!(!list(folder.path()).unwrap().iter().any(|name| name.starts_with(TEMPORARY)));
        }
    }

    #[test]
    fn only_a_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        fs::set_permissions(at("file"), fs::Permissions::from_mode(0o4640)).unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("endless")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let seen = |name: &str| look(&at(name)).unwrap().map(|state| (state.kind, state.text));
        let link = |target: &str, text: &str| Some((FileKind::Link(target.to_owned()), text.to_owned()));
        assert_eq!(seen("file"), Some((FileKind::Regular, "text".to_owned())));
        assert_eq!(look(&at("file")).unwrap().map(|state| state.mode), Some(0o4640));
        assert_eq!(seen("link"), link("file", "text"));
        assert_eq!(seen("endless"), link("/dev/zero", ""));
        assert_eq!(seen("dangling"), link("nowhere", ""));
        assert_eq!(seen("pipe"), Some((FileKind::Other, String::new())));
        assert_eq!(seen("."), Some((FileKind::Other, String::new())));
        assert_eq!(seen("nothing"), None);
    }

    #[test]
    fn a_set_is_written_and_leftovers_go() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gone"), "x").unwrap();
        fs::write(folder.path().join(".photos-agent-AbC"), "half").unwrap();
        fs::write(folder.path().join(".theirs"), "x").unwrap();
        replace_all(&[change(folder.path(), "sub/new", Some("text")), change(folder.path(), "gone", None)]).unwrap();
        remove_leftovers(folder.path()).unwrap();
        assert_eq!(list(folder.path()).unwrap(), [".theirs", "sub"]);
        assert_eq!(read(&folder.path().join("sub/new")).unwrap().as_deref(), Some("text"));
    }
}
