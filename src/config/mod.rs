//! From files to [`Settings`].
//!
//! Three stages: a fragment is what one file says, merged are all of them with later files winning,
//! `Settings` is what the rest of the crate trusts. This module reads configuration files and nothing
//! else of the host; it decides nothing about the stack.

mod settings;

pub use settings::{Immich, Limits, Network, Postgres, Settings, Storage};
