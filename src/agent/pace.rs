//! How soon: to look after something was heard, and to do again what was done before. Pure: times come in as
//! durations since the daemon's start.

use std::collections::BTreeMap;
use std::time::Duration;

/// Things come in bunches; a look waits until nothing more has come for so long,
const QUIET: Duration = Duration::from_millis(1500);

/// but no longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest time between two looks where units go up and down all the time and none of it leads to anything: a
/// service that fails again and again, say.
const RARELY: Duration = Duration::from_secs(30);

/// Looks that lead to nothing are forgotten after so much silence.
const SILENCE: Duration = Duration::from_secs(120);

/// First wait after a failure, doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(30);

/// Longest wait after failures: what a person mends is taken up within it, without being told.
const RETRY_LONGEST: Duration = Duration::from_secs(15 * 60);

/// How often the same repair is made at once.
const AT_ONCE: u32 = 2;

/// First wait before a repair that did not last, doubled each time.
const FLAP_FIRST: Duration = Duration::from_secs(60);

/// Longest such wait; a repair that lasted so long counts as the first again.
const FLAP_LONGEST: Duration = Duration::from_secs(60 * 60);

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

/// When to look, after looks that led to nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Looks {
    last: Duration,
    idle: u32,
}

impl Looks {
    /// A look ended, and led to something or not.
    pub(super) fn looked(&mut self, now: Duration, idle: bool) {
        let forgotten = now.saturating_sub(self.last) > SILENCE;
        self.idle = if !idle || forgotten { 0 } else { self.idle.saturating_add(1) };
        self.last = now;
    }

    /// The moment of the next look, where the first and the last thing since the last one were heard then. Units
    /// alone can wait: systemd is about to do something with them.
    pub(super) fn due(&self, first: Duration, last: Duration, only_units: bool) -> Duration {
        let settled = (last + QUIET).min(first + PATIENCE);
        let few = self.idle < 3 || !only_units;
        let gap = if few { Duration::ZERO } else { doubled(Duration::from_secs(2), self.idle - 3, RARELY) };
        settled.max(self.last + gap)
    }
}

/// Waits that grow while nothing gets better.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Retry(u32);

impl Retry {
    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let wait = doubled(RETRY_FIRST, self.0, RETRY_LONGEST);
        self.0 = self.0.saturating_add(1);
        wait
    }
}

/// Why a repair has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// It was made so many times, and did not last.
    Flaps(u32, Duration),
    /// It failed a moment ago.
    Failed(Duration),
}

/// The repairs that were made, and the one that failed.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    made: BTreeMap<String, Made>,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Made {
    times: u32,
    last: Duration,
}

impl Made {
    fn wait(&self) -> Duration {
        self.times.checked_sub(AT_ONCE).map_or(Duration::ZERO, |times| doubled(FLAP_FIRST, times, FLAP_LONGEST))
    }

    /// It lasted, counted from when it would have been made again.
    fn lasted(&self, now: Duration) -> bool {
        now > self.last + self.wait() + FLAP_LONGEST
    }
}

#[derive(Debug)]
struct Failed {
    steps: Vec<String>,
    until: Duration,
    retry: Retry,
}

impl Repairs {
    /// Whether these steps must wait.
    pub(super) fn wait(&self, steps: &[String], now: Duration) -> Option<Wait> {
        // What is left of what failed is no other repair.
        let is_part = |failed: &&Failed| steps.iter().all(|step| failed.steps.contains(step));
        let failed = self.failed.as_ref().filter(|failed| failed.until > now).filter(is_part);
        if let Some(failed) = failed {
            return Some(Wait::Failed(failed.until.saturating_sub(now)));
        }
        let made = steps.iter().filter_map(|step| self.made.get(step)).filter(|made| !made.lasted(now));
        let flapping = made.filter(|made| made.last + made.wait() > now).max_by_key(|made| made.last + made.wait())?;
        Some(Wait::Flaps(flapping.times, (flapping.last + flapping.wait()).saturating_sub(now)))
    }

    /// These steps were taken, and all went well.
    pub(super) fn made(&mut self, steps: &[String], now: Duration) {
        self.failed = None;
        self.made.retain(|_, made| !made.lasted(now));
        for step in steps {
            let made = self.made.entry(step.clone()).or_insert(Made { times: 0, last: now });
            made.times = made.times.saturating_add(1);
            made.last = now;
        }
    }

    /// They were not. Returns how long to wait before they are tried again.
    pub(super) fn failed(&mut self, steps: &[String], now: Duration) -> Duration {
        let before = self.failed.take().filter(|failed| steps.iter().all(|step| failed.steps.contains(step)));
        let mut retry = before.map_or(Retry::default(), |failed| failed.retry);
        let wait = retry.next();
        self.failed = Some(Failed { steps: steps.to_vec(), until: now + wait, retry });
        wait
    }

    /// The operator asked for something: nothing that was before counts.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_look_waits_until_it_is_quiet_but_not_for_ever() {
        let looks = Looks::default();
        assert_eq!(looks.due(s(100), s(100), true), s(100) + QUIET);
        assert_eq!(looks.due(s(100), s(104), false), s(104) + QUIET);
        assert_eq!(looks.due(s(100), s(109), true), s(110));
    }

    #[test]
    fn looks_that_lead_to_nothing_become_rare_and_never_rarer_than_half_a_minute() {
        let mut looks = Looks::default();
        let (mut now, mut gaps) = (s(1000), Vec::new());
        for _ in 0..10 {
            assert_eq!(looks.due(now, now, false), now + QUIET, "files do not wait");
            let due = looks.due(now, now, true);
            gaps.push(due.saturating_sub(now).as_millis());
            now = due;
            looks.looked(now, true);
        }
        assert_eq!(gaps, [1500, 1500, 1500, 1500, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        // Forgotten: by a look that led to something, and by silence.
        let mut other = looks;
        other.looked(now, false);
        assert_eq!(other.due(now, now, true), now + QUIET);
        looks.looked(now + s(121), true);
        assert_eq!(looks.due(now + s(121), now + s(121), true), now + s(121) + QUIET);
    }

    #[test]
    fn the_same_repair_again_and_again_waits_longer_each_time() {
        let steps = ["write a".to_owned()];
        let mut repairs = Repairs::default();
        let (mut now, mut waits) = (s(10), Vec::new());
        for _ in 0..11 {
            let wait = match repairs.wait(&steps, now) {
                None => s(0),
                Some(Wait::Flaps(_, wait)) => wait,
                Some(other) => panic!("{other:?}"),
            };
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(repairs.wait(&steps, now), None);
            repairs.made(&steps, now);
        }
        assert_eq!(waits, [0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        // Others need not wait; together with it they do.
        let other = ["start b".to_owned()];
        assert_eq!(repairs.wait(&other, now), None);
        let both = [steps.as_slice(), other.as_slice()].concat();
        assert_eq!(repairs.wait(&both, now), Some(Wait::Flaps(11, s(3600))));
        // It is needed an hour later, as it was all the time: that is no rest. After an hour without need, it is.
        repairs.made(&steps, now + s(3600));
        assert!(repairs.wait(&steps, now + s(3601)).is_some());
        let rested = now + s(3600 * 3 + 1);
        assert_eq!(repairs.wait(&steps, rested), None);
        repairs.made(&steps, rested);
        assert_eq!(repairs.wait(&steps, rested), None, "counted from one");
    }

    #[test]
    fn a_repair_that_failed_is_tried_again_ever_later_and_another_one_at_once() {
        let steps = ["write a".to_owned()];
        let mut repairs = Repairs::default();
        let mut now = s(5);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let wait = repairs.failed(&steps, now);
            assert_eq!(repairs.wait(&steps, now + s(1)), Some(Wait::Failed(wait.saturating_sub(s(1)))));
            assert_eq!(repairs.wait(&["start b".to_owned()], now), None);
            now += wait;
            assert_eq!(repairs.wait(&steps, now), None);
            waits.push(wait.as_secs());
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900]);
        repairs.made(&steps, now);
        assert_eq!(repairs.failed(&steps, now), s(30));
        repairs.forget();
        assert_eq!(repairs.wait(&steps, now), None);
    }
}
