//! The one place that escapes: a value in, the text that gives back exactly it out.
//!
//! What happens to a text on its way, read in Podman 5.4's generator (`pkg/systemd/parser`) and in
//! systemd 257, and compared with both by the generator test of the real host:
//!
//! | step | keys | does |
//! |---|---|---|
//! | generator, whole | most of `[Container]`, `[Network]` | trims, and strips `"` from both ends |
//! | generator, words | `Environment=`, `Label=`, `Exec=`, `Secret=`, `PodmanArgs=` | splits, unquotes, unescapes; an empty word ends the list |
//! | generator, output | both | quotes what needs it; leaves `%`, `$` and a lone `;` |
//! | systemd, command | `ExecStart=` of both, `ExecStartPost=` | splits, unquotes, `%` specifiers, `$` variables, a lone `;` ends the command |
//! | systemd, setting | `[Unit]`, `[Service]` | `%` specifiers |

use crate::model::{EnvironmentName, HostPath, Invalid};

/// The right side of a `Key=`, escaped for the readers of that key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// For a quadlet key whose text is taken whole and becomes one argument of Podman: `Image=`,
    /// `Volume=`, `HealthCmd=`, `PublishPort=` and most others.
    ///
    /// Has no way to say: nothing, a space or a `"` at either end, a `\` at the end, a lone `;`.
    pub fn text(text: &str) -> Result<Self, Invalid> {
        check_characters(text)?;
        let edge = |c: char| c == '"' || c.is_whitespace();
        if text.is_empty() || text == ";" || text.starts_with(edge) || text.ends_with(edge) || text.ends_with('\\') {
            return Err(Invalid::new("expected a text without space, `\"` or `\\` at its ends, and not just `;`"));
        }
        Ok(Self(double(text, &['%', '$'])))
    }

    /// For a quadlet key that is split into words, each an argument of Podman: `Exec=`, `PodmanArgs=`,
    /// `Secret=`, and `Environment=` and `Label=` with words like `KEY=value`.
    ///
    /// Has no way to say: an empty word, which ends the list, and a lone `;`.
    pub fn words<I: AsRef<str>>(words: impl IntoIterator<Item = I>) -> Result<Self, Invalid> {
        let quoted = words.into_iter().map(|word| quadlet_word(word.as_ref()));
        Ok(Self(quoted.collect::<Result<Vec<_>, _>>()?.join(" ")))
    }

    /// [`Value::words`] with one of systemd's variables behind the first of them, which becomes as many words as it has when
    /// the unit starts.
    pub fn words_around<I: AsRef<str>>(
        first: &str,
        variable: &EnvironmentName,
        words: impl IntoIterator<Item = I>,
    ) -> Result<Self, Invalid> {
        let (Self(first), Self(words)) = (Self::word(first)?, Self::words(words)?);
        Ok(Self(format!("{first} ${variable} {words}").trim_end().to_owned()))
    }

    /// For a key that is split into words: one of systemd's variables, which becomes as many words as it has when the unit
    /// starts, or none.
    pub fn variable(name: &EnvironmentName) -> Self {
        Self(format!("${name}"))
    }

    /// One word of a key that is split: [`Value::words`] of one.
    pub fn word(word: &str) -> Result<Self, Invalid> {
        Self::words([word])
    }

    /// For a key of systemd that takes one text with specifiers: `Description=`, `ConditionPathExists=`.
    ///
    /// Has no way to say: a space at either end, a `\` at the end.
    pub fn setting(text: &str) -> Result<Self, Invalid> {
        Self::literal(text).map(|value| Self(double(&value.0, &['%'])))
    }

    /// For a key of systemd that takes one text without specifiers: `MemoryMax=`, `CPUQuota=`.
    ///
    /// Has no way to say: a space at either end, a `\` at the end.
    pub fn literal(text: &str) -> Result<Self, Invalid> {
        check_characters(text)?;
        if text.trim() != text || text.ends_with('\\') {
            return Err(Invalid::new("expected a text without space at its ends or `\\` at its end"));
        }
        Ok(Self(text.to_owned()))
    }

    /// For a key of systemd that takes a list of paths: `RequiresMountsFor=`.
    pub fn paths<'a>(paths: impl IntoIterator<Item = &'a HostPath>) -> Result<Self, Invalid> {
        let quote = |path: &HostPath| {
            check_characters(path.as_str()).map(|()| quoted_if_needed(&double(path.as_str(), &['%'])))
        };
        Ok(Self(paths.into_iter().map(quote).collect::<Result<Vec<_>, _>>()?.join(" ")))
    }

    /// For a command line that systemd runs itself: `ExecStart=`, `ExecStartPost=` of a plain unit or in
    /// a quadlet's `[Service]`. Any printable argument can be said, the empty one too.
    pub fn command<I: AsRef<str>>(
        failure: OnFailure,
        program: &HostPath,
        arguments: impl IntoIterator<Item = I>,
    ) -> Result<Self, Invalid> {
        check_characters(program.as_str())?;
        // systemd expands specifiers in the program's path but no variables.
        let program = quoted_if_needed(&double(program.as_str(), &['%']));
        let mut line = format!("{}{program}", if failure == OnFailure::Ignore { "-" } else { "" });
        for argument in arguments {
            check_characters(argument.as_ref())?;
            line.push(' ');
            line.push_str(&quoted_if_needed(&double(argument.as_ref(), &['%', '$'])));
        }
        Ok(Self(line))
    }

    /// The text as it stands in the file.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// What a failing command means for its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The unit fails too.
    Fail,
    /// Nothing but a line in the journal (systemd's prefix `-`).
    Ignore,
}

/// Refuses what no unit file can hold.
fn check_characters(text: &str) -> Result<(), Invalid> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Invalid::new("expected a text without line breaks and control characters"));
    }
    // systemd drops a line with one of these (`unichar_is_valid` in src/basic/utf8.c).
    if text.chars().any(|c| matches!(u32::from(c), 0xFDD0..=0xFDEF) || u32::from(c) & 0xFFFE == 0xFFFE) {
        return Err(Invalid::new("expected a text without Unicode's noncharacters"));
    }
    Ok(())
}

fn quadlet_word(word: &str) -> Result<String, Invalid> {
    check_characters(word)?;
    if word.is_empty() || word == ";" {
        return Err(Invalid::new("expected a text that is not empty and not just `;`"));
    }
    Ok(quoted_if_needed(&double(word, &['%', '$'])))
}

/// Writes each of `special` twice.
fn double(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        out.push(c);
        if special.contains(&c) {
            out.push(c);
        }
    }
    out
}

/// A word in double quotes, where it would not be one word of that text without them.
fn quoted_if_needed(word: &str) -> String {
    let needs = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ';');
    if !word.is_empty() && !word.contains(needs) {
        return word.to_owned();
    }
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\t' => out.push_str("\\t"),
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
    fn each_context_escapes_what_its_readers_would_change() {
        let odd = "a b%h $X \"q\" 'r' \\s;\té";
        assert_eq!(Value::text(odd).unwrap().as_str(), "a b%%h $$X \"q\" 'r' \\s;\té");
        assert_eq!(Value::word(odd).unwrap().as_str(), "\"a b%%h $$X \\\"q\\\" 'r' \\\\s;\\té\"");
        assert_eq!(Value::setting("100% $X").unwrap().as_str(), "100%% $X");
        let path = "/mnt/My \"100%\"".parse().unwrap();
        assert_eq!(Value::paths([&path]).unwrap().as_str(), "\"/mnt/My \\\"100%%\\\"\"");
        let command = Value::command(OnFailure::Ignore, &"/bin/sh".parse().unwrap(), ["-c", "", ";", "${X}"]).unwrap();
        assert_eq!(command.as_str(), "-/bin/sh -c \"\" \";\" $${X}");
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for bad in ["a\nb", "a\r", "\0", "\u{1b}[0m", "\u{85}", "\u{fffe}", "\u{fdd0}"] {
            assert!(Value::text(bad).is_err(), "{bad:?}");
            assert!(Value::word(bad).is_err(), "{bad:?}");
            assert!(Value::setting(bad).is_err(), "{bad:?}");
            assert!(Value::command(OnFailure::Fail, &"/bin/sh".parse().unwrap(), [bad]).is_err(), "{bad:?}");
        }
        for bad in ["", " a", "a\t", "\"a\"", "a\\", ";", "\u{a0}a"] {
            assert!(Value::text(bad).is_err(), "{bad:?}");
        }
        for bad in ["", ";"] {
            assert!(Value::word(bad).is_err(), "{bad:?}");
        }
    }
}
