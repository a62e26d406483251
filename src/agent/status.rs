//! What the daemon says: to systemd's status line and to the log.

use sd_notify::NotifyState;

use crate::apply::{Event, Progress};
use crate::log;
use crate::model::Refusal;

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

pub(super) fn log_concerns(concerns: &[Refusal]) {
    for concern in concerns {
        let (what, why, remedy) = (&concern.what, &concern.why, &concern.remedy);
        tracing::warn!(message_id = log::CONCERN, %what, %why, %remedy, "concern: {concern}; next: {remedy}");
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
            Event::Displaced { path, kept } => {
                tracing::warn!(message_id = log::DISPLACED, path, kept, "an edited file was replaced, its text kept");
            }
        }
    }
}
