//! What Immich answers, as far as it is read: 2.7 and 3.x say the same in these.

use serde::Deserialize;

use super::call::Hidden;

/// Of `GET /server/config`, which anybody may ask.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerConfig {
    pub(super) is_initialized: bool,
    #[serde(default)]
    pub(super) maintenance_mode: bool,
    #[serde(default)]
    pub(super) external_domain: String,
}

/// Of `GET /server/features`, the same.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Features {
    #[serde(default)]
    pub(super) config_file: bool,
}

/// Of a login.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// What stands for the login from here on.
    #[serde(rename = "accessToken")]
    pub token: Hidden,
    /// Whether it is an administrator's.
    pub is_admin: bool,
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ApiKey {
    /// Its identity.
    pub id: String,
    /// What it may do.
    pub permissions: Vec<String>,
}

/// A key that was just made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewKey {
    /// The key itself, which is told only once.
    pub secret: Hidden,
    /// What is known of it.
    pub api_key: ApiKey,
}

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Identity.
    pub id: String,
    /// What they sign in with.
    pub email: String,
    /// Whether they may do everything.
    #[serde(default)]
    pub is_admin: bool,
    /// When they were deleted, if they were.
    #[serde(default)]
    pub deleted_at: Option<String>,
}

/// An external library.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Library {
    /// Identity.
    pub id: String,
    /// For people.
    pub name: String,
    /// Whose it is, for good.
    pub owner_id: String,
    /// Folders in the server's container.
    pub import_paths: Vec<String>,
    /// What is left out below them.
    pub exclusion_patterns: Vec<String>,
}

/// What a library holds that is not in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Statistics {
    /// Photographs.
    pub photos: u64,
    /// Videos.
    pub videos: u64,
    /// Both.
    pub total: u64,
    /// Bytes.
    pub usage: u64,
}

/// A queue of jobs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Whether what is in it waits for a person.
    pub is_paused: bool,
    statistics: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Counts {
    active: u64,
    waiting: u64,
    delayed: u64,
    #[serde(default)]
    paused: u64,
}

impl Queue {
    /// What is not done yet.
    pub const fn left(&self) -> u64 {
        let Counts { active, waiting, delayed, paused } = self.statistics;
        active.saturating_add(waiting).saturating_add(delayed).saturating_add(paused)
    }
}
