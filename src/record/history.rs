//! History: one line for each operation that changed the host, or tried to.
//!
//! The daemon tries again for as long as something is broken. An operation that failed as the one before it
//! did is counted on that one's line, so the file grows with what happens and not with time.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::files;
use crate::model::Root;
use crate::record::{RecordError, SCHEMA, state};

/// One operation, as it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Format of this line.
    pub schema: u32,
    /// Counted from 1.
    pub id: u64,
    /// The command that was given, or `daemon`.
    pub command: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; of an interrupted one, when that was found out.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done.
    pub steps: Vec<StepRecord>,
    /// The generation it converged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
}

/// An entry as it is written, and how often it happened in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// The last of them, but for `started`, which is the first one's.
    #[serde(flatten)]
    entry: Entry,
    /// How often.
    #[serde(default = "once")]
    times: u64,
}

const fn once() -> u64 {
    1
}

/// What a line of every format has.
#[derive(Deserialize)]
struct Head {
    schema: u32,
    id: u64,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The host is as it should be.
    Done,
    /// A step failed; the reason.
    Failed(String),
    /// The agent died in it; a later operation went on from there.
    Interrupted,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// What was done, in words.
    pub step: String,
    /// Why.
    pub reason: String,
    /// How long it took, in milliseconds; none where it did not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// The file of all entries, oldest first, one JSON document a line.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    displaced: PathBuf,
}

impl History {
    /// That below `root`.
    pub fn new(root: &Root) -> Self {
        Self { path: state(root, "history.jsonl"), displaced: state(root, "displaced") }
    }

    /// The texts of edited files that operations put aside and that are still there, each with the number of its
    /// operation, which its name begins with.
    pub fn kept(&self) -> Result<Vec<(u64, PathBuf)>, RecordError> {
        let number = |name: &str| name.split_once('-')?.0.parse().ok();
        let names = files::list(&self.displaced)?;
        Ok(names.iter().filter_map(|name| Some((number(name)?, self.displaced.join(name)))).collect())
    }

    /// All operations, oldest first; those that are counted on one line, once.
    pub fn entries(&self) -> Result<Vec<Entry>, RecordError> {
        Ok(self.lines()?.into_iter().map(|line| line.entry).collect())
    }

    /// As [`History::entries`], each with how often in a row it happened.
    pub fn counted(&self) -> Result<Vec<(Entry, u64)>, RecordError> {
        Ok(self.lines()?.into_iter().map(|line| (line.entry, line.times)).collect())
    }

    /// All lines. One that a power cut tore is left out: its operation is in `pending` still.
    fn lines(&self) -> Result<Vec<Line>, RecordError> {
        let text = self.text()?;
        if let Some(head) = heads(&text).find(|head| head.schema > SCHEMA) {
            return Err(RecordError::Newer { path: self.path.clone(), found: head.schema, known: SCHEMA });
        }
        Ok(text.lines().filter_map(read).collect())
    }

    /// The number that the next operation gets. Lines of a newer format count too: a number means one operation.
    pub fn next_id(&self) -> Result<u64, RecordError> {
        Ok(heads(&self.text()?).map(|head| head.id).max().unwrap_or(0) + 1)
    }

    /// Adds an entry, durable on return. The same operation is not entered twice. Lines that are not understood
    /// stay as they are.
    pub fn append(&self, entry: &Entry) -> Result<(), RecordError> {
        let text = self.text()?;
        if heads(&text).any(|known| known.id == entry.id) {
            return Ok(());
        }
        let entry = Entry { schema: SCHEMA, ..entry.clone() };
        let (before, last) = split_last(&text);
        match last.filter(|last| last.entry.schema <= SCHEMA && is_repeated(&last.entry, &entry)) {
            Some(last) => {
                let entry = Entry { started: last.entry.started, ..entry };
                let line = self.line(entry, last.times.saturating_add(1))?;
                files::write(&self.path, &format!("{before}{line}\n"), 0o600)?;
            }
            None => files::append(&self.path, &self.line(entry, once())?)?,
        }
        Ok(())
    }

    fn line(&self, entry: Entry, times: u64) -> Result<String, RecordError> {
        let damaged = |source| RecordError::Damaged { path: self.path.clone(), source };
        serde_json::to_string(&Line { entry, times }).map_err(damaged)
    }

    fn text(&self) -> Result<String, RecordError> {
        Ok(files::read(&self.path)?.unwrap_or_default())
    }
}

fn heads(text: &str) -> impl Iterator<Item = Head> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn read(line: &str) -> Option<Line> {
    serde_json::from_str(line).ok()
}

/// All lines but the last, and the last one, where it is whole.
fn split_last(text: &str) -> (&str, Option<Line>) {
    let Some(whole) = text.strip_suffix('\n') else { return (text, None) };
    match whole.rsplit_once('\n') {
        Some((before, last)) => (text.get(..=before.len()).unwrap_or_default(), read(last)),
        None => ("", read(whole)),
    }
}

/// Whether `next` failed as `last` did: told to do the same, in the same steps, for the same reason.
fn is_repeated(last: &Entry, next: &Entry) -> bool {
    let (Outcome::Failed(one), Outcome::Failed(other)) = (&last.outcome, &next.outcome) else { return false };
    let steps = |entry: &Entry| entry.steps.iter().map(|step| step.step.clone()).collect::<Vec<_>>();
    last.command == next.command && one.lines().next() == other.lines().next() && steps(last) == steps(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> Entry {
        let now = Timestamp::UNIX_EPOCH;
        Entry {
            schema: 1,
            id,
            command: "apply".to_owned(),
            started: now,
            finished: now,
            outcome: Outcome::Failed(format!("x{id}\ny")),
            steps: Vec::new(),
            generation: None,
        }
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(&Root::new(folder.path()));
        history.append(&entry(1)).unwrap();
        history.append(&entry(1)).unwrap();
        history.append(&entry(2)).unwrap();
        let text = files::read(&history.path).unwrap().unwrap();
        std::fs::write(&history.path, text.trim_end_matches("}\n")).unwrap();
        assert_eq!(history.entries().unwrap(), [entry(1)]);
        history.append(&entry(3)).unwrap();
        assert_eq!(history.entries().unwrap(), [entry(1), entry(3)]);
    }

    #[test]
    fn what_fails_again_and_again_is_counted_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(&Root::new(folder.path()));
        history.append(&entry(1)).unwrap();
        let failed = |id: u64| Entry {
            started: Timestamp::from_second(i64::try_from(id).unwrap()).unwrap(),
            finished: Timestamp::from_second(i64::try_from(id * 10).unwrap()).unwrap(),
            outcome: Outcome::Failed(format!("disk full\nattempt {id}")),
            ..entry(id)
        };
        for id in 2..=4 {
            history.append(&failed(id)).unwrap();
            history.append(&failed(id)).unwrap();
        }
        let counted = Line { entry: Entry { started: failed(2).started, ..failed(4) }, times: 3 };
        assert_eq!(history.lines().unwrap(), [Line { entry: entry(1), times: 1 }, counted]);
        assert_eq!(history.next_id().unwrap(), 5);
        // Another command, other steps, a success in between: each is a line of its own.
        history.append(&Entry { command: "daemon".to_owned(), ..failed(5) }).unwrap();
        let step = StepRecord { step: "make a".to_owned(), reason: String::new(), took_ms: None };
        history.append(&Entry { command: "daemon".to_owned(), steps: vec![step], ..failed(6) }).unwrap();
        history.append(&Entry { outcome: Outcome::Done, ..failed(7) }).unwrap();
        history.append(&Entry { outcome: Outcome::Done, ..failed(8) }).unwrap();
        assert_eq!(history.entries().unwrap().len(), 6);
    }

    #[test]
    fn lines_of_a_newer_format_are_told_of_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(&Root::new(folder.path()));
        history.append(&entry(1)).unwrap();
        files::append(&history.path, "{\"schema\":2,\"id\":7,\"news\":[]}").unwrap();
        assert!(matches!(history.lines(), Err(RecordError::Newer { found: 2, .. })));
        assert_eq!(history.next_id().unwrap(), 8);
        history.append(&entry(8)).unwrap();
        let text = files::read(&history.path).unwrap().unwrap();
        assert_eq!((text.lines().count(), text.contains("\"news\"")), (3, true), "{text}");
    }

    #[test]
    fn a_line_of_an_older_agent_happened_once() {
        let old = serde_json::to_string(&entry(1)).unwrap();
        assert_eq!(read(&old), Some(Line { entry: entry(1), times: 1 }));
    }
}
