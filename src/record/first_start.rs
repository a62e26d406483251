//! Marks beside the state: subvolumes whose first start has begun and has not ended well.
//!
//! A mark is an empty promise until the service's unit removes it: what its image makes at a first start is not
//! taken up again after an interruption. The agent writes marks, the unit removes them (`ExecStartPost=`),
//! so that a database that was ever up is never taken for a half-made one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::host::files;
use crate::model::layout::FIRST_START;
use crate::model::{Root, Subvolume};
use crate::record::RecordError;

fn path(root: &Root, subvolume: Subvolume) -> PathBuf {
    root.join(format!("{FIRST_START}{}", subvolume.name()))
}

/// The marks that are there.
pub fn first_starts(root: &Root) -> Result<BTreeSet<Subvolume>, RecordError> {
    let mut marks = BTreeSet::new();
    for subvolume in Subvolume::ALL {
        if files::read(&path(root, subvolume))?.is_some() {
            marks.insert(subvolume);
        }
    }
    Ok(marks)
}

/// Adds marks, durable on return.
pub fn add_first_starts(root: &Root, subvolumes: &[Subvolume]) -> Result<(), RecordError> {
    let text = "The first start of what lies there has begun. Removed when it has ended well.\n";
    for subvolume in subvolumes {
        files::write(&path(root, *subvolume), text, 0o600)?;
    }
    Ok(())
}
