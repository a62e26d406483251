//! The subvolumes: which there are, where they lie, and what must be true of them.

use serde::{Deserialize, Serialize};

/// The folder a subvolume lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    /// Goes back together with the others of this tree.
    Live,
    /// Never goes back.
    Keep,
}

impl Tree {
    /// The folder's name below a storage root.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Keep => "keep",
        }
    }
}

/// A subvolume of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subvolume {
    /// The database cluster.
    Postgres,
    /// Valkey's append-only file.
    Redis,
    /// Immich's originals, profile pictures and dumps.
    Media,
    /// Thumbnails, which Immich can make again.
    Thumbs,
    /// Transcoded videos, which Immich can make again.
    EncodedVideo,
    /// What icloudpd downloads.
    Icloud,
    /// icloudpd's cookies: secrets, in no snapshot.
    Icloudpd,
    /// Models that immich-ml has downloaded.
    MlCache,
}

/// uid and gid of postgres and Valkey in their reference images.
const DATABASE_UID: u32 = 999;

impl Subvolume {
    /// All of them, in the order in which they are created.
    pub const ALL: [Self; 8] = [
        Self::Postgres,
        Self::Redis,
        Self::Media,
        Self::Thumbs,
        Self::EncodedVideo,
        Self::Icloud,
        Self::Icloudpd,
        Self::MlCache,
    ];

    /// The folder's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Media => "media",
            Self::Thumbs => "thumbs",
            Self::EncodedVideo => "encoded-video",
            Self::Icloud => "icloud",
            Self::Icloudpd => "icloudpd",
            Self::MlCache => "ml-cache",
        }
    }

    /// The tree it lies in.
    pub const fn tree(self) -> Tree {
        match self {
            Self::Icloudpd | Self::MlCache => Tree::Keep,
            _ => Tree::Live,
        }
    }

    /// Whether it is in every snapshot. Of what lies in the live tree, Immich can make the rest again; that is in
    /// those that are taken to go back to as a whole.
    pub const fn in_snapshots(self) -> bool {
        matches!(self, Self::Postgres | Self::Redis | Self::Media | Self::Icloud)
    }

    /// Whether `storage.databases` moves it.
    pub const fn is_database(self) -> bool {
        matches!(self, Self::Postgres | Self::Redis)
    }

    /// Whether its files are written in place, without copy on write (`FS_NOCOW_FL`).
    pub const fn nocow(self) -> bool {
        matches!(self, Self::Postgres | Self::Redis | Self::MlCache)
    }

    /// uid and gid of its root folder. The containers run as root but for the databases.
    pub const fn owner(self) -> u32 {
        if self.is_database() { DATABASE_UID } else { 0 }
    }

    /// Permission bits of its root folder.
    pub const fn mode(self) -> u32 {
        match self {
            // postgres refuses to start on anything but 0700 or 0750.
            Self::Postgres | Self::Redis | Self::Icloudpd => 0o700,
            Self::Media | Self::Thumbs | Self::EncodedVideo | Self::Icloud | Self::MlCache => 0o750,
        }
    }
}
