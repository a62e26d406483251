//! A length of time as a person writes it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, SpanRelativeTo};
use serde::{Deserialize, Serialize};

use super::Invalid;

/// A length of time with its unit: `7 days`, `7d`, `36h`, `10 min`, `1h 30m`. A day has 24 hours.
///
/// Two are equal where they are written alike, since a configuration is shown as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeSpan {
    text: String,
    length: Duration,
}

/// Longest text, and longest time.
const LONGEST_TEXT: usize = 40;
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

static PARSER: SpanParser = SpanParser::new();

impl TimeSpan {
    /// How long it is.
    pub const fn length(&self) -> Duration {
        self.length
    }
}

impl FromStr for TimeSpan {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("expected a length of time with its unit, like \"7 days\", \"36h\" or \"10 min\"");
        // The parser takes a sign, `ago` and fractions, too.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
        if text.len() > LONGEST_TEXT || !text.chars().all(plain) || text.trim() != text {
            return Err(wrong());
        }
        let span = PARSER.parse_span(text).map_err(|_| wrong())?;
        let signed: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
        let length = Duration::try_from(signed).ok().filter(|length| *length <= LONGEST).ok_or_else(wrong)?;
        Ok(Self { text: text.to_owned(), length })
    }
}

impl TryFrom<String> for TimeSpan {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> Self {
        span.text
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit() {
        for (text, seconds) in [
            ("7 days", 604_800),
            ("7d", 604_800),
            ("1 week", 604_800),
            ("36h", 129_600),
            ("10 min", 600),
            ("10m", 600),
            ("1h 30m", 5_400),
            ("5 s", 5),
            ("0 s", 0),
        ] {
            let span: TimeSpan = text.parse().unwrap();
            assert_eq!((span.length().as_secs(), span.to_string()), (seconds, text.to_owned()));
        }
        for bad in [
            "",
            "7",
            "days",
            "-7 days",
            "7 days ago",
            "+7d",
            "P7D",
            "1 month",
            "1 year",
            "1.5h",
            " 7d",
            "7d\n",
            "999999 weeks",
        ] {
            assert!(bad.parse::<TimeSpan>().is_err(), "{bad:?}");
        }
    }
}
