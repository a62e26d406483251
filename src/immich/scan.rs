//! A scan of one library, if it is provably the right tree (law 4).
//!
//! One at a time, by a lock of their own. Nobody else waits for the look through a library, which takes hours: the agent's one
//! lock is held for the moments alone in which it is read what is applied, and in which the scan is asked for (`asking`).

use std::time::Duration;

use serde::Serialize;

use crate::apply::LOCK;
use crate::host::immich::{Library, Statistics};
use crate::host::{Host, lock};
use crate::immich::asking::{self, OPEN};
use crate::immich::libraries;
use crate::immich::{Error, ONE_AT_A_TIME, SETUP, Server, look, schedule};
use crate::model::{AccountName, Refusal};
use crate::plan::scan::{Obstacle, obstacles};
use crate::record::{Libraries, libraries as recorded, set_libraries};
use crate::snapshot::{Applied, refuse_open_operation};

/// A library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// That of an account.
    Account(AccountName),
    /// By the name of an account, by its identity, or by its name in Immich.
    Named(String),
}

impl Which {
    fn text(&self) -> &str {
        match self {
            Self::Account(account) => account.as_str(),
            Self::Named(text) => text,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which library.
    pub which: Which,
    /// A person has looked, and wants it although something stands in the way that yields.
    pub force: bool,
    /// The command.
    pub command: String,
    /// How long to wait for whoever changes the host.
    pub patience: Duration,
}

/// What came of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// The library's name in Immich.
    pub name: String,
    /// Its identity.
    pub library: String,
    /// Files that Immich knew.
    pub known: u64,
    /// Those of them that were missing.
    pub missing: u64,
    /// Photographs before it.
    pub before: Counts,
    /// And after it; none where that is not known: Immich was still at it, or went away.
    pub after: Option<Counts>,
    /// What the scan has moved to the trash; none where that is not known.
    pub trashed: Option<u64>,
    /// What stood in the way, and was overridden.
    pub overridden: Vec<Obstacle>,
    /// Whether Immich's own scans were on, and were switched off first.
    pub own_scans_switched_off: bool,
}

/// What a library holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Photographs.
    pub photos: u64,
    /// Videos.
    pub videos: u64,
    /// Bytes.
    pub bytes: u64,
}

impl From<Statistics> for Counts {
    fn from(Statistics { photos, videos, usage, .. }: Statistics) -> Self {
        Self { photos, videos, bytes: usage }
    }
}

impl Counts {
    /// Both kinds.
    pub const fn total(&self) -> u64 {
        self.photos.saturating_add(self.videos)
    }
}

impl Scanned {
    /// How many went: not more than were missing before, if all is well. What came meanwhile does not make up for it.
    pub fn lost(&self) -> u64 {
        let fewer = self.after.map_or(0, |after| self.before.total().saturating_sub(after.total()));
        self.trashed.unwrap_or(fewer)
    }
}

/// The libraries there are, by identity and name.
pub async fn library_names(host: &Host) -> Result<Vec<(String, String)>, Error> {
    let libraries = Server::with_key(host).await?.client.libraries().await?;
    Ok(libraries.into_iter().map(|library| (library.id, library.name)).collect())
}

/// Scans it, if nothing stands in the way. Whatever does is an error with the numbers, and in the log.
pub async fn guarded_scan(host: &Host, wish: &Wish) -> Result<Scanned, Error> {
    let _one = lock::take(&host.root.join(ONE_AT_A_TIME), &wish.command, wish.patience).await?;
    let applied = settled(host, wish).await?;
    let server = Server::with_key(host).await?;
    let mut known = recorded(&host.root)?;
    let wanted = libraries::wanted(&applied.loaded.settings);
    let own_scans_switched_off = !wanted.is_empty() && schedule::switch_off(&server.client).await?;
    let asked = libraries::asked(wanted, &known, wish.which.text());
    let ensured = libraries::ensure(&server.client, &asked, &mut known).await;
    set_libraries(&host.root, &known)?;
    ensured?;
    let library = find(&server.client.libraries().await?, &known, &wish.which)?;

    let seen = look::look(host, &applied, &server, &library, known.scans.get(&library.id)).await?;
    let max_missing = applied.loaded.settings.icloud.max_missing;
    asking::check(&library, &seen, max_missing, wish.force)?;
    let overridden = obstacles(&seen, max_missing, false);
    let scanned = asking::scan(host, &server, wish, library, &seen, known).await?;
    if scanned.lost() > scanned.missing {
        let (lost, missing) = (scanned.lost(), scanned.missing);
        tracing::error!(lost, missing, "the scan of {} has trashed more than was missing", scanned.name);
    }
    Ok(Scanned { overridden, own_scans_switched_off, ..scanned })
}

/// What is applied, once nobody changes it: a command that is at work has an operation open, and has ended when it is our turn.
async fn settled(host: &Host, wish: &Wish) -> Result<Applied, Error> {
    let _lock = lock::take(&host.root.join(LOCK), &wish.command, wish.patience).await?;
    refuse_open_operation(&host.root, OPEN)?;
    Ok(Applied::read(&host.root)?)
}

fn find(libraries: &[Library], known: &Libraries, which: &Which) -> Result<Library, Error> {
    let text = which.text();
    let of_account = known.accounts.get(text);
    if let Some(found) = libraries.iter().find(|library| of_account == Some(&library.id) || library.id == text) {
        return Ok(found.clone());
    }
    let named: Vec<&Library> = libraries.iter().filter(|library| library.name == text).collect();
    let why = match (which, named.as_slice()) {
        (Which::Named(_), [only]) => return Ok((*only).clone()),
        (Which::Named(_), [_, _, ..]) => "is the name of several: name one by its identity",
        (Which::Named(_), []) => "is none of Immich's external libraries",
        (Which::Account(_), _) => "is no account that is configured and applied",
    };
    let all: Vec<String> = libraries.iter().map(|library| format!("{} ({})", library.name, library.id)).collect();
    let remedy = if all.is_empty() { SETUP.to_owned() } else { format!("one of: {}", all.join(", ")) };
    Err(Refusal::new(format!("the library {text}"), why, remedy).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_named_by_account_identity_or_name() {
        let library = |id: &str, name: &str| Library {
            id: id.into(),
            name: name.into(),
            owner_id: "u".into(),
            import_paths: Vec::new(),
            exclusion_patterns: Vec::new(),
        };
        let libraries = [library("1", "anna"), library("2", "NAS"), library("3", "twice"), library("4", "twice")];
        let mut known = Libraries::default();
        known.accounts.insert("anna".to_owned(), "2".to_owned());
        let named = |text: &str| Which::Named(text.to_owned());
        let account = |text: &str| Which::Account(text.parse().unwrap());
        for (which, found) in [
            (account("anna"), Some("2")),
            // An account goes before a name.
            (named("anna"), Some("2")),
            (named("NAS"), Some("2")),
            (named("3"), Some("3")),
            (named("twice"), None),
            (named("nobody"), None),
            (account("ben"), None),
        ] {
            let id = find(&libraries, &known, &which).ok().map(|library| library.id);
            assert_eq!(id.as_deref(), found, "{which:?}");
        }
    }
}
