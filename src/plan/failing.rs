//! What the services' own words tell of a card that fails behind a healthy face: machine learning answers its ping between the
//! deaths of its worker, and the server encodes on the processor what the card did not.

use crate::model::Refusal;

/// What both of them say to whoever asks whether they are well.
const NEXT: &str = "photos-agent hardware test; dmesg tells what the driver says";

/// The ends of a worker that are none: idle for long (SIGINT, Immich's `MODEL_TTL`), and asked to stop.
const ORDERLY: [&str; 3] = ["SIGINT", "SIGTERM", "SIGQUIT"];

/// The concern that workers of machine learning died, from its lines of the last hour.
pub fn workers<'a>(lines: impl Iterator<Item = &'a str>, has_card: bool) -> Option<Refusal> {
    let deaths: Vec<String> = lines.filter_map(|line| death(&plain(line))).collect();
    let last = deaths.last()?;
    let times = if deaths.len() == 1 { "once".to_owned() } else { format!("{} times", deaths.len()) };
    let why = format!(
        "says that it is well, and its worker died {times} within the last hour, at last by {last}: what it was at is lost"
    );
    let remedy = if has_card {
        format!("{NEXT}; to do without the card: `ml = \"cpu\"` in [hardware], then: photos-agent apply")
    } else {
        "journalctl -u immich-ml; where it is SIGKILL, memory is short: free -h".to_owned()
    };
    Some(Refusal::new("immich-ml", why, remedy))
}

/// From gunicorn's `Worker (pid:7) was sent SIGSEGV!`, or `... was sent code 139!`.
fn death(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("Worker (pid:")?;
    let (_, how) = rest.split_once(") was sent ")?;
    let how = how.split('!').next()?.trim();
    (!ORDERLY.contains(&how)).then(|| how.to_owned())
}

/// The concern that the card did not encode what it should have, from the server's lines of the last day.
pub fn encodings<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Refusal> {
    let is_retry = |line: &&str| line.contains("Retrying with") && line.contains("disabled");
    let count = lines.filter(is_retry).count();
    let what = if count == 1 { "a video".to_owned() } else { format!("videos, {count} times") };
    let why = format!("did not encode {what} within the last day, and the processor did: Immich says no more of it");
    (count > 0).then(|| Refusal::new("the card that encodes", why, format!("{NEXT}; journalctl -u immich-server")))
}

/// A line without the escapes that colour it (ECMA-48).
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            // Up to the letter that ends it.
            rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_told_from_an_end() {
        for (line, how) in [
            ("[03/02/25 14:42:32] ERROR    Worker (pid:10) was sent SIGSEGV!", Some("SIGSEGV")),
            (
                "WARNING  Worker \u{1b}[1m(\u{1b}[0mpid:\u{1b}[1;36m10\u{1b}[0m\u{1b}[1m)\u{1b}[0m was sent code \u{1b}[1;36m139\u{1b}[0m!",
                Some("code 139"),
            ),
            ("ERROR    Worker (pid:7) was sent SIGKILL! Perhaps out of", Some("SIGKILL")),
            ("ERROR    Worker (pid:7) was sent SIGINT!", None),
            ("INFO     Booting worker with pid: 8", None),
            ("", None),
        ] {
            assert_eq!(death(&plain(line)).as_deref(), how, "{line}");
        }
        let lines = ["Worker (pid:10) was sent SIGSEGV!", "x", "Worker (pid:11) was sent SIGABRT!"];
        let concern = workers(lines.into_iter(), true).unwrap();
        assert!(concern.why.contains("2 times") && concern.why.contains("SIGABRT"), "{concern}");
        assert_eq!(workers(["Worker (pid:10) was sent SIGINT!"].into_iter(), false), None);
    }

    #[test]
    fn a_retry_is_seen() {
        let line = "[Nest] 7  - ERROR [Microservices:MediaService] Retrying with VAAPI acceleration disabled";
        assert!(encodings([line, "x", line].into_iter()).unwrap().why.contains("2 times"));
        assert_eq!(encodings(["Transcoding video"].into_iter()), None);
    }
}
