//! One start of the container: what it says is read until it has ended, whatever else goes wrong meanwhile.

use std::time::Duration;

use crate::host::files;
use crate::host::journal::Follow;
use crate::host::systemd::{JobNews, JobResult, SystemdError, Verb};
use crate::icloud::log::{Ended, Reading};
use crate::icloud::place::Place;
use crate::icloud::{IcloudError, News};
use crate::model::ActiveState;
use crate::observe::chain;
use crate::stack::icloudpd;

/// How often the journal is read, and a stop is looked for.
const LOOK: Duration = Duration::from_secs(2);

/// So often between two times that all is brought to the disk.
const LOOKS_A_COMMIT: u32 = 30;

impl Place<'_> {
    /// Starts the container and listens until it has ended. An error is one from before its start.
    pub(super) async fn follow(
        &self,
        full: bool,
        news: &mut dyn FnMut(News<'_>),
    ) -> Result<(Reading, Ended), IcloudError> {
        let file = self.host.root.join(icloudpd::run_file(&self.account.name).as_path());
        let until = if full { String::new() } else { format!("--until-found={}", self.account.until_found) };
        let mut listening =
            Listening { journal: Follow::new(&self.desired.run).await?, reading: Reading::default(), news };
        files::write(&file, &format!("PODMAN_OPTIONS=\nICLOUDPD_OPTIONS={until}\n"), 0o600)?;
        let ended = self.attend(&mut listening).await;
        // Without it, nobody starts the container by accident.
        if let Err(error) = files::remove(&file) {
            self.warn(&error);
        }
        Ok((listening.reading, ended?))
    }

    async fn attend(&self, listening: &mut Listening<'_>) -> Result<Ended, IcloudError> {
        let systemd = self.host.systemd().await?;
        let mut silent = |_: JobNews<'_>| {};
        let job = systemd.run_jobs(Verb::Start, std::slice::from_ref(&self.desired.run), &mut silent);
        tokio::pin!(job);
        let mut looks = 0_u32;
        let results = loop {
            tokio::select! {
                results = &mut job => break results,
                () = self.interrupt.wait() => {
                    self.stop().await;
                    self.listen(listening, true).await;
                    return Ok(Ended::Stopped);
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            self.listen(listening, false).await;
            looks += 1;
            if looks.is_multiple_of(LOOKS_A_COMMIT)
                && let Err(error) = self.commit().await
            {
                self.warn(&error);
            }
        };
        let results = match results {
            // It was never started.
            Err(error @ SystemdError::Refused { .. }) => return Err(error.into()),
            Err(error) => {
                self.warn(&error);
                self.wait_for_end(listening).await;
                None
            }
            Ok(results) => results.into_iter().next(),
        };
        self.listen(listening, true).await;
        Ok(self.ended(results.as_ref(), listening.reading.is_silent()).await)
    }

    /// Where nobody tells when the job ends, the unit is asked.
    async fn wait_for_end(&self, listening: &mut Listening<'_>) {
        while !self.interrupt.has_come() {
            tokio::time::sleep(LOOK).await;
            self.listen(listening, false).await;
            match self.state().await {
                Ok((ActiveState::Inactive | ActiveState::Failed, _)) => return,
                Ok(_) => {}
                Err(error) => self.warn(&error),
            }
        }
        self.stop().await;
    }

    /// How it ended. `job`: as systemd told it, where it could. `silent`: icloudpd said nothing at all.
    async fn ended(&self, job: Option<&JobResult>, silent: bool) -> Ended {
        if self.interrupt.has_come() {
            return Ended::Stopped;
        }
        let result = match self.state().await {
            Ok((_, result)) => result,
            Err(error) => {
                self.warn(&error);
                return Ended::Killed;
            }
        };
        let held_off = async || match self.host.systemd().await {
            Ok(systemd) => systemd.was_held_off(&self.desired.run).await.unwrap_or(false),
            Err(_) => false,
        };
        match judge(job.map(|job| job.result.as_str()), &result) {
            Ended::Well if silent && held_off().await => Ended::HeldOff,
            ended => ended,
        }
    }

    async fn state(&self) -> Result<(ActiveState, String), SystemdError> {
        let mut states = self.host.systemd().await?.units(std::slice::from_ref(&self.desired.run)).await?;
        let state = states.remove(&self.desired.run).unwrap_or_default();
        Ok((state.active, state.result))
    }

    /// Stops the container, and waits for that.
    pub(super) async fn stop(&self) {
        let stopped = async {
            let systemd = self.host.systemd().await?;
            systemd.run_jobs(Verb::Stop, std::slice::from_ref(&self.desired.run), &mut |_: JobNews<'_>| {}).await
        };
        if let Err(error) = stopped.await {
            self.warn(&error);
        }
    }

    /// Reads what was said since. What cannot be read now comes with the next time.
    async fn listen(&self, listening: &mut Listening<'_>, all: bool) {
        let mut moved = false;
        let lines = match listening.journal.lines(all).await {
            Ok(lines) => lines,
            Err(error) => {
                self.warn(&error);
                // What is on its way may be late; what is there is read all the same.
                if all { listening.journal.lines(false).await.unwrap_or_default() } else { Vec::new() }
            }
        };
        for line in lines {
            moved |= listening.reading.take(&line);
            (listening.news)(News::Said(&line));
        }
        if moved {
            (listening.news)(News::Counts(&listening.reading.counts()));
        }
    }

    pub(super) fn warn(&self, error: &dyn std::error::Error) {
        tracing::warn!(account = self.account.name.as_str(), "{}", chain(error));
    }
}

/// What is heard of one start.
struct Listening<'a> {
    journal: Follow,
    reading: Reading,
    news: &'a mut dyn FnMut(News<'_>),
}

/// What systemd's words for the end of a start and for that of the unit come to.
fn judge(job: Option<&str>, unit: &str) -> Ended {
    match (job, unit) {
        // What the unit says is of the start before, where a condition was not met.
        (Some("done"), _) | (None, "success") => Ended::Well,
        // Another job took its place, or the unit has nothing to complain of, or a signal ended it: somebody stopped it.
        (Some("canceled"), _) | (_, "success" | "signal") => Ended::Stopped,
        (_, "exit-code") => Ended::Badly,
        _ => Ended::Killed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_a_unit_is_told_from_what_breaks_it() {
        for (job, unit, ended) in [
            (Some("done"), "success", Ended::Well),
            (Some("done"), "exit-code", Ended::Well),
            (None, "success", Ended::Well),
            (Some("failed"), "exit-code", Ended::Badly),
            (None, "exit-code", Ended::Badly),
            (Some("canceled"), "exit-code", Ended::Stopped),
            (Some("canceled"), "success", Ended::Stopped),
            (Some("failed"), "success", Ended::Stopped),
            (Some("failed"), "signal", Ended::Stopped),
            (Some("failed"), "oom-kill", Ended::Killed),
            (Some("timeout"), "timeout", Ended::Killed),
            (Some("dependency"), "", Ended::Killed),
        ] {
            assert_eq!(judge(job, unit), ended, "{job:?} {unit}");
        }
    }
}
