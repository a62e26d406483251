//! places.json: where each subvolume of the stack lies, from the moment it was made.
//!
//! With it a subvolume that is gone, or whose path was changed, is told from one that never was: an
//! empty one in its place would be an empty library.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{HostPath, Root, Subvolume};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// Each subvolume and its path.
pub type Places = BTreeMap<Subvolume, HostPath>;

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    places: Places,
}

const NAME: &str = "places.json";

/// Where the stack lies; empty where it never did.
pub fn places(root: &Root) -> Result<Places, RecordError> {
    Ok(read::<File>(&state(root, NAME))?.map(|file| file.places).unwrap_or_default())
}

/// Adds places, durable on return. Nothing is written where nothing is new.
pub fn add_places(root: &Root, new: Places) -> Result<(), RecordError> {
    let mut all = places(root)?;
    if new.iter().all(|(subvolume, path)| all.get(subvolume) == Some(path)) {
        return Ok(());
    }
    all.extend(new);
    write(&state(root, NAME), &File { schema: SCHEMA, places: all })
}
