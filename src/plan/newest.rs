//! Which snapshot is the newest: the last one whose time has come.
//!
//! One that bears a later time than now was taken while the clock was ahead. It would be the newest for years, so it
//! counts only where there is no other.

use jiff::Timestamp;

/// The newest, and what was passed over for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest<T> {
    /// It.
    pub one: T,
    /// Those that bear a time yet to come, the earliest first.
    pub ahead: Vec<T>,
}

/// The newest of `all`, each with its moment; of those of one moment the greatest.
pub fn newest<T: Ord>(all: impl IntoIterator<Item = (Timestamp, T)>, now: Timestamp) -> Option<Newest<T>> {
    let (mut ahead, mut come): (Vec<_>, Vec<_>) = all.into_iter().partition(|(moment, _)| *moment > now);
    ahead.sort_unstable();
    come.sort_unstable();
    let (_, one) = come.pop().or_else(|| ahead.pop())?;
    Some(Newest { one, ahead: ahead.into_iter().map(|(_, one)| one).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_makes_none_the_newest() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let find = |all: &[(i64, &'static str)]| {
            let found = newest(all.iter().map(|(second, name)| (at(*second), *name)), at(100));
            found.map(|Newest { one, ahead }| (one, ahead))
        };
        for (all, wanted) in [
            (vec![], None),
            (vec![(3, "c"), (1, "z"), (2, "b")], Some(("c", vec![]))),
            (vec![(100, "now"), (101, "ahead")], Some(("now", vec!["ahead"]))),
            (vec![(900, "far"), (7, "old"), (200, "near")], Some(("old", vec!["near", "far"]))),
            // Better than none.
            (vec![(200, "near"), (900, "far")], Some(("far", vec!["near"]))),
            (vec![(5, "a-2"), (5, "a")], Some(("a-2", vec![]))),
        ] {
            assert_eq!(find(&all), wanted, "{all:?}");
        }
    }
}
