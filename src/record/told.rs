//! notices.json: what was told of each matter last. Nobody's address is in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Root;
use crate::record::{RecordError, SCHEMA, read, state, write};

/// What was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// How it had ended.
    pub outcome: String,
    /// In which words.
    pub summary: String,
}

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    told: BTreeMap<String, Told>,
}

const NAME: &str = "notices.json";

/// Most matters that are remembered: accounts and the like come and go.
const MOST: usize = 100;

/// What was told of each matter last.
pub fn told(root: &Root) -> Result<BTreeMap<String, Told>, RecordError> {
    Ok(read::<File>(&state(root, NAME))?.map(|file| file.told).unwrap_or_default())
}

/// Remembers it, durable on return.
pub fn set_told(root: &Root, matter: &str, last: Told) -> Result<(), RecordError> {
    let mut told = told(root)?;
    told.insert(matter.to_owned(), last);
    while told.len() > MOST {
        let oldest = told.iter().min_by_key(|(_, last)| last.at).map(|(matter, _)| matter.clone());
        oldest.and_then(|matter| told.remove(&matter));
    }
    write(&state(root, NAME), &File { schema: SCHEMA, told })
}
