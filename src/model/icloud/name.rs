//! Names around an account: its own, Apple's, those of libraries and albums.

use serde::{Deserialize, Serialize};

use crate::model::{Invalid, checked_text};

/// What an account is called here: in the name of its units, folders and secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

/// Longest name of an account.
const LONGEST_NAME: usize = 32;

impl AccountName {
    fn check(text: &str) -> Result<(), Invalid> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let first = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !first || text.len() > LONGEST_NAME || !text.bytes().all(legal) {
            return Err(Invalid::new(
                "expected a short name of your choice: lower-case letters, digits and `-`, first a letter, at most 32",
            ));
        }
        Ok(())
    }
}
checked_text!(AccountName);

/// An e-mail address as it stands in a profile: no name around it, no comments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    fn check(text: &str) -> Result<(), Invalid> {
        if is_address(text) {
            Ok(())
        } else {
            Err(Invalid::new("expected an e-mail address, like \"anna@example.org\""))
        }
    }
}
checked_text!(EmailAddress);

/// With what a person signs in at Apple: an e-mail address, or in some countries a telephone number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppleId(String);

impl AppleId {
    fn check(text: &str) -> Result<(), Invalid> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let is_number = (6..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if is_number || is_address(text) {
            return Ok(());
        }
        Err(Invalid::new("expected an Apple ID: an e-mail address, or a telephone number with its country code"))
    }
}
checked_text!(AppleId);

/// An address of RFC 5321 without quotes: what is refused here no mail provider gives out.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 254
        && local.len() <= 64
        && !local.starts_with('-')
        && local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom))
        && domain.contains('.')
        && domain.split('.').all(label)
}

/// A photo library of an account: its own, or one that several people share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LibraryName(String);

impl LibraryName {
    fn check(text: &str) -> Result<(), Invalid> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if !first || text.len() > 100 || !text.bytes().all(legal) {
            return Err(Invalid::new(
                "expected a library as icloudpd lists it, like \"PrimarySync\" or \"SharedSync-...\"",
            ));
        }
        Ok(())
    }
}
checked_text!(LibraryName);

/// An album, as it is called at Apple.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlbumName(String);

impl AlbumName {
    fn check(text: &str) -> Result<(), Invalid> {
        if text.trim().is_empty() || text.chars().count() > 255 || text.chars().any(char::is_control) {
            return Err(Invalid::new("expected the name of an album in one line"));
        }
        Ok(())
    }
}
checked_text!(AlbumName);

/// A day, or how many days ago: `2024-12-31`, `30d`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CreatedBound(String);

impl CreatedBound {
    fn check(text: &str) -> Result<(), Invalid> {
        let number = text.strip_suffix('d').unwrap_or("");
        let days = (1..=5).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        // The parser takes much more than this one form.
        let day = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if days || day && text.parse::<jiff::civil::Date>().is_ok() {
            return Ok(());
        }
        Err(Invalid::new("expected a day like \"2024-12-31\", or a number of days ago like \"30d\""))
    }
}
checked_text!(CreatedBound);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_account_is_named_so_that_units_and_folders_can_be() {
        for good in ["a", "anna", "anna-2", "x1234567890123456789012345678901"] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "1a", "Anna", "an_na", "an.na", "an na", "ännä", "a/b", "..", "a\n", "a@b", "%i"] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?}");
        }
        assert!("x12345678901234567890123456789012".parse::<AccountName>().is_err());
    }

    #[test]
    fn what_apple_and_immich_know_people_by() {
        for good in ["anna@example.org", "a.b+c@icloud.com", "o'hara@x-y.co.uk", "A@B.DE"] {
            assert!(good.parse::<EmailAddress>().is_ok() && good.parse::<AppleId>().is_ok(), "{good}");
        }
        for good in ["+8613912345678", "8613912345678"] {
            assert!(good.parse::<AppleId>().is_ok() && good.parse::<EmailAddress>().is_err(), "{good}");
        }
        for bad in [
            "",
            "anna",
            "anna@",
            "@example.org",
            "anna@example",
            "anna@@example.org",
            "an na@example.org",
            "Anna <anna@example.org>",
            "anna@example..org",
            "anna@-x.org",
            "-anna@example.org",
            "--help",
            "anna@example.org\n",
            "anna@example.org --auto-delete",
            "+1",
            "12345678901234567",
        ] {
            assert!(bad.parse::<AppleId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn libraries_albums_and_days() {
        assert!("SharedSync-01234567-89AB-CDEF-0123-456789ABCDEF".parse::<LibraryName>().is_ok());
        for bad in ["", "-x", "a b", "../x", "a\n"] {
            assert!(bad.parse::<LibraryName>().is_err(), "{bad:?}");
        }
        assert!("Ferien 2024 / \"Meer\" -x".parse::<AlbumName>().is_ok());
        for bad in ["", "  ", "a\nb", "\u{0}"] {
            assert!(bad.parse::<AlbumName>().is_err(), "{bad:?}");
        }
        for good in ["2024-02-29", "1970-01-01", "1d", "99999d"] {
            assert!(good.parse::<CreatedBound>().is_ok(), "{good}");
        }
        for bad in ["", "d", "-1d", "1", "2024-02-30", "2024-2-3", "20240203", "2024-02-03T00:00:00Z", "100000d"] {
            assert!(bad.parse::<CreatedBound>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_can_be_an_option_or_leave_its_folder(text in "\\PC{0,40}") {
            if text.parse::<AccountName>().is_ok() {
                prop_assert!(!text.starts_with('-') && !text.contains(['/', '.', '%', ' ', '@']));
            }
            if text.parse::<AppleId>().is_ok() {
                prop_assert!(!text.starts_with('-') && !text.contains(char::is_whitespace));
            }
        }
    }
}
