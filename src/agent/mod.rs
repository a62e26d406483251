//! The daemon: triggers in, status out.
//!
//! READY is early, since what follows may pull images for an hour: `systemctl start photos-agent` does
//! not wait for it. It converges at its start and on SIGHUP, and again after a failure, at growing
//! intervals. Stopping it stops nothing else; an operation that a stop cuts off goes on at the next start.

mod resolve;
mod status;

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::apply::{self, ApplyError};
use crate::config::{Diagnostics, Loaded};
use crate::host::Host;
use crate::log;
use crate::observe::chain;
pub use resolve::resolve;
use status::{Narrator, log_concerns, notify_ready, notify_reloading, notify_status, notify_stopping};

/// First wait after a failure; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(30);

/// Longest wait after failures: what a person mends is taken up within it, without being told.
const RETRY_LONGEST: Duration = Duration::from_secs(15 * 60);

/// Runs until SIGTERM or SIGINT. `load` reads the configuration anew each time.
pub async fn run(mut host: Host, load: impl Fn() -> Result<Loaded, Diagnostics>) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    notify_ready();
    let mut wait = RETRY_FIRST;
    loop {
        // Neither a stop nor a reload waits for an operation, which may wait for hours itself: cut off at
        // any point, the next one takes it up.
        let converged = tokio::select! {
            converged = converge(&host, &load) => Some(converged),
            _ = hangup.recv() => None,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        // The next turn has connections of its own: a bus that was lost meanwhile does not come back on an old one.
        if let Ok(fresh) = Host::new(host.root.clone()) {
            host = fresh;
        }
        let retry = match converged {
            Some(true) => None,
            Some(false) => Some(wait),
            None => Some(Duration::ZERO),
        };
        if converged.is_none() {
            acknowledge_reload();
        }
        wait = if converged == Some(false) { (wait * 2).min(RETRY_LONGEST) } else { RETRY_FIRST };
        tokio::select! {
            () = sleep(retry) => {}
            _ = hangup.recv() => {
                acknowledge_reload();
                wait = RETRY_FIRST;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    notify_stopping();
    Ok(())
}

/// The configuration is read at the next turn; whoever waits for the reload need not wait for what follows.
fn acknowledge_reload() {
    notify_reloading();
    notify_ready();
}

/// Sleeps that long, or for ever.
async fn sleep(long: Option<Duration>) {
    match long {
        Some(long) => tokio::time::sleep(long).await,
        None => std::future::pending().await,
    }
}

/// One operation, with its outcome in the log and the status line. Returns whether the host is converged.
async fn converge(host: &Host, load: &impl Fn() -> Result<Loaded, Diagnostics>) -> bool {
    let loaded = match load() {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            tracing::error!(message_id = log::REFUSED, "configuration has mistakes, nothing changed:\n{diagnostics}");
            notify_status("configuration has mistakes: photos-agent config check");
            return false;
        }
    };
    match apply::apply(host, &loaded, "daemon", &mut Narrator).await {
        Ok(report) => {
            let generation = report.generation;
            tracing::info!(message_id = log::CONVERGED, generation, steps = report.steps.len(), "converged");
            log_concerns(&report.concerns);
            let first = report.concerns.first().map(ToString::to_string);
            let note = first.as_ref().or(report.notes.first()).map(|note| format!("; {note}")).unwrap_or_default();
            notify_status(&format!("converged, generation {generation}{note}"));
            true
        }
        Err(ApplyError::Refused(refusals)) => {
            for refusal in &refusals {
                let (what, why, remedy) = (&refusal.what, &refusal.why, &refusal.remedy);
                tracing::error!(message_id = log::REFUSED, %what, %why, %remedy, "refused: {refusal}; next: {remedy}");
            }
            let first = refusals.first().map(ToString::to_string).unwrap_or_default();
            notify_status(&format!("refused: {first}"));
            false
        }
        Err(error) => {
            let reason = chain(&error);
            tracing::error!(message_id = log::FAILED, "operation failed: {reason}");
            notify_status(&format!("failed: {}", reason.lines().next().unwrap_or_default()));
            false
        }
    }
}
