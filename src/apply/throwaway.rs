//! The throwaway database as a running thing: started, waited for, asked, shut down.

use std::time::{Duration, Instant};

use crate::host::process::{self, Heard, ProcessError};
use crate::stack;
use crate::stack::throwaway::Throwaway;

const PODMAN: &str = "podman";

/// As long as the real one may recover (its quadlet).
const RECOVERY: Duration = Duration::from_secs(15 * 60);

/// How often it is looked at until it answers.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Longest answer. All rows of a large library are read from a slow disk at idle priority, or written to it.
const PATIENCE: Duration = Duration::from_secs(6 * 60 * 60);

/// For its shutdown, in seconds: a checkpoint of what recovery has written.
const SHUTDOWN: u64 = 120;

/// One.
#[derive(Debug)]
pub struct Running {
    throwaway: Throwaway,
    process: process::Running,
}

impl Running {
    /// Starts it; `command` is what its image runs.
    pub fn start(throwaway: Throwaway, command: &[String]) -> Result<Self, ProcessError> {
        let process = process::Running::start(PODMAN, &throwaway.run(command))?;
        Ok(Self { throwaway, process })
    }

    /// Waits until it has recovered and answers: how long that took, or why it does not.
    pub async fn come_up(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        let ready = self.throwaway.ready();
        loop {
            if process::feed(PODMAN, &ready, stack::NO_STATEMENT.as_bytes(), RECOVERY).await.is_ok() {
                return Ok(begun.elapsed());
            }
            if self.process.has_ended() {
                return Err(self.said("the database does not start"));
            }
            if begun.elapsed() > RECOVERY {
                return Err(self.said(&format!("the database did not answer within {} s", RECOVERY.as_secs())));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn said(&self, what: &str) -> String {
        format!("{what}: {}", self.process.last_words())
    }

    /// What it answers to statements.
    pub async fn ask(&self, statements: &str) -> Result<String, ProcessError> {
        process::feed(PODMAN, &stack::session(&self.throwaway.name), statements.as_bytes(), PATIENCE).await
    }

    /// What a script that is run beside it says.
    pub async fn run(&self, script: &str) -> Result<String, ProcessError> {
        process::feed(PODMAN, &self.throwaway.script(script), &[], PATIENCE).await
    }

    /// What the look at its structure came to.
    pub async fn structure(&self) -> Result<Heard, ProcessError> {
        process::hear(PODMAN, &self.throwaway.structure(), PATIENCE).await
    }

    /// Shuts it down, and what the look at all its pages came to.
    pub async fn read_whole(mut self) -> Result<Heard, ProcessError> {
        self.shut_down().await?;
        process::hear(PODMAN, &self.throwaway.checksums(), PATIENCE).await
    }

    /// Shuts it down, and waits until it has.
    pub async fn shut_down(&mut self) -> Result<(), ProcessError> {
        process::feed(PODMAN, &self.throwaway.stop(SHUTDOWN), &[], PATIENCE).await?;
        self.process.end(Duration::from_secs(SHUTDOWN)).await;
        Ok(())
    }
}
