//! systemd over D-Bus: read unit states, reload, enable, and follow jobs to their results.
//!
//! One connection, for as long as the bus lives. Only the methods used are declared; tuples and strings
//! of the bus become types here and go no further. No decision about the stack is made in this room.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

use crate::host::proxy::{JobRemovedStream, ManagerProxy, PropertiesProxy};
use crate::model::UnitName;
use crate::model::{ActiveState, LoadState, UnitState};

const SERVICE: &str = "org.freedesktop.systemd1";
const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
const SERVICE_INTERFACE: &str = "org.freedesktop.systemd1.Service";

/// How often a waiting person hears that nothing has changed.
const REMIND: Duration = Duration::from_secs(10);

/// What went wrong between the agent and systemd.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// No bus, no systemd on it, or the connection was lost.
    #[error("cannot reach systemd over the system bus")]
    Unreachable(#[source] zbus::Error),
    /// systemd refused a call.
    #[error("systemd refused to {verb} {what}")]
    Refused {
        /// What was asked for.
        verb: &'static str,
        /// Of which unit.
        what: String,
        /// systemd's answer.
        #[source]
        source: zbus::Error,
    },
    /// The kernel's files of a slice.
    #[error("cannot use the control group {}", path.display())]
    Cgroup {
        /// Where it is.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The bus went away while jobs were being followed.
    #[error("the bus was lost while waiting for {0}")]
    Lost(String),
}

/// What is asked of systemd for one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start it; an active unit stays as it is.
    Start,
    /// Stop it; an inactive unit stays as it is.
    Stop,
    /// Stop and start it.
    Restart,
    /// Have it do what it does for a reload; it must be up.
    Reload,
}

impl Verb {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }
}

/// How a job ended: `done`, or systemd's word for why not (systemd's D-Bus API, `JobRemoved`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResult {
    /// The unit.
    pub unit: UnitName,
    /// `done`, `failed`, `timeout`, `dependency`, `canceled`, `skipped` and some rarer ones.
    pub result: String,
    /// From the request to the end.
    pub took: Duration,
}

/// News of jobs, as they come.
#[derive(Debug)]
pub enum JobNews<'a> {
    /// A job ended.
    Ended(&'a JobResult),
    /// Still waiting for these, for that long.
    Waiting(Vec<&'a UnitName>, Duration),
}

/// The one connection to systemd.
#[derive(Debug)]
pub struct Systemd {
    bus: Connection,
    pub(super) manager: ManagerProxy<'static>,
    /// systemd sends signals of jobs to subscribers only, and takes one subscription per connection.
    subscribed: OnceCell<()>,
}

impl Systemd {
    /// Connects to the system bus. Sends no call that changes anything.
    pub async fn connect() -> Result<Self, SystemdError> {
        let bus = Connection::system().await.map_err(SystemdError::Unreachable)?;
        let manager = ManagerProxy::new(&bus).await.map_err(SystemdError::Unreachable)?;
        Ok(Self { bus, manager, subscribed: OnceCell::new() })
    }

    /// Whether the bus has gone away. What is asked of this one then fails.
    pub(super) fn is_lost(&self) -> bool {
        self.bus.is_closed()
    }

    /// The state of each unit, known to systemd or not.
    pub async fn units(&self, names: &[UnitName]) -> Result<BTreeMap<UnitName, UnitState>, SystemdError> {
        let words: Vec<&str> = names.iter().map(UnitName::as_str).collect();
        let rows = self.manager.list_units_by_names(&words).await.map_err(SystemdError::Unreachable)?;
        let reads = rows.into_iter().map(|row| async move {
            let (name, path, job) = (row.0, row.6, row.7);
            self.unit(&path, job != 0).await.map(|state| (name, state))
        });
        let states = try_join_all(reads).await?;
        Ok(states.into_iter().filter_map(|(name, state)| Some((name.parse().ok()?, state))).collect())
    }

    /// Whether a condition of the unit kept its last start from happening. The job of such a start is `done`. systemd forgets a
    /// unit that is down: of one that ran this may be said as well.
    pub async fn was_held_off(&self, unit: &UnitName) -> Result<bool, SystemdError> {
        let met = self.value(unit, UNIT_INTERFACE, "ConditionResult").await?;
        Ok(bool::try_from(&met).is_ok_and(|met| !met))
    }

    /// A property that is text, of a unit; none where the unit has no such property.
    pub(super) async fn property(
        &self,
        unit: &UnitName,
        interface: &str,
        name: &str,
    ) -> Result<Option<String>, SystemdError> {
        let value = self.value(unit, interface, name).await?;
        Ok(<&str>::try_from(&value).ok().map(str::to_owned))
    }

    /// The same of one that is a number.
    pub(super) async fn number(
        &self,
        unit: &UnitName,
        interface: &str,
        name: &str,
    ) -> Result<Option<u64>, SystemdError> {
        Ok(u64::try_from(&self.value(unit, interface, name).await?).ok())
    }

    async fn value(&self, unit: &UnitName, interface: &str, name: &str) -> Result<OwnedVariant, SystemdError> {
        let path = self.manager.load_unit(unit.as_str()).await.map_err(SystemdError::Unreachable)?;
        let proxy = PropertiesProxy::new(&self.bus, SERVICE, path).await.map_err(SystemdError::Unreachable)?;
        proxy.get(interface, name).await.map_err(SystemdError::Unreachable)
    }

    /// Units that systemd has loaded with names of these patterns: each with its active state, and whether it has a job.
    pub(super) async fn matching(&self, patterns: &[&str]) -> Result<Vec<(UnitName, String, bool)>, SystemdError> {
        // To systemd, no pattern is every unit.
        if patterns.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.manager.list_units_by_patterns(&[], patterns).await.map_err(SystemdError::Unreachable)?;
        Ok(rows.into_iter().filter_map(|row| Some((row.0.parse().ok()?, row.3, row.7 != 0))).collect())
    }

    async fn unit(&self, path: &OwnedObjectPath, job: bool) -> Result<UnitState, SystemdError> {
        let proxy = PropertiesProxy::new(&self.bus, SERVICE, path.clone()).await.map_err(SystemdError::Unreachable)?;
        // Of a service, two of the three hundred properties: for all of them systemd reads its cgroup's files.
        let of_service = async |name| {
            if !path.as_str().ends_with("_2eservice") {
                return None;
            }
            Some((name, proxy.get(SERVICE_INTERFACE, name).await.ok()?))
        };
        let (unit, result, restarts) =
            tokio::join!(proxy.get_all(UNIT_INTERFACE), of_service("Result"), of_service("NRestarts"));
        let unit = unit.map_err(SystemdError::Unreachable)?;
        let service = [result, restarts].into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(unit_state(&unit, &service, job))
    }

    /// Has systemd read all unit files again, generators included.
    pub async fn reload(&self) -> Result<(), SystemdError> {
        self.manager.reload().await.map_err(|source| refused("reload", "its unit files", source))
    }

    /// Makes the unit start at boot (`systemctl enable`), and reloads as that command does.
    pub async fn enable(&self, unit: &UnitName) -> Result<(), SystemdError> {
        let files = [unit.as_str()];
        self.manager
            .enable_unit_files(&files, false, false)
            .await
            .map_err(|source| refused("enable", unit.as_str(), source))?;
        self.reload().await
    }

    /// Keeps the unit from starting at boot (`systemctl disable`), and reloads as that command does.
    pub async fn disable(&self, unit: &UnitName) -> Result<(), SystemdError> {
        let files = [unit.as_str()];
        self.manager
            .disable_unit_files(&files, false)
            .await
            .map_err(|source| refused("disable", unit.as_str(), source))?;
        self.reload().await
    }

    /// Requests `verb` for all units at once and follows every job to its end.
    ///
    /// systemd orders the jobs by the units' own `After=`; units without an order between them go side
    /// by side. There is no time limit here: each unit brings its own.
    pub async fn run_jobs(
        &self,
        verb: Verb,
        units: &[UnitName],
        news: &mut (dyn FnMut(JobNews<'_>) + Send),
    ) -> Result<Vec<JobResult>, SystemdError> {
        let removed = self.listen().await?;
        let mut waiting = BTreeMap::new();
        for unit in units {
            let job = self.request(verb, unit).await?;
            waiting.insert(job.to_string(), unit.clone());
        }
        self.follow(removed, waiting, news).await
    }

    /// Ends of jobs, from now on. To be called before the first job: a fast one is gone before a later subscription.
    pub(super) async fn listen(&self) -> Result<JobRemovedStream, SystemdError> {
        let removed = self.manager.receive_job_removed().await.map_err(SystemdError::Unreachable)?;
        let subscribe = || self.manager.subscribe();
        self.subscribed.get_or_try_init(subscribe).await.map_err(SystemdError::Unreachable)?;
        Ok(removed)
    }

    /// Waits until all of these jobs have ended.
    pub(super) async fn follow(
        &self,
        mut removed: JobRemovedStream,
        mut waiting: BTreeMap<String, UnitName>,
        news: &mut (dyn FnMut(JobNews<'_>) + Send),
    ) -> Result<Vec<JobResult>, SystemdError> {
        let begun = Instant::now();
        let mut results = Vec::new();
        while !waiting.is_empty() {
            let Ok(signal) = tokio::time::timeout(REMIND, removed.next()).await else {
                news(JobNews::Waiting(waiting.values().collect(), begun.elapsed()));
                continue;
            };
            let names = || waiting.values().map(UnitName::as_str).collect::<Vec<_>>().join(", ");
            let Some(signal) = signal else { return Err(SystemdError::Lost(names())) };
            let Ok(args) = signal.args() else { continue };
            if let Some(unit) = waiting.remove(args.job.as_str()) {
                let result = JobResult { unit, result: args.result.to_owned(), took: begun.elapsed() };
                news(JobNews::Ended(&result));
                results.push(result);
            }
        }
        Ok(results)
    }

    /// Requests `verb` and does not wait for what becomes of it.
    pub async fn ask(&self, verb: Verb, unit: &UnitName) -> Result<(), SystemdError> {
        self.request(verb, unit).await.map(drop)
    }

    async fn request(&self, verb: Verb, unit: &UnitName) -> Result<OwnedObjectPath, SystemdError> {
        let name = unit.as_str();
        // `replace`: an operator's own conflicting job that is still waiting gives way, as with systemctl.
        let answer = match verb {
            Verb::Start => self.manager.start_unit(name, "replace").await,
            Verb::Stop => self.manager.stop_unit(name, "replace").await,
            Verb::Restart => self.manager.restart_unit(name, "replace").await,
            Verb::Reload => self.manager.reload_unit(name, "replace").await,
        };
        answer.map_err(|source| refused(verb.word(), name, source))
    }
}

pub(super) fn refused(verb: &'static str, what: &str, source: zbus::Error) -> SystemdError {
    SystemdError::Refused { verb, what: what.to_owned(), source }
}

type Properties = std::collections::HashMap<String, OwnedVariant>;

fn unit_state(unit: &Properties, service: &Properties, job: bool) -> UnitState {
    UnitState {
        load: LoadState::from_word(&text(unit, "LoadState")),
        active: ActiveState::from_word(&text(unit, "ActiveState")),
        sub: text(unit, "SubState"),
        file_state: text(unit, "UnitFileState"),
        source: text(unit, "SourcePath"),
        fragment: text(unit, "FragmentPath"),
        needs_reload: unit.get("NeedDaemonReload").and_then(|value| bool::try_from(value).ok()).unwrap_or(false),
        job,
        result: text(service, "Result"),
        restarts: service.get("NRestarts").and_then(|value| u32::try_from(value).ok()).unwrap_or(0),
        active_since: number(unit, "ActiveEnterTimestamp"),
        inactive_since: number(unit, "InactiveEnterTimestamp"),
    }
}

fn text(properties: &Properties, name: &str) -> String {
    properties.get(name).and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default().to_owned()
}

fn number(properties: &Properties, name: &str) -> u64 {
    properties.get(name).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}
