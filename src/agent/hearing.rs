//! What the daemon listens to, and the one place where it is heard: files, Podman's stores, units, mounts.
//!
//! Nothing here looks at anything or decides. Each thing heard is a reason for a look, no more.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, Interval};

use crate::apply;
use crate::host::signals::{self, Known, Signals};
use crate::host::watch::{Ear, Ears, Watch, add_way};
use crate::host::{generator, kernel, storage};
use crate::model::hardware::RenderNode;
use crate::model::layout::STATE;
use crate::model::{HostPath, Kernel, PlaceState, Root, UnitName, UnitState};
use crate::observe::chain;
use crate::plan::PODMAN_SOCKET;
use crate::stack::{Desired, FIREWALL_CHAINS, FIREWALL_TABLE, INNER_INTERFACE, QUADLETS, UNITS};

/// Where netavark keeps a file for each network, and Podman its list of secrets. Podman's own stream of events
/// would tell the same, and keep its service in memory for ever.
const NETWORKS: &str = "/etc/containers/networks";
const SECRETS: (&str, &str) = ("/var/lib/containers/storage/secrets", "secrets.json");

/// Records that decide what is wanted. The others are the agent's own notes.
const RECORDS: [&str; 2] = ["images.lock", "places.json"];

/// First wait before a lost bus is tried again, doubled each time, and the longest.
const RECONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What there is to listen to for one state of things.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Subjects {
    root: Root,
    folders: Ears,
    units: Known,
    places: Vec<HostPath>,
}

/// What no file system and no bus tells of: flags of subvolumes, switches of the kernel. Cheap to ask for.
#[derive(Debug, PartialEq, Eq, Default)]
struct Felt {
    nocow: Vec<Option<bool>>,
    kernel: Kernel,
}

impl Subjects {
    /// Those of a stack; `states` is what was just seen of the units.
    pub(super) fn of(root: &Root, desired: &Desired, states: &BTreeMap<UnitName, UnitState>) -> Self {
        let places = desired.subvolumes.iter().map(|place| place.path.clone()).collect();
        let (folders, units) = (folders(root, desired), units(root, desired, states));
        Self { root: root.clone(), folders, units, places }
    }

    fn feel(&self) -> Felt {
        let nocow = |path: &HostPath| match storage::observe(&self.root.join(path.as_path())) {
            Ok(PlaceState::Subvolume(found)) => Some(found.nocow),
            _ => None,
        };
        let kernel = kernel::observe(&self.root, INNER_INTERFACE, FIREWALL_TABLE, &FIREWALL_CHAINS).unwrap_or_default();
        Felt { nocow: self.places.iter().map(nocow).collect(), kernel }
    }
}

/// Every name that matters, by folder, and the way to each folder.
fn folders(root: &Root, desired: &Desired) -> Ears {
    let mut ears = Ears::new();
    let mut add = |folder: &Path, names: &[&str], changes: bool| {
        let ear = ears.entry(root.join(folder)).or_default();
        ear.names.extend(names.iter().map(OsString::from));
        ear.changes |= changes;
    };
    let files = desired.files.iter().map(|file| &file.path);
    let folders = desired.folders.iter().map(|folder| &folder.path);
    let places = desired.subvolumes.iter().map(|place| &place.path).chain(folders);
    for path in files.chain(places) {
        if let (Some(folder), Some(name)) = (path.as_path().parent(), name(path.as_path())) {
            add(folder, &[name], true);
        }
    }
    let units: Vec<&str> = desired.units().map(UnitName::as_str).collect();
    // Where units are masked, for good and for this boot.
    for folder in [UNITS, "/run/systemd/system"] {
        add(folder.as_ref(), &units, true);
    }
    add(STATE.as_ref(), &RECORDS, true);
    if let (Some(folder), Some(name)) = (Path::new(apply::LOCK).parent(), name(Path::new(apply::LOCK))) {
        add(folder, &[name], false);
        ears.entry(root.join(folder)).or_default().closing = true;
    }
    for (folder, names) in graphics() {
        let ear = ears.entry(root.join(folder)).or_default();
        ear.names.extend(names.into_iter().map(OsString::from));
        // Not what is written: every line to /dev/null would be heard.
        ear.owners = true;
    }
    for path in &desired.heeded {
        let path = path.as_path();
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            let ear = ears.entry(root.join(folder)).or_default();
            ear.names.insert(name.to_owned());
            ear.owners = true;
            // A specification is written in place.
            ear.closing |= !folder.starts_with("/dev");
        }
    }
    let ways: Vec<PathBuf> = ears.keys().cloned().collect();
    for folder in &ways {
        add_way(&mut ears, folder);
    }
    add_quadlet_folders(root, desired, &mut ears);
    // Not the way to them: health checks write in the folder above.
    let networks = desired.networks.iter().map(|network| &network.name).chain(&desired.joined);
    let networks = networks.map(|network| OsString::from(format!("{network}.json"))).collect();
    ears.insert(root.join(NETWORKS), Ear { names: networks, changes: true, ..Ear::default() });
    ears.insert(
        root.join(SECRETS.0),
        Ear { names: BTreeSet::from([SECRETS.1.into()]), changes: true, ..Ear::default() },
    );
    ears
}

/// Where graphics cards come and go. Nodes of more cards than a host has are not listened to.
fn graphics() -> [(&'static str, Vec<String>); 4] {
    let render = (128..144).filter_map(RenderNode::of_minor).map(RenderNode::name).collect();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let specifications = || names(&["nvidia.yaml", "nvidia.json"]);
    [
        ("/dev", names(&["kfd", "nvidiactl"])),
        ("/dev/dri", render),
        ("/etc/cdi", specifications()),
        ("/run/cdi", specifications()),
    ]
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Other people's files of our names, in any folder that is there or comes.
fn add_quadlet_folders(root: &Root, desired: &Desired, ears: &mut Ears) {
    let ours = desired.files.iter().filter(|file| file.path.as_str().starts_with(QUADLETS));
    let names: BTreeSet<OsString> =
        ours.filter_map(|file| file.path.as_path().file_name().map(OsString::from)).collect();
    for folder in generator::FOLDERS {
        add_way(ears, &root.join(folder));
    }
    for folder in generator::folders(root, QUADLETS) {
        let ear = ears.entry(root.join(folder)).or_default();
        ear.names.extend(names.iter().cloned());
        ear.folders = true;
    }
}

/// Our units, Podman's socket, and every mount that the storage may lie on.
fn units(root: &Root, desired: &Desired, states: &BTreeMap<UnitName, UnitState>) -> Known {
    let names = desired.units().map(UnitName::as_str).chain([PODMAN_SOCKET]);
    let state = |name: &str| Some(states.iter().find(|(unit, _)| unit.as_str() == name)?.1.active);
    let mut units: Known = names.map(|name| (name.to_owned(), state(name))).collect();
    let storage = desired.folders.iter().map(|folder| &folder.path).chain(desired.subvolumes.iter().map(|s| &s.path));
    for path in storage {
        units.extend(signals::mounts(&root.join(path.as_path())).into_iter().map(|mount| (mount, None)));
    }
    units
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something changed; what, for the log.
    Change(String),
    /// A unit went up or down. systemd may be about to see to it.
    Unit(String),
    /// The bus is lost. It is listened to again as soon as it is back, and that is a change.
    BusLost,
}

/// The ears of the daemon.
#[derive(Debug)]
pub(super) struct Hearing {
    watch: Option<Watch>,
    signals: Option<Signals>,
    subjects: Subjects,
    /// What makes no sound, as it was felt last.
    felt: Felt,
    beats: Interval,
    reconnect: (Instant, Duration),
}

impl Hearing {
    /// Listens to nothing yet.
    pub(super) fn new(beats: Interval) -> Self {
        let watch = Watch::new().inspect_err(deaf).ok();
        let reconnect = (Instant::now(), RECONNECT.0);
        Self { watch, signals: None, subjects: Subjects::default(), felt: Felt::default(), beats, reconnect }
    }

    /// Whether files cannot be listened to, so that only looking helps.
    pub(super) const fn is_deaf(&self) -> bool {
        self.watch.is_none()
    }

    /// Listens to these from now on. Returns whether there is anything among them that was not listened to before.
    pub(super) async fn listen(&mut self, subjects: Subjects) -> bool {
        let folders = subjects.folders != self.subjects.folders;
        let units = !subjects.units.keys().eq(self.subjects.units.keys());
        self.subjects = subjects;
        self.watch();
        if units || self.signals.is_none() {
            self.subscribe().await;
        }
        folders || units
    }

    /// Before a look: what changes from here on is heard of. Folders that were exchanged are taken anew.
    pub(super) fn refresh(&mut self) {
        self.felt = self.subjects.feel();
        self.watch();
    }

    fn watch(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        if let Err(error) = watch.listen(&self.subjects.folders) {
            deaf(&error);
            self.watch = None;
        }
    }

    async fn subscribe(&mut self) {
        match Signals::subscribe(&self.subjects.units).await {
            Ok(signals) => {
                self.signals = Some(signals);
                self.reconnect = (Instant::now(), RECONNECT.0);
            }
            Err(error) => {
                tracing::debug!("no signals from systemd: {}", chain(&error));
                let wait = self.reconnect.1;
                self.signals = None;
                self.reconnect = (Instant::now() + wait, (wait * 2).min(RECONNECT.1));
            }
        }
    }

    /// Waits until something is heard. Loses nothing where it is dropped while waiting.
    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            let is_connected = self.signals.is_some();
            tokio::select! {
                changed = changed(self.watch.as_mut()) => match changed {
                    Ok(path) => return Heard::Change(format!("{} changed", path.display())),
                    Err(error) => {
                        deaf(&error);
                        self.watch = None;
                    }
                },
                said = next(self.signals.as_mut()) => {
                    if let Some(said) = said {
                        return Heard::Unit(said);
                    }
                    self.signals = None;
                    self.reconnect = (Instant::now() + RECONNECT.0, RECONNECT.0);
                    return Heard::BusLost;
                }
                _ = self.beats.tick() => {
                    let felt = self.subjects.feel();
                    if self.felt != felt {
                        self.felt = felt;
                        return Heard::Change("a flag changed".to_owned());
                    }
                }
                () = tokio::time::sleep_until(self.reconnect.0), if !is_connected && !self.subjects.units.is_empty() => {
                    self.subscribe().await;
                    if self.signals.is_some() {
                        return Heard::Change("the system bus is back".to_owned());
                    }
                }
            }
        }
    }
}

async fn changed(watch: Option<&mut Watch>) -> std::io::Result<PathBuf> {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

async fn next(signals: Option<&mut Signals>) -> Option<String> {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

fn deaf(error: &std::io::Error) {
    tracing::error!("changes of files are not heard of, and looked for now and then: {error}");
}
