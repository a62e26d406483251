//! Immich's side of what comes from outside: an API key, a library for each account, and scans that cannot empty one.
//!
//! What is asked of the server goes through `host::immich`; whether a library may be scanned is decided in `plan::scan`. This
//! room looks, asks, and writes down what it did. It deletes nothing of Immich's but keys that it has made itself.

mod asking;
mod known;
mod learning;
mod libraries;
mod look;
mod sample;
mod scan;
mod schedule;
mod setup;

use crate::apply::ApplyError;
use crate::host::Host;
use crate::host::files::FileError;
use crate::host::immich::{CallError, Client, Credential, Hidden};
use crate::host::lock::LockError;
use crate::host::podman::PodmanError;
use crate::host::process::ProcessError;
use crate::host::storage::StorageError;
use crate::model::{AccountName, ContainerRun, Refusal, SecretName, Service};
use crate::observe::chain;
use crate::plan::scan::Obstacle;
use crate::record::RecordError;

pub use learning::{owed, queue_missing};
pub use libraries::{Ensured, Kept};
pub use scan::{Scanned, Which, Wish, guarded_scan, library_names};
pub use setup::{Administrator, Need, Setup, need, setup};

/// The secret with the API key.
pub use crate::stack::API_KEY;

/// Held by whoever looks through a library, scans it, or makes one: they go by the same record, and one at a time. Whoever needs
/// others, too, takes this one first.
pub const ONE_AT_A_TIME: &str = "/run/photos-agent/libraries.lock";

/// Where the server sees what came from iCloud.
const ICLOUD: &str = "/external/icloud";

/// The command that makes what is missing.
const SETUP: &str = "photos-agent immich setup";

/// The command that says how it stands.
const STATUS: &str = "photos-agent status";

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A person must see to something first.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A library was not scanned, since it may not be the right tree.
    #[error("the library {name} is not scanned: {}", join(obstacles))]
    Guarded {
        /// What it is called.
        name: String,
        /// By what it is named in a command.
        id: String,
        /// Why.
        obstacles: Vec<Obstacle>,
    },
    /// Not all accounts have their library.
    #[error("{}", join_accounts(failed, done))]
    Accounts {
        /// Those that have not, and why.
        failed: Vec<(AccountName, Error)>,
        /// Those that have.
        done: Vec<AccountName>,
    },
    /// Immich.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Podman.
    #[error(transparent)]
    Podman(#[from] PodmanError),
    /// The database's container.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The agent's memory.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What was applied.
    #[error(transparent)]
    Apply(Box<ApplyError>),
    /// The database said something else than it should.
    #[error("the database's answer was not understood: {0}")]
    Garbled(&'static str),
}

impl From<ApplyError> for Error {
    fn from(error: ApplyError) -> Self {
        Self::Apply(Box::new(error))
    }
}

impl Error {
    /// The next command, where there is one.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Guarded { obstacles, id, .. } => Some(remedy(obstacles, id)),
            Self::Call(error) if error.is_unknown() => Some(format!("{SETUP}   (a new key; the old one is not taken)")),
            Self::Call(CallError::Refused { status: 403, .. }) => Some(format!("{SETUP}   (a key that may do this)")),
            Self::Refused(refusal) => Some(refusal.remedy.clone()),
            Self::Accounts { failed, .. } => each(failed.iter().filter_map(|(_, error)| error.remedy())),
            Self::Apply(error) => match &**error {
                ApplyError::Refused(refusals) => each(refusals.iter().map(|refusal| refusal.remedy.clone())),
                ApplyError::Record(error) => error.remedy(),
                _ => Some(STATUS.to_owned()),
            },
            Self::Record(error) => error.remedy(),
            Self::Call(_) | Self::Lock(_) => Some(STATUS.to_owned()),
            Self::Podman(_) | Self::Process(_) | Self::Storage(_) | Self::File(_) | Self::Garbled(_) => None,
        }
    }

    /// Whether it was refused, rather than tried in vain.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Guarded { .. } => true,
            Self::Accounts { failed, .. } => failed.iter().all(|(_, error)| error.is_refusal()),
            _ => false,
        }
    }
}

/// Each of them once, in this order; none where there is none.
fn each(remedies: impl Iterator<Item = String>) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for remedy in remedies {
        if !all.contains(&remedy) {
            all.push(remedy);
        }
    }
    (!all.is_empty()).then(|| all.join("; "))
}

fn join_accounts(failed: &[(AccountName, Error)], done: &[AccountName]) -> String {
    let failed: Vec<String> = failed.iter().map(|(account, error)| format!("{account}: {}", chain(error))).collect();
    let done: Vec<&str> = done.iter().map(AccountName::as_str).collect();
    let rest = if done.is_empty() { String::new() } else { format!("; seen to: {}", done.join(", ")) };
    format!("not every iCloud account has its library in Immich: {}{rest}", failed.join("; "))
}

fn join(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The most telling one says what to do.
fn remedy(obstacles: &[Obstacle], id: &str) -> String {
    let again = format!("photos-agent immich scan {id}");
    match obstacles.iter().find(|obstacle| !obstacle.yields()) {
        None => format!("see whether that is as it should be; if it is: {again} --force"),
        Some(Obstacle::NotMounted { .. }) => {
            format!("mount what belongs there (findmnt; btrfs subvolume list), then: {again}")
        }
        Some(Obstacle::OtherTree { .. }) => {
            format!("see which of the two is the right one, then: systemctl restart immich-server && {again}")
        }
        Some(Obstacle::NoSentinel { .. } | Obstacle::OtherSentinel { .. }) => {
            format!("see whether these are that account's photographs; put its .photos-agent back, then: {again}")
        }
        Some(Obstacle::Empty { .. }) => {
            let sees = "the server sees a new mount after: systemctl restart immich-server";
            format!("mount it, or put the photographs back where they were ({sees}), then: {again}")
        }
        Some(Obstacle::Unseen { .. }) => {
            format!("see what keeps the server from it (ls -lZ; permissions, SELinux: restorecon), then: {again}")
        }
        Some(Obstacle::Paused) => format!("resume the queue in Immich (Administration, Job Queues), then: {again}"),
        Some(_) => format!("put the photographs back where they were, then: {again}"),
    }
}

/// The server that runs, and a way to ask it.
#[derive(Debug, Clone)]
struct Server {
    run: ContainerRun,
    client: Client,
}

impl Server {
    /// As anybody.
    async fn find(host: &Host) -> Result<Self, Error> {
        let run = host.podman.running(Service::Server.stem()).await?;
        let Some(run) = run else {
            let why = "does not run, so nothing can be asked of it";
            return Err(Refusal::new("immich-server", why, "systemctl start photos.target; photos-agent status").into());
        };
        let client = Client::new(run.pid, Credential::Nobody);
        if client.is_in_maintenance().await? {
            let why = "is in maintenance, where it does nothing else";
            return Err(Refusal::new("immich-server", why, "end the maintenance in Immich, then try again").into());
        }
        Ok(Self { run, client })
    }

    /// With the agent's key.
    async fn with_key(host: &Host) -> Result<Self, Error> {
        let Some(key) = stored_key(host).await? else {
            let why = "is not there, so nothing may be asked of Immich";
            let remedy = format!("{SETUP} (makes one), or: photos-agent secret set {API_KEY}");
            return Err(Refusal::new(format!("the secret {API_KEY}"), why, remedy).into());
        };
        let server = Self::find(host).await?;
        Ok(Self { client: server.client.as_who(Credential::Key(key)), ..server })
    }

    /// Refuses if another container runs by now: what was seen was another one's.
    async fn check_same(&self, host: &Host) -> Result<(), Error> {
        let now = host.podman.running(Service::Server.stem()).await?;
        if now.is_some_and(|now| now.id == self.run.id && now.pid == self.run.pid) {
            return Ok(());
        }
        let why = "was restarted meanwhile, and may see other files now";
        Err(Refusal::new("immich-server", why, "try again").into())
    }
}

fn key_name() -> SecretName {
    SecretName::constant(API_KEY)
}

async fn stored_key(host: &Host) -> Result<Option<Hidden>, Error> {
    Ok(host.podman.secret_value(&key_name()).await?.map(Hidden::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_once() {
        let refusal = |remedy: &str| Refusal::new("a", "b", remedy);
        let account = |name: &str, remedy: &str| (name.parse().unwrap(), Error::Refused(refusal(remedy)));
        let several = |failed| Error::Accounts { failed, done: vec!["carl".parse().unwrap()] };
        let locked = crate::host::lock::LockError::Held { holder: "x".into(), waited: std::time::Duration::ZERO };
        for (error, remedy) in [
            (Error::Refused(refusal("do this")), "do this"),
            (Error::from(ApplyError::Refused(vec![refusal("one"), refusal("two")])), "one; two"),
            (Error::Lock(locked), STATUS),
            (several(vec![account("anna", "one"), account("ben", "one"), account("dan", "two")]), "one; two"),
        ] {
            assert_eq!(error.remedy().as_deref(), Some(remedy), "{error}");
            assert!(!error.to_string().contains(remedy), "{error}");
        }
        let error = several(vec![account("anna", "x"), account("ben", "x")]);
        assert!(error.is_refusal());
        assert!(error.to_string().ends_with("anna: a: b; ben: a: b; seen to: carl"), "{error}");
        let failed = vec![account("anna", "x"), ("ben".parse().unwrap(), Error::Garbled("y"))];
        assert!(!several(failed).is_refusal());
    }
}
