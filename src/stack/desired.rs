//! What is wanted of a host, as data: folders, subvolumes, networks, services, accounts and files.
//!
//! Nothing is decided here: `desire` fills it, `plan` holds it against what was observed.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{BENCH, OtherMajor, SNAPSHOTS, icloudpd};
use crate::model::hardware::Acceleration;
use crate::model::icloud::Sentinel;
use crate::model::{
    AccountName, HostPath, ImageRef, InForce, Invalid, NetworkName, Refusal, SecretName, Service, SnapshotId, Subnet,
    Subvolume, Tree, UnitName,
};

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
    /// What machine learning and transcoding are given.
    pub acceleration: Box<Acceleration>,
    /// What is wished for of it and cannot be.
    pub unfit: Vec<Refusal>,
    /// All whose coming and going makes a difference to it.
    pub heeded: BTreeSet<HostPath>,
    /// What is kept of it although it is not there yet: the host has only just booted.
    pub awaited: Vec<HostPath>,
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
    /// What has to be there before it is given its graphics card; empty where it has none.
    pub devices: Vec<HostPath>,
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
