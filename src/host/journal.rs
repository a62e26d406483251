//! The last words of a unit, for the person who must find out why it failed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::host::process::{self, Heard, ProcessError};
use crate::model::UnitName;

/// A journal of gigabytes on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines that are looked at for each that is wanted: a failing container comes with many of Podman's and systemd's own.
const AMONG: usize = 10;

/// The last `count` lines of meaning that `unit` and its container wrote to the journal; none if it cannot be read.
pub fn last_lines(unit: &UnitName, count: usize) -> Vec<String> {
    let among = (count * AMONG).to_string();
    let fields = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER";
    let arguments = ["-q", "--no-pager", "-o", "json", fields, "-n", &among, "-u", unit.as_str()];
    let arguments: Vec<&std::ffi::OsStr> = arguments.iter().map(std::convert::AsRef::as_ref).collect();
    let output = process::run("journalctl", &arguments);
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let lines: Vec<String> = text.lines().filter_map(words).collect();
    let skip = lines.len().saturating_sub(count);
    lines.into_iter().skip(skip).collect()
}

/// The last `count` lines that `unit` and its container wrote since then, as journalctl(1) prints them, for keeping; why not,
/// if it cannot be read.
pub async fn since(unit: &UnitName, since: Timestamp, count: usize) -> String {
    // In seconds, of which the first is not cut off.
    let (since, count) = (format!("--since=@{}", since.as_second()), count.to_string());
    let arguments = ["-q", "--no-pager", "-o", "short-iso-precise", &since, "-n", &count, "-u", unit.as_str()];
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    match process::hear("journalctl", &arguments, PATIENCE).await {
        Ok(Heard { code: Some(0), out, .. }) => format!("== {unit}\n{out}"),
        Ok(Heard { err, .. }) => format!("== {unit}: the journal cannot be read: {err}\n"),
        Err(error) => format!("== {unit}: the journal cannot be read: {error}\n"),
    }
}

/// The last lines that a unit and its container wrote within that time, at most so many, as they were written; none if the
/// journal cannot be read.
pub async fn lines_within(unit: &UnitName, time: Duration, count: usize) -> Vec<String> {
    let (since, count) = (format!("--since=-{}s", time.as_secs()), count.to_string());
    // -a: a line with colours in it is not taken for something unprintable.
    let arguments = ["-q", "--no-pager", "-a", "-o", "cat", &since, "-n", &count, "-u", unit.as_str()];
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let said = process::feed("journalctl", &arguments, &[], PATIENCE).await.unwrap_or_default();
    said.lines().map(str::to_owned).collect()
}

/// What a unit and its container write from now on, read bit by bit.
#[derive(Debug)]
pub struct Follow {
    unit: UnitName,
    /// The last entry that was read; none where there was none in the whole journal.
    cursor: Option<String>,
    /// Whether the container's own entries are read. With some log drivers the unit repeats what the container writes.
    of_container: Option<bool>,
}

impl Follow {
    /// From now on.
    pub async fn new(unit: &UnitName) -> Result<Self, ProcessError> {
        let arguments = ["-q", "--no-pager", "-n", "1", "--output=cat", "--show-cursor"].map(str::to_owned);
        let said = process::feed("journalctl", &arguments, &[], PATIENCE).await?;
        let cursor = said.lines().find_map(|line| line.strip_prefix("-- cursor: ")).map(str::to_owned);
        Ok(Self { unit: unit.clone(), cursor, of_container: None })
    }

    /// The lines since the last call. `all`: also those that are on their way.
    pub async fn lines(&mut self, all: bool) -> Result<Vec<String>, ProcessError> {
        if all {
            process::feed("journalctl", &["--sync".to_owned()], &[], PATIENCE).await?;
        }
        let fields = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,CONTAINER_ID_FULL";
        let mut arguments: Vec<String> =
            ["-q", "--no-pager", "-o", "json", fields, "-u", self.unit.as_str()].map(str::to_owned).into();
        arguments.extend(self.cursor.as_ref().map(|cursor| format!("--after-cursor={cursor}")));
        let said = process::feed("journalctl", &arguments, &[], PATIENCE).await?;
        Ok(said.lines().filter_map(|entry| self.take(entry)).collect())
    }

    fn take(&mut self, entry: &str) -> Option<String> {
        let fields: Value = serde_json::from_str(entry).ok()?;
        if let Some(cursor) = fields.get("__CURSOR").and_then(Value::as_str) {
            self.cursor = Some(cursor.to_owned());
        }
        let line = words(entry)?;
        if fields.get("SYSLOG_IDENTIFIER").and_then(Value::as_str) == Some("systemd") {
            return None;
        }
        let of_container = fields.get("CONTAINER_ID_FULL").is_some();
        (*self.of_container.get_or_insert(of_container) == of_container).then_some(line)
    }
}

/// What an entry says, unless it is about the machinery: a container's events, and who was killed when it ended.
fn words(entry: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(entry).ok()?;
    let message = entry.get("MESSAGE")?.as_str()?.trim_end();
    let by = entry.get("SYSLOG_IDENTIFIER").and_then(Value::as_str).unwrap_or_default();
    let machinery = match by {
        "podman" | "conmon" => true,
        "systemd" => message.contains(": Killing process "),
        _ => message.len() == 64 && message.bytes().all(|byte| byte.is_ascii_hexdigit()),
    };
    (!machinery && !message.is_empty()).then(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_unit_repeats_of_its_container_is_read_once() {
        let mut follow = Follow { unit: "a.service".parse().unwrap(), cursor: None, of_container: None };
        let mut take = |cursor: &str, by: &str, message: &str, id: Option<&str>| {
            let mut entry = serde_json::json!({ "__CURSOR": cursor, "SYSLOG_IDENTIFIER": by, "MESSAGE": message });
            if let Some(id) = id {
                entry["CONTAINER_ID_FULL"] = id.into();
            }
            follow.take(&entry.to_string())
        };
        assert_eq!(take("1", "systemd", "Starting a.service", None), None);
        assert_eq!(take("2", "a", "one", Some("x")).as_deref(), Some("one"));
        assert_eq!(take("3", "a", "one", None), None);
        assert_eq!(take("4", "a", "two", Some("x")).as_deref(), Some("two"));
        assert_eq!(follow.cursor.as_deref(), Some("4"));
    }

    #[test]
    fn the_words_of_the_service_are_told_and_those_about_it_are_not() {
        let entry =
            |by: &str, message: &str| serde_json::json!({ "SYSLOG_IDENTIFIER": by, "MESSAGE": message }).to_string();
        assert_eq!(words(&entry("immich-server", "ERROR no \n")).as_deref(), Some("ERROR no"));
        assert!(words(&entry("systemd", "a.service: Failed with result 'exit-code'.")).is_some());
        for (by, message) in [
            ("podman", "container died"),
            ("conmon", "<nwarn>"),
            ("systemd", "a.service: Killing process 1 (podman) with signal SIGKILL."),
            ("immich-server", &"0a".repeat(32)),
            ("immich-server", " "),
        ] {
            assert_eq!(words(&entry(by, message)), None, "{message}");
        }
    }
}
