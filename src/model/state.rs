//! The states of things on the host: units, containers, networks, secrets, places on disk.
//!
//! What `host` reports and `plan` reads; neither knows the other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The label by which a container or network tells which text of its unit it was made from.
pub const HASH_LABEL: &str = "photos-agent.unit";

/// The label by which a container tells that it was given its graphics card.
pub const DEVICES_LABEL: &str = "photos-agent.devices";

/// Podman's objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodmanState {
    /// Its version.
    pub version: String,
    /// By name.
    pub containers: BTreeMap<String, ContainerState>,
    /// By name.
    pub networks: BTreeMap<String, NetworkState>,
    /// By name.
    pub secrets: BTreeMap<String, SecretState>,
    /// Those of the wanted images that are in the store, each as `repository@digest`.
    pub images: BTreeSet<String>,
}

/// A container, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    /// Its identity: another one at every start.
    pub id: String,
    /// The systemd unit that made it.
    pub unit: Option<String>,
    /// The networks that it is on.
    pub networks: Vec<String>,
    /// The secrets that were mounted into it, by name: the identity that each had then.
    pub secrets: BTreeMap<String, String>,
    /// Hash of the unit text that it was made from.
    pub hash: Option<String>,
    /// Whether it was given its graphics card when it started.
    pub has_devices: bool,
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRun {
    /// Its identity: another one at every start.
    pub id: String,
    /// Its first process.
    pub pid: u32,
    /// When it was started, in Podman's words: a container that Podman itself started again keeps its identity.
    pub started: String,
    /// `healthy`, `starting`, `unhealthy`; none where nothing looks.
    pub health: Option<String>,
    /// The networks that it is on.
    pub networks: BTreeSet<String>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkState {
    /// What kind it is: `bridge`, `macvlan` and others.
    pub driver: String,
    /// Its interface on the host.
    pub interface: String,
    /// Without a way out.
    pub internal: bool,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// Hash of the unit text that it was made from.
    pub hash: Option<String>,
}

/// A secret; its value is never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretState {
    /// Its identity, which changes with its value.
    pub id: String,
    /// When its value last changed.
    pub updated: Timestamp,
}

/// Which secret the database's role was last given while its container ran.
///
/// A container keeps the secret that it was started with, and at its start the role gets that one; a running
/// database can be given another, which only this tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolePassword {
    /// Identity of the container; another one has given the role its own.
    pub container: String,
    /// Identity of the secret.
    pub secret: String,
}

/// systemd's `LoadState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadState {
    /// Read and usable.
    Loaded,
    /// No such unit.
    #[default]
    NotFound,
    /// Masked by the operator.
    Masked,
    /// `bad-setting`, `error` or one that later systemds add.
    Broken,
}

impl LoadState {
    /// From the word on the bus.
    pub fn from_word(word: &str) -> Self {
        match word {
            "loaded" => Self::Loaded,
            "not-found" => Self::NotFound,
            "masked" => Self::Masked,
            _ => Self::Broken,
        }
    }
}

/// systemd's `ActiveState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ActiveState {
    /// Up; a service with `Notify=healthy` has been healthy.
    Active,
    /// On its way up, or waiting to try again.
    Activating,
    /// On its way down.
    Deactivating,
    /// Down.
    #[default]
    Inactive,
    /// Down, and systemd has given up.
    Failed,
}

impl ActiveState {
    /// From the word on the bus. `reloading`, `refreshing` and `maintenance` are up.
    pub fn from_word(word: &str) -> Self {
        match word {
            "inactive" | "" => Self::Inactive,
            "failed" => Self::Failed,
            "activating" => Self::Activating,
            "deactivating" => Self::Deactivating,
            _ => Self::Active,
        }
    }
}

/// A unit, as systemd sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitState {
    /// Whether systemd could read it.
    pub load: LoadState,
    /// Whether it is up.
    pub active: ActiveState,
    /// systemd's finer word.
    pub sub: String,
    /// `enabled`, `disabled`, `generated` and others.
    pub file_state: String,
    /// The quadlet that it was generated from.
    pub source: String,
    /// The unit file.
    pub fragment: String,
    /// Its files changed since systemd read them.
    pub needs_reload: bool,
    /// A job is queued or running for it.
    pub job: bool,
    /// How its last run ended: `success`, `exit-code`, `timeout` and others.
    pub result: String,
    /// Automatic restarts since it was last started by hand.
    pub restarts: u32,
    /// When it last came up, in microseconds since 1970; 0: not in this boot.
    pub active_since: u64,
    /// When it last went down, in microseconds since 1970; 0: not in this boot.
    pub inactive_since: u64,
}

/// What lies where a file is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// What it says; through a symbolic link, what the file there says.
    pub text: String,
    /// What it is.
    pub kind: FileKind,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// What a name on disk stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A file of its own.
    Regular,
    /// A symbolic link, and where it points.
    Link(String),
    /// A folder, a device, a socket.
    Other,
}

/// What lies where a folder or a subvolume is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceState {
    /// Nothing; whether the filesystem it would lie on is BTRFS.
    Absent {
        /// BTRFS or not.
        btrfs: bool,
    },
    /// A plain folder.
    Folder {
        /// Whether it lies on BTRFS.
        btrfs: bool,
        /// Whether it holds nothing.
        empty: bool,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
    /// A subvolume.
    Subvolume(SubvolumeState),
    /// A file, a symlink, a device.
    Other,
}

/// A subvolume and what must be true of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubvolumeState {
    /// Whether new files in it are written in place.
    pub nocow: bool,
    /// Whether it holds nothing.
    pub empty: bool,
    /// Whether it is mounted here by itself.
    pub mount_point: bool,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Switches below /proc/sys/net/ipv4, and the packet filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kernel {
    /// `ip_forward`
    pub ip_forward: bool,
    /// `conf/BRIDGE/forwarding` of the inner bridge, where there is one.
    pub inner_forwarding: Option<bool>,
    /// Whether the rules that close the inner network are loaded; `None` where that could not be asked.
    pub rules: Option<bool>,
}
