//! The text of one file as TOML, or all that is wrong with it as such; and what in it no report may show.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::excerpt::printable;
use super::problems::{Problem, Problems};
use super::source::{Lines, Place, Source};
use super::variables;

/// Lines of one file that are reported as not being TOML; the later ones mostly follow from the first.
const SYNTAX_LIMIT: usize = 20;

/// Reads one file, the `number`th; `None` if it is not TOML. What is wrong, and what is secret, goes to `problems`.
pub(super) fn read<'a>(number: usize, source: &'a Source, problems: &mut Problems) -> Option<DeTable<'a>> {
    let (document, errors) = DeTable::parse_recoverable(source.content());
    let mut reader = Reader { source: number, length: source.content().len(), problems };
    reader.cover_secrets(document.get_ref(), false);
    if errors.is_empty() {
        return Some(document.into_inner());
    }
    reader.syntax(source, &errors);
    None
}

struct Reader<'a> {
    source: usize,
    length: usize,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        Place::within(self.source, span, self.length)
    }

    fn syntax(&mut self, source: &Source, errors: &[toml::de::Error]) {
        let lines = Lines::new(source);
        let mut reported: Vec<usize> = Vec::new();
        for error in errors {
            let place = self.place(error.span().unwrap_or(0..0));
            let line = lines.number(place.span.start);
            // After a first error the parser stumbles over the rest of the line.
            if reported.contains(&line) {
                continue;
            }
            if reported.len() == SYNTAX_LIMIT {
                break;
            }
            reported.push(line);
            self.cover_line(source.content(), lines.start(line));
            let message = printable(error.message());
            let (message, expected) = message.split_once(", expected ").unwrap_or((&message, ""));
            let problem = Problem::new(format!("not valid TOML: {message}"));
            let problem = if expected.is_empty() { problem } else { problem.expected(expected) };
            self.problems.at(&place, problem);
        }
    }

    /// Covers what may be a secret in a line that could not be parsed: all that follows a name which
    /// looks like one, be it in this line or in that of the last `=` before, which it may go on.
    fn cover_line(&mut self, text: &str, start: usize) {
        let end = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| start + length);
        let equals = text.get(..end).and_then(|before| before.rfind('=')).unwrap_or(start).min(start);
        let from = text.get(..equals).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let mut words = text.get(from..end).unwrap_or("").split_inclusive(|c: char| !c.is_alphanumeric() && c != '_');
        let mut after = from;
        if words.any(|word| {
            after += word.len();
            variables::looks_secret(word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_'))
        }) {
            let equals =
                text.get(after..end).and_then(|rest| rest.find('=')).filter(|at| *at <= 2).map_or(0, |at| at + 1);
            let place = self.place((after + equals).max(start)..end);
            self.problems.cover(place);
        }
    }

    fn cover_secrets(&mut self, table: &DeTable<'_>, inherited: bool) {
        for (name, value) in table {
            self.cover_value(value, inherited || variables::looks_secret(name.get_ref()));
        }
    }

    fn cover_value(&mut self, value: &Spanned<DeValue<'_>>, secret: bool) {
        match value.get_ref() {
            DeValue::Table(inner) => self.cover_secrets(inner, secret),
            DeValue::Array(items) => items.iter().for_each(|item| self.cover_value(item, secret)),
            _ if secret => {
                let place = self.place(value.span());
                self.problems.cover(place);
            }
            _ => {}
        }
    }
}
