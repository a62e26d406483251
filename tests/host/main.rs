//! Tests on a real host: systemd, Podman and BTRFS. See README.md beside this file.
//!
//! Each test has a host of its own, so that they run side by side and leave nothing to one another.

// clippy.toml lets tests do this, but knows only functions that are marked as one, not what they call.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, clippy::unwrap_used)]

mod change;
mod check;
mod conflicts;
mod doctor;
mod door;
mod drift;
mod dryrun;
mod faults;
mod first;
mod gate;
mod generator;
mod graphics;
mod hardening;
mod icloud;
mod icloud_accounts;
mod isolation;
mod json;
mod kinds;
mod major;
mod moving;
mod night;
mod operator;
mod package;
mod readme;
mod reboot;
mod restore;
mod retention;
mod rotate;
mod scan;
mod secrets;
mod snapshot;
mod steadfast;
mod storage;
mod support;
mod tell;
mod upgrade;
mod verify;
mod whole;
