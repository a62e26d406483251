//! How much lies in a folder.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::host::beside;

/// What the files below `path` take on disk, in bytes; 0 where there is nothing. Links are not followed, and what goes
/// meanwhile is not counted: a database makes and removes files all the time.
pub async fn size_below(path: PathBuf) -> io::Result<u64> {
    beside(move || walk(&path)).await?
}

fn walk(path: &Path) -> io::Result<u64> {
    let mut folders = vec![path.to_owned()];
    let mut sum = 0;
    while let Some(folder) = folders.pop() {
        for entry in unless_gone(fs::read_dir(&folder))?.into_iter().flatten() {
            let entry = entry?;
            match unless_gone(entry.metadata())? {
                Some(data) if data.is_dir() => folders.push(entry.path()),
                // In units of 512 bytes, whatever the filesystem's block is (stat(2)).
                Some(data) if data.is_file() => sum += data.blocks() * 512,
                _ => {}
            }
        }
    }
    Ok(sum)
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_counted_in_all_folders_and_links_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        // Nothing that a filesystem could make less of, and on its disk.
        let mut content = vec![0; 100_000];
        getrandom::fill(&mut content).unwrap();
        for path in [folder.path().join("one"), deep.join("two")] {
            fs::write(&path, &content).unwrap();
            fs::File::open(&path).unwrap().sync_all().unwrap();
        }
        std::os::unix::fs::symlink("/usr", deep.join("link")).unwrap();
        let size = size_below(folder.path().to_owned()).await.unwrap();
        assert!((200_000..300_000).contains(&size), "{size}");
        assert_eq!(size_below(folder.path().join("nothing")).await.unwrap(), 0);
    }
}
