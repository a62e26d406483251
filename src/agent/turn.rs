//! One turn of the daemon: look, judge, and mend what is its to mend.
//!
//! What is held is what was last applied, not what the files say by now: an edit that nobody has applied yet must
//! not be applied because a unit was touched. Only a start and a reload read the files.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::hearing::Subjects;
use super::left;
use super::outage::make_up;
use super::pace::{Repairs, Retry, Wait};
use super::resolve::{APPLY, applies_files};
use super::status::{Narrator, Voice};
use super::verdict::{Moment, Verdict, judge, steps};
use crate::apply::{self, ApplyError, Survey, applied, held};
use crate::config::{Diagnostics, Loaded};
use crate::host::Host;
use crate::host::kernel;
use crate::host::lock::{self, LockError};
use crate::log;
use crate::model::{Root, Service, UnitName};
use crate::notify;
use crate::observe::{DRIVERS_LOAD, chain};
use crate::record::{Generation, Generations, Pending};

/// The command under which a repair stands in the history.
const REPAIR: &str = "daemon: drift";

/// How often a held lock is looked at.
const LOOK_AT_LOCK: Duration = Duration::from_secs(1);

/// What a turn came to.
#[derive(Debug, Default)]
pub(super) struct Turned {
    /// What to listen to, where it is known.
    pub subjects: Option<Subjects>,
    /// When to take the next turn at the latest, if there is something to wait for.
    pub again: Option<Duration>,
    /// It changed nothing.
    pub idle: bool,
}

/// The daemon's own memory, none of which outlives it.
#[derive(Debug)]
pub(super) struct Keeper<L> {
    root: Root,
    load: L,
    /// The files are to be applied, and were not yet.
    fresh: bool,
    /// Somebody has said that they are to be applied; a start alone does not say it.
    word: bool,
    started: Instant,
    repairs: Repairs,
    retry: Retry,
    voice: Voice,
    /// Nobody has looked yet for what an interrupted snapshot or deletion left.
    untidy: bool,
}

/// A look, and what it is for.
struct Look {
    host: Host,
    loaded: Loaded,
    /// These are the files, and they are to be applied.
    fresh: bool,
    survey: Survey,
    /// The number of the last generation.
    generation: u32,
    verdict: Verdict,
}

impl<L: Fn() -> Result<Loaded, Diagnostics>> Keeper<L> {
    pub(super) fn new(root: Root, load: L) -> Self {
        let (repairs, retry, voice) = Default::default();
        Self { root, load, fresh: true, word: false, started: Instant::now(), repairs, retry, voice, untidy: true }
    }

    /// The operator wants the files to be applied now.
    pub(super) fn reload(&mut self) {
        self.fresh = true;
        self.word = true;
        self.repairs.forget();
        self.retry = Retry::default();
    }

    /// Nothing can be asked of systemd until the bus is back.
    pub(super) fn bus_lost(&mut self) {
        tracing::warn!("the system bus is lost, and listened to again when it is back");
        self.voice.status("waiting for the system bus");
    }

    /// Since the daemon's start.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Looks, and does what there is to do. May be dropped at any point: the next turn takes up what it left.
    pub(super) async fn turn(&mut self, heard: &str) -> Turned {
        self.wait_for_lock().await;
        let turned = Box::pin(self.look_and_mend(heard)).await;
        self.tidy().await;
        turned
    }

    /// Removes what an interrupted snapshot or deletion left, at the start and after each operation that was found open.
    /// Not before it is closed: a boot's services wait for that.
    async fn tidy(&mut self) {
        if self.untidy && matches!(Pending::read(&self.root), Ok(None)) {
            self.untidy = !left::tidy(&self.root).await;
        }
    }

    async fn look_and_mend(&mut self, heard: &str) -> Turned {
        let mut turned = Turned { idle: true, ..Turned::default() };
        match left::finish_restore(&self.root, &mut self.voice).await {
            Ok(false) => {}
            Ok(true) => return Turned { again: Some(Duration::ZERO), ..Turned::default() },
            Err(error) => {
                self.tell(&error);
                return Turned { again: Some(self.retry.next()), ..turned };
            }
        }
        let look = match self.look().await {
            Ok(Some(look)) => look,
            Ok(None) => return Turned { again: Some(self.retry.next()), ..turned },
            Err(error) => {
                self.tell(&error);
                return Turned { again: Some(self.retry.next()), ..turned };
            }
        };
        let states = look.survey.observed.units.as_ref().cloned().unwrap_or_default();
        turned.subjects = Some(Subjects::of(&self.root, &look.survey.desired, &states));
        let makes_up = look.verdict == Verdict::Settled;
        let failed = makes_up && !Box::pin(make_up(&look.host, &states)).await;
        tracing::debug!(heard, verdict = ?look.verdict, "looked");
        if !matches!(look.verdict, Verdict::Mend(_)) && self.voice.refusals(&look.survey.plan.refusals) {
            self.tell_refused(&look);
        }
        self.voice.concerns(&look.survey.plan.concerns);
        match &look.verdict {
            Verdict::Settled if failed => turned.again = Some(self.retry.next()),
            Verdict::Settled => {
                self.voice.settled(look.generation, &look.survey.plan.notes);
                // Files with mistakes are read again now and then.
                turned.again = if self.fresh {
                    Some(self.retry.next())
                } else {
                    self.retry = Retry::default();
                    drivers_have_loaded(&self.root, &look.survey)
                };
            }
            Verdict::Leave(units) => {
                let names: Vec<&str> = units.iter().map(UnitName::as_str).collect();
                self.voice.status(&format!("left to systemd: {}", names.join(", ")));
                turned.again = Some(self.retry.next());
            }
            Verdict::Refused => turned.again = Some(self.retry.next()),
            Verdict::Mend(steps) => match self.repairs.wait(steps, self.now()) {
                Some(Wait::Flaps(times, wait)) => {
                    self.voice.flaps(&steps.join(", "), times, wait);
                    turned.again = Some(wait);
                }
                Some(Wait::Failed(wait)) => turned.again = Some(wait),
                None => {
                    turned.idle = false;
                    turned.again = self.mend(&look, steps, heard).await;
                }
            },
        }
        turned
    }

    /// Waits for whoever changes the host, as long as that takes.
    async fn wait_for_lock(&mut self) {
        while let Some(holder) = lock::holder(&self.root.join(apply::LOCK)) {
            self.voice.status(&format!("waiting for {holder}, who is changing this host"));
            tokio::time::sleep(LOOK_AT_LOCK).await;
        }
    }

    /// Looks; nothing where nobody knows what to look for. Connections are those of one turn: a bus that was lost
    /// does not come back on an old one, and Podman's service ends when nobody is connected.
    async fn look(&mut self) -> Result<Option<Look>, ApplyError> {
        let host = Host::new(self.root.clone()).map_err(left::no_client)?;
        let open = Pending::read(&self.root)?;
        self.untidy |= open.is_some();
        // Whoever began it was applying the files.
        self.word |= open.as_ref().is_some_and(applies_files);
        self.fresh |= self.word;
        let last = Generations::new(&self.root).last()?;
        let generation = last.as_ref().map_or(0, |last| last.number);
        let note = last.as_ref().and_then(Generation::note);
        let Some((loaded, fresh)) = self.choose(last.as_ref()) else { return Ok(None) };
        let mut survey = apply::survey(&host, &loaded).await?;
        survey.plan.notes.extend(note.filter(|_| !fresh));
        let verdict = match judged(&survey, open.is_some()) {
            // Even where nothing differs: what was applied is written down.
            Verdict::Settled | Verdict::Leave(_) if fresh => Verdict::Mend(steps(&survey.plan)),
            verdict => verdict,
        };
        Ok(Some(Look { host, loaded, fresh, survey, generation, verdict }))
    }

    /// What is to be held, and whether it is to be applied: the files where the operator asked for them and they
    /// have no mistakes, else what was applied last. A restore has put files out of force that are as they were then.
    fn choose(&mut self, last: Option<&Generation>) -> Option<(Loaded, bool)> {
        let applied = last.cloned().and_then(|last| self.understand(last));
        match applied {
            Some(applied) if !self.fresh => Some((applied, false)),
            applied => match (self.load)() {
                Ok(loaded) => {
                    self.voice.mistakes("");
                    if !self.word
                        && let Some(held) = held(last, &loaded.sources)
                    {
                        self.fresh = false;
                        return Some((held, false));
                    }
                    Some((loaded, self.fresh))
                }
                Err(mistakes) => {
                    self.voice.mistakes(&mistakes.to_string());
                    applied.map(|applied| (applied, false))
                }
            },
        }
    }

    /// The configuration of a generation, unless this agent no longer understands it.
    fn understand(&mut self, last: Generation) -> Option<Loaded> {
        let number = last.number;
        let parsed = applied(last);
        if parsed.is_none() && !self.fresh {
            tracing::warn!("the configuration of generation {number} is not understood any more; the files are held");
        }
        parsed
    }

    /// One operation, with its outcome in the log and the status line. Returns when to look again.
    async fn mend(&mut self, look: &Look, steps: &[String], heard: &str) -> Option<Duration> {
        let command = if look.fresh { APPLY } else { REPAIR };
        if !look.fresh {
            tracing::info!(heard, steps = steps.len(), "drift is mended: {}", steps.join(", "));
        }
        self.voice.yield_status();
        match apply::apply(&look.host, &look.loaded, command, &mut Narrator).await {
            Ok(report) => {
                let generation = report.generation;
                tracing::info!(message_id = log::CONVERGED, generation, steps = report.steps.len(), "converged");
                if look.fresh {
                    self.fresh = false;
                    self.word = false;
                    self.repairs.forget();
                } else {
                    self.repairs.made(steps, self.now());
                    self.tell_drift(look, steps, None);
                }
                self.voice.refusals(&[]);
                self.voice.concerns(&report.concerns);
                self.retry = Retry::default();
                self.voice.settled(generation, &report.notes);
                Some(Duration::ZERO)
            }
            // It was taken after the look at it.
            Err(ApplyError::Locked(LockError::Held { .. })) => Some(Duration::ZERO),
            Err(error) => {
                self.tell(&error);
                if !look.fresh {
                    self.tell_drift(look, steps, Some(why(&error)));
                }
                Some(self.repairs.failed(steps, self.now()))
            }
        }
    }

    /// Beside everything else: who is told may take their time.
    fn tell_drift(&self, look: &Look, steps: &[String], failed: Option<String>) {
        let settings = look.loaded.settings.notify.clone();
        tokio::spawn(notify::tell_drift(self.root.clone(), settings, steps.to_vec(), failed));
    }

    /// What a person must see to. They are told once, and again a day later where the daemon was started again meanwhile.
    fn tell_refused(&self, look: &Look) {
        let settings = look.loaded.settings.notify.clone();
        tokio::spawn(notify::tell_refused(self.root.clone(), settings, look.survey.plan.refusals.clone()));
    }

    fn tell(&mut self, error: &ApplyError) {
        if let ApplyError::Refused(refusals) = error {
            self.voice.refusals(refusals);
            return;
        }
        let reason = why(error);
        tracing::error!(message_id = log::FAILED, "operation failed: {reason}");
        self.voice.status(&format!("failed: {}", reason.lines().next().unwrap_or_default()));
    }
}

/// Why it failed, and the next command where there is one.
fn why(error: &ApplyError) -> String {
    let remedy = if let ApplyError::Record(error) = error { error.remedy() } else { None };
    remedy.map_or_else(|| chain(error), |remedy| format!("{}; next: {remedy}", chain(error)))
}

/// When a card that was kept although it is not there yet is looked for again, and given up then.
fn drivers_have_loaded(root: &Root, survey: &Survey) -> Option<Duration> {
    let left = DRIVERS_LOAD.saturating_sub(kernel::since_boot(root)?);
    (!survey.desired.awaited.is_empty()).then_some(left + LOOK_AT_LOCK)
}

fn judged(survey: &Survey, open: bool) -> Verdict {
    let (none, needs) = (BTreeMap::new(), needs(survey));
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
    let units = survey.observed.units.as_ref().unwrap_or(&none);
    judge(&survey.plan, &Moment { units, needs: &needs, open, now })
}

/// The units that each service's unit waits for.
fn needs(survey: &Survey) -> BTreeMap<UnitName, Vec<UnitName>> {
    let services = &survey.desired.services;
    let unit =
        |service: &Service| services.iter().find(|other| other.service == *service).map(|found| found.unit.clone());
    services.iter().map(|service| (service.unit.clone(), service.needs.iter().filter_map(unit).collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layout::PENDING;

    #[test]
    fn damaged_records_are_told_with_the_next_command() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let path = root.join(PENDING);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "{").unwrap();
        let error = ApplyError::Record(Pending::read(&root).unwrap_err());
        let (said, path) = (why(&error), path.display());
        assert!(said.contains(&format!("{path} is damaged")), "{said}");
        let next = format!("; next: mv {path} {path}.aside, then: photos-agent apply && systemctl start photos.target");
        assert!(said.ends_with(&next), "{said}");
    }
}
