//! The gate: while an operation is open, services start only when whoever works on it lets them.
//!
//! Each service's unit has the two conditions (src/stack/unit.rs); here is the file that opens it. It lies
//! below /run, so that after a boot the gate is closed until the open operation is taken up again.

use crate::host::files::{self, FileError};
use crate::model::Root;
use crate::model::layout::RESOLVING;

/// Lets services start.
pub fn open(root: &Root) -> Result<(), FileError> {
    let path = root.join(RESOLVING);
    if path.exists() { Ok(()) } else { files::write(&path, "", 0o644) }
}

/// Lets no service start while an operation is open.
pub fn close(root: &Root) -> Result<(), FileError> {
    files::remove(&root.join(RESOLVING))
}
