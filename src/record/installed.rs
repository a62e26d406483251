//! installed.json: the texts that the agent last wrote, whether or not the operation went well after.
//!
//! The last generation knows those of the last success only; a text of the agent's own that came later
//! must not be taken for somebody's edit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{HostPath, Root};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// For each file the texts that are the agent's own: what it was to replace, and what it was to write.
pub type Texts = BTreeMap<HostPath, Vec<String>>;

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    files: Texts,
}

const NAME: &str = "installed.json";

/// What was written last; empty where nothing was.
pub fn installed(root: &Root) -> Result<Texts, RecordError> {
    Ok(read::<File>(&state(root, NAME))?.map(|file| file.files).unwrap_or_default())
}

/// Adds these files, durable on return: before the first of them is written.
pub fn add_installed(root: &Root, texts: Texts) -> Result<(), RecordError> {
    let mut files = installed(root)?;
    files.extend(texts);
    write(&state(root, NAME), &File { schema: SCHEMA, files })
}
