//! A program that believes to have a person before it: its terminal's other side is held here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use crate::host::process::{ProcessError, prepare};

/// One, which is ended where this is dropped.
#[derive(Debug)]
pub struct Terminal {
    program: String,
    child: tokio::process::Child,
    said: mpsc::UnboundedReceiver<Vec<u8>>,
    keys: File,
}

impl Terminal {
    /// Starts it.
    pub fn start(program: &str, arguments: &[String]) -> Result<Self, ProcessError> {
        let not_run = |source| ProcessError::NotRun { program: program.to_owned(), source };
        let (ours, its) = pair().map_err(not_run)?;
        let copy = || its.try_clone().map(Stdio::from);
        let mut command = tokio::process::Command::from(prepare(program, arguments));
        command.stdin(copy().map_err(not_run)?).stdout(copy().map_err(not_run)?).stderr(copy().map_err(not_run)?);
        let child = command.kill_on_drop(true).spawn().map_err(not_run)?;
        // What it says ends when nobody has its side any more, and the command holds it, too.
        drop((command, its));
        let (tell, said) = mpsc::unbounded_channel();
        let mut listening = ours.try_clone().map_err(not_run)?;
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // The end of a terminal is an error, EIO.
            while let Ok(read @ 1..) = listening.read(&mut piece) {
                if piece.get(..read).is_none_or(|piece| tell.send(piece.to_vec()).is_err()) {
                    break;
                }
            }
        });
        Ok(Self { program: program.to_owned(), child, said, keys: ours })
    }

    /// What it says next; none at its end.
    pub async fn hear(&mut self) -> Option<Vec<u8>> {
        self.said.recv().await
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> io::Result<()> {
        self.keys.write_all(line.as_bytes())?;
        self.keys.write_all(b"\r")
    }

    /// Waits for its end.
    pub async fn end(&mut self, patience: Duration) -> Result<ExitStatus, ProcessError> {
        let not_run = |source| ProcessError::NotRun { program: self.program.clone(), source };
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => status.map_err(not_run),
            Err(_) => Err(ProcessError::Late { program: self.program.clone(), patience }),
        }
    }
}

/// Both sides of a new terminal that passes everything on as it is: the one in the container does the rest.
fn pair() -> io::Result<(File, File)> {
    let pair = openpty(None, None)?;
    // No other program that is started meanwhile: it would keep the terminal open, and could read what is typed.
    for side in [&pair.master, &pair.slave] {
        fcntl(side, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let mut modes = tcgetattr(&pair.slave)?;
    cfmakeraw(&mut modes);
    tcsetattr(&pair.slave, SetArg::TCSANOW, &modes)?;
    Ok((File::from(pair.master), File::from(pair.slave)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_has_a_terminal_and_hears_what_is_typed() {
        let script = "test -t 0 && test -t 1 && stty icrnl && printf 'who? ' && read who && echo \"[$who]\" && exit 7";
        let mut terminal = Terminal::start("sh", &["-c".to_owned(), script.to_owned()]).unwrap();
        let (mut said, mut typed) = (String::new(), false);
        while let Some(piece) = terminal.hear().await {
            said += &String::from_utf8_lossy(&piece);
            if said.contains("who? ") && !typed {
                terminal.type_line("me").unwrap();
                typed = true;
            }
        }
        assert!(said.contains("[me]"), "{said:?}");
        assert_eq!(terminal.end(Duration::from_secs(60)).await.unwrap().code(), Some(7));
    }

    #[test]
    fn no_other_program_gets_either_side() {
        let (ours, its) = pair().unwrap();
        for side in [&ours, &its] {
            let flags = fcntl(side, FcntlArg::F_GETFD).unwrap();
            assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
        }
    }

    #[tokio::test]
    async fn one_that_is_let_go_ends() {
        let terminal = Terminal::start("sleep", &["inf".to_owned()]).unwrap();
        let id = terminal.child.id().unwrap();
        drop(terminal);
        let gone = || !std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
        for _ in 0..600 {
            if gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it goes on");
    }
}
