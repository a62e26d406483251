//! A run: looks, starts the container, reads what it says, looks at what it brought, and writes down what came of it.
//!
//! It takes hours, so it holds no lock but that of its account. An operation that stops the stack stops the container, too, and
//! the run is one that was cut off.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::config::Account;
use crate::host::journal::Follow;
use crate::host::systemd::Verb;
use crate::host::{Host, files, storage};
use crate::icloud::arrived::{self, Arrived};
use crate::icloud::log::{Ended, Reading};
use crate::icloud::login::{Asks, Login, sign_in};
use crate::icloud::{Cookies, IcloudError, claim, failed, recall, remember};
use crate::model::icloud::{SENTINEL, SyncCounts, SyncResult};
use crate::model::{ActiveState, Refusal, SecretName};
use crate::plan::sync as plan;
use crate::record::{AccountRecord, Run};
use crate::stack::{DesiredAccount, icloudpd};

/// How often the journal is read, and a stop is looked for.
const LOOK: Duration = Duration::from_secs(2);

/// So often between two times that all is brought to the disk.
const LOOKS_A_COMMIT: u32 = 30;

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
    refuse_running(host, desired).await?;
    let place = Place::new(host, account, desired);
    place.refuse_missing()?;
    let record = recall(&host.root, &account.name)?;
    if let Some(refusal) = plan::refuse_turned_away(&account.name, record.turned_away()) {
        return Err(refusal.into());
    }
    let (cut_off, went_back) = (record.begun.is_some(), arrived::went_back(&place.subvolume, record.looked.as_ref())?);
    // Before the look: whoever is cut off after it must not take this tree for one that was gone through.
    let begun = Timestamp::now();
    remember(&host.root, &account.name, |record| record.begun = Some(begun)).await?;
    if cut_off || went_back {
        // The run before was cut off, perhaps with the host, or the tree is an earlier one: what is there is looked at before
        // icloudpd takes it for good.
        place.look(host, account, &record, cut_off).await?;
    }
    let before: Vec<_> = record.runs.iter().map(|run| (run.result.clone(), run.full)).collect();
    let full = cut_off || went_back || plan::is_full(account.until_found, &before);
    let (result, counts, full) = match place.have_session(host, account, desired).await? {
        Some(result) => (result, SyncCounts::default(), full),
        None => place.tries(host, account, desired, full, news).await?,
    };
    if result.is_fit() {
        place.cookies.keep()?;
    }
    let run = Run { at: begun, ended: Timestamp::now(), full, result, counts };
    remember(&host.root, &account.name, |record| record.add(run.clone())).await?;
    Ok(run)
}

/// Refuses while its container is at work: one that an agent started that is gone.
pub(super) async fn refuse_running(host: &Host, desired: &DesiredAccount) -> Result<(), IcloudError> {
    let states = host.systemd().await?.units(std::slice::from_ref(&desired.run)).await?;
    let active = states.get(&desired.run).map(|state| state.active);
    if matches!(active, None | Some(ActiveState::Inactive | ActiveState::Failed)) {
        return Ok(());
    }
    let what = format!("iCloud account {}", desired.name);
    Err(Refusal::new(what, "a run is under way", format!("wait for it, or: systemctl stop {}", desired.run)).into())
}

/// Where the pictures and the session of an account lie.
struct Place {
    account: String,
    subvolume: PathBuf,
    photos: PathBuf,
    cookies: Cookies,
}

impl Place {
    fn new(host: &Host, account: &Account, desired: &DesiredAccount) -> Self {
        let photos = host.root.join(desired.photos.as_path());
        let subvolume = photos.parent().map(PathBuf::from).unwrap_or_default();
        let cookies = Cookies::new(host.root.join(desired.cookies.as_path()), &account.apple_id);
        Self { account: account.name.to_string(), subvolume, photos, cookies }
    }

    /// A folder that is not the right one would be filled with everything once more.
    fn refuse_missing(&self) -> Result<(), IcloudError> {
        let what = format!("iCloud account {}", self.account);
        let no = |why: String, remedy: &str| Err(Refusal::new(what.clone(), why, remedy).into());
        if arrived::moment(&self.subvolume)?.is_none() {
            let why = format!("{} is not there, or no subvolume: is its disk mounted?", self.subvolume.display());
            return no(why, "photos-agent doctor");
        }
        if !files::is_there(&self.photos.join(SENTINEL))? {
            let why = format!("{} does not have the file {SENTINEL} that says whose it is", self.photos.display());
            return no(why, "photos-agent plan");
        }
        if !self.has_room()? {
            let why = format!("the disk of {} has less than {} MiB left", self.photos.display(), plan::ROOM >> 20);
            return no(why, "photos-agent snapshot prune, or free space otherwise");
        }
        Ok(())
    }

    fn has_room(&self) -> Result<bool, IcloudError> {
        let space = storage::space(&self.subvolume)?;
        // Of a small disk, a twentieth.
        Ok(space.free >= plan::ROOM.min(space.total / 20))
    }

    /// Makes sure of a session: none where there is one, else why not.
    async fn have_session(
        &self,
        host: &Host,
        account: &Account,
        desired: &DesiredAccount,
    ) -> Result<Option<SyncResult>, IcloudError> {
        if self.cookies.bring_back()? {
            tracing::warn!(account = self.account, "the session was torn; the last good one was put back");
        }
        let session = self.cookies.session().unwrap_or_else(|error| {
            tracing::warn!(account = self.account, "{}", crate::observe::chain(&error));
            None
        });
        if session.is_some_and(|session| session.good_until() > Timestamp::now()) {
            return Ok(None);
        }
        self.renew(host, account, desired, SyncResult::SessionExpired).await
    }

    /// Signs in once with the password, where one is kept: none where that went well, else `why` or what came of it.
    async fn renew(
        &self,
        host: &Host,
        account: &Account,
        desired: &DesiredAccount,
        why: SyncResult,
    ) -> Result<Option<SyncResult>, IcloudError> {
        let name: Option<SecretName> = format!("photos-icloud-{}", account.name).parse().ok();
        let Some(name) = name else { return Ok(Some(why)) };
        let Some(password) = host.podman.secret_value(&name).await? else { return Ok(Some(why)) };
        match sign_in(host, account, desired, None, true, &mut Kept(password)).await? {
            Login::Done(_) => Ok(None),
            Login::Failed(result) => Ok(Some(result)),
            // It was asked for a code.
            Login::GivenUp => Ok(Some(SyncResult::CodeNeeded)),
        }
    }

    async fn tries(
        &self,
        host: &Host,
        account: &Account,
        desired: &DesiredAccount,
        full: bool,
        news: &mut dyn FnMut(News<'_>),
    ) -> Result<(SyncResult, SyncCounts, bool), IcloudError> {
        let (mut counts, mut tries, mut renewed, mut full) = (SyncCounts::default(), 0, false, full);
        loop {
            tries += 1;
            let (mut result, moved) = self.once(host, account, desired, full, news).await?;
            counts = SyncCounts {
                found: moved.found.or(counts.found),
                downloaded: counts.downloaded + moved.downloaded,
                failed: moved.failed,
                cut: moved.cut,
                bytes: counts.bytes + moved.bytes,
            };
            if result == SyncResult::SessionExpired && !renewed {
                renewed = true;
                match self.renew(host, account, desired, result).await? {
                    None => continue,
                    Some(other) => result = other,
                }
            }
            let Some(wait) = plan::again_in(&result, tries) else { return Ok((result, counts, full)) };
            // What did not come may lie behind what did.
            full = true;
            news(News::Again(&result, wait));
            tokio::time::sleep(wait).await;
        }
    }

    /// One start of the container.
    async fn once(
        &self,
        host: &Host,
        account: &Account,
        desired: &DesiredAccount,
        full: bool,
        news: &mut dyn FnMut(News<'_>),
    ) -> Result<(SyncResult, SyncCounts), IcloudError> {
        let file = host.root.join(icloudpd::run_file(&account.name).as_path());
        let until = if full { String::new() } else { format!("--until-found={}", account.until_found) };
        files::write(&file, &format!("PODMAN_OPTIONS=\nICLOUDPD_OPTIONS={until}\n"), 0o600)?;
        let ended = self.follow(host, account, desired, news).await;
        // Without it, nobody starts the container by accident.
        files::remove(&file)?;
        let (reading, ended) = ended?;
        let record = recall(&host.root, &account.name)?;
        let arrived = self.look(host, account, &record, false).await?;
        let mut counts = reading.counts();
        (counts.cut, counts.bytes) = (arrived.cut, arrived.bytes);
        let result = match reading.result(ended, self.has_room()?) {
            SyncResult::Done if arrived.cut > 0 => SyncResult::Partly { failed: 0, cut: arrived.cut },
            SyncResult::Partly { failed, .. } => SyncResult::Partly { failed, cut: arrived.cut },
            other => other,
        };
        Ok((result, counts))
    }

    /// Starts the container and listens until it has ended.
    async fn follow(
        &self,
        host: &Host,
        account: &Account,
        desired: &DesiredAccount,
        news: &mut dyn FnMut(News<'_>),
    ) -> Result<(Reading, Ended), IcloudError> {
        let systemd = host.systemd().await?;
        let mut journal = Follow::new(&desired.run).await?;
        let mut reading = Reading::default();
        let mut silent = |_: crate::host::systemd::JobNews<'_>| {};
        let job = systemd.run_jobs(Verb::Start, std::slice::from_ref(&desired.run), &mut silent);
        tokio::pin!(job);
        let mut looks = 0_u32;
        let results = loop {
            tokio::select! {
                results = &mut job => break results?,
                () = tokio::time::sleep(LOOK) => {}
            }
            listen(&mut journal, &mut reading, false, news).await?;
            looks += 1;
            if looks.is_multiple_of(LOOKS_A_COMMIT) {
                self.commit(host, account).await?;
            }
        };
        listen(&mut journal, &mut reading, true, news).await?;
        let done = results.first().is_some_and(|job| job.result == "done");
        if done {
            return Ok((reading, Ended::Well));
        }
        let states = systemd.units(std::slice::from_ref(&desired.run)).await?;
        let by_itself = states.get(&desired.run).is_some_and(|state| state.result == "exit-code");
        Ok((reading, if by_itself { Ended::Badly } else { Ended::Killed }))
    }

    /// Brings all that came to the disk, and writes down up to where that is so.
    async fn commit(&self, host: &Host, account: &Account) -> Result<(), IcloudError> {
        files::commit(&self.subvolume).await?;
        let synced = arrived::moment(&self.subvolume)?;
        remember(&host.root, &account.name, |record| record.synced = synced).await
    }

    /// Looks at what came since the last look, when all of it is on the disk.
    async fn look(
        &self,
        host: &Host,
        account: &Account,
        record: &AccountRecord,
        torn: bool,
    ) -> Result<Arrived, IcloudError> {
        files::commit(&self.subvolume).await?;
        let moment = arrived::moment(&self.subvolume)?;
        let (subvolume, name, before) = (self.subvolume.clone(), account.name.clone(), record.clone());
        let work = tokio::task::spawn_blocking(move || arrived::look(&subvolume, &name, &before, torn));
        let arrived = work.await.map_err(|error| failed("look through", &self.photos)(error.into()))??;
        files::commit(&self.subvolume).await?;
        remember(&host.root, &account.name, |record| {
            record.looked.clone_from(&moment);
            record.synced = moment;
        })
        .await?;
        Ok(arrived)
    }
}

async fn listen(
    journal: &mut Follow,
    reading: &mut Reading,
    all: bool,
    news: &mut dyn FnMut(News<'_>),
) -> Result<(), IcloudError> {
    let mut moved = false;
    for line in journal.lines(all).await? {
        moved |= reading.take(&line);
        news(News::Said(&line));
    }
    if moved {
        news(News::Counts(&reading.counts()));
    }
    Ok(())
}

/// The password that was kept. Nobody is there for a code.
struct Kept(String);

impl Asks for Kept {
    fn password(&mut self) -> String {
        std::mem::take(&mut self.0)
    }

    fn code<'a>(&'a mut self, _question: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    fn hear(&mut self, _line: &str) {}
}
