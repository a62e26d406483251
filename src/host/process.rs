//! Runs another program, where there is no library, no socket and no bus for it.
//!
//! Standard input is empty unless something is fed to it, the environment is small and in English, output is kept whole. A program
//! that fails is an error with the end of what it said.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;

/// How much of a failed program's words an error repeats, in characters.
const TAIL: usize = 1000;

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
    let not_run = |source| ProcessError::NotRun { program: program.to_owned(), source };
    let mut command = tokio::process::Command::from(prepare(program, arguments));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(not_run)?;
    let work = async {
        if let Some(mut pipe) = child.stdin.take() {
            // One that did not read to the end says why by itself.
            let _ = pipe.write_all(input).await;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(patience, work).await {
        Ok(output) => {
            let output = accept(program, output.map_err(not_run)?)?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(_) => Err(ProcessError::Late { program: program.to_owned(), patience }),
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

fn prepare(program: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command
}

fn tail(text: &str) -> String {
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(TAIL);
    text.chars().skip(skip).collect()
}
