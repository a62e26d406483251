//! Work in a container's network: its loopback address, whatever is published and whatever a firewall says.
//!
//! A thread is in one network, and so is every socket that it makes. The thread that goes there is made for it and ends
//! with the work: whoever calls stays where it is.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use tokio::sync::oneshot;

/// Why there was no getting in.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The process is gone, or this one may not go there.
    #[error("cannot enter the network of process {pid}")]
    Closed {
        /// The process.
        pid: u32,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is in the same network as the agent: no container's, or one with the host's.
    #[error("process {0} has no network of its own")]
    Shared(u32),
    /// No thread, or one that ended before its work did.
    #[error("no answer came out of the network of process {0}")]
    Lost(u32),
}

/// Processes of other containers that are in the network of a process, by their names: what reaches its loopback address
/// from there passes no packet filter of the host's. Of those that may not be looked at nothing is said.
pub fn guests(pid: u32) -> io::Result<Vec<String>> {
    let namespace = |process: &Path, kind: &str| std::fs::read_link(process.join("ns").join(kind));
    let own = Path::new("/proc").join(pid.to_string());
    let (network, processes) = (namespace(&own, "net")?, namespace(&own, "pid")?);
    let mut guests = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let process = entry.path();
        let is_in = |kind, which: &Path| namespace(&process, kind).is_ok_and(|found| found == which);
        if is_in("net", &network) && !is_in("pid", &processes) {
            let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
            guests.push(format!("{} (process {})", name.trim(), entry.file_name().display()));
        }
    }
    Ok(guests)
}

/// Runs `work` in the network of a process. It should end by itself within a limited time: where nobody waits for it any
/// more, it still runs to its end.
pub async fn inside<T, F>(pid: u32, work: impl FnOnce() -> F + Send + 'static) -> Result<T, NetnsError>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (tell, told) = oneshot::channel();
    let there = move || {
        // Nobody may wait any more.
        let _ = tell.send(enter(pid).and_then(|()| run(pid, work)));
    };
    std::thread::Builder::new()
        .name("netns".to_owned())
        .spawn(there)
        .map_err(|source| NetnsError::Closed { pid, source })?;
    told.await.map_err(|_| NetnsError::Lost(pid))?
}

fn enter(pid: u32) -> Result<(), NetnsError> {
    let closed = |source| NetnsError::Closed { pid, source };
    let of_process = File::open(format!("/proc/{pid}/ns/net")).map_err(closed)?;
    let (theirs, own) = (of_process.metadata().map_err(closed)?, Path::new("/proc/self/ns/net").metadata());
    let own = own.map_err(closed)?;
    // A number that was given to another process meanwhile is most likely one of the host's.
    if (theirs.dev(), theirs.ino()) == (own.dev(), own.ino()) {
        return Err(NetnsError::Shared(pid));
    }
    setns(of_process, CloneFlags::CLONE_NEWNET).map_err(|error| closed(error.into()))
}

/// On a runtime of this thread alone, made after it got there.
fn run<T, F: Future<Output = T>>(pid: u32, work: impl FnOnce() -> F) -> Result<T, NetnsError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| NetnsError::Closed { pid, source })?;
    Ok(runtime.block_on(async { work().await }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_is_gone_or_of_the_host_is_refused() {
        let own = std::process::id();
        let refused = inside(own, || async { panic!("it must not run here") }).await;
        assert!(matches!(refused, Err(NetnsError::Shared(pid)) if pid == own), "{refused:?}");
        // Beyond what the kernel gives (PID_MAX_LIMIT).
        let gone: Result<(), _> = inside(1 << 23, || async {}).await;
        assert!(matches!(gone, Err(NetnsError::Closed { .. })), "{gone:?}");
    }
}
