//! A unit file as ordered sections of ordered entries.

use std::fmt;

use serde::Serialize;

use super::Value;

/// A unit or quadlet file without its comments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct File {
    sections: Vec<Section>,
}

/// One `[Section]`. Several of one name in a text are one section, as for systemd and Podman.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    name: String,
    entries: Vec<Entry>,
}

/// One `Key=value` as it is written, escapes included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    key: String,
    value: String,
}

/// Why a text is not a unit file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected.
    pub message: String,
}

impl Section {
    /// The name, without its brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Entry {
    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as it is written.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl File {
    /// Reads a unit file.
    ///
    /// Refused is what systemd and Podman would read differently from one another.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut file = Self::default();
        let mut current = None;
        for (line, text) in logical_lines(text)? {
            let error = |message: &str| ParseError { line, message: message.to_owned() };
            if let Some(rest) = text.strip_prefix('[') {
                let name = rest.strip_suffix(']').filter(|name| is_section_name(name));
                let name = name.ok_or_else(|| error("expected a section, like `[Unit]`"))?;
                current = Some(file.position(name));
                continue;
            }
            let pair = text.split_once('=').map(|(key, value)| (key.trim_end(), value.trim()));
            let (key, value) =
                pair.filter(|(key, _)| is_key(key)).ok_or_else(|| error("expected `Key=value` or `[Section]`"))?;
            let section = current.and_then(|index: usize| file.sections.get_mut(index));
            let section = section.ok_or_else(|| error("expected a `[Section]` before the first key"))?;
            section.entries.push(Entry { key: key.to_owned(), value: value.to_owned() });
        }
        Ok(file)
    }

    /// All sections, in order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The values of `key` in `section`, in order.
    pub fn values<'a>(&'a self, section: &str, key: &'a str) -> impl Iterator<Item = &'a str> {
        let section = self.sections.iter().find(|candidate| candidate.name == section);
        let entries = section.map(|section| section.entries.as_slice()).unwrap_or_default();
        entries.iter().filter(move |entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// Adds an entry at the end of `section`, which is made where it is missing.
    ///
    /// Section and key are constants of this crate, so no input reaches them.
    pub fn add(&mut self, section: &'static str, key: &'static str, value: Value) {
        debug_assert!(is_section_name(section) && is_key(key));
        let index = self.position(section);
        if let Some(section) = self.sections.get_mut(index) {
            section.entries.push(Entry { key: key.to_owned(), value: value.into_string() });
        }
    }

    /// Where the section of this name is; made at the end where it is missing.
    fn position(&mut self, name: &str) -> usize {
        self.sections.iter().position(|section| section.name == name).unwrap_or_else(|| {
            self.sections.push(Section { name: name.to_owned(), entries: Vec::new() });
            self.sections.len() - 1
        })
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, section) in self.sections.iter().enumerate() {
            writeln!(f, "{}[{}]", if index == 0 { "" } else { "\n" }, section.name)?;
            for entry in &section.entries {
                writeln!(f, "{}={}", entry.key, entry.value)?;
            }
        }
        Ok(())
    }
}

/// The lines that mean something, trimmed, continuations joined, each with the number of its first line.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, ParseError> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, raw) in text.split('\n').enumerate() {
        let number = index + 1;
        let error = |message: &str| Err(ParseError { line: number, message: message.to_owned() });
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        let line = raw.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if line.is_empty() {
            // systemd ends a continuation here, Podman does not.
            if open.is_some() {
                return error("expected the rest of the line before");
            }
            continue;
        }
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return error("expected no control characters");
        }
        let (start, mut joined) = open.take().unwrap_or_else(|| (number, String::new()));
        if let Some(head) = line.strip_suffix('\\') {
            // For systemd `\\` and `\ ` end a line, for Podman they continue it.
            if head.ends_with('\\') || !raw.ends_with('\\') {
                return error("expected no escaped backslash at the end of a line");
            }
            joined.push_str(head);
            // systemd puts a space in the place of the backslash (systemd.syntax(7)).
            joined.push(' ');
            open = Some((start, joined));
        } else {
            joined.push_str(line);
            lines.push((start, joined.trim().to_owned()));
        }
    }
    match open {
        Some((line, _)) => Err(ParseError { line, message: "expected the rest of the line".to_owned() }),
        None => Ok(lines),
    }
}

fn is_section_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_control() || c == '[' || c == ']')
}

fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> File {
        File::parse(text).unwrap()
    }

    #[test]
    fn comments_and_continuations_are_read_as_systemd_does() {
        let text = "# one\n[A]\n; two\nKey = a \\\n# inside\n  b\nKey=\n[B]\nX-Y=\tq = r \r\n[A]\nLast=1";
        let file = read(text);
        assert_eq!(file.to_string(), "[A]\nKey=a  b\nKey=\nLast=1\n\n[B]\nX-Y=q = r\n");
        assert_eq!(file.values("A", "Key").collect::<Vec<_>>(), ["a  b", ""]);
        assert_eq!(read(&file.to_string()), file);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, line) in [
            ("A=1", 1),
            ("[A]\nnonsense", 2),
            ("[A]\n=1", 2),
            ("[A\n", 1),
            ("[A]]\n", 1),
            ("[]\n", 1),
            ("[A]\nA=\u{7}", 2),
            ("[A]\nA=1\\\\\nB=2", 2),
            ("[A]\nA=1\\ \nB=2", 2),
            ("[A]\nA=1 \\\n\nB=2", 3),
            ("[A]\nA=1 \\", 2),
            ("[A]\na b=1", 2),
        ] {
            assert_eq!(File::parse(text).map_err(|error| error.line), Err(line), "{text:?}");
        }
    }
}
