//! What is told, as it is seen: by somebody at a terminal, and by whoever reads it from a pipe.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread::sleep;

use nix::pty::{Winsize, openpty};

use super::*;
use crate::cli::output::Beside;
use crate::host::podman::PullProgress;

/// Names how the command was called, to the test that is called by the other.
const CALLED: &str = "PHOTOS_AGENT_TEST_CALLED";

const PLAIN: &str = "\
pull docker.io/library/x:1   (it is to run)
    100 of 400 MiB
 WARN something else
    docker.io/library/x:1 in 1.2 s
start photos.target   (it is not up)
    immich-ml.service: done after 2.0 s
    waiting for immich-server.service since 12 s
    immich-server.service: done after 13.0 s
error: it ends
";

#[test]
fn a_terminal_has_a_line_that_moves_and_nothing_of_it_stays() {
    let moved: String = PLAIN
        .lines()
        .filter(|line| !line.contains("00 of") && !line.contains("waiting"))
        .fold(String::new(), |text, line| text + line + "\n");
    let watched: Vec<_> = [("xterm", ""), ("dumb", ""), ("", ""), ("xterm", "json"), ("xterm", "quiet")]
        .map(|(terminal, called)| (terminal, called, at_a_terminal(terminal, called)))
        .into();
    let mut piped = the_other("xterm", "").stderr(Stdio::piped()).spawn().unwrap();
    for (terminal, called, (mut child, mut master)) in watched {
        let mut bytes = Vec::new();
        // The end of a terminal is an error.
        let _ = master.read_to_end(&mut bytes);
        assert!(child.wait().unwrap().success());
        let written = String::from_utf8(bytes).unwrap();
        let screen = seen(&written);
        assert!(!written.contains("\x1b[?25"), "a cursor is hidden: {written:?}");
        match (terminal, called) {
            (_, "quiet") => assert_eq!(screen, " WARN something else\nerror: it ends\n"),
            ("xterm", "") => {
                assert_eq!(screen, moved, "{written:?}");
                for line in [
                    "\x1b[2K    100 of 400 MiB",
                    "\x1b[2K    200 of 400 MiB",
                    "    waiting for immich-server.service since 1",
                ] {
                    assert!(written.contains(line), "{line:?}: {written:?}");
                }
            }
            _ => {
                assert_eq!(screen, PLAIN, "{terminal} {called}: {written:?}");
                assert!(!written.contains("\x1b[2K") && !written.replace("\r\n", "").contains('\r'), "{written:?}");
            }
        }
    }
    let mut text = String::new();
    piped.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(piped.wait().unwrap().success());
    assert_eq!(text, PLAIN);
}

#[test]
#[ignore = "is called by the one above"]
fn somebody_talks() {
    let called = std::env::var(CALLED).unwrap_or_default();
    let mut talk = Talk::new(Output { json: called == "json", quiet: called == "quiet", verbose: false });
    let image = "docker.io/library/x:1".parse().unwrap();
    let mib = |current: u64| PullProgress { current: current << 20, total: 400 << 20 };
    let [server, ml] = ["immich-server.service", "immich-ml.service"].map(|name| name.parse::<UnitName>().unwrap());
    let done = |unit, seconds| Event::Unit { unit, result: "done", took: Duration::from_secs(seconds) };

    talk.hear(Event::Step { step: &format!("pull {image}"), reason: "it is to run" });
    sleep(Duration::from_millis(1100));
    talk.told = Instant::now().checked_sub(TELL_BYTES).unwrap();
    talk.hear(Event::Pulling(&image, mib(100)));
    sleep(Duration::from_millis(500));
    writeln!(Beside, " WARN something else").unwrap();
    talk.hear(Event::Pulling(&image, mib(200)));
    sleep(Duration::from_millis(500));
    talk.hear(Event::Pulled(&image, Duration::from_millis(1200)));
    talk.hear(Event::Step { step: "start photos.target", reason: "it is not up" });
    talk.hear(done(&ml, 2));
    talk.hear(Event::Waiting(&[&server], Duration::from_secs(12)));
    sleep(Duration::from_millis(500));
    talk.hear(done(&server, 13));
    drop(talk);
    Output::complain("error: it ends");
}

fn the_other(terminal: &str, called: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "cli::apply::tests::somebody_talks", "--ignored", "--nocapture"]);
    command.env("TERM", terminal).env("NO_COLOR", "1").env(CALLED, called).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn at_a_terminal(terminal: &str, called: &str) -> (std::process::Child, std::fs::File) {
    let size = Winsize { ws_row: 24, ws_col: 70, ws_xpixel: 0, ws_ypixel: 0 };
    let pair = openpty(&size, None).unwrap();
    let child = the_other(terminal, called).stderr(pair.slave).spawn().unwrap();
    (child, pair.master.into())
}

/// What is on the screen at last, of the few things that a terminal is told here.
fn seen(written: &str) -> String {
    let (mut screen, mut line, mut column) = (String::new(), Vec::new(), 0);
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\x1b' => {
                assert_eq!(rest.by_ref().take(3).collect::<String>(), "[2K", "{written:?}");
                line.clear();
            }
            '\n' => {
                screen += line.drain(..).collect::<String>().trim_end();
                screen.push('\n');
                column = 0;
            }
            c => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    assert!(line.iter().all(|c| *c == ' '), "something stays: {line:?}");
    screen
}
