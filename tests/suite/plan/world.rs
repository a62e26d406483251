//! A host in memory: looked at as the real one is, and changed by steps as the real one is.
//!
//! It holds the plan to what a real host would: a service starts only where its folder, its image, its
//! secret and its unit are, and a step of the wrong order panics.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use photos_agent::config::Settings;
use photos_agent::model::icloud::Sentinel;
use photos_agent::model::{
    AccountName, ActiveState, ContainerState, Digest, FileKind, FileState, HostPath, Kernel, LoadState, NetworkState,
    PlaceState, PodmanState, RolePassword, SecretState, Service, Subvolume, SubvolumeState, UnitName, UnitState,
};
use photos_agent::plan::transcoding::{Asked, Setting};
use photos_agent::plan::{Gate, LibraryState, Observed, PODMAN_SOCKET, Plan, SentinelState, Step, Unreachable, plan};
use photos_agent::stack::{Desired, Facts, QUADLETS, UNITS, desire, icloudpd};

use crate::stack::{bare, empty, locked};

/// What [`photos_agent::apply`] allows an operation.
const ROUNDS: usize = 5;

/// The host, and what the agent remembers of it.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)]
pub struct World {
    pub settings: Settings,
    pub facts: Facts,
    pub podman: PodmanState,
    /// Podman does not answer although its socket is there.
    pub podman_is_deaf: bool,
    /// systemd does not answer.
    pub systemd_is_deaf: bool,
    pub units: BTreeMap<UnitName, UnitState>,
    pub places: BTreeMap<HostPath, PlaceState>,
    /// Places that cannot be looked at.
    pub unreadable: BTreeMap<HostPath, String>,
    pub files: BTreeMap<HostPath, String>,
    /// Those of them that are not files of root's with the right mode.
    pub spoiled: BTreeMap<HostPath, FileState>,
    pub shadows: Vec<HostPath>,
    pub kernel: Kernel,
    pub recorded: BTreeMap<HostPath, String>,
    /// The files of the last operation that went well.
    pub settled: BTreeSet<HostPath>,
    pub known: BTreeMap<Subvolume, HostPath>,
    pub role: Option<RolePassword>,
    pub converged: bool,
    pub stack_was_stopped: bool,
    /// The open operation holds the services at a boot.
    pub holds: bool,
    /// The open operation puts back what was.
    pub going_back: bool,
    pub filled: BTreeSet<AccountName>,
    /// Immich's own setting of what encodes videos.
    pub transcoding: Option<Asked>,
    /// Folders of photographs.
    pub libraries: BTreeMap<AccountName, LibraryState>,
    /// First starts that have begun and not ended well.
    pub first_starts: BTreeSet<Subvolume>,
    /// What an image began to make and will not take up again.
    pub half_made: BTreeSet<Subvolume>,
    /// Seconds since 1970.
    pub clock: i64,
}

/// Where an operation is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The step is in the journal, and nothing was done for it.
    Before,
    /// Services had begun to start; of other steps nothing was done.
    Within,
    /// It was done, and the next one is not in the journal.
    After,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Converged,
    Refused,
    Cut,
    /// Five rounds, and this is still to do.
    Unsettled(Vec<String>),
}

pub fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

pub fn unit_name(name: &str) -> UnitName {
    name.parse().unwrap()
}

pub fn path(text: &str) -> HostPath {
    text.parse().unwrap()
}

/// A subvolume as it should be.
pub fn whole(subvolume: Subvolume, empty: bool) -> SubvolumeState {
    let (uid, mode) = (subvolume.owner(), subvolume.mode());
    SubvolumeState { nocow: subvolume.nocow(), empty, mount_point: false, uid, gid: uid, mode }
}

fn folder(mode: u32) -> PlaceState {
    PlaceState::Folder { btrfs: true, empty: false, uid: 0, gid: 0, mode }
}

/// A folder of an account.
pub fn account_folder(mode: u32) -> PlaceState {
    let (uid, gid) = (icloudpd::UID, icloudpd::UID);
    PlaceState::Folder { btrfs: true, empty: false, uid, gid, mode }
}

impl World {
    /// A host on which nothing was ever done: Podman's socket is disabled, no image is there.
    pub fn empty() -> Self {
        Self {
            settings: empty(),
            facts: bare(),
            podman: PodmanState { version: "5.4.2".to_owned(), ..PodmanState::default() },
            podman_is_deaf: false,
            systemd_is_deaf: false,
            units: BTreeMap::from([(
                unit_name(PODMAN_SOCKET),
                UnitState { load: LoadState::Loaded, file_state: "disabled".to_owned(), ..UnitState::default() },
            )]),
            places: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            files: BTreeMap::new(),
            spoiled: BTreeMap::new(),
            shadows: Vec::new(),
            kernel: Kernel::default(),
            recorded: BTreeMap::new(),
            settled: BTreeSet::new(),
            known: BTreeMap::new(),
            role: None,
            converged: false,
            stack_was_stopped: false,
            holds: false,
            going_back: false,
            filled: BTreeSet::new(),
            transcoding: None,
            libraries: BTreeMap::new(),
            first_starts: BTreeSet::new(),
            half_made: BTreeSet::new(),
            clock: 1000,
        }
    }

    /// A host on which nothing is to be done, written down rather than arrived at.
    pub fn converged() -> Self {
        Self::converged_to(empty())
    }

    /// The same, to these settings.
    pub fn converged_to(settings: Settings) -> Self {
        let mut world = Self { settings, ..Self::empty() };
        world.facts = locked(&world.settings);
        let desired = world.desired();
        let up = |file_state: &str| UnitState {
            load: LoadState::Loaded,
            active: ActiveState::Active,
            sub: "running".to_owned(),
            file_state: file_state.to_owned(),
            ..UnitState::default()
        };
        world.units = desired.units().map(|unit| (unit.clone(), up("generated"))).collect();
        world.units.insert(desired.target.clone(), up("enabled"));
        let waits = UnitState { active: ActiveState::Inactive, ..up("enabled") };
        world.units.insert(desired.resolve.clone(), waits);
        for timer in &desired.timers {
            world.units.insert(timer.clone(), up("enabled"));
        }
        world.units.insert(unit_name(PODMAN_SOCKET), up("enabled"));
        world.places = desired.folders.iter().map(|place| (place.path.clone(), folder(place.mode))).collect();
        for place in &desired.subvolumes {
            world.places.insert(place.path.clone(), PlaceState::Subvolume(whole(place.subvolume, false)));
        }
        for account in &desired.accounts {
            for unit in [&account.run, &account.sync] {
                world.units.insert(unit.clone(), UnitState { active: ActiveState::Inactive, ..up("generated") });
            }
            world.places.insert(account.photos.clone(), account_folder(icloudpd::PHOTOS_MODE));
            world.places.insert(account.cookies.clone(), account_folder(0o700));
            world.podman.images.insert(account.image.to_string());
            let sentinel = SentinelState::Says(account.sentinel.clone());
            world.libraries.insert(account.name.clone(), LibraryState { has_pictures: true, sentinel });
        }
        world.files = desired.files.iter().map(|file| (file.path.clone(), file.text.clone())).collect();
        world.recorded = world.files.clone();
        world.settled = world.files.keys().cloned().collect();
        world.kernel = Kernel { ip_forward: true, inner_forwarding: Some(false), rules: Some(true) };
        world.converged = true;
        for secret in &desired.secrets {
            let state = SecretState { id: "1".to_owned(), updated: moment(100) };
            world.podman.secrets.insert(secret.to_string(), state);
        }
        for network in &desired.networks {
            let subnets = vec![network.subnet.map_or_else(|| "10.90.0.0/24".to_owned(), |subnet| subnet.to_string())];
            let state = NetworkState {
                driver: "bridge".to_owned(),
                interface: network.interface.clone(),
                internal: network.internal,
                subnets,
                hash: Some(network.hash.clone()),
            };
            world.podman.networks.insert(network.name.to_string(), state);
        }
        for service in &desired.services {
            world.podman.images.insert(service.image.to_string());
            let state = ContainerState {
                id: "1".to_owned(),
                unit: Some(service.unit.to_string()),
                hash: Some(service.hash.clone()),
                has_devices: !service.devices.is_empty(),
                networks: Vec::new(),
                secrets: world.podman.secrets.iter().map(|(name, state)| (name.clone(), state.id.clone())).collect(),
            };
            world.podman.containers.insert(service.service.stem().to_owned(), state);
        }
        world
    }

    pub fn desired(&self) -> Desired {
        desire(&self.settings, &self.facts).unwrap()
    }

    fn is_up(&self, unit: &str) -> bool {
        self.units.get(&unit_name(unit)).is_some_and(|state| state.active == ActiveState::Active)
    }

    /// The same questions as those of `observe`.
    pub fn observe(&self) -> Observed {
        let desired = self.desired();
        let podman = match (self.podman_is_deaf, self.is_up(PODMAN_SOCKET)) {
            (true, _) => Err(Unreachable("no answer within 60 s".to_owned())),
            (false, false) => Err(Unreachable("nobody listens".to_owned())),
            (false, true) => Ok(self.podman.clone()),
        };
        let names = desired.units().cloned().chain([unit_name(PODMAN_SOCKET)]);
        let units = names.map(|name| (name.clone(), self.units.get(&name).cloned().unwrap_or_default())).collect();
        let wanted = desired.folders.iter().map(|folder| &folder.path);
        let wanted = wanted.chain(desired.subvolumes.iter().map(|place| &place.path));
        let wanted = wanted.chain(desired.accounts.iter().flat_map(|account| [&account.photos, &account.cookies]));
        let look = |path: &HostPath| match self.unreadable.get(path) {
            Some(reason) => Err(reason.clone()),
            None => Ok(self.places.get(path).cloned().unwrap_or(PlaceState::Absent { btrfs: true })),
        };
        Observed {
            podman,
            units: if self.systemd_is_deaf { Err(Unreachable("no bus".to_owned())) } else { Ok(units) },
            places: wanted.map(|path| (path.clone(), look(path))).collect(),
            files: self.files.iter().map(|(path, text)| (path.clone(), Ok(self.file(path, text)))).collect(),
            shadows: self.shadows.clone(),
            kernel: self.kernel,
            known: self.known.clone(),
            role: self.role.clone(),
            recorded: self.recorded.iter().map(|(path, text)| (path.clone(), vec![text.clone()])).collect(),
            converged: self.converged,
            settled: self.settled.clone(),
            stack_was_stopped: self.stack_was_stopped,
            first_starts: self.first_starts.clone(),
            going_back: self.going_back,
            libraries: self.libraries.iter().map(|(name, state)| (name.clone(), Ok(state.clone()))).collect(),
            filled: self.filled.clone(),
            devices: desired
                .services
                .iter()
                .flat_map(|it| it.devices.clone())
                .filter(|it| self.has(std::slice::from_ref(it)))
                .collect(),
            transcoding: self.transcoding.clone(),
            selinux: false,
        }
    }

    /// Whether these device nodes and specifications are there.
    fn has(&self, devices: &[HostPath]) -> bool {
        let hardware = &self.facts.graphics.hardware;
        let nodes = hardware.gpus.iter().filter_map(|gpu| gpu.node.as_ref()).chain(&hardware.kfd);
        let of_cdi = hardware
            .cdi
            .iter()
            .flat_map(|cdi| cdi.nodes.iter().filter(|node| !cdi.missing.contains(node)).chain([&cdi.file]));
        let all: Vec<&HostPath> = nodes.map(|node| &node.path).chain(of_cdi).collect();
        devices.iter().all(|device| all.contains(&device))
    }

    fn file(&self, path: &HostPath, text: &str) -> FileState {
        let whole = FileState { text: text.to_owned(), kind: FileKind::Regular, uid: 0, gid: 0, mode: 0o644 };
        self.spoiled.get(path).map_or(whole, |spoiled| FileState { text: text.to_owned(), ..spoiled.clone() })
    }

    pub fn plan(&self) -> Plan {
        plan(&self.observe(), &self.desired())
    }

    /// One operation, cut off at its `at`th step if it has so many.
    pub fn apply(&mut self, cut: Option<(usize, Cut)>) -> End {
        let mut taken = 0;
        let mut left = Vec::new();
        for _ in 0..ROUNDS {
            let (desired, plan) = (self.desired(), self.plan());
            if !plan.refusals.is_empty() {
                return End::Refused;
            }
            if plan.steps.is_empty() {
                self.recorded = desired.files.iter().map(|file| (file.path.clone(), file.text.clone())).collect();
                self.known = desired.subvolumes.iter().map(|place| (place.subvolume, place.path.clone())).collect();
                self.settled = self.recorded.keys().cloned().collect();
                self.facts.graphics.last = Some(desired.acceleration.clone());
                self.converged = true;
                (self.stack_was_stopped, self.holds) = (false, false);
                return End::Converged;
            }
            left = super::said(&plan);
            for planned in plan.certain_steps() {
                self.stack_was_stopped |= planned.step == (Step::StopStack { resume: true });
                self.holds = match planned.step.gate() {
                    Gate::Open => self.holds,
                    Gate::Closed => true,
                    Gate::Starts { first } => first,
                };
                if cut == Some((taken, Cut::Before)) {
                    return End::Cut;
                }
                if cut == Some((taken, Cut::Within)) {
                    self.begin(&planned.step, &desired);
                    return End::Cut;
                }
                self.take(&planned.step, &desired);
                if cut == Some((taken, Cut::After)) {
                    return End::Cut;
                }
                taken += 1;
            }
        }
        End::Unsettled(left)
    }

    fn set_transcoding(&mut self, from: &Setting, to: &Setting) {
        let Some(Asked::Seen(seen)) = &mut self.transcoding else { panic!("nobody was asked") };
        assert_eq!(seen.now, *from);
        seen.now = to.clone();
        seen.ours.push(to.clone());
    }

    /// What the step does to a host.
    fn take(&mut self, step: &Step, desired: &Desired) {
        self.clock += 1;
        match step {
            Step::Enable { unit } => self.enable(unit),
            Step::Disable { unit } => self.disable(unit),
            Step::MakeFolder { path, mode } => self.make(path, folder(*mode)),
            Step::MakeSubvolume { subvolume, path, .. } => {
                let parent = path.as_path().parent().unwrap().to_str().unwrap().parse().unwrap();
                assert!(self.places.contains_key(&parent), "{path} has a parent");
                self.make(path, PlaceState::Subvolume(whole(*subvolume, true)));
                self.known.insert(*subvolume, path.clone());
            }
            Step::MakeLibrary { path, sentinel } => self.make_library(path, sentinel),
            Step::WriteSentinel { sentinel, .. } => self.say(sentinel),
            Step::SetNocow { path } => {
                let state = self.subvolume(path);
                assert!(state.empty, "NOCOW does nothing for files that exist");
                state.nocow = true;
            }
            Step::SetOwner { path, owner, mode } => {
                let found = self.places.get_mut(path).unwrap_or_else(|| panic!("{path} is not there"));
                let (PlaceState::Folder { uid, gid, mode: bits, .. }
                | PlaceState::Subvolume(SubvolumeState { uid, gid, mode: bits, .. })) = found
                else {
                    panic!("{path} is no folder")
                };
                (*uid, *gid, *bits) = (*owner, *owner, *mode);
            }
            Step::MakeSecret { secret } => {
                let state = SecretState { id: self.clock.to_string(), updated: moment(self.clock) };
                assert!(self.podman.secrets.insert(secret.to_string(), state).is_none(), "a secret was replaced");
            }
            Step::Pull { image } => {
                let digest = image.digest().cloned().unwrap_or_else(|| digest_of(&image.to_string()));
                self.podman.images.insert(image.at(digest.clone()).to_string());
                if image.digest().is_none() {
                    self.facts.lock.insert(image.clone(), digest);
                }
            }
            Step::StopStack { .. } => {
                let units = desired.services.iter().map(|service| service.unit.clone());
                for unit in units.chain([desired.target.clone()]).collect::<Vec<_>>() {
                    self.stop(&unit);
                }
            }
            Step::InstallFiles { files } => {
                for file in files {
                    assert_eq!(self.files.get(&file.path), file.before.as_ref(), "{}", file.path);
                    self.files.insert(file.path.clone(), file.text.clone());
                    self.spoiled.remove(&file.path);
                }
                self.reload(desired);
            }
            Step::Reload => self.reload(desired),
            Step::RemoveFiles { paths } => {
                for path in paths {
                    assert!(self.files.remove(path).is_some(), "{path}");
                }
            }
            Step::RemoveNetwork { network, unit } => {
                // Its containers require it, and Podman removes no network that is in use.
                self.stop(unit);
                for service in &desired.services {
                    self.stop(&service.unit);
                }
                self.podman.networks.remove(network.as_str());
            }
            Step::AllowForwarding => self.kernel.ip_forward = true,
            Step::DenyInnerForwarding => self.kernel.inner_forwarding = Some(false),
            Step::LoadRules { unit } => {
                assert!(self.is_up(unit.as_str()), "what is down cannot reload");
                self.kernel.rules = Some(true);
            }
            Step::SetTranscoding { from, to } => self.set_transcoding(from, to),
            Step::Stop { units } => units.iter().for_each(|unit| self.stop(unit)),
            Step::SetAside { subvolume, path, .. } => {
                assert!(!desired.services.iter().any(|service| self.is_up(service.unit.as_str())), "under a service");
                assert!(self.first_starts.contains(subvolume), "{path} may have been used");
                self.half_made.remove(subvolume);
                self.places.insert(path.clone(), PlaceState::Subvolume(whole(*subvolume, true)));
            }
            Step::WriteMarkers { folders } => {
                assert_eq!(folders.len(), 6);
                self.half_made.remove(&Subvolume::Media);
            }
            Step::Start { units, first } => {
                self.first_starts.extend(first);
                for unit in units {
                    self.start(unit, desired);
                }
            }
            Step::Restart { units } => {
                for unit in units {
                    self.stop(unit);
                    self.start(unit, desired);
                }
            }
        }
    }

    /// The power fails while services start for the first time.
    fn begin(&mut self, step: &Step, desired: &Desired) {
        let Step::Start { first, .. } = step else { return };
        self.first_starts.extend(first);
        self.half_made.extend(first);
        for place in desired.subvolumes.iter().filter(|place| first.contains(&place.subvolume)) {
            self.subvolume(&place.path).empty = false;
        }
    }

    fn enable(&mut self, unit: &UnitName) {
        let state = self.units.entry(unit.clone()).or_default();
        assert_eq!(state.load, LoadState::Loaded, "{unit} has a file");
        "enabled".clone_into(&mut state.file_state);
        if matches!(unit.as_str().rsplit_once('.'), Some((_, "socket" | "timer"))) {
            state.active = ActiveState::Active;
        }
    }

    fn disable(&mut self, unit: &UnitName) {
        let path = format!("{UNITS}/{unit}");
        assert!(self.files.keys().any(|file| file.as_str() == path), "{unit} is gone before it was disabled");
        self.stop(unit);
        "disabled".clone_into(&mut self.units.entry(unit.clone()).or_default().file_state);
    }

    fn make(&mut self, path: &HostPath, state: PlaceState) {
        assert!(self.places.insert(path.clone(), state).is_none(), "{path} was replaced");
    }

    fn make_library(&mut self, path: &HostPath, sentinel: &Sentinel) {
        self.make(path, account_folder(icloudpd::PHOTOS_MODE));
        let state = LibraryState { has_pictures: false, sentinel: SentinelState::Says(sentinel.clone()) };
        assert!(self.libraries.insert(sentinel.account.clone(), state).is_none(), "{path} was replaced");
    }

    fn say(&mut self, sentinel: &Sentinel) {
        let state = self.libraries.get_mut(&sentinel.account).expect("a folder to write it into");
        assert!(!state.has_pictures, "what was there is said otherwise");
        state.sentinel = SentinelState::Says(sentinel.clone());
    }

    fn subvolume(&mut self, path: &HostPath) -> &mut SubvolumeState {
        let Some(PlaceState::Subvolume(state)) = self.places.get_mut(path) else { panic!("{path} is no subvolume") };
        state
    }

    fn reload(&mut self, desired: &Desired) {
        for file in desired.files.iter().filter(|file| self.files.contains_key(&file.path)) {
            let Some(unit) = &file.unit else { continue };
            let state = self.units.entry(unit.clone()).or_default();
            if state.load == LoadState::NotFound {
                let installs = file.text.contains("[Install]");
                state.file_state = if installs { "disabled" } else { "generated" }.to_owned();
                state.load = LoadState::Loaded;
            }
            state.needs_reload = false;
        }
    }

    fn stop(&mut self, unit: &UnitName) {
        let now = u64::try_from(self.clock).unwrap();
        let state = self.units.entry(unit.clone()).or_default();
        if state.active != ActiveState::Inactive {
            state.active = ActiveState::Inactive;
            state.inactive_since = now;
        }
        self.podman.containers.retain(|_, container| container.unit.as_deref() != Some(unit.as_str()));
    }

    fn start(&mut self, unit: &UnitName, desired: &Desired) {
        let state = self.units.entry(unit.clone()).or_default();
        assert!(state.load == LoadState::Loaded && !state.needs_reload, "{unit}: {state:?}");
        if state.active == ActiveState::Active {
            return;
        }
        state.active = ActiveState::Active;
        if *unit == desired.firewall {
            self.kernel.rules = Some(true);
        }
        if let Some(service) = desired.services.iter().find(|service| service.unit == *unit) {
            self.run(service, desired);
        }
        for network in desired.networks.iter().filter(|network| network.unit == *unit) {
            self.make_network(network, desired);
        }
    }

    /// What `podman run` does, once all that it needs is there.
    fn run(&mut self, service: &photos_agent::stack::DesiredService, desired: &Desired) {
        for place in &desired.subvolumes {
            let state = self.subvolume(&place.path);
            assert!(state.nocow == place.subvolume.nocow() && !state.mount_point, "{}", place.path);
            // Only a database makes a cluster.
            state.empty &= place.subvolume == Subvolume::Postgres && service.service != Service::Postgres;
        }
        let own = match service.service {
            Service::Postgres => Subvolume::Postgres,
            Service::Redis => Subvolume::Redis,
            Service::Server => Subvolume::Media,
            Service::Ml => Subvolume::MlCache,
        };
        assert!(!self.half_made.contains(&own), "{} starts on what was half made", service.unit);
        self.first_starts.remove(&own);
        assert!(self.podman.images.contains(&service.image.to_string()), "{} starts without a pull", service.unit);
        assert!(service.secrets.iter().all(|secret| self.podman.secrets.contains_key(secret.as_str())));
        assert!(self.kernel.ip_forward, "a bridge made before it is on would forward");
        for network in &desired.networks {
            let state = self.units.entry(network.unit.clone()).or_default();
            if state.active != ActiveState::Active {
                state.active = ActiveState::Active;
                self.make_network(network, desired);
            }
            assert!(self.podman.networks.contains_key(network.name.as_str()), "{} has its network", service.unit);
        }
        let container = ContainerState {
            id: self.clock.to_string(),
            unit: Some(service.unit.to_string()),
            hash: self.label(&service.unit, desired),
            has_devices: !service.devices.is_empty() && self.has(&service.devices),
            networks: Vec::new(),
            secrets: self.podman.secrets.iter().map(|(name, state)| (name.clone(), state.id.clone())).collect(),
        };
        self.podman.containers.insert(service.service.stem().to_owned(), container);
    }

    fn make_network(&mut self, network: &photos_agent::stack::DesiredNetwork, desired: &Desired) {
        let state = NetworkState {
            driver: "bridge".to_owned(),
            interface: network.interface.clone(),
            internal: network.internal,
            subnets: vec![network.subnet.map_or_else(|| "10.90.0.0/24".to_owned(), |subnet| subnet.to_string())],
            hash: self.label(&network.unit, desired),
        };
        self.podman.networks.entry(network.name.to_string()).or_insert(state);
        if network.internal {
            self.kernel.inner_forwarding = Some(!self.kernel.ip_forward);
        }
    }

    /// The label in the text from which the unit was made.
    fn label(&self, unit: &UnitName, desired: &Desired) -> Option<String> {
        let file = desired.files.iter().find(|file| file.unit.as_ref() == Some(unit)).unwrap();
        let text = self.files.get(&file.path)?;
        let (_, rest) = text.split_once("Label=photos-agent.unit=")?;
        rest.lines().next().map(str::to_owned)
    }

    /// Power comes back, or somebody reboots: what is enabled comes up by itself.
    pub fn reboot(&mut self) {
        let desired = self.desired();
        for state in self.units.values_mut() {
            (state.active, state.inactive_since) = (ActiveState::Inactive, 0);
            if state.file_state == "enabled" && state.load == LoadState::Loaded {
                state.active = ActiveState::Active;
            }
        }
        // systemd reads all files at boot, and knows nothing of those that are gone.
        for file in desired.files.iter().filter(|file| !self.files.contains_key(&file.path)) {
            if let Some(unit) = &file.unit {
                self.units.remove(unit);
            }
        }
        self.reload(&desired);
        self.podman.containers.clear();
        self.kernel = Kernel {
            ip_forward: self.files.keys().any(|path| path.as_str().contains("sysctl.d")),
            inner_forwarding: None,
            rules: Some(false),
        };
        if self.holds || !self.is_up(desired.target.as_str()) {
            return;
        }
        let complete = |world: &Self, service: &photos_agent::stack::DesiredService| {
            world.units.get(&service.unit).is_some_and(|state| state.load == LoadState::Loaded)
                && world.podman.images.contains(&service.image.to_string())
                && service.secrets.iter().all(|secret| world.podman.secrets.contains_key(secret.as_str()))
                && desired.subvolumes.iter().all(|place| matches!(world.places.get(&place.path), Some(PlaceState::Subvolume(state)) if state.nocow == place.subvolume.nocow()))
                && world.kernel.ip_forward
        };
        for service in &desired.services {
            if complete(self, service) {
                self.start(&service.unit, &desired);
            } else if let Some(state) = self.units.get_mut(&service.unit) {
                state.active = ActiveState::Failed;
            }
        }
    }

    /// Whether every service of the stack is up.
    pub fn runs(&self) -> bool {
        let desired = self.desired();
        desired.services.iter().all(|service| self.is_up(service.unit.as_str()))
    }

    /// Paths in the agent's own folder.
    pub fn own(name: &str) -> HostPath {
        path(&format!("{QUADLETS}/{name}"))
    }

    /// Everything of Podman's that has a name.
    pub fn podman_names(&self) -> BTreeSet<String> {
        let podman = &self.podman;
        podman.containers.keys().chain(podman.networks.keys()).chain(podman.secrets.keys()).cloned().collect()
    }
}

/// The digest that a registry would answer with.
fn digest_of(tag: &str) -> Digest {
    let sum: u64 = tag.bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("sha256:{sum:064x}").parse().unwrap()
}
