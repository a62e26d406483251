//! Why the host is not touched, or what a person must see to.

use serde::{Deserialize, Serialize};

/// A refusal, or a concern that forbids nothing: the thing, the reason, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Refusal {
    /// The thing.
    pub what: String,
    /// The reason.
    pub why: String,
    /// The next command, or what to write into the configuration.
    pub remedy: String,
}

impl Refusal {
    /// A refusal of these parts.
    pub fn new(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), remedy: remedy.into() }
    }
}
