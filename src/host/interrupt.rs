//! Ctrl-C, SIGTERM and a terminal that hangs up, for whoever has to tidy up before he goes.
//!
//! Once somebody listens, the system does nothing of its own with them any more, for as long as the process lives. So one listens
//! for all of it: who attends is told, and where nobody does any more, the process ends as it would have without.

use std::io;
use std::sync::{Arc, Weak};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The exit code of a process that a signal ends, but for its number (as shells tell it).
const BY_SIGNAL: i32 = 128;

/// Attends while it, or a clone of it, lives.
#[derive(Debug, Clone)]
pub struct Interrupt {
    come: watch::Receiver<bool>,
    _attended: Arc<()>,
}

impl Interrupt {
    /// From now on.
    pub fn listen() -> io::Result<Self> {
        let signals = Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            // Of nohup(1): who wants to live on does.
            hangup: if is_ignored(SignalKind::hangup()) { None } else { Some(signal(SignalKind::hangup())?) },
        };
        let attended = Arc::new(());
        let (tell, come) = watch::channel(false);
        tokio::spawn(signals.pass_on(tell, Arc::downgrade(&attended)));
        Ok(Self { come, _attended: attended })
    }

    /// Whether somebody wants an end.
    pub fn has_come(&self) -> bool {
        *self.come.borrow()
    }

    /// Waits until somebody does.
    pub async fn wait(&self) {
        let mut come = self.come.clone();
        if come.wait_for(|come| *come).await.is_err() {
            // Nobody can tell any more: that is no word.
            std::future::pending::<()>().await;
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    async fn pass_on(mut self, tell: watch::Sender<bool>, attended: Weak<()>) {
        loop {
            let number = self.next().await;
            if attended.upgrade().is_none() {
                std::process::exit(BY_SIGNAL + number);
            }
            tell.send_replace(true);
        }
    }

    async fn next(&mut self) -> i32 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = hangup => SignalKind::hangup().as_raw_value(),
        }
    }
}

/// Whether whoever started us has had it ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = u32::try_from(kind.as_raw_value()).ok().and_then(|number| number.checked_sub(1));
    bit.and_then(|bit| 1_u64.checked_shl(bit)).is_some_and(|bit| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{Signal as Number, raise};

    use super::*;

    #[tokio::test]
    async fn who_attends_is_told_and_lives_on() {
        let interrupt = Interrupt::listen().unwrap();
        let other = interrupt.clone();
        assert!(!interrupt.has_come());
        assert!(tokio::time::timeout(Duration::from_millis(50), interrupt.wait()).await.is_err());
        raise(Number::SIGTERM).unwrap();
        tokio::time::timeout(Duration::from_secs(60), other.wait()).await.unwrap();
        assert!(interrupt.has_come());
    }
}
