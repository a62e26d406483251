//! How a command fails: what people read, what programs read, and the exit code.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;

use crate::apply::ApplyError;
use crate::cli::output::Output;
use crate::config::Diagnostics;
use crate::host::lock::LockError;
use crate::host::podman::PodmanError;
use crate::icloud::IcloudError;
use crate::model::{Refusal, Root};
use crate::record::{Generations, Pending, RecordError};

/// What to do where an ordinary user may not look.
const AS_ROOT: &str = "run as root: sudo photos-agent ...";

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration has mistakes.
    #[error("the configuration has mistakes; nothing was changed")]
    Config(#[from] Diagnostics),
    /// An operation did not end well.
    #[error(transparent)]
    Apply(Box<ApplyError>),
    /// Refused before anything was tried.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The argument of a command makes no sense.
    #[error("{what}")]
    Usage {
        /// What is wrong with it.
        what: String,
        /// What would be right.
        hint: String,
    },
    /// Podman.
    #[error(transparent)]
    Podman(#[from] PodmanError),
    /// The agent's memory.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The terminal or standard input.
    #[error("cannot read the value")]
    Input(#[source] std::io::Error),
    /// A file of the command's own.
    #[error(transparent)]
    File(#[from] crate::host::files::FileError),
    /// What lies on BTRFS.
    #[error(transparent)]
    Storage(#[from] crate::host::storage::StorageError),
    /// iCloud.
    #[error(transparent)]
    Icloud(#[from] IcloudError),
    /// Immich, its libraries and scans.
    #[error(transparent)]
    Immich(Box<crate::immich::Error>),
    /// No event loop.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Self::Apply(Box::new(error))
    }
}

impl From<crate::immich::Error> for Failure {
    fn from(error: crate::immich::Error) -> Self {
        match error {
            // These have a text and a next command of their own.
            crate::immich::Error::Refused(refusal) => Self::Refused(refusal),
            crate::immich::Error::Apply(error) => Self::Apply(error),
            crate::immich::Error::Podman(error) => Self::Podman(error),
            crate::immich::Error::Record(error) => Self::Record(error),
            crate::immich::Error::Lock(error) => Self::Lock(error),
            error => Self::Immich(Box::new(error)),
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: String,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<&'a Diagnostics>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    refusals: &'a [Refusal],
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Failure {
    /// Exit code for arguments and configuration that cannot be used (`EX_USAGE` of sysexits.h).
    pub const USAGE: u8 = 64;

    /// Tells, and gives the exit code.
    pub fn report(&self, output: Output, root: &Root) -> ExitCode {
        // Mistakes are told whole, with their places; as a cause they would be told twice.
        let causes = if matches!(self, Self::Config(_)) { Vec::new() } else { causes(self) };
        if output.json {
            let diagnostics = if let Self::Config(diagnostics) = self { Some(diagnostics) } else { None };
            let body =
                Body { error: self.to_string(), causes, diagnostics, refusals: self.refusals(), hint: self.hint(root) };
            output.answer("error", body, String::new);
        } else {
            self.tell(&causes, self.hint(root));
        }
        ExitCode::from(self.code())
    }

    fn tell(&self, causes: &[String], hint: Option<String>) {
        if let Self::Config(diagnostics) = self {
            Output::complain(&diagnostics.to_string());
            Output::complain("");
        }
        if self.refusals().is_empty() {
            Output::complain(&format!("error: {self}"));
        }
        for cause in causes {
            Output::complain(&format!("  because: {cause}"));
        }
        for refusal in self.refusals() {
            Output::complain(&format!("refused: {refusal}\n  next: {}", refusal.remedy));
        }
        if let Some(hint) = hint {
            Output::complain(&format!("  next: {hint}"));
        }
    }

    fn refusals(&self) -> &[Refusal] {
        match self {
            Self::Apply(error) => match &**error {
                ApplyError::Refused(refusals) => refusals,
                _ => &[],
            },
            Self::Refused(refusal) | Self::Icloud(IcloudError::Refused(refusal)) => std::slice::from_ref(refusal),
            _ => &[],
        }
    }

    fn hint(&self, root: &Root) -> Option<String> {
        let hint = match self {
            Self::Usage { hint, .. } => hint,
            Self::Podman(error @ PodmanError::Unreachable { .. }) if is_denied(error) => AS_ROOT,
            Self::Podman(PodmanError::Unreachable { .. }) => "systemctl enable --now podman.socket",
            Self::Record(error) => return hint_of_record(error),
            Self::Immich(error) => return error.remedy(),
            Self::Lock(_) => "photos-agent status",
            Self::Apply(error) => match &**error {
                ApplyError::Step { .. } => return Some(after_step(root)),
                // Not `apply`: that would put the configuration files in force, and with them another release perhaps.
                ApplyError::Unwell { .. } => "mend what is named above, then: systemctl start photos.target",
                ApplyError::Unsettled(_) => "photos-agent plan",
                ApplyError::Halfway { .. } => "photos-agent status; photos-agent upgrade --check",
                ApplyError::Locked(_) => "photos-agent status",
                ApplyError::Record(error) => return hint_of_record(error),
                ApplyError::WentBack { well: Some(_), went_back, .. } => {
                    let again = format!("or have it tried again by name: photos-agent upgrade --to {}", went_back.to);
                    return Some(format!("wait for a newer one, {again}"));
                }
                ApplyError::WentBack { .. } => "photos-agent status; journalctl -u 'immich-*'",
                ApplyError::Refused(_) => return None,
            },
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage { .. } => Self::USAGE,
            _ if !self.refusals().is_empty() => 3,
            Self::Immich(error) if error.is_refusal() => 3,
            _ => 1,
        }
    }
}

/// What to do once it is mended: finish what is open, and else try again.
fn after_step(root: &Root) -> String {
    let open = Pending::read(root).ok().flatten();
    let last = Generations::new(root).last().ok().flatten();
    let next = open.map_or("the same command again", |open| open.remedy(last.as_ref()));
    format!("mend what is named above, then: {next}")
}

/// What to do about records that cannot be used; nothing where the error says it itself.
pub(super) fn hint_of_record(error: &RecordError) -> Option<String> {
    if is_denied(error) { Some(AS_ROOT.to_owned()) } else { error.remedy() }
}

/// Whether the system said that this user may not.
fn is_denied(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let system = error.downcast_ref::<std::io::Error>();
        if system.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The causes, without those that say only what their own cause says.
fn causes(error: &dyn Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut next = error.source();
    let mut last = error.to_string();
    while let Some(cause) = next {
        let text = cause.to_string();
        if text != last {
            causes.push(text.clone());
        }
        last = text;
        next = cause.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::StepError;
    use crate::model::layout::PENDING;

    #[test]
    fn what_failed_is_tried_again_unless_it_left_something_open() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let step = ApplyError::Step { step: "take a snapshot".to_owned(), source: Box::new(StepError::Interrupted) };
        let failure = Failure::from(step);
        let hint = || failure.hint(&root).unwrap();
        assert_eq!(hint(), "mend what is named above, then: the same command again");
        let path = root.join(PENDING);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (command, next) in
            [("photos-agent apply", "photos-agent apply"), ("photos-agent snapshot", "photos-agent snapshot")]
        {
            let text = format!(
                r#"{{"schema":1,"id":9,"command":"{command}","started":"2026-01-01T00:00:00Z","agent":"0",
                "stack_was_stopped":false,"holds":false,"steps":[]}}"#
            );
            std::fs::write(&path, text).unwrap();
            assert_eq!(hint(), format!("mend what is named above, then: {next}"));
        }
    }
}
