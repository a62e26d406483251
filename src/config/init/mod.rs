//! The first configuration: from what a host was seen to have, through choices with their reasons, to the text of a file.
//!
//! Pure: who looks at the host and who writes is elsewhere. It chooses only what the host decides; taste stays at the default.

mod choose;
mod text;

use serde::Serialize;

use crate::model::HostPath;

pub use choose::choose;
pub use text::{is_untouched, write};

/// What was seen of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Its BTRFS filesystems that can be written, each once.
    pub pools: Vec<Pool>,
    /// Whoever has the default port already, and it is not the stack.
    pub taken_by: Option<String>,
    /// The next port that nobody has.
    pub free_port: Option<u16>,
    /// The name of its time zone; none where it has none of its own.
    pub timezone: Option<String>,
    /// What a card would do; none where the processor does all.
    pub graphics: Vec<Card>,
    /// Whether SELinux is on.
    pub selinux: bool,
}

/// What becomes of one of the keys of cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The key.
    pub key: &'static str,
    /// What it is without a word in the file, and why.
    pub because: String,
    /// What takes a card that is not taken by itself.
    pub suggested: Option<String>,
}

/// One BTRFS filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The folder that the stack would have there.
    pub folder: HostPath,
    /// Whether that is the one of the defaults.
    pub is_default: bool,
    /// Whether a stack lies in it already.
    pub has_stack: bool,
    /// Bytes that are free, by the system's estimate.
    pub free: u64,
    /// Whether it lies on a disk that turns; none where the kernel does not tell.
    pub turns: Option<bool>,
}

/// What becomes of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The key, with its section.
    pub key: &'static str,
    /// Its value as TOML; none where the default stays.
    pub value: Option<String>,
    /// What a person might set it to, as TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggested: Option<String>,
    /// What was seen that decides it.
    pub because: String,
}

impl Choice {
    fn set(key: &'static str, value: String, because: impl Into<String>) -> Self {
        Self { key, value: Some(value), suggested: None, because: because.into() }
    }

    fn left(key: &'static str, because: impl Into<String>) -> Self {
        Self { key, value: None, suggested: None, because: because.into() }
    }
}

/// The folder of the defaults.
pub const DEFAULT_FOLDER: &str = "/var/lib/photos";

/// The port of the defaults.
pub const DEFAULT_PORT: u16 = 2283;
