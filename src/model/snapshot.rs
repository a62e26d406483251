//! What names a snapshot, and what names a subvolume for good.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Invalid, checked_text};

/// The moment of a snapshot in UTC, to the second, and a number where a second saw more than one: `20261121T144512Z`,
/// `20261121T144512Z-2`. A folder's name, so that a listing is in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(String);

/// How the moment is written (`strftime`(3)).
const FORMAT: &str = "%Y%m%dT%H%M%SZ";

impl SnapshotId {
    fn check(text: &str) -> Result<(), Invalid> {
        let (moment, number) = text.split_once('-').map_or((text, None), |(moment, number)| (moment, Some(number)));
        let is_number = |number: &str| {
            let fits = number.parse::<u32>().is_ok_and(|value| value > 1);
            fits && !number.starts_with(['0', '+'])
        };
        let shape = "0000-00-00T00:00:00Z".bytes().filter(|byte| !b"-:".contains(byte));
        let is_like = |(have, like): (u8, u8)| if like == b'0' { have.is_ascii_digit() } else { have == like };
        if moment.len() != 16 || !moment.bytes().zip(shape).all(is_like) || !number.is_none_or(is_number) {
            return Err(Invalid::new("expected the name of a snapshot, like `20261121T144512Z`"));
        }
        Ok(())
    }

    /// The `number`th of this second, from 1.
    pub fn of(moment: Timestamp, number: u32) -> Self {
        let moment = moment.to_zoned(TimeZone::UTC).strftime(FORMAT);
        Self(if number < 2 { moment.to_string() } else { format!("{moment}-{number}") })
    }
}
checked_text!(SnapshotId);

/// What BTRFS knows a subvolume by, wherever it is moved to: 32 hexadecimal digits in five groups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubvolumeUuid(String);

impl SubvolumeUuid {
    fn check(text: &str) -> Result<(), Invalid> {
        let groups: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        let hexadecimal = |group: &&str| group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if lengths != [8, 4, 4, 4, 12] || !groups.iter().all(hexadecimal) {
            return Err(Invalid::new("expected a UUID"));
        }
        Ok(())
    }

    /// That of these bytes; none where all are zero, which is how the kernel says that there is none.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let hexadecimal: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let groups: Vec<String> = [0..4, 4..6, 6..8, 8..10, 10..16]
            .into_iter()
            .filter_map(|group| Some(hexadecimal.get(group)?.concat()))
            .collect();
        (bytes != [0; 16]).then(|| Self(groups.join("-")))
    }
}
checked_text!(SubvolumeUuid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_by_its_moment() {
        let moment: Timestamp = "2026-11-21T14:45:12.9Z".parse().unwrap();
        assert_eq!(SnapshotId::of(moment, 1).as_str(), "20261121T144512Z");
        assert_eq!(SnapshotId::of(moment, 2).as_str(), "20261121T144512Z-2");
        for good in ["20261121T144512Z", "20261121T144512Z-12"] {
            assert!(good.parse::<SnapshotId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "20261121T144512",
            "20261121T144512Z-",
            "20261121T144512Z-1",
            "20261121T144512Z-02",
            "20261121T144512Z/..",
            "2026112xT144512Z",
            "20261121T144512Zx",
            "20261121T144512Z-+2",
        ] {
            assert!(bad.parse::<SnapshotId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_uuid_is_written_as_everybody_writes_it() {
        let bytes = std::array::from_fn(|index| u8::try_from(index).unwrap() * 17);
        let uuid = SubvolumeUuid::from_bytes(bytes).unwrap();
        assert_eq!(uuid.as_str(), "00112233-4455-6677-8899-aabbccddeeff");
        assert!(uuid.as_str().parse::<SubvolumeUuid>().is_ok());
        assert_eq!(SubvolumeUuid::from_bytes([0; 16]), None);
    }
}
