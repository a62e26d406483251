//! In which folder below the account's own a picture lies, by its date.

use serde::{Deserialize, Serialize};

use crate::model::{Invalid, checked_text};

/// What icloudpd makes folders from: `{:%Y/%m}`, `{:%Y}/months/{:%m}`, or `none` for no folders.
///
/// icloudpd hands it to Python's `format` with one date, so it has one `{:...}`, or several of `{0:...}`. Here it takes only
/// what makes a plain relative path: nothing that leaves the account's folder, and nothing hidden, where the agent's own
/// files lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FolderStructure(String);

/// Longest text.
const LONGEST: usize = 200;

/// What of strftime(3) is a date or a time in digits or letters, the same on every host.
const DIRECTIVES: &str = "YymdBbHMSjAaUWGVu";

impl FolderStructure {
    fn check(text: &str) -> Result<(), Invalid> {
        if text == "none" {
            return Ok(());
        }
        if text.len() > LONGEST {
            return Err(Invalid::new(format!("expected at most {LONGEST} characters")));
        }
        let path = example(text)?;
        if path.starts_with('/') {
            return Err(Invalid::new("expected a folder below that of the account, so without a `/` at the start"));
        }
        for part in path.split('/') {
            if part.is_empty() {
                return Err(Invalid::new("expected no doubled `/` and none at the end"));
            }
            if part.starts_with('.') {
                return Err(Invalid::new(
                    "expected no folder that begins with `.`: that would be hidden, or lead elsewhere",
                ));
            }
            if part.trim() != part {
                return Err(Invalid::new("expected no folder with a space at its ends"));
            }
        }
        Ok(())
    }
}
checked_text!(FolderStructure);

/// What the text makes of some date: `9` for each directive.
fn example(text: &str) -> Result<String, Invalid> {
    let mut path = String::new();
    let (mut rest, mut unnumbered, mut numbered) = (text, 0, 0);
    while let Some((literal, after)) = rest.split_once('{') {
        path.push_str(plain(literal)?);
        let (field, behind) = after.split_once('}').ok_or_else(unreadable)?;
        let format = if let Some(format) = field.strip_prefix("0:") {
            numbered += 1;
            format
        } else {
            unnumbered += 1;
            field.strip_prefix(':').ok_or_else(unreadable)?
        };
        path.push_str(&dated(format)?);
        rest = behind;
    }
    path.push_str(plain(rest)?);
    match (unnumbered, numbered) {
        (0, 0) => Err(Invalid::new("expected a date in it, like \"{:%Y/%m}\", or \"none\" for no folders")),
        (1, 0) | (0, _) => Ok(path),
        // Python's `format` looks for a second date then, and there is one.
        _ => Err(Invalid::new("expected each part as `{0:...}` where there are several, like \"{0:%Y}/{0:%m}\"")),
    }
}

fn unreadable() -> Invalid {
    Invalid::new("expected dates as `{:...}`, like \"{:%Y/%m}\"")
}

/// What stands between dates.
fn plain(text: &str) -> Result<&str, Invalid> {
    let wrong = |c: char| c.is_control() || matches!(c, '}' | '%' | '\\');
    if text.contains(wrong) {
        return Err(Invalid::new("expected no `}`, `%`, `\\` or control character outside of a `{:...}`"));
    }
    Ok(text)
}

/// What stands in a `{:...}`.
fn dated(format: &str) -> Result<String, Invalid> {
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        match c {
            '%' if characters.next().is_some_and(|directive| DIRECTIVES.contains(directive)) => out.push('9'),
            '%' => return Err(Invalid::new(format!("expected after each `%` one of the letters {DIRECTIVES}"))),
            c if c.is_control() || matches!(c, '{' | '\\') => return Err(unreadable()),
            c => out.push(c),
        }
    }
    if format.contains('%') { Ok(out) } else { Err(unreadable()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folders_by_date() {
        for good in
            ["{:%Y/%m}", "{:%Y/%m/%d}", "none", "{0:%Y}/{0:%m}", "Photos {:%Y-%m}", "{:%Y/%m - %B}", "{:%G-W%V}/x"]
        {
            assert!(good.parse::<FolderStructure>().is_ok(), "{good}");
        }
    }

    #[test]
    fn what_icloudpd_cannot_do_or_what_leads_elsewhere_is_refused() {
        for bad in [
            "",
            "None",
            "2024",
            "/{:%Y}",
            "{:/%Y}",
            "../{:%Y}",
            "{:%Y/../../x}",
            "{:%Y}/..",
            "{:%Y}/.",
            ".hidden/{:%Y}",
            "{:.%Y}",
            "{:%Y}/",
            "{:%Y}//x",
            "{:%Y}/{:%m}",
            "{:%Y}/{0:%m}",
            "{1:%Y}",
            "{}",
            "{:}",
            "{:x}",
            "{:%}",
            "{:%Q}",
            "{:%-d}",
            "{:%%}",
            "{:%x}",
            "{:%c}",
            "{0.year}",
            "{0.__class__}",
            "{:%Y",
            "%Y/%m",
            "{:%Y}}",
            "{{:%Y}}",
            "{:{0}}",
            "{:%Y}\\x",
            "{:%Y}\n",
            "{:%Y} /x",
        ] {
            assert!(bad.parse::<FolderStructure>().is_err(), "{bad:?}");
        }
        assert!(format!("{{:%Y}}{}", "x".repeat(LONGEST)).parse::<FolderStructure>().is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_stays_in_its_folder(text in "(\\{|\\}|:|0|%Y|%m|%|/|\\.|\\.\\.|a| |none|\\PC){0,12}") {
            if text.parse::<FolderStructure>().is_ok() && text != "none" {
                let path = example(&text).unwrap();
                prop_assert!(!path.starts_with('/'));
                prop_assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
                prop_assert!(!path.contains(char::is_control));
            }
        }
    }
}
