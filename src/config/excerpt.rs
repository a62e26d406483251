//! What a person gets to see of a file's text: escaped, cut, secrets covered.
//!
//! A configuration file may hold any bytes and the report may go to a terminal or the journal, so
//! nothing of a file is printed but through here.

use std::fmt::Write as _;
use std::ops::Range;

use super::source::{Lines, Position};

/// Longest part of a line that is shown, in characters.
const WIDTH: usize = 120;

/// What stands for a secret.
const COVER: &str = "***";

/// One line of a file with a mark below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    line: usize,
    text: String,
    indent: usize,
    marks: usize,
}

impl Excerpt {
    /// The line of `span` with its part of the span marked, and what lies in `secret` covered.
    pub fn new(lines: &Lines<'_>, span: &Range<usize>, secret: &[Range<usize>]) -> Self {
        let Position { line, column } = lines.position(span.start);
        let skip = if column > WIDTH { column - WIDTH / 2 } else { 0 };
        let start = lines.start(line);
        let mut excerpt = Self { line, text: String::new(), indent: 0, marks: 0 };
        if skip > 0 {
            excerpt.text.push_str("... ");
        }
        excerpt.indent = excerpt.text.len();
        let mut rest = lines.line(line).char_indices().map(|(at, c)| (start + at, c)).skip(skip);
        let window: Vec<_> = rest.by_ref().take(WIDTH).collect();
        // Of the secrets of a file, which may be many, those that are looked at here.
        let last = window.last().map_or(0, |(at, _)| *at);
        let first = window.first().map_or(0, |(at, _)| *at);
        let secret: Vec<_> = secret.iter().filter(|range| range.start <= last && first < range.end).collect();
        let mut covered = false;
        for (at, c) in window {
            let hide = secret.iter().any(|range| range.contains(&at));
            let shown = match (hide, covered) {
                (true, true) => String::new(),
                (true, false) => COVER.to_owned(),
                (false, _) => visible(c),
            };
            covered = hide;
            excerpt.push(&shown, at, span);
        }
        if rest.next().is_some() {
            excerpt.text.push_str(" ...");
        }
        excerpt
    }

    fn push(&mut self, shown: &str, at: usize, span: &Range<usize>) {
        let width = shown.chars().count();
        if at < span.start {
            self.indent += width;
        } else if at < span.end {
            self.marks += width;
        }
        self.text.push_str(shown);
    }

    /// The two lines, as people read them.
    pub fn render(&self, out: &mut String) {
        let number = self.line.to_string();
        let (margin, indent, marks) =
            (" ".repeat(number.len()), " ".repeat(self.indent), "^".repeat(self.marks.max(1)));
        let text = self.text.trim_end();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {number} | {text}\n  {margin} | {indent}{marks}");
    }
}

/// `text` in one line without anything that a terminal would obey, cut when it is long.
pub(super) fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(WIDTH).map(visible).collect();
    if text.chars().nth(WIDTH).is_some() {
        shown.push_str("...");
    }
    shown
}

fn visible(c: char) -> String {
    // Besides control characters: line separators, what has no width, and what turns the direction
    // of writing, so that a line never looks like another one.
    let unseen = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    match c {
        '\t' => " ".to_owned(),
        _ if c.is_control() || unseen => c.escape_default().to_string(),
        _ => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    fn shown(text: &str, span: Range<usize>, secret: &[Range<usize>]) -> String {
        let source = Source { path: "x".into(), text: text.to_owned() };
        let mut out = String::new();
        Excerpt::new(&Lines::new(&source), &span, secret).render(&mut out);
        out
    }

    #[test]
    fn control_characters_are_escaped_and_the_mark_stays_below() {
        assert_eq!(shown("\t\u{1b}a = 1\r\n", 6..7, &[]), "  1 |  \\u{1b}a = 1\n    |            ^\n");
    }

    #[test]
    fn secrets_are_covered_whatever_their_length() {
        assert_eq!(shown("a = \"hunter2\" b", 0..1, std::slice::from_ref(&(4..13))), "  1 | a = *** b\n    | ^\n");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let text = shown(&line, 500..501, &[]);
        let mut rows = text.lines();
        let (first, second) = (rows.next().unwrap(), rows.next().unwrap());
        assert!(first.len() < 150 && first.starts_with("  1 | ... a") && first.ends_with("b ..."));
        assert_eq!(first.find('X'), second.find('^'));
    }
}
