//! photos-agent: builds and keeps an Immich photo service that can always go back.
//!
//! The flow is observe, plan, apply; imports go one way, from the top of this list to its end:
//!
//! - `cli`, `agent`: people and the daemon
//! - `upgrade`: what there is to upgrade to, and what it takes
//! - `immich`: an API key, libraries and guarded scans
//! - `snapshot`: one moment of everything
//! - `icloud`: sessions at Apple, runs of icloudpd
//! - `notify`: who is told what nobody watched
//! - `observe`, `apply`: effects, deciding nothing
//! - `record`: what the agent remembers
//! - `host`: the only room that speaks D-Bus, HTTP, ioctl, or starts a process
//! - `plan`, `stack`, `quadlet`: pure decisions and texts
//! - `hardware`: what is used of the graphics, and why not the rest
//! - `config`, `catalogue`: files and data to settings
//! - `model`: the nouns

pub mod agent;
pub mod apply;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod hardware;
pub mod host;
pub mod icloud;
pub mod immich;
pub mod log;
pub mod model;
pub mod notify;
pub mod observe;
pub mod plan;
pub mod quadlet;
pub mod record;
pub mod snapshot;
pub mod stack;
pub mod upgrade;
