//! A run that is under way is wanted by the account's timer: whatever cuts it off, the next boot starts the timer, and takes it up.
//!
//! A link of systemd's own, as `systemctl add-wants` makes it, for which nothing is read anew: it counts at a boot. The timer orders
//! nothing, so that no boot waits for a run of hours, and one that somebody has switched off takes nothing up.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::host::files;
use crate::icloud::{IcloudError, failed};
use crate::model::Root;
use crate::stack::{DesiredAccount, UNITS};

/// Begins; durable on return. An account without a timer has nobody who would take it up.
pub(super) fn begin(root: &Root, desired: &DesiredAccount) -> Result<(), IcloudError> {
    let Some(link) = link(root, desired) else { return Ok(()) };
    let folder = link.parent().unwrap_or(&link);
    fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
    match std::os::unix::fs::symlink(format!("{UNITS}/{}", desired.sync), &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("make the link", &link)(error));
        }
        _ => {}
    }
    [Some(folder), folder.parent()].into_iter().flatten().try_for_each(sync)
}

/// Ends: nobody has to take it up.
pub(super) fn end(root: &Root, desired: &DesiredAccount) -> Result<(), IcloudError> {
    let Some(link) = link(root, desired) else { return Ok(()) };
    let folder = link.parent().unwrap_or(&link);
    files::remove(&link)?;
    files::remove_empty_folder(folder)?;
    Ok(())
}

fn link(root: &Root, desired: &DesiredAccount) -> Option<PathBuf> {
    let timer = desired.timer.as_ref()?;
    Some(root.join(format!("{UNITS}/{timer}.wants/{}", desired.sync)))
}

fn sync(folder: &Path) -> Result<(), IcloudError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}
