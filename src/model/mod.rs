//! The nouns: types that cannot hold a wrong value.
//!
//! Everything that reaches a unit file, a path, D-Bus or the Podman socket is one of these. They are
//! made at an edge (a config file, an answer from the host) and trusted behind it. This module knows
//! no file, no bus and no clock.

mod bounds;
mod calendar;
pub mod hardware;
pub mod icloud;
mod image;
mod in_force;
pub mod layout;
mod name;
mod neighbours;
mod path;
mod quarantined;
mod refusal;
mod restore;
mod service;
mod snapshot;
mod space;
mod span;
mod state;
mod storage;
mod upgrade;
mod value;
mod words;

pub use bounds::Bounds;
pub use calendar::Calendar;
pub use icloud::{AccountName, AppleId, EmailAddress, FolderStructure, MaxMissing, PathOptions, Share};
pub use image::{Digest, ImageRef};
pub use in_force::InForce;
pub use name::{EnvironmentName, NetworkName, SecretName, UnitName};
pub use neighbours::Neighbours;
pub use path::{HostPath, Root};
pub use quarantined::Quarantined;
pub use refusal::Refusal;
pub use restore::{Change, Origin, Restore, RestoredDisk, RestoredStack};
pub use service::{Component, Service};
pub use snapshot::{SnapshotId, SubvolumeUuid};
pub use space::{Allocation, Device, Group, Profile, Room};
pub use span::TimeSpan;
pub use state::{
    ActiveState, ContainerRun, ContainerState, DEVICES_LABEL, FileKind, FileState, HASH_LABEL, Kernel, LoadState,
    NetworkState, PlaceState, PodmanState, RolePassword, SecretState, SubvolumeState, UnitState,
};
pub use storage::{Subvolume, Tree};
pub use upgrade::{Phase, Side, Upgrade};
pub use value::{CpuQuota, DatabaseStorage, MemorySize, PostgresMajor, Release, Subnet, TimeZone};

pub(crate) use words::words;

pub use words::Messenger;

/// Why a text is not the value it should be.
///
/// The message says what was expected; the place it came from is added by whoever read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// An error that says what was expected.
    pub fn new(expected: impl Into<String>) -> Self {
        Self(expected.into())
    }
}

/// Implements the text conversions of a newtype that holds one checked `String`.
///
/// The type has `fn check(&str) -> Result<(), Invalid>`; all its ways in go through it.
macro_rules! checked_text {
    ($type:ty) => {
        impl std::str::FromStr for $type {
            type Err = $crate::model::Invalid;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::check(text)?;
                Ok(Self(text.to_owned()))
            }
        }
        impl TryFrom<String> for $type {
            type Error = $crate::model::Invalid;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::check(&text)?;
                Ok(Self(text))
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl $type {
            /// A text made of constants of this crate and of checked texts.
            #[allow(dead_code)]
            pub(crate) fn constant(text: impl Into<String>) -> Self {
                let text = text.into();
                debug_assert!(Self::check(&text).is_ok(), "{text:?}");
                Self(text)
            }

            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use checked_text;
