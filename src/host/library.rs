//! Folders of photographs, each with the file that says what it is: a folder without it is not taken for one.

use std::fs;
use std::io;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::host::files;
use crate::host::storage::{StorageError, io_error, set_owner};

/// Makes the folder with the file in it, whole or not at all, and durable on return.
pub async fn make(path: &Path, owner: u32, mode: u32, (file, text): (&str, &str)) -> Result<(), StorageError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io_error("name the folder", path)(io::ErrorKind::InvalidInput.into()));
    };
    let aside = parent.join(format!(".{name}.new"));
    remove_half_made(&aside, file)?;
    fs::create_dir(&aside).map_err(io_error("make the folder", &aside))?;
    files::write(&aside.join(file), text, FILE_MODE)?;
    set_owner(&aside, owner, mode)?;
    // Not `rename` alone: it would silently replace an empty folder that appeared meanwhile.
    renameat2(AT_FDCWD, &aside, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE)
        .map_err(|errno| io_error("put in place the folder", path)(errno.into()))?;
    Ok(files::commit(parent).await?)
}

/// Everybody may know.
const FILE_MODE: u32 = 0o644;

/// Writes the file into a folder that is there. Durable on return.
pub fn say(path: &Path, (file, text): (&str, &str)) -> Result<(), StorageError> {
    Ok(files::write(&path.join(file), text, FILE_MODE)?)
}

/// What an interrupted [`make`] left: the file at most, so that rmdir(2) suffices then, which refuses anything else.
fn remove_half_made(aside: &Path, file: &str) -> Result<(), StorageError> {
    if !aside.exists() {
        return Ok(());
    }
    files::remove_leftovers(aside)?;
    for result in [fs::remove_file(aside.join(file)), fs::remove_dir(aside)] {
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove the half-made folder", aside)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_made_with_its_file_and_what_was_left_half_made_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anna");
        let aside = folder.path().join(".anna.new");
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join(".mark"), "half").unwrap();
        let owner = nix::unistd::geteuid().as_raw();
        make(&path, owner, 0o755, (".mark", "anna\n")).await.unwrap();
        assert_eq!(fs::read_to_string(path.join(".mark")).unwrap(), "anna\n");
        assert!(!aside.exists());
        // What is there is not replaced, and what somebody put into the half-made one is not deleted.
        assert!(make(&path, owner, 0o755, (".mark", "ben\n")).await.is_err());
        assert_eq!(fs::read_to_string(path.join(".mark")).unwrap(), "anna\n");
        fs::write(aside.join("picture"), "1").unwrap();
        assert!(make(&folder.path().join("anna"), owner, 0o755, (".mark", "x")).await.is_err());
        assert!(aside.join("picture").exists());
    }
}
