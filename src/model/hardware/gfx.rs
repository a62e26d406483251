//! AMD's names of what a card computes with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{Invalid, checked_text};

/// A target of AMD's compiler: `gfx1030`, `gfx90c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GfxTarget {
    major: u8,
    minor: u8,
    step: u8,
}

impl GfxTarget {
    /// From the kernel's `gfx_target_version`: the decimal digits of major, two of minor, two of stepping. 0, a processor, is none.
    pub fn of_kernel(version: u32) -> Option<Self> {
        let part = |number: u32| u8::try_from(number).ok();
        let target =
            Self { major: part(version / 10_000)?, minor: part(version / 100 % 100)?, step: part(version % 100)? };
        (target.major > 0 && target.minor < 16 && target.step < 16).then_some(target)
    }

    /// As a value of `HSA_OVERRIDE_GFX_VERSION`: `10.3.0`.
    pub fn version(self) -> String {
        format!("{}.{}.{}", self.major, self.minor, self.step)
    }
}

/// Minor and stepping are one hexadecimal digit each.
impl fmt::Display for GfxTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gfx{}{:x}{:x}", self.major, self.minor, self.step)
    }
}

impl FromStr for GfxTarget {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("expected a gfx target, like `gfx1030`");
        let digits = text.strip_prefix("gfx").filter(|digits| digits.is_ascii()).ok_or_else(wrong)?;
        let (major, rest) = digits.split_at_checked(digits.len().saturating_sub(2)).ok_or_else(wrong)?;
        let mut rest = rest.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        let (Some(Some(minor)), Some(Some(step))) = (rest.next(), rest.next()) else { return Err(wrong()) };
        let target = Self { major: major.parse().map_err(|_| wrong())?, minor, step };
        if target.to_string() == text { Ok(target) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for GfxTarget {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<GfxTarget> for String {
    fn from(target: GfxTarget) -> Self {
        target.to_string()
    }
}

/// A value of `HSA_OVERRIDE_GFX_VERSION`: `10.3.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GfxOverride(String);

impl GfxOverride {
    fn check(text: &str) -> Result<(), Invalid> {
        let parts: Vec<&str> = text.split('.').collect();
        let is_number = |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if parts.len() == 3 && parts.iter().all(is_number) {
            return Ok(());
        }
        Err(Invalid::new("expected the version of a gfx target, like `10.3.0` for gfx1030"))
    }
}
checked_text!(GfxOverride);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_number_is_the_compilers_name() {
        for (number, name) in [
            (90_012, "gfx90c"),
            (90_010, "gfx90a"),
            (80_003, "gfx803"),
            (100_300, "gfx1030"),
            (110_003, "gfx1103"),
            (110_500, "gfx1150"),
            (120_001, "gfx1201"),
        ] {
            let target = GfxTarget::of_kernel(number).unwrap();
            assert_eq!(target.to_string(), name);
            assert_eq!(name.parse(), Ok(target));
            assert!(target.version().parse::<GfxOverride>().is_ok());
        }
        assert_eq!((GfxTarget::of_kernel(0), GfxTarget::of_kernel(u32::MAX)), (None, None));
        for bad in ["", "gfx", "gfx1", "gfx03", "1030", "gfx10g0", "gfx103 0", "gfx90C", "gfx0900", "gfxü0"] {
            assert!(bad.parse::<GfxTarget>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_override_has_three_numbers() {
        for bad in ["", "gfx1030", "10.3", "10.3.0.0", "10.3.x", "10..0", "10.3.0 HOME=/", "100.3.0"] {
            assert!(bad.parse::<GfxOverride>().is_err(), "{bad}");
        }
        assert!("10.3.0".parse::<GfxOverride>().is_ok() && "9.0.12".parse::<GfxOverride>().is_ok());
    }
}
