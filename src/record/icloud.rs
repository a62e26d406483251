//! icloud.json: what the runs of each account came to, one that is under way, and who has to sign in first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::icloud::{Mends, SyncCounts, SyncResult};
use crate::model::{AccountName, AppleId, Root, SubvolumeUuid};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// Runs that are kept of each account.
const KEPT: usize = 24;

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub at: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it went through everything.
    pub full: bool,
    /// What it came to.
    #[serde(flatten)]
    pub result: SyncResult,
    /// What it moved.
    pub counts: SyncCounts,
}

/// Up to where all that came has been looked at, and is on the disk: a moment of a subvolume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Which one: another has moments of its own.
    pub subvolume: SubvolumeUuid,
    /// Its transaction.
    pub transaction: u64,
}

/// A password that is in Podman's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Of which account at Apple.
    pub apple_id: AppleId,
    /// Apple did not take it when it was last used.
    pub refused: bool,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its runs, the newest first.
    pub runs: Vec<Run>,
    /// Since when a run is under way, or was cut off.
    pub begun: Option<Timestamp>,
    /// Up to where what came is known to be whole.
    pub looked: Option<Looked>,
    /// Up to where what came is on the disk, looked at or not.
    pub synced: Option<Looked>,
    /// When somebody signed in last.
    pub login: Option<Timestamp>,
    /// Whose pictures its folder was filled with.
    pub apple_id: Option<AppleId>,
    /// The password that may be used when nobody is there.
    pub kept: Option<Kept>,
    /// With which options the last run was made, as a short hash.
    pub options: Option<String>,
    /// Up to when somebody was told that the session ends.
    pub told: Option<Timestamp>,
}

impl AccountRecord {
    /// What Apple has turned away, and nobody has signed in since.
    pub fn turned_away(&self) -> Option<&SyncResult> {
        let last = self.runs.first()?;
        let since = self.login.is_some_and(|login| login >= last.at);
        (last.result.mends() == Mends::Login && !since).then_some(&last.result)
    }

    /// Whether a password that is kept may be used for this account at Apple: it is its own, and Apple has not refused it.
    pub fn may_sign_in(&self, apple_id: &AppleId) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.apple_id == *apple_id && !kept.refused)
    }

    /// Puts a run before the others.
    pub fn add(&mut self, run: Run) {
        self.runs.insert(0, run);
        self.runs.truncate(KEPT);
        self.begun = None;
    }
}

/// Every account that ever had a run, or a login.
pub type Accounts = BTreeMap<AccountName, AccountRecord>;

#[derive(Default, Serialize, Deserialize)]
struct File {
    schema: u32,
    accounts: Accounts,
}

const NAME: &str = "icloud.json";

/// All of them.
pub fn icloud(root: &Root) -> Result<Accounts, RecordError> {
    Ok(read::<File>(&state(root, NAME))?.map(|file| file.accounts).unwrap_or_default())
}

/// Changes what is known of one, durable on return. Whoever calls this holds `icloud-record` below /run: two accounts may run
/// at the same time.
pub fn set_icloud(
    root: &Root,
    account: &AccountName,
    change: impl FnOnce(&mut AccountRecord),
) -> Result<(), RecordError> {
    let mut accounts = icloud(root)?;
    change(accounts.entry(account.clone()).or_default());
    write(&state(root, NAME), &File { schema: SCHEMA, accounts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(at: &str, result: SyncResult) -> Run {
        let at = at.parse().unwrap();
        Run { at, ended: at, full: true, result, counts: SyncCounts::default() }
    }

    #[test]
    fn a_kept_password_is_used_for_its_own_account_and_until_it_is_refused() {
        let (anna, other): (AppleId, AppleId) =
            ("anna@example.org".parse().unwrap(), "other@example.org".parse().unwrap());
        let with = |kept| AccountRecord { kept, ..AccountRecord::default() };
        assert!(!with(None).may_sign_in(&anna));
        for (refused, of, may) in [(false, &anna, true), (true, &anna, false), (false, &other, false)] {
            let kept = Some(Kept { apple_id: of.clone(), refused });
            assert_eq!(with(kept).may_sign_in(&anna), may, "{refused} {of}");
        }
    }

    #[test]
    fn what_an_older_agent_wrote_is_read() {
        let text = r#"{"runs":[],"begun":null,"looked":null,"synced":null,"login":null,"told":null}"#;
        assert_eq!(serde_json::from_str::<AccountRecord>(text).unwrap(), AccountRecord::default());
    }

    #[test]
    fn what_was_turned_away_waits_for_a_login() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let anna: AccountName = "anna".parse().unwrap();
        let look = || icloud(&root).unwrap().remove(&anna).unwrap_or_default();
        assert_eq!(look(), AccountRecord::default());
        set_icloud(&root, &anna, |record| record.begun = "2026-11-01T03:00:00Z".parse().ok()).unwrap();
        set_icloud(&root, &anna, |record| record.add(run("2026-11-01T03:00:00Z", SyncResult::SessionExpired))).unwrap();
        assert_eq!((look().turned_away(), look().begun), (Some(&SyncResult::SessionExpired), None));
        set_icloud(&root, &anna, |record| record.login = "2026-11-02T08:00:00Z".parse().ok()).unwrap();
        assert_eq!(look().turned_away(), None);
        set_icloud(&root, &anna, |record| record.add(run("2026-11-03T03:00:00Z", SyncResult::Throttled))).unwrap();
        assert_eq!(look().turned_away(), None);
        set_icloud(&root, &"bob".parse().unwrap(), |record| record.add(run("2026-11-03T03:00:00Z", SyncResult::Done)))
            .unwrap();
        assert_eq!((look().runs.len(), icloud(&root).unwrap().len()), (2, 2));
        for _ in 0..KEPT {
            set_icloud(&root, &anna, |record| record.add(run("2026-11-04T03:00:00Z", SyncResult::Done))).unwrap();
        }
        assert_eq!(look().runs.len(), KEPT);
    }
}
