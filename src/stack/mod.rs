//! What the host should have: services, networks, secrets, subvolumes and every file, from the settings and
//! a few facts of the host.
//!
//! One service per file; the base units are in `quadlets/` and `systemd/`, this module adds what settings and
//! host decide. Pure: it reads no file, no clock and no bus, and whatever it cannot put right it refuses.

mod desired;
mod devices;
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

use crate::config::Settings;
use crate::hardware::{self, Seen};
use crate::model::layout::STATE;
use crate::model::{
    Digest, HostPath, ImageRef, InForce, Invalid, PostgresMajor, Refusal, SecretName, Service, Subvolume, UnitName,
};
use images::Images;
use places::Places;

pub use desired::{Desired, DesiredAccount, DesiredFile, DesiredNetwork, DesiredService, Disk, Folder, SubvolumePlace};
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

/// The secret with the key by which the agent asks Immich.
pub const API_KEY: &str = "photos-immich-api-key";

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
    /// The graphics, and what was in use of them.
    pub graphics: Seen,
}

/// Programs that units run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// nftables' command.
    pub nft: HostPath,
    /// Podman's command.
    pub podman: HostPath,
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
        awaited: hardware::awaited(&facts.graphics, &context.images.graphics.acceleration),
        heeded: hardware::heeded(&facts.graphics, &context.images.graphics.acceleration),
        unfit: context.images.graphics.refusals.clone(),
        acceleration: context.images.graphics.acceleration.clone(),
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
    let devices = devices::of(service, &context.images.graphics.acceleration).there.clone();
    let desired = DesiredService {
        service,
        unit: name.clone(),
        image: context.images.run(service, &context.facts.lock),
        hash,
        needs,
        secrets,
        mounts: unit.mounts(),
        devices,
    };
    Ok((unit.into_file(path, name), desired))
}
