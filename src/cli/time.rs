//! Moments as people read them.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;

/// How long ago, in the largest unit that says enough.
pub fn age(moment: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(moment.as_second());
    match seconds {
        ..0 => "ahead".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Not `strftime`, which reads its format anew for each line of a list.
const PRINTER: DateTimePrinter = DateTimePrinter::new().separator(b' ').precision(Some(0));

/// A moment in the host's own time zone, to the second.
pub fn local(moment: Timestamp) -> String {
    PRINTER.datetime_to_string(&TimeZone::system().to_datetime(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        for (seconds, said) in [
            (-1, "ahead"),
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_800, "2 d"),
            (40_000_000, "462 d"),
        ] {
            assert_eq!(age(Timestamp::from_second(1_000_000_000 - seconds).unwrap(), now), said);
        }
    }

    #[test]
    fn a_moment_is_told_to_the_second() {
        let moment: Timestamp = "2026-01-02T03:04:05.987654Z".parse().unwrap();
        let said = local(moment);
        let zoned = moment.to_zoned(TimeZone::system());
        assert_eq!(said, zoned.strftime("%Y-%m-%d %H:%M:%S").to_string());
        assert!(said.ends_with(":05"), "{said}");
    }
}
