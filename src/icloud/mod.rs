//! iCloud: sessions, runs of icloudpd and what they came to.
//!
//! Units, folders and timers of an account are `stack`'s. Here nothing is deleted, at Apple or on the host: what came cut off is
//! put aside.

pub mod jar;
pub mod log;
pub mod whole;
