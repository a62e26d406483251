//! Runs another program, where there is no library, no socket and no bus for it.
//!
//! Standard input is empty unless something is fed to it, the environment is small and in English, output is kept whole. A program
//! that fails is an error with the end of what it said.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// How much of a failed program's words an error repeats, in characters.
const TAIL: usize = 1000;

/// How much of what a running program said is looked at, in bytes.
const LAST_WORDS: usize = 4000;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot run {program}")]
    NotRun {
        /// The program.
        program: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It said no.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard error.
        said: String,
    },
    /// It was still at it after that long.
    #[error("{program} did not end within {} s", patience.as_secs())]
    Late {
        /// The program.
        program: String,
        /// How long it had.
        patience: Duration,
    },
}

/// Runs `program` and returns its output if it succeeded.
pub fn run(program: &str, arguments: &[&OsStr]) -> Result<Output, ProcessError> {
    let output = output(program, arguments, &[])?;
    accept(program, output)
}

/// Runs `program` with `input` on its standard input, which no error repeats, and ends it after `patience`. Returns what
/// it said.
pub async fn feed(
    program: &str,
    arguments: &[String],
    input: &[u8],
    patience: Duration,
) -> Result<String, ProcessError> {
    let output = accept(program, listen(program, arguments, input, patience).await?)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a program came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it said.
    pub out: String,
    /// The end of what it complained of.
    pub err: String,
}

/// The same, whatever it came to.
pub async fn hear(program: &str, arguments: &[String], patience: Duration) -> Result<Heard, ProcessError> {
    let output = listen(program, arguments, &[], patience).await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Heard { code: output.status.code(), out: text(&output.stdout), err: tail(&text(&output.stderr)) })
}

/// Runs `program` with a new file of this mode for its output, and ends it after `patience`.
pub async fn write_output(
    program: &str,
    arguments: &[String],
    path: &Path,
    patience: Duration,
) -> Result<(), ProcessError> {
    let not_run = |source| ProcessError::NotRun { program: program.to_owned(), source };
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(not_run)?;
    let mut command = tokio::process::Command::from(prepare(program, arguments));
    command.stdin(Stdio::null()).stdout(file).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().map_err(not_run)?;
    match tokio::time::timeout(patience, child.wait_with_output()).await {
        Ok(output) => accept(program, output.map_err(not_run)?).map(drop),
        Err(_) => Err(ProcessError::Late { program: program.to_owned(), patience }),
    }
}

/// Runs `program` with `input` on its standard input, hands on what it says, so many lines at a time, and ends it after
/// `patience`. It waits while somebody is at work on its lines, so that they are never all in memory. One that fails, or
/// ends in the middle of a line, is an error, whatever came before.
pub async fn stream<E: From<ProcessError>>(
    program: &str,
    arguments: &[String],
    input: &[u8],
    patience: Duration,
    at_a_time: usize,
    mut each: impl AsyncFnMut(Vec<String>) -> Result<(), E>,
) -> Result<(), E> {
    let not_run = |source| ProcessError::NotRun { program: program.to_owned(), source };
    let complaints = tempfile::tempfile().map_err(not_run)?;
    let mut given = tempfile::tempfile().map_err(not_run)?;
    given.write_all(input).and_then(|()| given.rewind()).map_err(not_run)?;
    let mut command = tokio::process::Command::from(prepare(program, arguments));
    command.stdin(given).stdout(Stdio::piped()).stderr(complaints.try_clone().map_err(not_run)?).kill_on_drop(true);
    let mut running = Running { child: command.spawn().map_err(not_run)?, said: complaints };
    let work = async {
        let mut lines = BufReader::new(
            running.child.stdout.take().ok_or(io::ErrorKind::BrokenPipe).map_err(|kind| not_run(kind.into()))?,
        )
        .lines();
        let mut some = Vec::new();
        while let Some(line) = lines.next_line().await.map_err(not_run)? {
            some.push(line);
            if some.len() >= at_a_time {
                each(std::mem::take(&mut some)).await?;
            }
        }
        if !some.is_empty() {
            each(some).await?;
        }
        Ok::<_, E>(running.child.wait().await.map_err(not_run)?)
    };
    let Ok(status) = tokio::time::timeout(patience, work).await else {
        return Err(ProcessError::Late { program: program.to_owned(), patience }.into());
    };
    let status = status?;
    if status.success() {
        return Ok(());
    }
    Err(ProcessError::Failed { program: program.to_owned(), status, said: running.last_words() }.into())
}

async fn listen(program: &str, arguments: &[String], input: &[u8], patience: Duration) -> Result<Output, ProcessError> {
    let not_run = |source| ProcessError::NotRun { program: program.to_owned(), source };
    let mut command = tokio::process::Command::from(prepare(program, arguments));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(not_run)?;
    let pipe = child.stdin.take();
    let write = async {
        if let Some(mut pipe) = pipe {
            // One that did not read to the end says why by itself.
            let _ = pipe.write_all(input).await;
        }
    };
    // At once: one that says much before it has read all would wait for us, and we for it.
    let work = async { tokio::join!(write, child.wait_with_output()).1 };
    match tokio::time::timeout(patience, work).await {
        Ok(output) => output.map_err(not_run),
        Err(_) => Err(ProcessError::Late { program: program.to_owned(), patience }),
    }
}

/// Runs `program` with `input` on its standard input, and ends it after `patience`. Nobody waits for what it has started itself,
/// and nothing that it says is kept but the end of its complaints.
pub async fn hand(program: &str, arguments: &[String], input: &[u8], patience: Duration) -> Result<(), ProcessError> {
    let not_run = |source| ProcessError::NotRun { program: program.to_owned(), source };
    // A file on both sides: with a pipe, whoever does not read or does not end could block it.
    let mut given = tempfile::tempfile().map_err(not_run)?;
    given.write_all(input).and_then(|()| given.rewind()).map_err(not_run)?;
    let said = tempfile::tempfile().map_err(not_run)?;
    let complaints = said.try_clone().map_err(not_run)?;
    let mut command = tokio::process::Command::from(prepare(program, arguments));
    command.stdin(given).stdout(Stdio::null()).stderr(complaints).kill_on_drop(true);
    let mut running = Running { child: command.spawn().map_err(not_run)?, said };
    let Ok(status) = tokio::time::timeout(patience, running.child.wait()).await else {
        return Err(ProcessError::Late { program: program.to_owned(), patience });
    };
    let status = status.map_err(not_run)?;
    if status.success() {
        return Ok(());
    }
    Err(ProcessError::Failed { program: program.to_owned(), status, said: running.last_words() })
}

/// A program that goes on beside us, and ends where this is dropped.
#[derive(Debug)]
pub struct Running {
    child: tokio::process::Child,
    /// Both its outputs: a pipe that nobody reads would block it.
    said: File,
}

impl Running {
    /// Starts it.
    pub fn start(program: &str, arguments: &[String]) -> Result<Self, ProcessError> {
        let not_run = |source| ProcessError::NotRun { program: program.to_owned(), source };
        let said = tempfile::tempfile().map_err(not_run)?;
        let (out, err) = (said.try_clone().map_err(not_run)?, said.try_clone().map_err(not_run)?);
        let mut command = tokio::process::Command::from(prepare(program, arguments));
        command.stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true);
        Ok(Self { child: command.spawn().map_err(not_run)?, said })
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits for its end; whether it came in time.
    pub async fn end(&mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.child.wait()).await.is_ok()
    }

    /// The end of what it has said.
    pub fn last_words(&self) -> String {
        let length = self.said.metadata().map_or(0, |metadata| metadata.len());
        let mut end = vec![0; LAST_WORDS];
        let from = length.saturating_sub(LAST_WORDS as u64);
        let read = self.said.read_at(&mut end, from).unwrap_or(0);
        end.truncate(read);
        tail(&String::from_utf8_lossy(&end))
    }
}

fn accept(program: &str, output: Output) -> Result<Output, ProcessError> {
    if output.status.success() {
        return Ok(output);
    }
    Err(ProcessError::Failed {
        program: program.to_owned(),
        status: output.status,
        said: tail(&String::from_utf8_lossy(&output.stderr)),
    })
}

/// Runs `program` with further environment variables and returns its output, whatever it was.
pub fn output(program: &str, arguments: &[&OsStr], environment: &[(&str, &OsStr)]) -> Result<Output, ProcessError> {
    prepare(program, arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ProcessError::NotRun { program: program.to_owned(), source })
}

pub(super) fn prepare(program: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command
}

fn tail(text: &str) -> String {
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(TAIL);
    text.chars().skip(skip).collect()
}
