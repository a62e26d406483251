//! Until when a session is good, from icloudpd's cookie jar: names and dates only, never a value.
//!
//! The jar is text, one cookie a line (libwww-perl's format, which Python writes), and is rewritten in place after every answer
//! of Apple's: a program that is killed may leave half of it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

/// What a jar begins with.
const HEAD: &str = "#LWP-Cookies-";

/// What a cookie's line begins with.
const COOKIE: &str = "Set-Cookie3:";

/// The cookie of a browser that was trusted with a code.
const TRUST: &str = "X-APPLE-WEBAUTH-HSA-TRUST";

/// The cookie of whoever is signed in.
const USER: &str = "X-APPLE-WEBAUTH-USER";

/// Largest jar that is read, in bytes: a real one has a few thousand.
pub const LARGEST: usize = 1 << 20;

/// Why nothing is known of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JarError {
    /// It is something else, or was cut off before its first line's end.
    #[error("it is not a cookie jar")]
    NotAJar,
    /// There is nobody signed in.
    #[error("nobody is signed in")]
    NobodyIn,
    /// The cookie says no date that can be read.
    #[error("its session has no date")]
    NoDate,
}

/// A session as the jar has it. Apple may end it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Until when somebody is signed in.
    pub signed_in_until: Timestamp,
    /// Until when no new code is needed; none in accounts without a second factor.
    pub trusted_until: Option<Timestamp>,
}

impl Session {
    /// The first of both.
    pub fn good_until(&self) -> Timestamp {
        self.trusted_until.map_or(self.signed_in_until, |trusted| trusted.min(self.signed_in_until))
    }
}

/// The session of the jar with this text.
pub fn session(text: &str) -> Result<Session, JarError> {
    let mut lines = text.lines();
    if !lines.next().is_some_and(|head| head.starts_with(HEAD)) {
        return Err(JarError::NotAJar);
    }
    let cookies: Vec<Cookie<'_>> = lines.filter_map(|line| cookie(line.strip_prefix(COOKIE)?)).collect();
    // Of two with one name for different domains, the one that ends first.
    let of = |name: &'static str| cookies.iter().filter(move |cookie| cookie.name == name);
    if of(USER).next().is_none() {
        return Err(JarError::NobodyIn);
    }
    let signed_in_until = of(USER).filter_map(|cookie| cookie.expires).min().ok_or(JarError::NoDate)?;
    let trusted_until = of(TRUST).filter_map(|cookie| cookie.expires).min();
    Ok(Session { signed_in_until, trusted_until })
}

struct Cookie<'a> {
    name: &'a str,
    expires: Option<Timestamp>,
}

/// One line behind its head; none where it is not whole.
fn cookie(line: &str) -> Option<Cookie<'_>> {
    let mut rest = line;
    let (name, _) = field(&mut rest)?;
    let (mut expires, mut whole) = (None, false);
    while let Some((key, value)) = field(&mut rest) {
        match key {
            "expires" => expires = value.and_then(moment),
            // Python writes it last.
            "version" => whole = true,
            _ => {}
        }
    }
    whole.then_some(Cookie { name, expires })
}

/// The next `key="value"`, `key=value` or `key` of `rest`, up to its `;`. A value in quotes has its quotes and backslashes
/// behind backslashes; they stay there, since nobody here looks at one that could have them.
fn field<'a>(rest: &mut &'a str) -> Option<(&'a str, Option<&'a str>)> {
    let text = rest.trim_start_matches([' ', ';']);
    if text.is_empty() {
        return None;
    }
    let end = text.find(['=', ';']).unwrap_or(text.len());
    let (key, after) = text.split_at_checked(end)?;
    let Some(after) = after.strip_prefix('=') else {
        *rest = after;
        return Some((key.trim(), None));
    };
    let Some(quoted) = after.strip_prefix('"') else {
        let (value, after) = after.split_at_checked(after.find(';').unwrap_or(after.len()))?;
        *rest = after;
        return Some((key.trim(), Some(value.trim())));
    };
    let end = closing(quoted)?;
    let (value, after) = quoted.split_at_checked(end)?;
    *rest = after.strip_prefix('"')?;
    Some((key.trim(), Some(value)))
}

/// Where the quote is that is not behind a backslash.
fn closing(text: &str) -> Option<usize> {
    let mut behind = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if behind => behind = false,
            '\\' => behind = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// `2026-12-22 01:13:28Z`
fn moment(text: &str) -> Option<Timestamp> {
    let date: DateTime = text.strip_suffix('Z')?.parse().ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// The name of the jar of an Apple ID: what Python takes for a letter, a digit or `_` of it.
pub fn file_name(apple_id: &str) -> String {
    apple_id.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As icloudpd 1.32.3 wrote it, with other values.
    const REAL: &str = include_str!("../../tests/fixtures/icloudpd/jar");

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_real_jar_says_until_when() {
        let session = session(REAL).unwrap();
        assert_eq!(session.signed_in_until, at("2026-12-22T01:19:40Z"));
        assert_eq!(session.trusted_until, Some(at("2027-01-21T01:19:40Z")));
        assert_eq!(session.good_until(), session.signed_in_until);
    }

    #[test]
    fn an_account_without_a_second_factor_has_no_trust() {
        let lines: Vec<&str> = REAL.lines().filter(|line| !line.contains(TRUST)).collect();
        let text = lines.join("\n");
        let session = session(&text).unwrap();
        assert_eq!((session.trusted_until, session.good_until()), (None, session.signed_in_until));
    }

    #[test]
    fn wherever_it_was_cut_off_it_says_the_same_or_nothing() {
        let whole = session(REAL).unwrap();
        for end in 0..REAL.len() {
            let Some(text) = REAL.get(..end) else { continue };
            if let Ok(found) = session(text) {
                assert_eq!(found.signed_in_until, whole.signed_in_until, "{end}");
                assert!(found.trusted_until.is_none_or(|until| Some(until) == whole.trusted_until), "{end}");
            }
        }
        assert_eq!(session(""), Err(JarError::NotAJar));
        assert_eq!(session("#LWP-Cookies-2.0\n"), Err(JarError::NobodyIn));
    }

    #[test]
    fn what_is_hostile_is_read_as_nothing_more_than_it_is() {
        let jar = |cookie: &str| session(&format!("#LWP-Cookies-2.0\nSet-Cookie3: {cookie}\n"));
        // A value that looks like what is looked for.
        let value = r#"X="\"; X-APPLE-WEBAUTH-USER=1; expires=\"2099-01-01 00:00:00Z\""; path="/"; version=0"#;
        assert_eq!(jar(value), Err(JarError::NobodyIn));
        for (cookie, error) in [
            (r#"X-APPLE-WEBAUTH-USER="x"; path="/"; discard; version=0"#, JarError::NoDate),
            (r#"X-APPLE-WEBAUTH-USER="x"; expires="tomorrow"; version=0"#, JarError::NoDate),
            (r#"X-APPLE-WEBAUTH-USER="x"; expires="99999-01-01 00:00:00Z"; version=0"#, JarError::NoDate),
            (r#"X-APPLE-WEBAUTH-USER="x"; expires="2026-12-22 01:19:40Z""#, JarError::NobodyIn),
            (r#"X-APPLE-WEBAUTH-USER="x\"; expires="2026-12-22 01:19:40Z"; version=0"#, JarError::NoDate),
        ] {
            assert_eq!(jar(cookie), Err(error), "{cookie}");
        }
        let two = r#"X-APPLE-WEBAUTH-USER=x; expires="2030-01-01 00:00:00Z"; version=0
Set-Cookie3: X-APPLE-WEBAUTH-USER=y; expires="2029-01-01 00:00:00Z"; version=0"#;
        assert_eq!(jar(two).unwrap().signed_in_until, at("2029-01-01T00:00:00Z"));
    }

    #[test]
    fn a_jar_is_named_after_its_apple_id() {
        assert_eq!(file_name("Alice.B_1@iCloud.com"), "aliceb_1icloudcom");
        assert_eq!(file_name("+8613912345678"), "8613912345678");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(#LWP-Cookies-2.0\n)?(Set-Cookie3: |X-APPLE-WEBAUTH-USER|=|\"|\\\\|;| expires=|\\PC|\n){0,60}") {
            let _ = session(&text);
        }
    }
}
