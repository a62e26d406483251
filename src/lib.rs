//! photos-agent: builds and keeps an Immich photo service that can always go back.
//!
//! The flow is observe, plan, apply; imports go one way, from the top of this list to its end:
//!
//! - `cli`, `agent`: people and the daemon
//! - `observe`, `apply`: effects, deciding nothing
//! - `plan`, `stack`, `quadlet`: pure decisions and texts
//! - `host`: the only room that speaks D-Bus, ioctl, HTTP, or starts a process
//! - `config`: files to settings
//! - `model`: the nouns

pub mod catalogue;
pub mod config;
pub mod model;
pub mod quadlet;
pub mod stack;
