//! The services of the stack.

use serde::{Deserialize, Serialize};

/// A long-running service, in the order in which people think of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// PostgreSQL with the vector extensions.
    Postgres,
    /// Valkey, which speaks Redis.
    Redis,
    /// immich-server: API and background jobs.
    Server,
    /// immich-machine-learning.
    Ml,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::Redis, Self::Server, Self::Ml];

    /// Name of the quadlet, the container and, with `.service`, the unit.
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Postgres => "immich-postgres",
            Self::Redis => "immich-redis",
            Self::Server => "immich-server",
            Self::Ml => "immich-ml",
        }
    }

    /// The systemd unit that quadlet generates.
    pub fn unit(self) -> String {
        format!("{}.service", self.stem())
    }

    /// The component whose image and limits it uses.
    pub const fn component(self) -> Component {
        match self {
            Self::Postgres => Component::Postgres,
            Self::Redis => Component::Redis,
            Self::Server => Component::Server,
            Self::Ml => Component::Ml,
        }
    }
}

/// What has an image and limits of its own: a key of `[images]` and `[resources]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// immich-server.
    Server,
    /// immich-machine-learning.
    Ml,
    /// PostgreSQL.
    Postgres,
    /// Valkey.
    Redis,
    /// The iCloud downloader.
    Icloudpd,
}

impl Component {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 5] = [Self::Server, Self::Ml, Self::Postgres, Self::Redis, Self::Icloudpd];

    /// The key in the configuration.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Ml => "ml",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Icloudpd => "icloudpd",
        }
    }
}
