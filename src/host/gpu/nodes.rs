//! Device nodes.

use std::path::Path;

use crate::host::files::{self, FileError};
use crate::model::hardware::DeviceNode;
use crate::model::{FileKind, HostPath, Root};

/// The node at `path`; none where there is none, or something else.
pub(super) fn look(root: &Root, path: &Path) -> Result<Option<DeviceNode>, FileError> {
    let Some(found) = files::look(&root.join(path))? else { return Ok(None) };
    let Some(at) = path.to_str().and_then(|path| path.parse::<HostPath>().ok()) else { return Ok(None) };
    let seen = || DeviceNode { path: at.clone(), uid: found.uid, gid: found.gid, mode: found.mode };
    match found.kind {
        FileKind::Other if is_device(&root.join(path)) => Ok(Some(seen())),
        // A recorded tree has a file in the place of a node, since only root can make one: `c 226:128 0660 0:992`.
        FileKind::Regular if *root != Root::default() => Ok(recorded(&found.text, at)),
        _ => Ok(None),
    }
}

/// Whether all of these are there: nodes, or files.
pub fn are_there<'a>(root: &Root, paths: impl IntoIterator<Item = &'a HostPath>) -> bool {
    paths.into_iter().all(|path| root.join(path.as_path()).exists())
}

fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_char_device())
}

fn recorded(text: &str, path: HostPath) -> Option<DeviceNode> {
    let mut words = text.split_whitespace();
    let (kind, _numbers, mode, owner) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (uid, gid) = owner.split_once(':')?;
    let mode = u32::from_str_radix(mode, 8).ok()?;
    (kind == "c").then_some(DeviceNode { path, uid: uid.parse().ok()?, gid: gid.parse().ok()?, mode })
}
