//! A calendar expression as a timer unit takes it (systemd.time(7), "Calendar events").

use super::{Invalid, TimeZone, checked_text};

/// When something is to happen again and again: `*-*-* 02:00:00`, `Mon,Thu 03:30`, `weekly`.
///
/// Of systemd's grammar it takes what names a moment in words, weekdays, a date and a time, in this order, with a time zone
/// behind it. It reaches a unit file, so nothing else gets through.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Calendar(String);

/// Longest expression.
const LONGEST: usize = 100;

/// What stands for a whole expression.
const WORDS: [&str; 10] =
    ["minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually", "anually"];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Calendar {
    fn check(text: &str) -> Result<(), Invalid> {
        let wrong = || Invalid::new("expected a calendar expression of systemd.time(7), like \"*-*-* 02:00:00\"");
        let in_one_line = text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !in_one_line || text.trim() != text {
            return Err(wrong());
        }
        let mut parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
        if parts.len() > 1 && parts.last().is_some_and(|last| is_zone(last)) {
            parts.pop();
        }
        if let [word] = parts.as_slice()
            && WORDS.contains(&word.to_ascii_lowercase().as_str())
        {
            return Ok(());
        }
        let tests: [fn(&str) -> bool; 3] = [is_weekdays, is_date, is_time];
        let mut tests = tests.iter();
        // Each part is the next of weekdays, date and time that it can be.
        let sound = !parts.is_empty() && parts.iter().all(|part| tests.any(|test| test(part)));
        if sound { Ok(()) } else { Err(wrong()) }
    }

    /// The time zone that it names itself.
    pub fn zone(&self) -> Option<&str> {
        self.0.rsplit_once(' ').map(|(_, last)| last).filter(|last| is_zone(last))
    }

    /// The same moments by the clocks of `zone`; what names a zone itself keeps it.
    #[must_use]
    pub fn by(&self, zone: &TimeZone) -> Self {
        if self.zone().is_some() { self.clone() } else { Self(format!("{} {zone}", self.0)) }
    }
}
checked_text!(Calendar);

fn is_zone(text: &str) -> bool {
    // Neither a date nor a time begins with a letter, and looking one up reads hundreds of files.
    let could_be = text.starts_with(|first: char| first.is_ascii_alphabetic());
    // systemd looks for a file of that name, so the case counts.
    text == "UTC" || could_be && jiff::tz::db().available().any(|name| name.as_str() == text)
}

fn is_weekdays(text: &str) -> bool {
    let is_day = |text: &str| {
        let text = text.to_ascii_lowercase();
        WEEKDAYS.iter().any(|day| *day == text || day.get(..3) == Some(text.as_str()))
    };
    text.split(',').all(|part| part.split("..").count() <= 2 && part.split("..").all(is_day))
}

/// `[YEAR-]MONTH-DAY`; with `~` for the last `-`, the day is counted from the end of the month.
fn is_date(text: &str) -> bool {
    let Some((before, day)) = text.rsplit_once(['-', '~']) else { return false };
    let (year, month) = before.rsplit_once('-').map_or((None, before), |(year, month)| (Some(year), month));
    year.is_none_or(|year| is_component(year, 1970..=2199)) && is_component(month, 1..=12) && is_component(day, 1..=31)
}

/// `HOUR:MINUTE[:SECOND]`
fn is_time(text: &str) -> bool {
    let mut parts = text.split(':');
    let hour = parts.next().is_some_and(|part| is_component(part, 0..=23));
    let minute = parts.next().is_some_and(|part| is_component(part, 0..=59));
    let second = parts.next().is_none_or(|part| is_component(part, 0..=59));
    hour && minute && second && parts.next().is_none()
}

/// `*`, or a list of numbers, ranges (`9..17`) and steps (`0/15`).
fn is_component(text: &str, range: std::ops::RangeInclusive<u32>) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| is_digits(text));
    let fits = |text: &str| number(text).is_some_and(|number| range.contains(&number));
    let is_item = |item: &str| {
        let (what, step) = item.split_once('/').map_or((item, None), |(what, step)| (what, Some(step)));
        let ends = what.split_once("..");
        let sound = ends.map_or_else(
            || what == "*" || fits(what),
            |(from, to)| fits(from) && fits(to) && number(from) <= number(to),
        );
        sound && step.is_none_or(|step| number(step).is_some_and(|step| step > 0))
    };
    text.split(',').all(is_item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_takes_is_taken() {
        // tests/host asks systemd about the same ones.
        for good in GOOD {
            assert!(good.parse::<Calendar>().is_ok(), "{good}");
        }
    }

    const GOOD: [&str; 18] = [
        "*-*-* 02:00:00",
        "daily",
        "Weekly",
        "hourly Europe/Oslo",
        "02:00",
        "2:0",
        "Mon,Thu 03:30",
        "Mon..Fri *-*-* 02:00",
        "sunday 04:00",
        "Mon..Wed,Sat *-*-1..7 18:00:00",
        "*-*~01 23:00",
        "12-31 23:59:59",
        "2027-*-01 00:00",
        "*:0/15",
        "*-1/3-1 06:30 UTC",
        "*-*-* 9..17:00",
        "*-*-1,15 12:00",
        "*-*-* 02:30:00 Europe/Oslo",
    ];

    #[test]
    fn a_zone_is_put_behind_what_has_none() {
        let by = |text: &str, zone: &str| text.parse::<Calendar>().unwrap().by(&zone.parse().unwrap()).to_string();
        assert_eq!(by("*-*-01 03:00:00", "Europe/Berlin"), "*-*-01 03:00:00 Europe/Berlin");
        assert_eq!(by("daily", "UTC"), "daily UTC");
        assert_eq!(by("hourly Europe/Oslo", "UTC"), "hourly Europe/Oslo");
    }

    #[test]
    fn nothing_else_gets_into_a_unit() {
        for bad in [
            "",
            " daily",
            "daily ",
            "0 2 * * *",
            "02:00\nOnCalendar=hourly",
            "02:00\tUTC",
            "25:00",
            "02:60",
            "13-01 02:00",
            "*-*-32",
            "fortnightly",
            "at 2",
            "2 am",
            "02:00 *-*-*",
            "Mon Tue 02:00",
            "*-*-* 02:00 Europe/Atlantis",
            "*-*-* 02:00 europe/oslo",
            "UTC",
            "*:0/0",
            "5..2:00",
            "%h 02:00",
            "02:00;03:00",
            "ø 02:00",
            "*-*-* 02:00:00 UTC UTC",
        ] {
            assert!(bad.parse::<Calendar>().is_err(), "{bad:?}");
        }
    }
}
