//! Why a library is not scanned, in words, and whether a person may have it scanned all the same. When one stands in the way is decided
//! in `scan`.

use std::fmt;

use serde::Serialize;

/// Why there is no scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Obstacle {
    /// Everything that is known would be trashed.
    NoImportPath,
    /// The server cannot read an import path.
    Unreadable {
        /// The path.
        path: String,
        /// Why.
        reason: String,
    },
    /// There is no subvolume where the live one should be.
    NotMounted {
        /// The import path.
        path: String,
    },
    /// The server has another tree than the host.
    OtherTree {
        /// The import path.
        path: String,
    },
    /// Another subvolume lies there than at the last scan, and no restore put it there.
    Exchanged {
        /// The import path.
        path: String,
    },
    /// The mark of the account is not there.
    NoSentinel {
        /// The import path.
        path: String,
    },
    /// It is that of something else.
    OtherSentinel {
        /// The import path.
        path: String,
        /// What it should say.
        account: String,
    },
    /// There is not one file.
    Empty {
        /// The import path, or all of them.
        path: String,
        /// How many files Immich knows.
        known: u64,
    },
    /// Of what is known in an import path, nothing is there, but other files are.
    Others {
        /// The import path.
        path: String,
        /// How many files Immich knows in it.
        known: u64,
    },
    /// Too much of what is known is missing.
    Missing {
        /// Files that Immich knows.
        known: u64,
        /// Those that are not seen, or lie in no import path.
        missing: u64,
        /// How many may be.
        allowed: u64,
        /// Some.
        examples: Vec<String>,
    },
    /// Files are there, and not for the server.
    Unseen {
        /// How many it was asked for.
        looked_for: u64,
        /// Those that it did not see.
        unseen: u64,
        /// One of those.
        example: String,
    },
    /// A scan would wait for a person.
    Paused,
}

impl Obstacle {
    /// Whether a person who has looked may have the scan all the same.
    pub const fn yields(&self) -> bool {
        matches!(self, Self::Exchanged { .. } | Self::Others { .. } | Self::Missing { .. })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImportPath => f.write_str("the library has no import path, and a scan would trash all of it"),
            Self::Unreadable { path, reason } => write!(f, "the server cannot read {path}: {reason}"),
            Self::NotMounted { path } => {
                write!(f, "no subvolume lies where the photographs of {path} should be: it is not mounted")
            }
            Self::OtherTree { path } => write!(f, "the server sees another tree at {path} than the host"),
            Self::Exchanged { path } => {
                write!(f, "another subvolume than at the last scan lies at {path}, and no restore put it there")
            }
            Self::NoSentinel { path } => write!(f, "the file .photos-agent is not in {path}"),
            Self::OtherSentinel { path, account } => {
                write!(f, "the file .photos-agent in {path} is not that of {account}")
            }
            Self::Empty { path, known } => write!(f, "there is not one file in {path}, and Immich knows {known}"),
            Self::Others { path, known } => {
                write!(f, "there are files in {path}, and not one of the {known} that Immich knows there")
            }
            Self::Missing { known, missing, allowed, examples } => {
                write!(f, "{missing} of the {known} files that Immich knows are missing, and {allowed} may be")?;
                if examples.is_empty() { Ok(()) } else { write!(f, "; {}", examples.join(", ")) }
            }
            Self::Unseen { looked_for, unseen, example } => {
                write!(f, "the server does not see {unseen} of {looked_for} files that are there, like {example}")
            }
            Self::Paused => f.write_str("the queue of scans is paused in Immich"),
        }
    }
}
