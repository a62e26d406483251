//! Unit text to types and back: what a quadlet or unit file says, and how a value is written so that
//! the far end receives exactly it.
//!
//! A value passes through up to three readers: Podman's quadlet generator, systemd and Podman's
//! command line. Each has rules of its own, and they differ by key; [`Value`] is the one place that
//! knows them. This module knows no file, no bus, no clock and nothing of the photo stack.

mod file;
mod support;
mod value;

pub use file::{Entry, File, ParseError, Section};
pub use support::{FLOOR, PodmanVersion, since};
pub use value::{OnFailure, Value};
