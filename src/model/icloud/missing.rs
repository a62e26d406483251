//! How much of a library may be missing before nobody lets Immich look at it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::Invalid;

/// A share, to a tenth of a percent: `1%`, `0.5%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(u16);

impl Share {
    /// How many of `whole` that is, rounded down.
    pub const fn of(self, whole: u64) -> u64 {
        // In two steps, so that no product is too large.
        whole / 1000 * self.0 as u64 + whole % 1000 * self.0 as u64 / 1000
    }
}

impl FromStr for Share {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("expected a share from 0% to 100%, like \"1%\" or \"0.5%\"");
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(tenth, 1) {
            return Err(wrong());
        }
        let (Ok(whole), Ok(tenth)) = (whole.parse::<u16>(), tenth.parse::<u16>()) else { return Err(wrong()) };
        Some(whole * 10 + tenth).filter(|share| *share <= 1000).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Share {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, tenth) => write!(f, "{whole}.{tenth}%"),
        }
    }
}

/// How many of the files that Immich knows may be missing in a scan: a share or a number, whichever is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxMissing {
    /// Of those that are known.
    pub share: Share,
    /// In a small library, where one file is a large share.
    pub files: u32,
}

impl MaxMissing {
    /// The most that may be missing of `known` files. Never all of them: a tree in which nothing is found is not the right
    /// one, however small.
    pub fn of(self, known: u64) -> u64 {
        self.share.of(known).max(u64::from(self.files)).min(known.saturating_sub(1))
    }
}

impl fmt::Display for MaxMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} or {} files, whichever is more", self.share, self.files)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_read_and_shown() {
        for (text, shown) in [("1%", "1%"), ("0.5%", "0.5%"), ("100%", "100%"), ("0%", "0%"), ("010.0%", "10%")] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), shown);
        }
        for bad in ["", "%", "1", "1 %", "-1%", "+1%", "100.1%", "101%", "0.25%", ".5%", "5.%", "1e2%", "9999%", "1%\n"]
        {
            assert!(bad.parse::<Share>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_larger_of_both_but_never_all() {
        let max = MaxMissing { share: "1%".parse().unwrap(), files: 10 };
        for (known, most) in [(0, 0), (1, 0), (8, 7), (11, 10), (100, 10), (1000, 10), (1100, 11), (50_000, 500)] {
            assert_eq!(max.of(known), most, "{known}");
        }
        let all = MaxMissing { share: "100%".parse().unwrap(), files: u32::MAX };
        assert_eq!(all.of(u64::MAX), u64::MAX - 1);
    }

    proptest! {
        #[test]
        fn a_tree_without_anything_never_passes(known in 1u64.., share in 0u16..=1000, files: u32) {
            let max = MaxMissing { share: Share(share), files };
            prop_assert!(max.of(known) < known);
            prop_assert_eq!(max.share.to_string().parse::<Share>().unwrap(), max.share);
        }
    }
}
