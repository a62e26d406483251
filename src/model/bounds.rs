//! Which versions of something are accepted.

use std::fmt;

use serde::Deserialize;

use super::Invalid;

/// A range of versions: `>=0.3, <2`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Bounds(semver::VersionReq);

impl Bounds {
    /// Whether a version as programs write it lies in the range: one, two or three numbers. None where it is no version.
    pub fn take(&self, version: &str) -> Option<bool> {
        Some(self.0.matches(&three_numbers(version)?))
    }
}

/// A version of one to three numbers, so that two can be compared.
pub(super) fn three_numbers(version: &str) -> Option<semver::Version> {
    let mut numbers = version.split('.').map(|part| part.parse::<u64>().ok());
    let first = numbers.next()??;
    let second = numbers.next().unwrap_or(Some(0))?;
    let third = numbers.next().unwrap_or(Some(0))?;
    numbers.next().is_none().then(|| semver::Version::new(first, second, third))
}

impl TryFrom<String> for Bounds {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("expected a range of versions, like \">=14, <19\"");
        let range: semver::VersionReq = text.parse().map_err(|_| wrong())?;
        // `*` and what says no more are no bounds.
        if range.comparators.is_empty() { Err(wrong()) } else { Ok(Self(range)) }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_takes_what_lies_in_it() {
        let bounds = |text: &str| Bounds::try_from(text.to_owned());
        let chord = bounds(">=0.3, <2").unwrap();
        for (version, taken) in
            [("0.3.0", true), ("0.2.9", false), ("1.1.1", true), ("2", false), ("1.1", true), ("2.0.0", false)]
        {
            assert_eq!(chord.take(version), Some(taken), "{version}");
        }
        assert_eq!(chord.to_string(), ">=0.3, <2");
        assert!(["", "a", "1.2.3.4", "-1"].iter().all(|no| chord.take(no).is_none()));
        assert!(["*", "", "what", ">=x"].iter().all(|no| bounds(no).is_err()));
    }
}
