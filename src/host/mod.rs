//! The only room that speaks D-Bus, HTTP, ioctl, or starts a process.
//!
//! Each file owns one neighbour. They report and they do; they decide nothing.

pub mod beneath;
pub mod files;
pub mod firewall;
pub mod freezer;
pub mod generator;
pub mod immich;
mod ioctl;
pub mod journal;
pub mod kernel;
pub mod lock;
pub mod podman;
pub mod process;
mod proxy;
pub mod signals;
pub mod storage;
pub mod subvolume;
pub mod systemd;
pub mod watch;

use crate::model::Root;
use podman::{Podman, PodmanError};
use systemd::{Systemd, SystemdError};

/// The host: a root for its files, one bus connection, one Podman client.
#[derive(Debug)]
pub struct Host {
    /// Where files are looked up.
    pub root: Root,
    /// Podman's socket.
    pub podman: Podman,
    systemd: tokio::sync::OnceCell<Systemd>,
}

impl Host {
    /// A host below `root`. Connects to nothing yet.
    pub fn new(root: Root) -> Result<Self, PodmanError> {
        Ok(Self { root, podman: Podman::new()?, systemd: tokio::sync::OnceCell::new() })
    }

    /// systemd, connected at the first call.
    pub async fn systemd(&self) -> Result<&Systemd, SystemdError> {
        self.systemd.get_or_try_init(Systemd::connect).await
    }
}
