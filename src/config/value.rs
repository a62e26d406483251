//! One value as a file says it: its type is right, its meaning not yet known.

use std::fmt::Write as _;

use serde::{Serialize, Serializer};

use super::source::Place;

/// A value of one of the types that keys have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A list of strings.
    List(Vec<String>),
}

impl Value {
    /// As TOML, in one line.
    pub fn to_toml(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
            Self::List(items) => format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Value {
    /// The string that it is.
    pub fn text(&self) -> Option<String> {
        if let Self::Text(text) = self { Some(text.clone()) } else { None }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Boolean(truth) => serializer.serialize_bool(*truth),
            Self::List(items) => items.serialize(serializer),
        }
    }
}

/// A value and where it was written. A value that was wrong, and reported, is `None`: what depends
/// on it is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub value: Option<Value>,
    pub place: Place,
}

/// `text` as a basic string of TOML, which every reader of TOML takes back as it was.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\t' => out.push_str("\\t"),
            _ if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_toml() {
        for text in ["", "a", "\"q\" 'q' \"\"\"", "C:\\x\\", "tab\t", "\u{1}\u{7f}\u{85}\n", "100% $HOME ü \u{1F4F7}"]
        {
            let document = format!("a = {}", Value::List(vec![text.to_owned()]).to_toml());
            let table: toml::Table = document.parse().unwrap();
            assert_eq!(table["a"][0].as_str(), Some(text), "{document}");
        }
    }
}
