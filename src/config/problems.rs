//! Collects what is wrong while the files are read, and turns it into diagnostics at the end.
//!
//! At the end, because only then it is known which parts of a file are secrets that no excerpt may
//! show.

use std::ops::Range;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::excerpt::{Excerpt, printable};
use super::meaning::Refusal;
use super::source::{Lines, Place, Source};

/// Problems of one file that are reported one by one; a file of any size stays quick to refuse.
const LIMIT: usize = 100;

/// What is wrong, without the where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub message: String,
    pub key: Option<String>,
    pub expected: Option<String>,
    pub found: Option<String>,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), key: None, expected: None, found: None, help: None }
    }

    /// A problem of the value of `key`.
    pub fn of_key(message: &str, key: &str) -> Self {
        let key = printable(key);
        Self { key: Some(key.clone()), ..Self::new(format!("{message} `{key}`")) }
    }

    /// `found` at `key` is of the right type and no more.
    pub fn bad_value(key: &str, found: &str, refusal: Refusal) -> Self {
        let Refusal { expected, help } = refusal;
        Self::of_key("bad value for", key).expected(expected).found(printable(found)).help(help)
    }

    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub fn help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Source number, its bytes (none: the file as a whole), and what is wrong there.
    found: Vec<(usize, Option<Range<usize>>, Problem)>,
    secrets: Vec<Place>,
}

impl Problems {
    /// Something is wrong at `place`.
    pub fn at(&mut self, place: &Place, problem: Problem) {
        self.found.push((place.source, Some(place.span.clone()), problem));
    }

    /// Something is wrong with a source as a whole.
    pub fn of_source(&mut self, source: usize, problem: Problem) {
        self.found.push((source, None, problem));
    }

    /// A default of our own is wrong, and no file is to blame.
    pub fn of_defaults(&mut self, problem: Problem) {
        self.of_source(usize::MAX, problem);
    }

    /// No excerpt may show what stands at `place`.
    pub fn cover(&mut self, place: Place) {
        self.secrets.push(place);
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Everything found, ordered, each once.
    pub fn into_diagnostics(self, sources: &[Source]) -> Diagnostics {
        let Self { mut found, secrets } = self;
        found.sort_by_key(|(source, span, _)| (*source, span.as_ref().map(|span| span.start)));
        found.dedup();
        let mut list = Vec::new();
        for (number, source) in sources.iter().enumerate() {
            let lines = Lines::new(source);
            let secret: Vec<_> =
                secrets.iter().filter(|place| place.source == number).map(|p| p.span.clone()).collect();
            let mine = found.iter().filter(|(source, _, _)| *source == number);
            let count = mine.clone().count();
            let file = printable(&source.path.display().to_string());
            list.extend(
                mine.take(LIMIT).map(|(_, span, problem)| diagnostic(&file, &lines, &secret, span.as_ref(), problem)),
            );
            if count > LIMIT {
                let rest = Problem::new(format!("{} more problems in this file", count - LIMIT));
                list.push(diagnostic(&file, &lines, &secret, None, &rest));
            }
        }
        // What no file is to blame for, such as a default of our own.
        let ours = found.iter().filter(|(source, _, _)| *source >= sources.len());
        let nothing = Source { path: "built-in defaults".into(), text: String::new() };
        list.extend(
            ours.map(|(_, _, problem)| diagnostic("built-in defaults", &Lines::new(&nothing), &[], None, problem)),
        );
        Diagnostics(list)
    }
}

fn diagnostic(
    file: &str,
    lines: &Lines<'_>,
    secret: &[Range<usize>],
    span: Option<&Range<usize>>,
    problem: &Problem,
) -> Diagnostic {
    let Problem { message, key, expected, found, help } = problem.clone();
    Diagnostic {
        file: file.to_owned(),
        position: span.map(|span| lines.position(span.start)),
        key,
        message,
        expected,
        found,
        help,
        excerpt: span.map(|span| Excerpt::new(lines, span, secret)),
    }
}
