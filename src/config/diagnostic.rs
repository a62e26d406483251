//! What is wrong with the configuration, for people and for machines.
//!
//! Owns how a problem reads. Which problems there are is decided elsewhere.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::excerpt::Excerpt;
use super::source::Position;

/// One thing wrong in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file, as shown to people.
    pub file: String,
    /// Where in it; none where the file as a whole is the matter.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// The dotted key, where the problem has one.
    pub key: Option<String>,
    /// What is wrong, in one line.
    pub message: String,
    /// What should have stood there, to be read after "expected".
    pub expected: Option<String>,
    /// What stood there instead. Never a secret.
    pub found: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    #[serde(skip)]
    pub(super) excerpt: Option<Excerpt>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.file.clone();
        if let Some(position) = self.position {
            write!(text, ":{position}")?;
        }
        writeln!(text, ": {}", self.message)?;
        if let Some(excerpt) = &self.excerpt {
            excerpt.render(&mut text);
        }
        match (&self.expected, &self.found) {
            (Some(expected), Some(found)) => writeln!(text, "  expected {expected}, found {found}")?,
            (Some(expected), None) => writeln!(text, "  expected {expected}")?,
            (None, Some(found)) => writeln!(text, "  found {found}")?,
            (None, None) => {}
        }
        if let Some(help) = &self.help {
            writeln!(text, "  {help}")?;
        }
        f.write_str(text.trim_end())
    }
}

/// All that is wrong, in the order of the files and of the lines in them. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub(super) Vec<Diagnostic>);

impl Diagnostics {
    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
