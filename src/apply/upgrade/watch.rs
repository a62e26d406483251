//! Watches what was started until it has been well for long enough, behind closed doors.
//!
//! What is well is `plan::health`'s to say. Each look is a few questions over sockets; the database is asked, by a process,
//! when all else is well. Doors that somebody opened are closed again here, and nothing else is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::apply::database::vitals;
use crate::apply::{Event, Progress};
use crate::host::podman::PodmanError;
use crate::host::systemd::SystemdError;
use crate::host::{Host, door, immich, journal};
use crate::model::{LoadState, Release, Service, UnitName, UnitState};
use crate::observe::chain;
use crate::plan::door::{Doors, doors};
use crate::plan::health::{Expected, Reason, Sample, ServiceSample, Verdict, baseline, judge};
use crate::stack::Desired;

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a waiting person hears what is waited for.
const REMIND: Duration = Duration::from_secs(10);

/// Lines of the journal that are kept of each unit.
const LINES: usize = 200;

/// How long it is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So long all must have been well, without a break.
    pub settle: Duration,
    /// By then it must have come to that.
    pub timeout: Duration,
}

/// Why what was started is not to be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Unwell {
    /// What was the matter at last.
    pub reasons: Vec<Reason>,
    /// How long it was waited for, where waiting was what was given up.
    pub waited: Option<Duration>,
}

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = self.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match self.waited {
            Some(waited) => write!(f, "not well within {} s: {reasons}", waited.as_secs()),
            None => f.write_str(&reasons),
        }
    }
}

impl Unwell {
    /// The units that something was the matter with, each once.
    pub fn units(&self) -> Vec<UnitName> {
        let mut units: Vec<UnitName> = self.reasons.iter().filter_map(|reason| reason.unit.clone()).collect();
        units.sort();
        units.dedup();
        units
    }
}

/// Looks until all has been well for `limits.settle`. Ends at once where something failed.
pub async fn watch(
    host: &Host,
    desired: &Desired,
    expected: &Expected,
    limits: &Limits,
    progress: &mut dyn Progress,
) -> Result<(), Unwell> {
    let begun = Instant::now();
    let mut doors = expected.doors.clone();
    let unwell = |reasons, waited| Unwell { reasons, waited };
    let (mut first, mut well_since, mut told) = (None, None, begun);
    loop {
        // What is seen is later than this.
        let at = Instant::now();
        let mut now = look(host, desired, &doors).await;
        let mut verdict = judge(first.as_ref(), &now, expected);
        first = Some(baseline(first, &now));
        let has_settled = well_since.is_some_and(|since| at.duration_since(since) >= limits.settle);
        if verdict == Verdict::Well && has_settled {
            // Another look after the question: nothing fell over meanwhile.
            let failures = vitals().await.map(|said| said.checksum_failures).map_err(|error| chain(&error));
            now = Sample { checksum_failures: Some(failures), ..look(host, desired, &doors).await };
            verdict = judge(first.as_ref(), &now, expected);
            if verdict == Verdict::Well {
                return Ok(());
            }
        }
        match verdict {
            Verdict::Well if well_since.is_some() => {}
            Verdict::Well => {
                well_since = Some(at);
                progress.hear(Event::Well(true));
            }
            Verdict::Failed(reasons) => return Err(unwell(reasons, None)),
            Verdict::NotYet(reasons) if begun.elapsed() >= limits.timeout => {
                return Err(unwell(reasons, Some(limits.timeout)));
            }
            Verdict::NotYet(reasons) => {
                if well_since.take().is_some() {
                    progress.hear(Event::Well(false));
                }
                if now.doors_closed == Ok(false) {
                    close_again(host, desired, &mut doors).await?;
                }
                if told.elapsed() >= REMIND {
                    told = Instant::now();
                    let units: Vec<&UnitName> = reasons.iter().filter_map(|reason| reason.unit.as_ref()).collect();
                    progress.hear(Event::Waiting(&units, begun.elapsed()));
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whoever flushed all rules did not mean to let people in, and a drop-in may have put the server on a further network, which
/// is known only now.
async fn close_again(host: &Host, desired: &Desired, found: &mut Doors) -> Result<(), Unwell> {
    let unwell = |why: &dyn fmt::Display| {
        let what = format!("a door to the server is open and cannot be closed: {why}");
        Unwell { reasons: vec![Reason { unit: None, what }], waited: None }
    };
    // What does not answer now is asked again at the next look; until then it counts as open.
    let Ok(podman) = host.podman.observe(&BTreeSet::new()).await else { return Ok(()) };
    *found = doors(&podman, desired)
        .map_err(|refusals| unwell(&refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    door::close(&host.root, &found.rules()).await.map_err(|error| unwell(&chain(&error)))?;
    tracing::warn!("a door to the server was open; it is closed now");
    Ok(())
}

/// One look at everything but the database.
async fn look(host: &Host, desired: &Desired, doors: &Doors) -> Sample {
    let units: Vec<UnitName> = desired.services.iter().map(|service| service.unit.clone()).collect();
    let states = match host.systemd().await {
        Ok(systemd) => systemd.units(&units).await,
        Err(error) => Err(error),
    };
    let samples = join_all(desired.services.iter().map(|service| sample(host, service.service, &states))).await;
    // One that the operator has masked is not to run.
    let is_masked = |sample: &ServiceSample| sample.unit.as_ref().is_ok_and(|unit| unit.load == LoadState::Masked);
    let services: BTreeMap<Service, ServiceSample> =
        samples.into_iter().filter(|(_, sample)| !is_masked(sample)).collect();
    let server = ask_server(services.get(&Service::Server)).await;
    let is_covered = match services.get(&Service::Server).map(|server| &server.run) {
        Some(Ok(Some(run))) => doors.cover(&run.networks),
        _ => true,
    };
    let closed = door::is_closed(&host.root, &doors.rules());
    let doors_closed = closed.map(|closed| closed && is_covered).map_err(|error| chain(&error));
    Sample { services, server, doors_closed, checksum_failures: None }
}

type States = Result<BTreeMap<UnitName, UnitState>, SystemdError>;

async fn sample(host: &Host, service: Service, states: &States) -> (Service, ServiceSample) {
    let name = service.unit();
    let unit = match states {
        Ok(states) => {
            let found = states.iter().find(|(unit, _)| unit.as_str() == name);
            found.map(|(_, state)| state.clone()).ok_or_else(|| "systemd does not know it".to_owned())
        }
        Err(error) => Err(chain(error)),
    };
    let run = host.podman.running(service.stem()).await.map_err(|error: PodmanError| chain(&error));
    (service, ServiceSample { unit, run })
}

async fn ask_server(sample: Option<&ServiceSample>) -> Result<Release, String> {
    match sample.map(|sample| &sample.run) {
        Some(Ok(Some(run))) => immich::probe(run.pid).await.map_err(|error| chain(&error)),
        _ => Err("it does not run".to_owned()),
    }
}

/// The last words of these units since then, to be kept.
pub async fn journal_of(units: &[UnitName], since: Timestamp) -> String {
    let mut text = String::new();
    for unit in units {
        text.push_str(&journal::since(unit, since, LINES).await);
    }
    text
}
