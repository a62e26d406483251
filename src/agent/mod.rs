//! The daemon: triggers in, status out.
//!
//! READY is early, since what follows may pull images for an hour: `systemctl start photos-agent` does
//! not wait for it. At its start and on SIGHUP it applies the configuration; from then on it holds what was applied,
//! and looks when something is heard of. Stopping it stops nothing else; an operation that a stop cuts off goes
//! on at the next start, and at once where services wait for it.

mod hearing;
mod left;
mod outage;
mod pace;
mod resolve;
mod status;
mod turn;
mod verdict;

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Diagnostics, Loaded};
use crate::host::Host;
use crate::host::systemd::Verb;
use crate::model::{Root, UnitName};
use crate::observe::chain;
use crate::record::Pending;
use crate::stack;
pub use resolve::resolve;

use hearing::{Heard, Hearing};
use pace::Looks;
use status::{Beats, beat, notify_ready, notify_reloading, notify_stopping};
use turn::{Keeper, Turned};

/// A look without a reason: not everything can be heard of.
const ROUND: Duration = Duration::from_secs(6 * 60 * 60);

/// The same where files cannot be listened to.
const ROUND_OF_THE_DEAF: Duration = Duration::from_secs(5 * 60);

/// Runs until SIGTERM or SIGINT. `load` reads the configuration anew each time.
pub async fn run(root: Root, load: impl Fn() -> Result<Loaded, Diagnostics>) -> io::Result<()> {
    let hangup = signal(SignalKind::hangup())?;
    let beats = Beats::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    notify_ready();
    // All in one task: what blocks the work blocks the watchdog's beat, which is what it is for. Only commits of whole
    // filesystems, which take as long as the disk does, are waited for beside it. A stop waits for no operation, which may
    // wait for hours itself: cut off at any point, the next one takes it up.
    tokio::select! {
        () = beat(beats.interval()) => {}
        () = keep(Keeper::new(root.clone(), load), Hearing::new(beats.interval()), hangup) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    notify_stopping();
    hand_over(root).await;
    Ok(())
}

/// What is half-done, or a stack that is down by our hand, must not wait for the next start of the daemon: the unit that
/// finishes it at a boot does so now. At a shutdown systemd refuses, and the boot comes.
async fn hand_over(root: Root) {
    let needs_finishing = |open: Pending| open.holds || open.stack_was_stopped || open.goes_back_or_on();
    if !Pending::read(&root).ok().flatten().is_some_and(needs_finishing) {
        return;
    }
    let asked = async {
        let host = Host::new(root).map_err(|error| chain(&error))?;
        let systemd = host.systemd().await.map_err(|error| chain(&error))?;
        systemd.ask(Verb::Start, &UnitName::constant(stack::RESOLVE)).await.map_err(|error| chain(&error))
    };
    match asked.await {
        Ok(()) => tracing::info!("what is half-done is left to {}", stack::RESOLVE),
        Err(error) => tracing::warn!("what is half-done is left to the next boot or start: {error}"),
    }
}

/// One turn after the other, each when there is a reason for it.
async fn keep<L: Fn() -> Result<Loaded, Diagnostics>>(mut keeper: Keeper<L>, mut hearing: Hearing, mut hangup: Signal) {
    let mut looks = Looks::default();
    let mut reason = "start".to_owned();
    loop {
        hearing.refresh();
        let (turned, mut heard) = Box::pin(take_turn(&mut keeper, &mut hearing, &mut hangup, &reason)).await;
        let Some(Turned { subjects, again, idle }) = turned else {
            reload(&mut keeper);
            "reload".clone_into(&mut reason);
            continue;
        };
        looks.looked(keeper.now(), idle);
        if let Some(subjects) = subjects
            && hearing.listen(subjects).await
            && heard.is_none()
        {
            heard = Some("there is more to listen to".to_owned());
        }
        reason = rest(&mut keeper, &mut hearing, &mut hangup, looks, again, heard).await;
    }
}

/// A turn, and what was heard during it: somebody must listen, or signals pile up for as long as it takes. No
/// turn if the operator wants the next one now.
async fn take_turn<L: Fn() -> Result<Loaded, Diagnostics>>(
    keeper: &mut Keeper<L>,
    hearing: &mut Hearing,
    hangup: &mut Signal,
    reason: &str,
) -> (Option<Turned>, Option<String>) {
    let mut heard = None;
    let turn = keeper.turn(reason);
    tokio::pin!(turn);
    loop {
        tokio::select! {
            turned = &mut turn => return (Some(turned), heard),
            news = hearing.hear() => if let Heard::Change(what) | Heard::Unit(what) = news {
                heard.get_or_insert(what);
            },
            _ = hangup.recv() => return (None, heard),
        }
    }
}

/// Waits for a reason for the next turn, and returns it.
async fn rest<L: Fn() -> Result<Loaded, Diagnostics>>(
    keeper: &mut Keeper<L>,
    hearing: &mut Hearing,
    hangup: &mut Signal,
    looks: Looks,
    again: Option<Duration>,
    mut heard: Option<String>,
) -> String {
    let round = if hearing.is_deaf() { ROUND_OF_THE_DEAF } else { ROUND };
    let begun = keeper.now();
    let latest = begun + again.unwrap_or(round);
    let (mut first, mut last, mut only_units) = (begun, begun, true);
    loop {
        let due = if heard.is_some() { looks.due(first, last, only_units).min(latest) } else { latest };
        tokio::select! {
            () = tokio::time::sleep(due.saturating_sub(keeper.now())) => {
                return heard.unwrap_or_else(|| "time".to_owned());
            }
            news = hearing.hear() => {
                only_units &= !matches!(news, Heard::Change(_));
                match news {
                Heard::Change(what) | Heard::Unit(what) if heard.is_none() => {
                    (first, last) = (keeper.now(), keeper.now());
                    heard = Some(what);
                }
                Heard::Change(_) | Heard::Unit(_) => last = keeper.now(),
                Heard::BusLost => keeper.bus_lost(),
                }
            }
            _ = hangup.recv() => {
                reload(keeper);
                return "reload".to_owned();
            }
        }
    }
}

/// The configuration is read at the next turn; whoever waits for the reload need not wait for what follows.
fn reload<L: Fn() -> Result<Loaded, Diagnostics>>(keeper: &mut Keeper<L>) {
    keeper.reload();
    notify_reloading();
    notify_ready();
}
