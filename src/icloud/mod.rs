//! iCloud: sessions, runs of icloudpd and what they came to.
//!
//! Units, folders and timers of an account are `stack`'s. Here nothing is deleted, at Apple or on the host, but files that were
//! never whole under a name of their own (`*.part`): what came cut off is put aside.

mod arrived;
mod code;
mod follow;
pub mod jar;
pub mod log;
mod login;
mod place;
mod renew;
mod session;
mod sync;
mod unfinished;
pub mod whole;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::config::{Account, Settings};
use crate::host::files::{self, FileError};
use crate::host::lock::{self, Lock, LockError};
use crate::host::podman::PodmanError;
use crate::host::process::ProcessError;
use crate::host::storage::StorageError;
use crate::host::systemd::SystemdError;
use crate::model::{AccountName, Refusal, Root, SecretName, Subvolume};
use crate::plan;
use crate::record::{AccountRecord, RecordError, icloud, set_icloud};
use crate::stack::{DesiredAccount, icloudpd};

pub use login::{Asks, GivenUp, Login, Wish, has_password, keep_password, login};
pub use session::{Cookies, SessionError};
pub use sync::{News, sync};

/// Why there was no run, or no login.
#[derive(Debug, thiserror::Error)]
pub enum IcloudError {
    /// It is not the moment, or something is missing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Someone else is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// systemd.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// Podman.
    #[error(transparent)]
    Podman(#[from] PodmanError),
    /// A program.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A subvolume.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The agent's memory.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file of the agent's.
    #[error(transparent)]
    File(#[from] FileError),
    /// The session's files.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A file or folder below the photographs.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A signal, before anything came of it.
    #[error("it was ended before its end")]
    Interrupted,
    /// Signals cannot be listened for.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// The terminal of the program that signs in.
    #[error("cannot talk to icloudpd")]
    Terminal(#[source] std::io::Error),
}

/// Where locks of runs lie.
const RUN: &str = "/run/photos-agent";

/// How long two accounts wait for each other to write down what they know.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long somebody waits for an account: who only asks whether it is at work has it for a moment.
const MOMENT: Duration = Duration::from_secs(1);

/// An account is one run's, or one login's, at a time.
async fn claim(root: &Root, account: &AccountName, who: &str) -> Result<Lock, IcloudError> {
    lock::take(&claim_path(root, account), who, MOMENT).await.map_err(|error| match error {
        LockError::Held { holder, .. } => {
            let why = format!("{holder} is at work on it");
            Refusal::new(format!("iCloud account {account}"), why, "photos-agent icloud status").into()
        }
        other @ LockError::Io { .. } => other.into(),
    })
}

fn claim_path(root: &Root, account: &AccountName) -> PathBuf {
    root.join(format!("{RUN}/icloud-{account}.lock"))
}

/// Whether a run or a login of the account is under way.
pub fn is_at_work(root: &Root, account: &AccountName) -> bool {
    lock::holder(&claim_path(root, account)).is_some()
}

/// The name of the secret that a kept password is.
fn password_name(account: &AccountName) -> Option<SecretName> {
    format!("photos-icloud-{account}").parse().ok()
}

/// The options of a run, as a short hash: with others, more may be wanted than what a run finds that ends at what is there.
fn options(account: &Account) -> String {
    let mut hash = Sha256::new();
    for word in icloudpd::arguments(account) {
        hash.update(word.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Refuses an account whose folder has the pictures of another one at Apple.
fn refuse_other(root: &Root, account: &Account, desired: &DesiredAccount) -> Result<(), IcloudError> {
    let record = recall(root, &account.name)?;
    let Some(refusal) = plan::sync::refuse_other_apple_id(&account.name, record.apple_id.as_ref(), &account.apple_id)
    else {
        return Ok(());
    };
    let is_picture = |name: &String| !name.starts_with('.');
    let is_filled = files::list(&root.join(desired.photos.as_path()))?.iter().any(is_picture);
    if is_filled { Err(refusal.into()) } else { Ok(()) }
}

/// The session of an account; none where nobody has signed in.
pub fn session_of(root: &Root, settings: &Settings, account: &Account) -> Result<Option<jar::Session>, SessionError> {
    let folder = settings.storage.root.join("keep").join(Subvolume::Icloudpd.name()).join(account.name.as_str());
    Cookies::new(root.join(folder.as_path()), &account.apple_id).session()
}

/// Accounts whose session ends soon, or has ended. One that cannot be read is `status`'s to tell.
pub fn endings(root: &Root, settings: &Settings, now: Timestamp) -> Vec<(AccountName, Timestamp)> {
    let until = |account: &Account| {
        let until = session_of(root, settings, account).ok().flatten()?.good_until();
        plan::sync::is_ending(until, now).then(|| (account.name.clone(), until))
    };
    settings.icloud.accounts.iter().filter_map(until).collect()
}

/// What is remembered of an account.
fn recall(root: &Root, account: &AccountName) -> Result<AccountRecord, RecordError> {
    Ok(icloud(root)?.remove(account).unwrap_or_default())
}

/// Changes it.
async fn remember(
    root: &Root,
    account: &AccountName,
    change: impl FnOnce(&mut AccountRecord),
) -> Result<(), IcloudError> {
    let _alone = lock::take(&root.join(format!("{RUN}/icloud-record.lock")), "photos-agent icloud", PATIENCE).await?;
    Ok(set_icloud(root, account, change)?)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IcloudError {
    let path = path.to_owned();
    move |source| IcloudError::Io { doing, path, source }
}
