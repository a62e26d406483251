//! Whether what was started is well: one look at it beside the first one.
//!
//! `NotYet` may become well by waiting, `Failed` does not. A restart is a failure, although systemd takes it for help: what
//! falls over once in its first seconds does so again, at night and with photographs on their way.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{ActiveState, ContainerRun, Release, Service, UnitName, UnitState};
use crate::plan::door::Doors;

/// What has to be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The release that the server must be.
    pub release: Release,
    /// Pages that did not fit their checksums before: not more may be so now.
    pub checksum_failures: u64,
    /// What must be closed meanwhile, as far as it was known before the start.
    pub doors: Doors,
}

/// One look. What could not be looked at is a text that says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The services that have to run.
    pub services: BTreeMap<Service, ServiceSample>,
    /// The release that the server says it is, in the breath in which it answers a ping.
    pub server: Result<Release, String>,
    /// Whether nobody but the agent reaches it.
    pub doors_closed: Result<bool, String>,
    /// Pages that do not fit their checksums, where the database was asked.
    pub checksum_failures: Option<Result<u64, String>>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSample {
    /// As systemd sees it.
    pub unit: Result<UnitState, String>,
    /// As Podman does; none where no container runs.
    pub run: Result<Option<ContainerRun>, String>,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The unit that it is about, if it is about one.
    pub unit: Option<UnitName>,
    /// What, for people.
    pub what: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Some(unit) => write!(f, "{unit} {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be.
    Well,
    /// It may still become so.
    NotYet(Vec<Reason>),
    /// It will not.
    Failed(Vec<Reason>),
}

/// What is held against later looks: of each service what was first known of it.
pub fn baseline(first: Option<Sample>, now: &Sample) -> Sample {
    let Some(mut first) = first else { return now.clone() };
    for (service, now) in &now.services {
        let known = first.services.entry(*service).or_insert_with(|| now.clone());
        if known.unit.is_err() {
            known.unit.clone_from(&now.unit);
        }
        if !matches!(known.run, Ok(Some(_))) {
            known.run.clone_from(&now.run);
        }
    }
    first
}

/// Judges one look, by the [`baseline`] if there has been one before.
pub fn judge(first: Option<&Sample>, now: &Sample, expected: &Expected) -> Verdict {
    let mut found = Findings::default();
    for (service, sample) in &now.services {
        let before = first.and_then(|first| first.services.get(service));
        found.about = Some(UnitName::constant(service.unit()));
        judge_unit(before, sample, &mut found);
        judge_run(before, sample, &mut found);
    }
    found.about = Some(UnitName::constant(Service::Server.unit()));
    match &now.server {
        Err(why) => found.not_yet(format!("does not answer: {why}")),
        Ok(release) if *release != expected.release => {
            found.failed(format!("is {release}, and {} was to be started", expected.release));
        }
        Ok(_) => {}
    }
    found.about = Some(UnitName::constant(Service::Postgres.unit()));
    match &now.checksum_failures {
        Some(Err(why)) => found.not_yet(format!("does not tell of its checksums: {why}")),
        Some(Ok(failures)) if *failures > expected.checksum_failures => {
            found.failed(format!("has {failures} damaged pages, and {} before", expected.checksum_failures));
        }
        _ => {}
    }
    found.about = None;
    match &now.doors_closed {
        Ok(true) => {}
        // Nothing is wrong with what was started; the time that they were open does not count.
        Ok(false) => found.not_yet("a door to the server is open".to_owned()),
        Err(why) => found.not_yet(format!("it is not known whether the doors to the server are closed: {why}")),
    }
    found.verdict()
}

fn judge_unit(before: Option<&ServiceSample>, sample: &ServiceSample, found: &mut Findings) {
    let unit = match &sample.unit {
        Ok(unit) => unit,
        Err(why) => return found.not_yet(format!("is not known to be up: {why}")),
    };
    let before = before.and_then(|before| before.unit.as_ref().ok());
    let was_up = before.is_some_and(|before| before.active == ActiveState::Active);
    match unit.active {
        ActiveState::Active => {}
        ActiveState::Failed => found.failed(format!("failed ({})", unit.result)),
        // It has ended, and systemd waits before it tries again: for ever, so it never counts as failed.
        ActiveState::Activating if unit.sub.starts_with("auto-restart") => {
            found.failed(format!("ended by itself ({})", unit.result));
        }
        ActiveState::Activating if was_up => found.failed(format!("was up and is started again ({})", unit.result)),
        ActiveState::Activating => found.not_yet("is still starting".to_owned()),
        ActiveState::Deactivating | ActiveState::Inactive if was_up => {
            found.failed(format!("was up and is stopped ({})", unit.result));
        }
        ActiveState::Deactivating | ActiveState::Inactive => found.not_yet("is not up".to_owned()),
    }
    if let Some(before) = before.filter(|before| unit.restarts > before.restarts) {
        let times = unit.restarts - before.restarts;
        found.failed(format!("was restarted by systemd ({times} times, the last run ended with {})", unit.result));
    }
}

fn judge_run(before: Option<&ServiceSample>, sample: &ServiceSample, found: &mut Findings) {
    let before = before.and_then(|before| before.run.as_ref().ok()).and_then(Option::as_ref);
    match (&sample.run, before) {
        (Err(why), _) => return found.not_yet(format!("has a container that Podman does not tell of: {why}")),
        (Ok(None), Some(_)) => found.failed("has lost its container".to_owned()),
        (Ok(None), None) => found.not_yet("has no container that runs".to_owned()),
        (Ok(Some(run)), Some(before)) if (&run.id, &run.started) != (&before.id, &before.started) => {
            found.failed("has another container than at first: it was restarted".to_owned());
        }
        (Ok(Some(_)), _) => {}
    }
    let Ok(Some(run)) = &sample.run else { return };
    match run.health.as_deref() {
        Some("healthy") => {}
        // So often in a row that Podman says so.
        Some("unhealthy") => found.failed("is unhealthy".to_owned()),
        Some(_) => found.not_yet("is not healthy yet".to_owned()),
        None => found.not_yet("has no health check".to_owned()),
    }
}

#[derive(Default)]
struct Findings {
    about: Option<UnitName>,
    not_yet: Vec<Reason>,
    failed: Vec<Reason>,
}

impl Findings {
    fn not_yet(&mut self, what: String) {
        self.not_yet.push(Reason { unit: self.about.clone(), what });
    }

    fn failed(&mut self, what: String) {
        self.failed.push(Reason { unit: self.about.clone(), what });
    }

    fn verdict(self) -> Verdict {
        match (self.failed, self.not_yet) {
            (failed, _) if !failed.is_empty() => Verdict::Failed(failed),
            (_, not_yet) if !not_yet.is_empty() => Verdict::NotYet(not_yet),
            _ => Verdict::Well,
        }
    }
}
