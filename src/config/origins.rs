//! Where each value came from, and how the configuration is shown.
//!
//! What is shown is TOML again: read back, it gives the same settings.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::excerpt::printable;
use super::keys::{self, ACCOUNT, Key, Kind, NAME};
use super::merged::Merged;
use super::source::{Lines, Source};
use super::value::{Entry, Value};
use crate::catalogue::Catalogue;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file set it.
    #[serde(untagged)]
    File {
        /// The file.
        file: String,
        /// The line of the value, counted from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
        }
    }
}

/// One key with the value that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The dotted key.
    pub key: String,
    value: Option<Value>,
    /// Where the value came from.
    pub origin: Origin,
    #[serde(skip)]
    unset: &'static str,
}

impl Setting {
    /// The value as TOML, where there is one.
    pub fn toml(&self) -> Option<String> {
        self.value.as_ref().map(Value::to_toml)
    }
}

/// All keys with their values and origins, in the order of the manual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Origins(Vec<Setting>);

impl Origins {
    pub(super) fn of(merged: &Merged, catalogue: &Catalogue, sources: &[Source]) -> Self {
        let lines: Vec<_> = sources.iter().map(Lines::new).collect();
        let origin = |entry: &Entry| {
            let source = sources.get(entry.place.source);
            let lines = lines.get(entry.place.source);
            source.zip(lines).map_or(Origin::Default, |(source, lines)| Origin::File {
                file: printable(&source.path.display().to_string()),
                line: lines.position(entry.place.span.start).line,
            })
        };
        let set =
            |key: String, entry: &Entry| Setting { key, value: entry.value.clone(), origin: origin(entry), unset: "" };
        let of_key = |key: &'static Key| -> Vec<Setting> {
            let variables = merged.below(&key.path).map(|(name, entry)| set(format!("{}.{name}", key.path), entry));
            let mut rows: Vec<_> = if key.kind == Kind::Environment { variables.collect() } else { Vec::new() };
            rows.extend(merged.get(&key.path).map(|entry| set(key.path.clone(), entry)));
            if rows.is_empty() {
                let (key, value, unset) = (key.path.clone(), keys::default(key, catalogue), key.unset);
                rows.push(Setting { key, value, origin: Origin::Default, unset });
            }
            rows
        };
        let of_accounts = || {
            let rows = |account| {
                let row = move |key: &'static Key| {
                    let path = format!("{ACCOUNT}.{account}.{}", key.name());
                    match merged.get(&path) {
                        Some(entry) => set(path, entry),
                        None => {
                            Setting { key: path, value: key.default.clone(), origin: Origin::Default, unset: key.unset }
                        }
                    }
                };
                keys::all().iter().filter(|key| key.section() == ACCOUNT).map(row).collect::<Vec<_>>()
            };
            merged.accounts().into_iter().flat_map(rows).collect::<Vec<_>>()
        };
        // All accounts stand where the manual has the first key of one, each whole.
        let rows = keys::all().iter().flat_map(|key| match (key.section(), key.name()) {
            (ACCOUNT, NAME) => of_accounts(),
            (ACCOUNT, _) => Vec::new(),
            _ => of_key(key),
        });
        Self(rows.collect())
    }

    /// The row of a dotted key, `immich.environment.NAME` included.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.key == key)
    }

    /// Whether a file sets this key.
    pub fn is_written(&self, key: &str) -> bool {
        self.get(key).is_some_and(|setting| setting.origin != Origin::Default)
    }

    /// Each row.
    pub fn iter(&self) -> std::slice::Iter<'_, Setting> {
        self.0.iter()
    }

    /// The configuration as TOML, with a comment on each line that says where it is from if `origin`.
    pub fn show(&self, origin: bool) -> String {
        let mut text = String::new();
        let mut open = "";
        for setting in &self.0 {
            let (section, name) = setting.key.rsplit_once('.').unwrap_or(("", &setting.key));
            if section != open {
                let gap = if text.is_empty() { "" } else { "\n" };
                // Writing to a String cannot fail.
                let _ = match section.strip_prefix(ACCOUNT) {
                    Some(_) => writeln!(text, "{gap}[[{ACCOUNT}]]"),
                    None => writeln!(text, "{gap}[{section}]"),
                };
                open = section;
            }
            let _ = match setting.toml() {
                Some(value) if origin => writeln!(text, "{name} = {value} # {}", setting.origin),
                Some(value) => writeln!(text, "{name} = {value}"),
                None => writeln!(text, "# {name}: {}", setting.unset),
            };
        }
        text
    }
}

impl<'a> IntoIterator for &'a Origins {
    type Item = &'a Setting;
    type IntoIter = std::slice::Iter<'a, Setting>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
