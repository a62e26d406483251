//! Moments as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment in the host's own time zone, to the second.
pub fn local(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
