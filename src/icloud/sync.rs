//! A run: looks, starts the container, reads what it says, looks at what it brought, and writes down what came of it.
//!
//! It takes hours, so it holds no lock but that of its account. An operation that stops the stack stops the container, too, and
//! the run is one that was cut off.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::apply;
use crate::config::Account;
use crate::host::interrupt::Interrupt;
use crate::host::systemd::Verb;
use crate::host::{Host, files, lock};
use crate::icloud::log::Ended;
use crate::icloud::place::Place;
use crate::icloud::renew::Renewal;
use crate::icloud::{IcloudError, claim, options, recall, refuse_other, remember, unfinished};
use crate::model::icloud::{SyncCounts, SyncResult};
use crate::model::{ActiveState, Refusal, layout};
use crate::observe::chain;
use crate::plan::sync as plan;
use crate::record::{AccountRecord, Generations, Pending, Run};
use crate::stack::DesiredAccount;

/// How often an operation that is under way is looked for.
const LOOK: Duration = Duration::from_secs(2);

/// How long a run waits for one.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// What is told while it runs.
#[derive(Debug, Clone)]
pub enum News<'a> {
    /// It goes on.
    Counts(&'a SyncCounts),
    /// A try ended, and there is another one.
    Again(&'a SyncResult, Duration),
    /// What icloudpd said, word for word.
    Said(&'a str),
}

/// Runs it once, with what that takes. What Apple did not want is a result, no error.
pub async fn sync(
    host: &Host,
    account: &Account,
    desired: &DesiredAccount,
    news: &mut dyn FnMut(News<'_>),
) -> Result<Run, IcloudError> {
    let _claim = claim(&host.root, &account.name, "photos-agent icloud sync").await?;
    // A container goes on by itself: whoever ends us has to end it, too.
    let interrupt = Interrupt::listen().map_err(IcloudError::Signals)?;
    let record = recall(&host.root, &account.name)?;
    if record.begun.is_some() {
        stop_orphan(host, desired).await?;
    }
    refuse_running(host, desired).await?;
    let place = Place::new(host, account, desired, interrupt);
    place.refuse_missing()?;
    refuse_other(&host.root, account, desired)?;
    if let Some(refusal) = plan::refuse_turned_away(&account.name, record.turned_away()) {
        return Err(refusal.into());
    }
    wait_for_operation(&place).await?;
    let begun = Timestamp::now();
    let full = begin(&place, &record, begun).await?;
    let (result, counts, full) = tries(&place, full, news).await?;
    let run = Run { at: begun, ended: Timestamp::now(), full, result, counts };
    remember(&host.root, &account.name, |record| record.add(run.clone())).await?;
    // What follows is a convenience, and no reason to take back what was written down.
    let aside = if run.result.is_fit() { place.cookies.keep() } else { Ok(()) };
    aside.unwrap_or_else(|error| place.warn(&error));
    if run.result != SyncResult::CutOff {
        unfinished::end(&host.root, desired).unwrap_or_else(|error| place.warn(&error));
    }
    Ok(run)
}

/// Writes down that it begins, and looks at what is there where nobody has. Returns whether it goes through everything.
async fn begin(place: &Place<'_>, record: &AccountRecord, begun: Timestamp) -> Result<bool, IcloudError> {
    let (account, root) = (place.account, &place.host.root);
    let (torn, went_back, options) = (record.begun.is_some(), place.went_back(record)?, options(account));
    // Before the look: whoever is cut off after it must not take this tree for one that was gone through.
    remember(root, &account.name, |record| {
        record.begun = Some(begun);
        record.options = Some(options.clone());
        record.apple_id = Some(account.apple_id.clone());
    })
    .await?;
    // Where nobody can be told to take it up, it is a run all the same.
    unfinished::begin(root, place.desired).unwrap_or_else(|error| place.warn(&error));
    let stopped = record.runs.first().is_some_and(|run| run.result == SyncResult::CutOff);
    if torn || went_back || stopped {
        // The run before was cut off, perhaps with the host, or the tree is an earlier one: what is there is looked at before
        // icloudpd takes it for good.
        place.look(record, torn).await?;
    }
    let before: Vec<_> = record.runs.iter().map(|run| (run.result.clone(), run.full)).collect();
    let others = record.options.as_ref() != Some(&options);
    Ok(torn || went_back || others || plan::is_full(account.until_found, &before))
}

/// Refuses while its container is at work: one that an agent started that is gone.
pub(super) async fn refuse_running(host: &Host, desired: &DesiredAccount) -> Result<(), IcloudError> {
    if !is_running(host, desired).await? {
        return Ok(());
    }
    let what = format!("iCloud account {}", desired.name);
    Err(Refusal::new(what, "a run is under way", format!("wait for it, or: systemctl stop {}", desired.run)).into())
}

async fn is_running(host: &Host, desired: &DesiredAccount) -> Result<bool, IcloudError> {
    let states = host.systemd().await?.units(std::slice::from_ref(&desired.run)).await?;
    let active = states.get(&desired.run).map(|state| state.active);
    Ok(!matches!(active, None | Some(ActiveState::Inactive | ActiveState::Failed)))
}

/// Ends a container that goes on though the agent that started it is gone: nobody reads what it says.
async fn stop_orphan(host: &Host, desired: &DesiredAccount) -> Result<(), IcloudError> {
    if is_running(host, desired).await? {
        tracing::warn!(unit = desired.run.as_str(), "nobody reads what this run says any more: it is stopped");
        let systemd = host.systemd().await?;
        systemd.run_jobs(Verb::Stop, std::slice::from_ref(&desired.run), &mut |_| {}).await?;
    }
    Ok(())
}

/// Waits while somebody changes the stack: no container starts then. One that nobody is at work on any more is for a person.
async fn wait_for_operation(place: &Place<'_>) -> Result<(), IcloudError> {
    let root = &place.host.root;
    let begun = Instant::now();
    while let Some(refusal) = open_operation(place)? {
        let is_at_work = lock::holder(&root.join(apply::LOCK)).is_some();
        if !is_at_work && open_operation(place)?.is_some() || begun.elapsed() >= PATIENCE {
            return Err(refusal.into());
        }
        tokio::select! {
            () = place.interrupt.wait() => return Err(IcloudError::Interrupted),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Ok(())
}

/// What holds off every container, as their units have it.
fn open_operation(place: &Place<'_>) -> Result<Option<Refusal>, IcloudError> {
    let root = &place.host.root;
    let Some(open) = Pending::read(root)? else { return Ok(None) };
    if files::is_there(&root.join(layout::RESOLVING))? {
        return Ok(None);
    }
    let remedy = open.remedy(Generations::new(root).last()?.as_ref());
    let why = format!("{} is under way, or was begun and not ended", open.command);
    Ok(Some(Refusal::new(format!("iCloud account {}", place.account.name), why, remedy)))
}

/// What it came to, what it moved, and whether it went through everything.
type Came = (SyncResult, SyncCounts, bool);

async fn tries(place: &Place<'_>, full: bool, news: &mut dyn FnMut(News<'_>)) -> Result<Came, IcloudError> {
    let (mut counts, mut tries, mut full, mut renewal) = (SyncCounts::default(), 0, full, Renewal::default());
    loop {
        tries += 1;
        let mut began = false;
        let mut result = if let Some(result) = renewal.have_session(place).await? {
            result
        } else {
            let (result, moved, ended) = once(place, full, news).await?;
            counts = sum(&counts, &moved);
            if ended == Ended::Stopped {
                return Ok((result, counts, full));
            }
            began = true;
            result
        };
        if result == SyncResult::SessionExpired {
            match renewal.renew(place, result).await? {
                None => continue,
                Some(other) => result = other,
            }
        }
        let Some(wait) = plan::again_in(&result, tries) else { return Ok((result, counts, full)) };
        // What did not come may lie behind what did.
        full |= began;
        news(News::Again(&result, wait));
        tokio::select! {
            () = place.interrupt.wait() => return Ok((SyncResult::CutOff, counts, full)),
            () = tokio::time::sleep(wait) => {}
        }
        if let Err(error) = ready(place).await {
            place.warn(&error);
            return Ok((result, counts, full));
        }
    }
}

/// Whether the disk is still there, and nobody changes the stack: minutes have gone by.
async fn ready(place: &Place<'_>) -> Result<(), IcloudError> {
    place.refuse_missing()?;
    wait_for_operation(place).await
}

const fn sum(counts: &SyncCounts, moved: &SyncCounts) -> SyncCounts {
    SyncCounts {
        found: if moved.found.is_some() { moved.found } else { counts.found },
        downloaded: counts.downloaded + moved.downloaded,
        failed: moved.failed,
        cut: moved.cut,
        bytes: counts.bytes + moved.bytes,
    }
}

/// One start of the container, and a look at what it brought.
async fn once(
    place: &Place<'_>,
    full: bool,
    news: &mut dyn FnMut(News<'_>),
) -> Result<(SyncResult, SyncCounts, Ended), IcloudError> {
    let (reading, ended) = place.follow(full, news).await?;
    if ended == Ended::HeldOff {
        wait_for_operation(place).await?;
        return Ok((SyncResult::CutOff, SyncCounts::default(), ended));
    }
    let result = reading.result(ended, place.has_room().unwrap_or(true));
    let mut counts = reading.counts();
    if place.interrupt.has_come() {
        // There is no time for a look; the next run begins with it. But what is here is not doubted then.
        place.commit().await.unwrap_or_else(|error| place.warn(&error));
        return Ok((result, counts, ended));
    }
    let looked = async { place.look(&recall(&place.host.root, &place.account.name)?, false).await };
    let result = match (looked.await, result) {
        (Ok(arrived), result) => {
            (counts.cut, counts.bytes) = (arrived.cut, arrived.bytes);
            with_cut(result, arrived.cut)
        }
        (Err(error), result) if result.is_fit() => {
            // Nobody knows whether what came is whole.
            place.warn(&error);
            if place.interrupt.has_come() {
                SyncResult::CutOff
            } else {
                SyncResult::Unknown { said: vec![chain(&error)] }
            }
        }
        (Err(error), result) => {
            place.warn(&error);
            result
        }
    };
    Ok((result, counts, ended))
}

fn with_cut(result: SyncResult, cut: u64) -> SyncResult {
    match result {
        SyncResult::Done if cut > 0 => SyncResult::Partly { failed: 0, cut },
        SyncResult::Partly { failed, .. } => SyncResult::Partly { failed, cut },
        other => other,
    }
}
