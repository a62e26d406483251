//! The only room that speaks D-Bus, HTTP, ioctl, or starts a process.
//!
//! Each file owns one neighbour. They report and they do; they decide nothing.

pub mod beneath;
pub mod disk;
pub mod door;
pub mod files;
pub mod firewall;
pub mod freezer;
pub mod generator;
pub mod gpu;
pub mod holders;
pub mod hook;
pub mod immich;
pub mod interrupt;
mod ioctl;
pub mod journal;
pub mod kernel;
pub mod library;
pub mod lock;
pub mod many;
pub mod mounts;
pub mod netns;
pub mod podman;
pub mod ports;
pub mod process;
mod proxy;
pub mod quota;
pub mod resolve;
pub mod signals;
pub mod size;
pub mod storage;
pub mod subvolume;
pub mod systemd;
pub mod terminal;
pub mod timed;
pub mod watch;
pub mod webhook;
pub mod within;

use std::io;
use std::sync::{Arc, mpsc};

use crate::model::Root;
use podman::{Podman, PodmanError};
use systemd::{Systemd, SystemdError};

/// The host: a root for its files, one bus connection at a time, one Podman client.
#[derive(Debug)]
pub struct Host {
    /// Where files are looked up.
    pub root: Root,
    /// Podman's socket.
    pub podman: Podman,
    systemd: tokio::sync::Mutex<Option<Arc<Systemd>>>,
}

impl Host {
    /// A host below `root`. Connects to nothing yet.
    pub fn new(root: Root) -> Result<Self, PodmanError> {
        Ok(Self { root, podman: Podman::new()?, systemd: tokio::sync::Mutex::default() })
    }

    /// systemd, connected at the first call, and again where the bus was lost: an operation that lives through that has to
    /// be able to go back.
    pub async fn systemd(&self) -> Result<Arc<Systemd>, SystemdError> {
        let mut held = self.systemd.lock().await;
        match held.as_ref().filter(|systemd| !systemd.is_lost()) {
            Some(systemd) => Ok(Arc::clone(systemd)),
            None => Ok(Arc::clone(held.insert(Arc::new(Systemd::connect().await?)))),
        }
    }
}

/// Does beside this thread what may take long and cannot be interrupted: on this one the watchdog's beat would wait for
/// it, and a slow disk is no reason to be killed.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// The same for what changes something: dropped meanwhile, it waits for the end after all. Whoever takes the lock next must
/// not meet a change that is still on its way.
async fn beside_to_its_end<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (working, ended) = mpsc::channel();
    let _end = AwaitedOnDrop(ended);
    let work = move || {
        let _working: mpsc::Sender<()> = working;
        work()
    };
    beside(work).await
}

/// Ended where the other side is gone.
struct AwaitedOnDrop(mpsc::Receiver<()>);

impl Drop for AwaitedOnDrop {
    fn drop(&mut self) {
        let _ = self.0.recv();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn this_thread_goes_on_beside_what_blocks() {
        let (beat, wait) = mpsc::channel();
        // Ends well only if the other branch runs meanwhile.
        let work = beside(move || wait.recv_timeout(Duration::from_secs(60)));
        let (heard, sent) = tokio::join!(work, async { beat.send(7) });
        sent.unwrap();
        assert_eq!(heard.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn a_change_has_ended_when_nobody_waits_for_it_any_more() {
        let done = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&done);
        let work = beside_to_its_end(move || {
            std::thread::sleep(Duration::from_millis(200));
            set.store(true, Ordering::SeqCst);
        });
        let cut_off = tokio::time::timeout(Duration::ZERO, work).await;
        assert!(cut_off.is_err() && done.load(Ordering::SeqCst));
    }
}
