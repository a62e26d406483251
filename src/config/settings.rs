//! The validated configuration: every value is right by its type, no `Option` is without meaning.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::model::hardware::{EncoderChoice, GfxOverride, MlChoice, RenderDevice};
use crate::model::icloud::{AlbumName, CreatedBound, Domain, LibraryName};
use crate::model::{
    AccountName, AppleId, Calendar, Component, CpuQuota, DatabaseStorage, EmailAddress, EnvironmentName, HostPath,
    ImageRef, MaxMissing, MemorySize, Messenger, NetworkName, PathOptions, PostgresMajor, Release, SecretName, Subnet,
    TimeSpan, TimeZone,
};

/// What the operator decided, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// `[storage]`
    pub storage: Storage,
    /// `[network]`
    pub network: Network,
    /// `[immich]`
    pub immich: Immich,
    /// `[postgres]`
    pub postgres: Postgres,
    /// `[snapshots]`
    pub snapshots: Snapshots,
    /// `[hardware]`
    pub hardware: Hardware,
    /// `[upgrade]`
    pub upgrade: Upgrade,
    /// `[notify]`
    pub notify: Notify,
    /// `[icloud]` and `[[icloud.account]]`
    pub icloud: Icloud,
    /// `[images]`: overrides of the release catalogue.
    pub images: BTreeMap<Component, ImageRef>,
    /// `[resources.*]`
    pub resources: BTreeMap<Component, Limits>,
    /// The releases that are known: the agent's own, and those of `config.d/*.catalogue.toml`.
    #[serde(skip)]
    pub catalogue: Catalogue,
}

/// Where data lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// Everything, unless one of the others names another disk. Default `/var/lib/photos`.
    pub root: HostPath,
    /// The folder of postgres and redis; `None`: below `root`.
    pub databases: Option<HostPath>,
    /// The subvolume of downloaded models itself; `None`: below `root`.
    pub ml_cache: Option<HostPath>,
}

/// Who reaches whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    /// The inner network of database, cache, server and machine learning. Default `10.89.5.0/24`.
    pub subnet: Subnet,
    /// Existing Podman networks that the server joins as well.
    pub server_networks: Vec<NetworkName>,
}

/// The server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Immich {
    /// One of the catalogue.
    pub version: Release,
    /// The one published address. Default `127.0.0.1:2283`.
    pub listen: SocketAddr,
    /// `None`: the host's own.
    pub timezone: Option<TimeZone>,
    /// Further variables for the server. None of those that the agent sets, none that is a secret.
    pub environment: BTreeMap<EnvironmentName, String>,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Postgres {
    /// `None`: that of the cluster on disk, else the catalogue's.
    pub major: Option<PostgresMajor>,
    /// What it lies on. Default flash.
    pub storage: DatabaseStorage,
}

/// What machine learning and transcoding are given of the host's graphics.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Hardware {
    /// What machine learning computes with. Default auto.
    pub ml: MlChoice,
    /// What encodes videos. Default auto.
    pub transcoding: EncoderChoice,
    /// The one card for both; `None`: the best that there is.
    pub device: Option<RenderDevice>,
    /// As what an AMD card is taken; `None`: as the table of targets says.
    pub gfx_override: Option<GfxOverride>,
}

/// When snapshots are taken, and which of them stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshots {
    /// `None`: never by a timer. Default `*-*-* 02:00:00`.
    pub schedule: Option<Calendar>,
    /// What `snapshot prune` leaves.
    pub keep: Keep,
}

/// How many of each kind of period keep their newest snapshot. At least one of them is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Keep {
    pub last: u32,
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
}

/// What an upgrade waits for, and when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upgrade {
    /// How long a release has to be out before it is taken. Default 7 days.
    pub min_age: TimeSpan,
    /// How long everything has to stay well before the new release is let go. Default 5 s.
    pub settle: TimeSpan,
    /// How long the new release may take to come up before the old one is put back. Default 30 min.
    pub timeout: TimeSpan,
    /// Whether it is made unattended. Default no.
    pub automatic: bool,
    /// When one may begin then. Default `Sat *-*-* 04:30:00`.
    pub schedule: Calendar,
    /// How long after that. Default 2 h.
    pub window: TimeSpan,
}

/// Who is told what came of something that nobody watched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Notify {
    /// A program; `None`: none.
    pub command: Option<NotifyCommand>,
    /// An address to which messages are sent; `None`: none.
    pub remote: Option<Remote>,
}

/// A program of the operator's and what it is called with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotifyCommand {
    /// The program.
    pub program: HostPath,
    /// Its first arguments, before ours.
    pub arguments: Vec<String>,
}

/// Who is sent messages, and where the address is kept, which is as good as a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remote {
    /// The Podman secret that holds the address.
    pub secret: SecretName,
    /// What takes messages there.
    pub kind: Messenger,
}

/// What is downloaded from iCloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Icloud {
    /// How many of the files that Immich knows may be missing in a scan. Default 1 %, or 10 files.
    pub max_missing: MaxMissing,
    /// Whose pictures, in the order of the files. No name is there twice.
    pub accounts: Vec<Account>,
}

/// An account of iCloud. What is icloudpd's bears the name of icloudpd's option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// What it is called here.
    pub name: AccountName,
    /// With what it signs in.
    pub apple_id: AppleId,
    /// When; `None`: never by a timer. Names no zone, that is `paths.timezone`. Default `*-*-01 03:00:00`.
    pub schedule: Option<Calendar>,
    /// Which of Apple's services. Default the one for all the world.
    pub domain: Domain,
    /// The user in Immich to whom the pictures belong; `None`: the first admin.
    pub library_owner: Option<EmailAddress>,
    /// Libraries at Apple. Default `PrimarySync`.
    pub library: Vec<LibraryName>,
    /// Only these albums; none: everything.
    pub album: Vec<AlbumName>,
    /// Only so many of the newest.
    pub recent: Option<u32>,
    /// A run ends after so many that are there already; 0: every run is a full pass. Default 50.
    pub until_found: u32,
    /// Only what was taken from then on.
    pub skip_created_before: Option<CreatedBound>,
    /// Only what was taken until then.
    pub skip_created_after: Option<CreatedBound>,
    /// What is left out.
    pub skip: Skip,
    /// Whether a picture without a version of `paths.size` is left out.
    pub force_size: bool,
    /// Whether metadata is written to files beside the pictures. Default yes.
    pub xmp_sidecar: bool,
    /// Whether icloudpd writes missing dates into pictures. Default no.
    pub set_exif_datetime: bool,
    /// What decides where a picture lies.
    pub paths: PathOptions,
}

/// Kinds of pictures that are left out. Never both of the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Skip {
    pub videos: bool,
    pub photos: bool,
    pub live_photos: bool,
}

/// Limits of one container, in systemd's own notation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// `MemoryMax=`
    pub memory_max: Option<MemorySize>,
    /// `CPUQuota=`
    pub cpu_quota: Option<CpuQuota>,
}
