//! Random numbers from a seed: enough to choose moments.

use crate::faults::say;

/// splitmix64.
pub struct Random(u64);

/// `TEST_SEED`, or the clock; said, so that it can be given.
pub fn seed() -> u64 {
    let given = std::env::var("TEST_SEED").ok().map(|seed| seed.parse().expect("TEST_SEED is a number"));
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |now| u64::from(now.subsec_nanos()));
    let seed = given.unwrap_or_else(clock);
    say(&format!("TEST_SEED={seed}"));
    seed
}

impl Random {
    /// The numbers of one fault of a sweep: the same ones whichever faults were drawn before.
    pub const fn of(seed: u64, fault: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(fault))
    }

    /// One of `0..end`. A little more or less of `end` moves it a little: what is counted anew each time may differ.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let scaled = (u128::from(z ^ (z >> 31)) * u128::from(end)) >> 64;
        u64::try_from(scaled).expect("it is less than end")
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.below(all.len() as u64);
        &all[usize::try_from(index).expect("it is an index")]
    }
}
