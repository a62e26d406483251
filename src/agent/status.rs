//! What the daemon says: to systemd's status line and to the log, each thing once.

use std::collections::BTreeSet;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::apply::{Event, Progress};
use crate::log;
use crate::model::Refusal;

/// Between two beats where there is no watchdog.
const BEAT: Duration = Duration::from_secs(60);

/// Without systemd there is nobody to notify, which is no error.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

pub(super) fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

/// systemd wants the moment with it, to tell a reload from the one before (Type=notify-reload).
pub(super) fn notify_reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

pub(super) fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

pub(super) fn notify_status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// The moments at which the daemon wakes by itself, the same for all that it does then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beats {
    first: Instant,
    period: Duration,
}

impl Beats {
    /// From now on, half of what systemd waits for (`sd_watchdog_enabled`(3)).
    pub(super) fn new() -> Self {
        let period = sd_notify::watchdog_enabled().map_or(BEAT, |limit| limit / 2);
        Self { first: Instant::now(), period: period.max(Duration::from_millis(1)) }
    }

    pub(super) fn interval(self) -> Interval {
        let mut interval = interval_at(self.first, self.period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        interval
    }
}

/// Tells systemd that the daemon is alive, for ever.
pub(super) async fn beat(mut beats: Interval) {
    loop {
        beats.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

/// What was said, so that it is not said again until it changes.
#[derive(Debug, Default)]
pub(super) struct Voice {
    status: String,
    refusals: Vec<Refusal>,
    concerns: Vec<Refusal>,
    notes: BTreeSet<String>,
    mistakes: String,
    /// The steps, and how often they were taken.
    flaps: (String, u32),
}

impl Voice {
    /// The status line.
    pub(super) fn status(&mut self, text: &str) {
        if self.status != text {
            notify_status(text);
            text.clone_into(&mut self.status);
        }
    }

    /// An operation is about to write the status line.
    pub(super) fn yield_status(&mut self) {
        self.status.clear();
    }

    /// What stands in the way: what is new of it, and what is gone. Whether there is something new.
    pub(super) fn refusals(&mut self, refusals: &[Refusal]) -> bool {
        let is_new = refusals.iter().any(|refusal| !self.refusals.contains(refusal));
        for refusal in refusals.iter().filter(|refusal| !self.refusals.contains(refusal)) {
            let (what, why, remedy) = (&refusal.what, &refusal.why, &refusal.remedy);
            tracing::error!(message_id = log::REFUSED, %what, %why, %remedy, "refused: {refusal}; next: {remedy}");
        }
        for gone in self.refusals.iter().filter(|refusal| !refusals.contains(refusal)) {
            tracing::info!(what = %gone.what, "no longer in the way: {gone}");
        }
        self.refusals = refusals.to_vec();
        if let Some(first) = refusals.first() {
            self.status(&format!("refused: {first}; next: {}", first.remedy));
        }
        is_new
    }

    /// What a person must see to although nothing stands in the way: what is new of it, and what is gone.
    pub(super) fn concerns(&mut self, concerns: &[Refusal]) {
        for concern in concerns.iter().filter(|concern| !self.concerns.contains(concern)) {
            let (what, why, remedy) = (&concern.what, &concern.why, &concern.remedy);
            tracing::warn!(message_id = log::CONCERN, %what, %why, %remedy, "concern: {concern}; next: {remedy}");
        }
        for gone in self.concerns.iter().filter(|concern| !concerns.contains(concern)) {
            tracing::info!(what = %gone.what, "no longer a concern: {gone}");
        }
        self.concerns = concerns.to_vec();
    }

    /// Mistakes in the configuration, or none.
    pub(super) fn mistakes(&mut self, mistakes: &str) {
        if !mistakes.is_empty() && self.mistakes != mistakes {
            tracing::error!(message_id = log::REFUSED, "configuration has mistakes, nothing changed:\n{mistakes}");
        }
        mistakes.clone_into(&mut self.mistakes);
        if !mistakes.is_empty() {
            self.status("configuration has mistakes: photos-agent config check");
        }
    }

    /// All is as it should be, but for what was left alone.
    pub(super) fn settled(&mut self, generation: u32, notes: &[String]) {
        let notes: BTreeSet<String> = notes.iter().cloned().collect();
        for note in notes.difference(&self.notes) {
            tracing::info!("left alone: {note}");
        }
        let concern = self.concerns.first().map(|concern| format!("{concern}; next: {}", concern.remedy));
        let first = concern.or_else(|| notes.first().cloned()).map(|note| format!("; {note}")).unwrap_or_default();
        self.notes = notes;
        if self.mistakes.is_empty() {
            self.status(&format!("converged, generation {generation}{first}"));
        }
    }

    /// The same repair is needed again and again, and waits.
    pub(super) fn flaps(&mut self, steps: &str, times: u32, wait: Duration) {
        if self.flaps != (steps.to_owned(), times) {
            self.flaps = (steps.to_owned(), times);
            let seconds = wait.as_secs();
            let text = "a repair does not last, so the next one waits";
            tracing::warn!(message_id = log::FLAPPING, steps, times, seconds, "{text} {seconds} s: {steps}");
        }
        let until = jiff::Zoned::now().saturating_add(wait).strftime("%H:%M");
        self.status(&format!("mended {times} times and needed again, next try at {until}: {steps}"));
    }
}

/// Turns news of an operation into the status line and log lines.
pub(super) struct Narrator;

impl Progress for Narrator {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Resumed(operation) => {
                tracing::warn!(message_id = log::RESUMED, operation, "an interrupted operation is taken up again");
            }
            Event::Step { step, reason } => {
                tracing::info!(step, reason, "{step}");
                notify_status(step);
            }
            // At a boot the services wait for this (photos-resolve.service); the daemon has long been ready.
            Event::GateOpened => notify_ready(),
            Event::Pulling(image, bytes) => {
                notify_status(&format!("pull {image}: {} of {} MiB", bytes.current >> 20, bytes.total >> 20));
            }
            Event::Pulled(image, took) => {
                let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(%image, milliseconds, "pulled");
            }
            Event::Unit { unit, result, took } => {
                let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(message_id = log::UNIT, %unit, result, milliseconds, "{unit}: {result}");
            }
            Event::Waiting(units, long) => {
                let names: Vec<&str> = units.iter().map(|unit| unit.as_str()).collect();
                notify_status(&format!("waiting for {} since {} s", names.join(", "), long.as_secs()));
            }
            Event::Well(true) => notify_status("all is well, and has to stay so"),
            Event::Well(false) => notify_status("not all is well any more"),
            Event::Displaced { path, kept } => {
                tracing::warn!(message_id = log::DISPLACED, path, kept, "an edited file was replaced, its text kept");
            }
        }
    }
}
