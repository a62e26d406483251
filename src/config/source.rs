//! The text of configuration files, and places in it.
//!
//! Owns the way from a byte offset to the line and column that a person counts. Reads no file.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// One configuration file as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Where it was read, as shown to people.
    #[serde(serialize_with = "as_shown")]
    pub path: PathBuf,
    /// All of its text.
    pub text: String,
}

// A file name need not be UTF-8, and serde refuses one that is not.
fn as_shown<S: Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Source {
    /// The text without the byte order mark that some editors write.
    pub(super) fn content(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }
}

/// Bytes of the content of one source, by the number of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number among the sources of one run.
    pub source: usize,
    /// Which bytes.
    pub span: Range<usize>,
}

impl Place {
    /// What of `span` lies in a text of this length.
    pub fn within(source: usize, span: Range<usize>, length: usize) -> Self {
        let start = span.start.min(length);
        Self { source, span: start..span.end.clamp(start, length) }
    }
}

/// A line and a column, both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line; one past the last at its end.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A text with its line starts found once, so that each look-up is cheap in a long file.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(source: &'a Source) -> Self {
        let text = source.content();
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Where the byte `offset` is, which may lie anywhere.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.boundary(offset);
        let line = self.number(offset);
        let start = self.start(line);
        let column = self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1);
        Position { line, column }
    }

    /// The number of the line in which the byte `offset` is.
    pub fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// The line that a person counts as `line`, without its end.
    pub fn line(&self, line: usize) -> &'a str {
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        let text = self.text.get(self.start(line)..end).unwrap_or("");
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// The offset of the first byte of `line`.
    pub fn start(&self, line: usize) -> usize {
        self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }

    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_offsets_may_be_anywhere() {
        let source = Source { path: "x".into(), text: "\u{feff}ab\r\nö=\n".to_owned() };
        let lines = Lines::new(&source);
        for (offset, line, column) in [(0, 1, 1), (3, 1, 4), (4, 2, 1), (5, 2, 1), (6, 2, 2), (8, 3, 1), (99, 3, 1)] {
            assert_eq!(lines.position(offset), Position { line, column }, "{offset}");
        }
        assert_eq!((lines.line(1), lines.line(2), lines.line(3), lines.line(9)), ("ab", "ö=", "", ""));
    }
}
