//! What people and programs get to read: data on standard output, talk on standard error.
//!
//! The only place that prints. A reader that went away (`| head`) is not an error.

mod bar;
mod dress;

use std::io::Write;

use serde::Serialize;

pub use bar::{Beside, Moving};
use dress::Dress;

/// The version of every JSON document's shape; it grows when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
    /// No talk but errors.
    pub quiet: bool,
    /// More of everything.
    pub verbose: bool,
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: u32,
    kind: &'a str,
    #[serde(flatten)]
    body: T,
}

impl Output {
    /// The answer: `body` as a JSON document of this kind, or `text`, dressed where people read it.
    pub fn answer<T: Serialize>(self, kind: &str, body: T, text: impl FnOnce() -> String) {
        let dressed = || {
            let text = text();
            Dress::of(&std::io::stdout()).map_or(text.clone(), |dress| dress.put_on(&text))
        };
        self.document(kind, body, dressed);
    }

    /// The same of a text that is a file, and stays as it is wherever it goes.
    pub fn document<T: Serialize>(self, kind: &str, body: T, text: impl FnOnce() -> String) {
        let mut text = if self.json {
            let document = Document { schema: SCHEMA, kind, body };
            serde_json::to_string_pretty(&document).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
        } else {
            text()
        };
        if !text.ends_with('\n') && !text.is_empty() {
            text.push('\n');
        }
        bar::end();
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// Something a person may want to know meanwhile.
    pub fn talk(self, line: &str) {
        if !self.quiet {
            Self::complain(line);
        }
    }

    /// Something a person must know.
    pub fn complain(line: &str) {
        let line = format!("{line}\n");
        let line = Dress::of(&std::io::stderr()).map_or(line.clone(), |dress| dress.put_on(&line));
        bar::beside(|| {
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        });
    }

    /// The line that moves, for a person who looks on. For all others a line is a line, and stays.
    pub fn moving(self) -> Option<Moving> {
        if self.quiet || self.json { None } else { Moving::of_standard_error() }
    }
}
