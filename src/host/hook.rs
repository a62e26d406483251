//! The operator's own program that is told of something: run as it is, without a shell, for a limited time.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::process::{self, ProcessError};

/// How long it has.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why it was not told.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It is not there.
    #[error("cannot look at {}", path.display())]
    Gone {
        /// The program.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Root had better not run it.
    #[error("{} {why}", path.display())]
    Unfit {
        /// The program.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// It did not do its work.
    #[error(transparent)]
    Run(#[from] ProcessError),
}

/// Whether it can be run, and whether whoever runs it may: who can write to it would be root.
pub fn check(path: &Path) -> Result<(), HookError> {
    let file = fs::metadata(path).map_err(|source| HookError::Gone { path: path.to_owned(), source })?;
    let ours = file.uid() == 0 || file.uid() == nix::unistd::geteuid().as_raw();
    let why = match (file.is_file(), file.mode()) {
        (false, _) => "is not a file",
        (true, _) if !ours => "belongs to somebody else than root",
        (true, mode) if mode & 0o022 != 0 => "can be written to by others than root",
        (true, mode) if mode & 0o100 == 0 => "is not executable",
        _ => return Ok(()),
    };
    Err(HookError::Unfit { path: path.to_owned(), why })
}

/// Runs it with these words, and `input` on its standard input.
pub async fn tell(path: &Path, words: &[String], input: &[u8]) -> Result<(), HookError> {
    check(path)?;
    let program = path.display().to_string();
    Ok(process::hand(&program, words, input, PATIENCE).await?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(folder: &Path, text: &str, mode: u32) -> PathBuf {
        let path = folder.join("tell me 100%");
        // By a child: another test's fork would inherit the open file, and what is written to cannot be run.
        let written =
            std::process::Command::new("sh").args(["-c", "printf %s \"$1\" >\"$2\"", "sh", text]).arg(&path).status();
        assert!(written.unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[tokio::test]
    async fn it_gets_its_words_and_its_input_whole() {
        let folder = tempfile::tempdir().unwrap();
        let text = "#!/bin/sh\ncd \"${0%/*}\" && cat >input && printf '%s\\n' \"$@\" >words && env >env\n";
        let path = program(folder.path(), text, 0o700);
        let input = vec![b'x'; 1 << 20];
        let words = ["upgrade".to_owned(), "$(reboot); `x` *".to_owned()];
        tell(&path, &words, &input).await.unwrap();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read("input"), input);
        assert_eq!(String::from_utf8(read("words")).unwrap(), "upgrade\n$(reboot); `x` *\n");
        assert!(!String::from_utf8(read("env")).unwrap().contains("CARGO"), "nothing of ours is handed down");
    }

    #[tokio::test]
    async fn one_that_fails_or_does_not_listen_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), "#!/bin/sh\necho the mail is down >&2\nexit 3\n", 0o700);
        let error = tell(&path, &[], &vec![0; 1 << 20]).await.unwrap_err();
        assert!(error.to_string().contains("the mail is down"), "{error}");
        let path = program(folder.path(), "#!/nowhere/sh\n", 0o700);
        assert!(matches!(tell(&path, &[], &[]).await, Err(HookError::Run(_))));
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_not_waited_for() {
        let words = ["inf".to_owned()];
        let late = process::hand("sleep", &words, &[], Duration::from_millis(50)).await;
        assert!(matches!(late, Err(ProcessError::Late { .. })), "{late:?}");
    }

    #[test]
    fn what_others_can_change_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, fits) in [(0o700, true), (0o755, true), (0o775, false), (0o777, false), (0o600, false)] {
            let path = program(folder.path(), "", mode);
            assert_eq!(check(&path).is_ok(), fits, "{mode:o}");
        }
        assert!(matches!(check(folder.path()), Err(HookError::Unfit { .. })));
        assert!(matches!(check(&folder.path().join("none")), Err(HookError::Gone { .. })));
    }
}
