//! What the host should have: services, networks, secrets, subvolumes and every file, from the settings and
//! a few facts of the host.
//!
//! One service per file; the base units are in `quadlets/` and `systemd/`, this module adds what settings and
//! host decide. Pure: it reads no file, no clock and no bus, and whatever it cannot put right it refuses.

pub mod icloudpd;
mod images;
mod ml;
mod network;
mod own_scans;
mod places;
mod postgres;
mod proof;
mod redis;
mod server;
pub mod succession;
mod target;
pub mod throwaway;
mod timers;
mod unit;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Settings;
use crate::model::icloud::Sentinel;
use crate::model::layout::STATE;
use crate::model::{
    AccountName, Digest, HostPath, ImageRef, InForce, Invalid, NetworkName, PostgresMajor, Refusal, SecretName,
    Service, SnapshotId, Subnet, Subvolume, Tree, UnitName,
};
use images::Images;
use places::Places;

pub use images::{OtherMajor, major_of, within_major};
pub use own_scans::are_switched_off as own_scans_are_switched_off;
pub use postgres::{CHECKPOINT, NO_STATEMENT, VITALS, assets_since, dump, password_statement, session};
pub use server::PORT as SERVER_PORT;
pub use unit::MARKER;

/// Where the agent's quadlets lie.
pub const QUADLETS: &str = "/etc/containers/systemd/photos-agent";
/// Where the agent's other units lie.
pub const UNITS: &str = "/etc/systemd/system";
/// The unit that starts and stops everything.
pub const TARGET: &str = "photos.target";
/// The folder of snapshots on each disk.
const SNAPSHOTS: &str = ".snapshots";
/// Before the name of a snapshot: the folder in which a writable clone of its database is run.
pub const BENCH: &str = ".verify-";
/// The slice in which all services run.
pub const SLICE: &str = "photos.slice";
/// The unit that finishes an interrupted operation before the services start.
pub const RESOLVE: &str = "photos-resolve.service";
/// The unit that says when snapshots are taken.
pub const SNAPSHOT_TIMER: &str = "photos-snapshot.timer";
/// The unit that takes one, and prunes.
pub const SNAPSHOT_SERVICE: &str = "photos-snapshot.service";
/// The unit that says when the newest snapshot is tried.
pub const VERIFY_TIMER: &str = "photos-verify.timer";
/// The unit that tries it.
pub const VERIFY_SERVICE: &str = "photos-verify.service";
/// The unit that says when libraries are scanned that no run of an account sees to.
pub const SCAN_TIMER: &str = "photos-scan.timer";
/// The unit that has them scanned.
pub const SCAN_SERVICE: &str = "photos-scan.service";
/// The unit that says when an unattended upgrade may begin.
pub const UPGRADE_TIMER: &str = "photos-upgrade.timer";
/// The unit that makes one.
pub const UPGRADE_SERVICE: &str = "photos-upgrade.service";
/// The unit that loads the firewall's rules.
pub const FIREWALL: &str = "photos-firewall.service";
/// The table that the rules make, in the family inet.
pub const FIREWALL_TABLE: &str = "photos_agent";
/// Its chains, each with rules.
pub const FIREWALL_CHAINS: [&str; 2] = ["input", "forward"];
/// The bridge of the inner network.
pub const INNER_INTERFACE: &str = "photos0";
/// The rules that it loads.
pub const FIREWALL_RULES: &str = "/var/lib/photos-agent/firewall.nft";
/// The secret that both sides of the database read.
pub const DATABASE_PASSWORD: &str = "photos-db-password";

/// What has to be known of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What runs, whatever the settings wish; none before the first apply is whole.
    pub in_force: Option<InForce>,
    /// Which digest an image as written was locked to.
    pub lock: BTreeMap<ImageRef, Digest>,
    /// `PG_VERSION` of the cluster on disk; `None`: there is no cluster.
    pub cluster: Option<PostgresMajor>,
    /// Whether the host has a time zone of its own (/etc/localtime); else it is UTC, here and in containers.
    pub local_time: bool,
    /// Where programs are.
    pub programs: Programs,
}

/// Programs that units run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// nftables' command.
    pub nft: HostPath,
    /// Podman's command.
    pub podman: HostPath,
}

/// All that the agent answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Desired {
    /// Plain folders, parents first.
    pub folders: Vec<Folder>,
    /// All subvolumes, in the order in which they are created.
    pub subvolumes: Vec<SubvolumePlace>,
    /// The filesystems that hold what goes back together.
    pub disks: Vec<Disk>,
    /// Where a snapshot has its manifest; what is on other disks lies there under the same name.
    pub snapshots: HostPath,
    /// Podman secrets that must exist.
    pub secrets: Vec<SecretName>,
    /// Networks, in the order in which they are made.
    pub networks: Vec<DesiredNetwork>,
    /// The release, and the image of each service as it is written: a tag, unless the operator wrote a digest.
    pub runs: InForce,
    /// What the settings wish instead, where that is something else. Only an upgrade puts it in force.
    pub wish: Option<InForce>,
    /// What the settings wish of another major version of the database, which is an operation of its own.
    pub other_major: Option<OtherMajor>,
    /// Every file that the agent owns.
    pub files: Vec<DesiredFile>,
    /// The services, in the order in which people think of them.
    pub services: Vec<DesiredService>,
    /// The operator's networks that the server joins.
    pub joined: Vec<NetworkName>,
    /// The unit that starts and stops everything.
    pub target: UnitName,
    /// The unit that loads the firewall's rules.
    pub firewall: UnitName,
    /// The unit that finishes an interrupted operation before the services start.
    pub resolve: UnitName,
    /// What happens by the clock. Each starts the service of its name, but for those of accounts.
    pub timers: Vec<UnitName>,
    /// The accounts of iCloud.
    pub accounts: Vec<DesiredAccount>,
}

/// A plain folder, owned by root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Where.
    pub path: HostPath,
    /// Permission bits of a folder that the agent makes.
    pub mode: u32,
    /// Whether owner and mode are kept so. Any other that exists keeps its own: it may be the operator's mount point.
    pub ours: bool,
}

/// A subvolume and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubvolumePlace {
    /// Which.
    pub subvolume: Subvolume,
    /// Where.
    pub path: HostPath,
}

/// A folder of the configuration with a live tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// `storage.root` or `storage.databases`.
    pub base: HostPath,
    /// What lies in its live tree.
    pub subvolumes: Vec<Subvolume>,
}

impl Disk {
    /// What the services have mounted.
    pub fn live(&self) -> HostPath {
        self.base.join(Tree::Live.folder())
    }

    /// What is being made to take the live tree's place.
    pub fn next(&self) -> HostPath {
        self.base.join("next")
    }

    /// A folder for each snapshot.
    pub fn snapshots(&self) -> HostPath {
        self.base.join(SNAPSHOTS)
    }

    /// Where a snapshot has one of its subvolumes: each in a folder of its own, since the kernel makes two in one folder
    /// in turn, and with a name that it keeps, since one that is read-only cannot be moved to another folder.
    pub fn shot(&self, id: &SnapshotId, part: Subvolume) -> HostPath {
        self.snapshots().join(id.as_str()).join(part.name()).join("snapshot")
    }

    /// Live trees that were replaced, each under the number of the operation that did.
    pub fn replaced(&self) -> HostPath {
        self.base.join("replaced")
    }

    /// Where a writable clone of a snapshot's database is run.
    pub fn bench(&self, id: &SnapshotId) -> HostPath {
        self.snapshots().join(&format!("{BENCH}{id}"))
    }
}

/// A Podman network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredNetwork {
    /// Podman's name of it.
    pub name: NetworkName,
    /// `None`: a free one of Podman's choice.
    pub subnet: Option<Subnet>,
    /// Whether it has no way out.
    pub internal: bool,
    /// The bridge.
    pub interface: String,
    /// The service that creates it.
    pub unit: UnitName,
    /// Names the unit's text; a network that was made from it carries it as [`crate::model::HASH_LABEL`].
    pub hash: String,
}

/// A file that the agent owns, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredFile {
    /// Where.
    pub path: HostPath,
    /// Its content; begins with [`MARKER`].
    pub text: String,
    /// Permission bits.
    pub mode: u32,
    /// The systemd unit that comes of it, if one does.
    pub unit: Option<UnitName>,
}

/// A service of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredService {
    /// Which.
    pub service: Service,
    /// The systemd unit.
    pub unit: UnitName,
    /// What it runs: by digest as soon as the image is locked.
    pub image: ImageRef,
    /// Names the unit's text; a container that was made from it carries it as [`crate::model::HASH_LABEL`].
    pub hash: String,
    /// The services that have to be healthy before it starts.
    pub needs: Vec<Service>,
    /// The secrets that are mounted into it.
    pub secrets: Vec<SecretName>,
    /// Paths in the container at which subvolumes are mounted.
    pub mounts: Vec<&'static str>,
}

/// An account of iCloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredAccount {
    /// Which.
    pub name: AccountName,
    /// The unit of the container, which downloads once and ends.
    pub run: UnitName,
    /// The unit that looks before it starts that one, and reads what it said.
    pub sync: UnitName,
    /// When; none where a person starts each run.
    pub timer: Option<UnitName>,
    /// What it runs: by digest as soon as the image is locked.
    pub image: ImageRef,
    /// Names the unit's text; a container that was made from it carries it as [`crate::model::HASH_LABEL`].
    pub hash: String,
    /// Where the photographs lie.
    pub photos: HostPath,
    /// Where icloudpd keeps its session.
    pub cookies: HostPath,
    /// What says that these are its photographs.
    pub sentinel: Sentinel,
    /// Whether icloudpd writes into the photographs.
    pub rewrites: bool,
}

impl DesiredAccount {
    /// Where the last session that was good is kept.
    pub fn good_cookies(&self) -> Result<HostPath, Invalid> {
        format!("{}.good", self.cookies).parse()
    }

    /// Its units.
    pub fn units(&self) -> impl Iterator<Item = &UnitName> {
        [&self.run, &self.sync].into_iter().chain(&self.timer)
    }
}

impl Desired {
    /// Whether a container of this name is one of ours.
    pub fn has_container(&self, name: &str) -> bool {
        self.services.iter().any(|service| service.service.stem() == name)
            || self.accounts.iter().any(|account| icloudpd::container(&account.name) == name)
    }

    /// Every unit that comes of the agent's files.
    pub fn units(&self) -> impl Iterator<Item = &UnitName> {
        self.files.iter().filter_map(|file| file.unit.as_ref())
    }
}

/// The refusal of a value that no unit file can hold.
fn unfit(what: &str) -> impl Fn(Invalid) -> Refusal {
    move |Invalid(expected)| Refusal::new(what, expected, "write another value; nothing was changed")
}

/// What the units are made from.
struct Context<'a> {
    settings: &'a Settings,
    facts: &'a Facts,
    images: Images<'a>,
    places: Places,
}

/// The name of the folder in which an operation keeps a live tree that it has replaced.
pub fn replaced_name(operation: u64, failed: bool) -> String {
    format!("{operation:06}{}", if failed { "-failed" } else { "" })
}

/// The stack for these settings on this host.
pub fn desire(settings: &Settings, facts: &Facts) -> Result<Desired, Refusal> {
    let images = images::choose(settings, facts)?;
    let places = places::lay_out(&settings.storage)?;
    let context = Context { settings, facts, images, places };

    let mut files = Vec::new();
    let mut services = Vec::new();
    for service in Service::ALL {
        let (file, desired) = container(service, &context)?;
        files.push(file);
        services.push(desired);
    }
    let (network_files, networks) = network::networks(&context)?;
    files.extend(network_files);
    files.extend(target::files()?);
    let (account_files, accounts) = icloudpd::accounts(&context)?;
    files.extend(account_files);
    let mut timers: Vec<UnitName> = accounts.iter().filter_map(|account| account.timer.clone()).collect();
    for (of_it, timers_of_it) in
        [timers::snapshots(&context)?, proof::files()?, timers::upgrades(&context)?, timers::scans(&context)?]
    {
        files.extend(of_it);
        timers.extend(timers_of_it);
    }

    Ok(Desired {
        folders: own_folders().into_iter().chain(context.places.folders()).collect(),
        subvolumes: context.places.subvolumes(),
        disks: context.places.disks(),
        snapshots: context.places.snapshots(),
        secrets: vec![SecretName::constant(DATABASE_PASSWORD)],
        networks,
        runs: context.images.runs.clone(),
        wish: context.images.wish.clone(),
        other_major: context.images.other_major.clone(),
        files,
        services,
        joined: settings.network.server_networks.clone(),
        target: UnitName::constant(TARGET),
        firewall: UnitName::constant(FIREWALL),
        resolve: UnitName::constant(RESOLVE),
        timers,
        accounts,
    })
}

/// The agent's own folders. Who may write into the first commands root; what lies in the second is nobody's business.
fn own_folders() -> [Folder; 2] {
    [(QUADLETS, 0o755), (STATE, 0o700)].map(|(path, mode)| Folder { path: HostPath::constant(path), mode, ours: true })
}

/// Where the database's cluster lies.
pub fn cluster(settings: &Settings) -> HostPath {
    let storage = &settings.storage;
    let root = storage.databases.as_ref().unwrap_or(&storage.root);
    root.join("live").join(Subvolume::Postgres.name())
}

/// Where its `PG_VERSION` lies, by the layouts of the images: up to PostgreSQL 17, and from 18 on.
pub fn cluster_versions(settings: &Settings) -> Vec<HostPath> {
    let cluster = cluster(settings);
    cluster_files().map(|file| cluster.join(&file)).collect()
}

/// The same in the subvolume.
pub fn cluster_files() -> impl Iterator<Item = String> {
    std::iter::once("PG_VERSION".to_owned()).chain((18..=18).map(|major| format!("{major}/docker/PG_VERSION")))
}

/// The quadlet of one service, and what is known of the service by it.
fn container(service: Service, context: &Context<'_>) -> Result<(DesiredFile, DesiredService), Refusal> {
    let mut unit = match service {
        Service::Postgres => postgres::unit(context),
        Service::Redis => redis::unit(context),
        Service::Server => server::unit(context),
        Service::Ml => ml::unit(context),
    }?;
    let hash = unit.label("Container")?;
    let path = HostPath::constant(format!("{QUADLETS}/{}.container", service.stem()));
    let needs = if service == Service::Server { vec![Service::Postgres, Service::Redis] } else { Vec::new() };
    let reads_password = matches!(service, Service::Postgres | Service::Server);
    let secrets = if reads_password { vec![SecretName::constant(DATABASE_PASSWORD)] } else { Vec::new() };
    let name = UnitName::constant(service.unit());
    let desired = DesiredService {
        service,
        unit: name.clone(),
        image: context.images.run(service, &context.facts.lock),
        hash,
        needs,
        secrets,
        mounts: unit.mounts(),
    };
    Ok((unit.into_file(path, name), desired))
}
