//! Runs another program, where there is no library, no socket and no bus for it.
//!
//! Standard input is empty, the environment is small and in English, output is kept whole. A program
//! that fails is an error with the end of what it said.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, ExitStatus, Output, Stdio};

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
}

/// Runs `program` and returns its output if it succeeded.
pub fn run(program: &str, arguments: &[&OsStr]) -> Result<Output, ProcessError> {
    let output = output(program, arguments, &[])?;
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
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ProcessError::NotRun { program: program.to_owned(), source })
}

fn tail(text: &str) -> String {
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(TAIL);
    text.chars().skip(skip).collect()
}
