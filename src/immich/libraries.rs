//! A library for each account: made once, found again by what was written down or by its import path, never by its name,
//! which is people's.
//!
//! What somebody has added to one stays: only an import path of ours that is gone is put in again, since without it a scan
//! would trash all that lies there.

use serde::Serialize;

use crate::config::Settings;
use crate::host::immich::{CallError, Client, Library, User};
use crate::immich::{Error, ICLOUD};
use crate::model::{AccountName, Refusal};
use crate::record::Libraries;

/// A library that there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Whose photographs.
    pub account: AccountName,
    /// To whom in Immich they belong, by address; none: to the first administrator.
    pub owner: Option<String>,
}

/// What was done about an account's library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ensured {
    /// The account.
    pub account: AccountName,
    /// The library.
    pub library: String,
    /// What was done.
    pub kept: Kept,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// It was as it should be.
    AsItWas,
    /// It was made.
    Made,
    /// Its import path was gone, and is there again.
    PathAdded,
}

/// Those of the settings.
pub(super) fn wanted(settings: &Settings) -> Vec<Wanted> {
    let account = |account: &crate::config::Account| Wanted {
        account: account.name.clone(),
        owner: account.library_owner.as_ref().map(ToString::to_string),
    };
    settings.icloud.accounts.iter().map(account).collect()
}

/// Where the server sees an account's photographs.
pub(super) fn import_path(account: &AccountName) -> String {
    format!("{ICLOUD}/{account}")
}

/// What to do about one account.
#[derive(Debug, PartialEq, Eq)]
enum Work<'a> {
    Nothing(&'a Library),
    AddPath(&'a Library),
    Make,
}

/// Those of the account that is asked for, by its name or by its library's identity: that of another one may have a mistake.
pub(super) fn asked(wanted: Vec<Wanted>, known: &Libraries, text: &str) -> Vec<Wanted> {
    let is_it = |wanted: &Wanted| {
        let account = wanted.account.as_str();
        account == text || known.accounts.get(account).is_some_and(|library| library == text)
    };
    wanted.into_iter().filter(is_it).collect()
}

/// Sees to all of them, and writes into `known` which is whose. One account's mistake is no reason to leave out the next; what was
/// done stays done.
pub(super) async fn ensure(client: &Client, wanted: &[Wanted], known: &mut Libraries) -> Result<Vec<Ensured>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (libraries, users) = (client.libraries().await?, client.users().await?);
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let account = wanted.account.clone();
        match ensure_one(client, wanted, &libraries, &users, known).await {
            Ok(ensured) => done.push(ensured),
            Err(error @ (Error::Refused(_) | Error::Call(CallError::Refused { .. }))) => failed.push((account, error)),
            Err(error) => return Err(error),
        }
    }
    match failed.pop() {
        None => Ok(done),
        Some((_, only)) if failed.is_empty() && done.is_empty() => Err(only),
        Some(last) => {
            failed.push(last);
            Err(Error::Accounts { failed, done: done.into_iter().map(|ensured| ensured.account).collect() })
        }
    }
}

async fn ensure_one(
    client: &Client,
    Wanted { account, owner }: &Wanted,
    libraries: &[Library],
    users: &[User],
    known: &mut Libraries,
) -> Result<Ensured, Error> {
    let owner = owner_of(account, owner.as_deref(), users)?;
    let path = import_path(account);
    let (library, kept) = match work(libraries, known.accounts.get(account.as_str()), &path) {
        Work::Nothing(library) => (library.clone(), Kept::AsItWas),
        Work::AddPath(library) => {
            check_owner(account, library, owner, users)?;
            let paths: Vec<String> = library.import_paths.iter().cloned().chain([path]).collect();
            (client.set_import_paths(&library.id, &paths).await?, Kept::PathAdded)
        }
        Work::Make => {
            let made = client.create_library(&owner.id, &format!("iCloud {account}"), &path).await?;
            (made, Kept::Made)
        }
    };
    check_owner(account, &library, owner, users)?;
    known.accounts.insert(account.to_string(), library.id.clone());
    Ok(Ensured { account: account.clone(), library: library.id, kept })
}

fn work<'a>(libraries: &'a [Library], recorded: Option<&String>, path: &str) -> Work<'a> {
    let has_path = |library: &&Library| library.import_paths.iter().any(|found| found.trim_end_matches('/') == path);
    let recorded = libraries.iter().find(|library| Some(&library.id) == recorded);
    // A restore may have brought back another one than the one that was written down.
    match (libraries.iter().find(has_path), recorded) {
        (Some(found), recorded) => Work::Nothing(recorded.filter(has_path).unwrap_or(found)),
        (None, Some(recorded)) => Work::AddPath(recorded),
        (None, None) => Work::Make,
    }
}

fn owner_of<'a>(account: &AccountName, address: Option<&str>, users: &'a [User]) -> Result<&'a User, Error> {
    let mut there = users.iter().filter(|user| user.deleted_at.is_none());
    // Immich keeps addresses in small letters, and lists the oldest first.
    let found = match address {
        Some(address) => there.find(|user| user.email.eq_ignore_ascii_case(address)),
        None => there.find(|user| user.is_admin),
    };
    found.ok_or_else(|| {
        let why =
            format!("names a `library_owner` whom Immich does not know: {}", address.unwrap_or("an administrator"));
        let remedy =
            "make this user in Immich (Administration, Users), or name another one; then: photos-agent immich setup";
        Refusal::new(format!("the iCloud account {account}"), why, remedy).into()
    })
}

/// An owner is for good in Immich.
fn check_owner(account: &AccountName, library: &Library, owner: &User, users: &[User]) -> Result<(), Error> {
    if library.owner_id == owner.id {
        return Ok(());
    }
    let of = users.iter().find(|user| user.id == library.owner_id).map_or("somebody else", |user| user.email.as_str());
    let why = format!("belongs to {of} in Immich and not to {}, and Immich cannot give it to another one", owner.email);
    let remedy = format!(
        "set `library_owner = \"{of}\"` for this account, or delete the library in Immich and run: {}",
        super::SETUP
    );
    Err(Refusal::new(format!("the library {} of {account}", library.name), why, remedy).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(id: &str, paths: &[&str]) -> Library {
        Library {
            id: id.into(),
            name: "any".into(),
            owner_id: "u1".into(),
            import_paths: paths.iter().map(ToString::to_string).collect(),
            exclusion_patterns: Vec::new(),
        }
    }

    fn user(id: &str, email: &str, is_admin: bool) -> User {
        User { id: id.into(), email: email.into(), is_admin, deleted_at: None }
    }

    #[test]
    fn a_library_is_found_by_what_was_written_down_or_by_its_path() {
        let path = "/external/icloud/anna";
        let mine = [library("a", &["/other"]), library("b", &["/x", "/external/icloud/anna/"]), library("c", &[path])];
        let recorded = |id: &str| Some(id.to_owned());
        for (libraries, known, wanted) in [
            (&mine[..], recorded("c"), Work::Nothing(&mine[2])),
            (&mine[..], None, Work::Nothing(&mine[1])),
            // What was written down is gone, or has lost its path to another one.
            (&mine[..], recorded("z"), Work::Nothing(&mine[1])),
            (&mine[..], recorded("a"), Work::Nothing(&mine[1])),
            (&mine[..1], recorded("a"), Work::AddPath(&mine[0])),
            (&mine[..1], None, Work::Make),
            (&[], recorded("a"), Work::Make),
        ] {
            assert_eq!(work(libraries, known.as_ref(), path), wanted, "{known:?}");
        }
    }

    #[test]
    fn only_the_account_that_is_asked_for_is_seen_to() {
        let wanted = || ["anna", "ben"].map(|name| Wanted { account: name.parse().unwrap(), owner: None }).to_vec();
        let mut known = Libraries::default();
        known.accounts.insert("ben".to_owned(), "b".to_owned());
        for (text, account) in [("anna", Some("anna")), ("ben", Some("ben")), ("b", Some("ben")), ("NAS", None)] {
            let asked: Vec<String> = asked(wanted(), &known, text).iter().map(|one| one.account.to_string()).collect();
            assert_eq!(asked, account.into_iter().collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn an_owner_is_found_by_address_and_never_changed() {
        let account: AccountName = "anna".parse().unwrap();
        let gone = User { deleted_at: Some("x".into()), ..user("u0", "old@example.org", true) };
        let users = [gone, user("u1", "anna@example.org", false), user("u2", "admin@example.org", true)];
        for (address, owner) in
            [(Some("Anna@Example.org"), Some("u1")), (None, Some("u2")), (Some("old@example.org"), None)]
        {
            let found = owner_of(&account, address, &users);
            assert_eq!(found.ok().map(|user| user.id.as_str()), owner, "{address:?}");
        }
        assert!(check_owner(&account, &library("a", &[]), &users[1], &users).is_ok());
        let refused = check_owner(&account, &library("a", &[]), &users[2], &users).unwrap_err().to_string();
        assert!(refused.contains("belongs to anna@example.org in Immich and not to admin@example.org"), "{refused}");
    }
}
