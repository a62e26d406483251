//! Reads what icloudpd says, line by line: counts, and what it came to.
//!
//! Its exit code says next to nothing: 1.32.3 ends with 0 after a wrong password, without a network, and after "All photos and
//! videos have been downloaded" with no file downloaded. The lines decide, those about single files before all.

use std::collections::VecDeque;

use crate::icloud::code;
use crate::model::icloud::{SyncCounts, SyncResult};

/// Lines that are kept for a result without a name.
const KEPT: usize = 5;

/// Longest line that is kept, in characters.
const LONGEST: usize = 300;

/// How the program itself ended, as systemd tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, and content.
    Well,
    /// By itself, and not.
    Badly,
    /// By something else: out of memory, out of time.
    Killed,
    /// By somebody who wants it so.
    Stopped,
    /// It was never begun: a condition of its unit was not met.
    HeldOff,
}

/// What has been read so far.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    counts: SyncCounts,
    /// A line that decides, where the run does not reach its end.
    verdict: Option<SyncResult>,
    /// The same of a library before the one that is its turn now.
    earlier: Option<SyncResult>,
    /// It said that it is at its end.
    at_end: bool,
    /// Files that could not be written, which is said of a connection that broke, too.
    unwritten: u64,
    /// The system itself said that nothing more can be written.
    no_room: bool,
    /// It asked for a code.
    asked_for_code: bool,
    /// The last error that was told, of this library and since Apple last took a session.
    error: String,
    tail: VecDeque<String>,
}

impl Reading {
    /// Takes the next line. Returns whether the counts have changed.
    pub fn take(&mut self, line: &str) -> bool {
        let line = line.trim_end();
        let (level, message) = parts(line);
        self.keep(line);
        let before = self.counts;
        if level == Some("INFO") && message.starts_with("Downloaded ") {
            self.counts.downloaded += 1;
        } else if level == Some("ERROR") && NOT_DOWNLOADED.iter().any(|begin| message.starts_with(begin)) {
            self.counts.failed += 1;
        } else if let Some(rest) = message.strip_prefix("Downloading ").filter(|_| level == Some("INFO")) {
            self.counts.found = rest.split(' ').next().and_then(|count| count.parse().ok());
        } else {
            self.take_other(level, message);
        }
        self.counts != before
    }

    fn take_other(&mut self, level: Option<&str>, message: &str) {
        if level == Some("ERROR") && code::status(message).is_some() {
            message.clone_into(&mut self.error);
        }
        if message.starts_with("IOError while writing file to ") {
            self.unwritten += 1;
        } else if NO_ROOM.iter().any(|words| message.contains(words)) {
            self.no_room = true;
        } else if message.starts_with("Processing user: ") {
            // Each library has its own turn.
            let verdict = self.verdict.take().filter(|_| !self.at_end);
            self.earlier = self.earlier.take().or(verdict);
            self.at_end = false;
            self.error.clear();
        } else if AT_END.iter().any(|words| message.starts_with(words)) {
            self.at_end = true;
        } else if message.starts_with("Authentication completed successfully") {
            self.verdict = None;
            self.error.clear();
        } else if level == Some("INFO") && message == self.error {
            // As an error it is said of a session that is tried and followed by a password; once more, as news, it is the end.
            self.take_last(message);
        } else if message.contains("-factor authentication is required")
            || message.contains("-step authentication is required")
        {
            self.asked_for_code = true;
            self.verdict = Some(SyncResult::CodeNeeded);
        } else if message.starts_with("EOFError") {
            // Nobody was there to answer.
            let of_session = || code::of_session(code::status(&self.error));
            self.verdict = Some(if self.asked_for_code { SyncResult::CodeNeeded } else { of_session() });
        } else if SIGN_IN.iter().any(|words| message.contains(words)) {
            self.verdict = code::of_sign_in(message);
        } else if message.contains("Invalid authentication token.") {
            let passing = code::status(message).is_some_and(code::is_passing);
            self.verdict = Some(if passing { SyncResult::Throttled } else { SyncResult::SessionExpired });
        } else if message.starts_with("Unknown library: ") {
            self.verdict = Some(SyncResult::NotFound { said: cut(message) });
        } else if let Some((_, result)) = DECIDE.iter().find(|(words, _)| message.contains(words)) {
            self.verdict = Some(result.clone());
        }
    }

    /// An error with which it ends.
    fn take_last(&mut self, message: &str) {
        if code::status(message).is_some_and(code::is_passing) {
            self.verdict = Some(SyncResult::Throttled);
        } else if message.starts_with("Authentication required for Account.") {
            self.verdict = Some(SyncResult::Refused);
        }
    }

    fn keep(&mut self, line: &str) {
        // Where in its source a program broke off is no news to who reads this.
        if line.trim().is_empty() || line.starts_with("  File ") || line.starts_with("[PYI-") {
            return;
        }
        self.tail.push_back(cut(line));
        if self.tail.len() > KEPT {
            self.tail.pop_front();
        }
    }

    /// Whether nothing was said yet.
    pub fn is_silent(&self) -> bool {
        self.tail.is_empty()
    }

    /// What was moved so far.
    pub const fn counts(&self) -> SyncCounts {
        self.counts
    }

    /// What it came to. `has_room`: whether the disk has room now.
    pub fn result(&self, ended: Ended, has_room: bool) -> SyncResult {
        if self.no_room || self.unwritten > 0 && !has_room {
            return SyncResult::DiskFull;
        }
        let unknown = || SyncResult::Unknown { said: self.tail.iter().cloned().collect() };
        let verdict = self.earlier.as_ref().or_else(|| self.verdict.as_ref().filter(|_| !self.at_end));
        match (ended, verdict) {
            // What decides is said before an end that is one of its kind.
            (Ended::Well | Ended::Badly, Some(verdict)) => verdict.clone(),
            (Ended::Killed | Ended::Stopped, Some(verdict))
                if verdict.mends() == crate::model::icloud::Mends::Login =>
            {
                verdict.clone()
            }
            (Ended::Killed | Ended::Stopped | Ended::HeldOff, _) => SyncResult::CutOff,
            (Ended::Well, _) if self.at_end && self.counts.failed + self.unwritten == 0 => SyncResult::Done,
            (Ended::Well, _) if self.at_end => {
                SyncResult::Partly { failed: self.counts.failed.max(self.unwritten), cut: 0 }
            }
            _ => unknown(),
        }
    }
}

/// What is said at the end, by what was wanted.
const AT_END: [&str; 3] = [
    "All photos and videos have been downloaded",
    "All photos have been downloaded",
    "All videos have been downloaded",
];

/// What is said of one file that did not come.
const NOT_DOWNLOADED: [&str; 2] = ["Could not download ", "Could not find URL to download "];

/// What the system says of a disk that takes nothing more.
const NO_ROOM: [&str; 5] = [
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Could not create folder ",
    "Permission denied",
];

/// What is said of a sign-in that did not go well, for whatever reason.
const SIGN_IN: [&str; 2] = ["Invalid email/password combination.", "Failed to initiate srp authentication."];

/// What is said of a run that goes no further.
const DECIDE: [(&str, SyncResult); 7] = [
    ("Apple iCloud is temporary refusing to serve icloudpd", SyncResult::Throttled),
    ("(ACCESS_DENIED)", SyncResult::AccessDenied),
    ("Apple iCloud setup is not complete", SyncResult::SetupIncomplete),
    ("has not finished indexing", SyncResult::Indexing),
    ("Cannot connect to Apple iCloud service", SyncResult::NoNetwork),
    ("Failed to verify two-", SyncResult::CodeNeeded),
    ("Apple insists on using ", SyncResult::OtherDomain),
];

/// A line's level and message: `2026-11-22 02:13:45 INFO     Downloaded x`. What is no line of the log is all message.
fn parts(line: &str) -> (Option<&str>, &str) {
    let mut words = line.splitn(4, ' ');
    let (date, time, level, rest) = (words.next(), words.next(), words.next(), words.next());
    let stamped = date.is_some_and(|date| date.len() == 10) && time.is_some_and(|time| time.len() == 8);
    match (level, rest) {
        (Some(level @ ("DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL")), Some(rest)) if stamped => {
            (Some(level), rest.trim_start())
        }
        _ => (None, line),
    }
}

fn cut(line: &str) -> String {
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// What icloudpd 1.32.3 really wrote, with its exit code in the last line.
    fn recorded(name: &str) -> (Reading, Ended) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/icloudpd").join(format!("{name}.txt"));
        let text = fs::read_to_string(path).unwrap();
        let (log, code) = text.trim_end().rsplit_once("exit ").unwrap();
        let mut reading = Reading::default();
        log.lines().for_each(|line| {
            reading.take(line);
        });
        let ended = match code {
            "0" => Ended::Well,
            "137" => Ended::Killed,
            _ => Ended::Badly,
        };
        (reading, ended)
    }

    #[test]
    fn each_recorded_end_has_its_name() {
        use SyncResult::{
            AccessDenied, CodeNeeded, CutOff, DiskFull, Done, Indexing, NoNetwork, OtherDomain, Partly, Refused,
            SessionExpired, SetupIncomplete, Throttled, WrongPassword,
        };
        for (name, downloaded, result) in [
            ("first", 5, Done),
            ("again", 0, Done),
            ("until-found", 0, Done),
            ("skip-videos", 4, Done),
            ("skip-photos", 1, Done),
            ("partly", 4, Partly { failed: 1, cut: 0 }),
            ("file-404", 0, Partly { failed: 5, cut: 0 }),
            ("file-500", 0, Partly { failed: 5, cut: 0 }),
            // A connection that breaks is no news to icloudpd: the files have to be looked at.
            ("cut", 5, Done),
            ("throttled", 0, Throttled),
            ("gone", 0, NoNetwork),
            ("refused421", 0, Refused),
            ("access-denied", 0, AccessDenied),
            ("setup", 0, SetupIncomplete),
            ("indexing", 0, Indexing),
            ("unknown-library", 0, SyncResult::NotFound { said: "Unknown library: Nope".into() }),
            ("domain", 0, OtherDomain),
            ("full", 1, DiskFull),
            ("read-only", 0, DiskFull),
            ("killed", 0, CutOff),
            ("expired", 0, SessionExpired),
            ("code-needed", 0, CodeNeeded),
            ("wrong-code", 0, CodeNeeded),
            ("wrong-password", 0, WrongPassword),
            ("wrong-piped", 0, WrongPassword),
            // Gateways of Apple's: nothing is wrong with session or password.
            ("validate-500", 0, Throttled),
            ("validate-502", 0, Throttled),
            ("validate-504", 0, Throttled),
            ("signin-init-500", 0, Throttled),
            ("signin-init-502", 0, Throttled),
            ("signin-complete-500", 0, Throttled),
            ("signin-complete-502", 0, Throttled),
            ("login-502", 0, Throttled),
            ("photos-502", 0, Throttled),
            ("photos-504", 0, Throttled),
        ] {
            let (reading, ended) = recorded(name);
            assert_eq!(reading.result(ended, true), result, "{name}");
            assert_eq!(reading.counts().downloaded, downloaded, "{name}");
        }
    }

    #[test]
    fn an_account_that_is_locked_is_told_of_in_apples_words() {
        let (reading, ended) = recorded("locked");
        let SyncResult::Unknown { said } = reading.result(ended, true) else { panic!("it has a name") };
        assert!(said.last().is_some_and(|last| last.contains("This Apple Account has been locked")), "{said:?}");
    }

    #[test]
    fn its_exit_code_decides_nothing() {
        for name in ["wrong-password", "throttled", "gone", "refused421", "wrong-code", "file-404"] {
            let (reading, ended) = recorded(name);
            assert_eq!(ended, Ended::Well, "{name}");
            assert_ne!(reading.result(ended, true), SyncResult::Done, "{name}");
        }
    }

    #[test]
    fn how_many_there_are_is_known_before_they_come() {
        assert_eq!(recorded("first").0.counts().found, Some(4));
        assert_eq!(recorded("until-found").0.counts().found, None);
        let mut reading = Reading::default();
        assert!(reading.take("2026-11-22 02:13:45 INFO     Downloaded /photos/2024/05/a.JPG"));
        assert!(!reading.take("2026-11-22 02:13:45 DEBUG    Downloading /photos/2024/05/a.JPG..."));
    }

    #[test]
    fn what_ends_without_a_name_is_repeated_without_the_source() {
        let mut reading = Reading::default();
        for line in [
            "a",
            "Traceback (most recent call last):",
            "  File \"x.py\", line 1",
            "KeyError: 'dsInfo'",
            "[PYI-1:ERROR] x",
        ] {
            reading.take(line);
        }
        let said = ["a", "Traceback (most recent call last):", "KeyError: 'dsInfo'"].map(str::to_owned).into();
        assert_eq!(reading.result(Ended::Badly, true), SyncResult::Unknown { said });
        assert_eq!(Reading::default().result(Ended::Well, true), SyncResult::Unknown { said: Vec::new() });
    }

    #[test]
    fn a_file_that_was_not_written_is_the_disks_fault_where_it_has_no_room() {
        let mut reading = Reading::default();
        reading
            .take("2026-11-22 02:16:18 ERROR    IOError while writing file to /photos/a.DNG. You might have run out");
        reading.take("2026-11-22 02:16:18 ERROR    Could not download a.DNG. Please try again later.");
        reading.take("2026-11-22 02:16:18 INFO     All photos and videos have been downloaded");
        assert_eq!(reading.result(Ended::Well, true), SyncResult::Partly { failed: 1, cut: 0 });
        assert_eq!(reading.result(Ended::Well, false), SyncResult::DiskFull);
    }

    #[test]
    fn one_library_that_fails_is_not_made_good_by_the_next() {
        let mut reading = Reading::default();
        for line in [
            "INFO     Processing user: a@b.c",
            "INFO     Apple iCloud is temporary refusing to serve icloudpd",
            "INFO     Processing user: a@b.c",
            "INFO     All photos and videos have been downloaded",
        ] {
            reading.take(&format!("2026-11-22 02:13:45 {line}"));
        }
        assert_eq!(reading.result(Ended::Well, true), SyncResult::Throttled);
    }

    #[test]
    fn a_file_named_like_a_message_decides_nothing() {
        let mut reading = Reading::default();
        reading.take("2026-11-22 02:13:45 INFO     Downloaded /photos/Cannot connect to Apple iCloud service.JPG");
        reading.take("2026-11-22 02:13:45 INFO     All photos and videos have been downloaded");
        assert_eq!(reading.result(Ended::Well, true), SyncResult::Done);
    }
}
