//! What a run of icloudpd came to, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::AccountName;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum SyncResult {
    /// All that Apple has is here.
    Done,
    /// All but some files.
    Partly {
        /// Files that did not come.
        failed: u64,
        /// Files that came, and not whole; they were put aside.
        cut: u64,
    },
    /// Apple did not take the password.
    WrongPassword,
    /// Apple wants a code.
    CodeNeeded,
    /// There is no session, or none that Apple still takes.
    SessionExpired,
    /// Apple has too much to do, or too much of us; or its gateways do not reach it.
    Throttled,
    /// Apple takes the session and shows no pictures: access to iCloud data on the web is off, or Advanced Data Protection on.
    AccessDenied,
    /// Apple takes the session and refuses the pictures (421), which is a session that is worn, or web access that is off.
    Refused,
    /// The account at Apple waits for its owner: terms, or iCloud Photos that was never switched on.
    SetupIncomplete,
    /// Apple has not yet looked through the library itself.
    Indexing,
    /// The account is of Apple's other service.
    OtherDomain,
    /// An album or library of the configuration is not there.
    NotFound {
        /// What icloudpd said.
        said: String,
    },
    /// Apple could not be reached.
    NoNetwork,
    /// The disk is full, or cannot be written to.
    DiskFull,
    /// It was ended before its end: a stop, a crash, a time limit.
    CutOff,
    /// Something that has no name here.
    Unknown {
        /// The last of what was said.
        said: Vec<String>,
    },
}

/// What mends a result that is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mends {
    /// Nothing to mend.
    Nothing,
    /// Time: the same again, later.
    Time,
    /// A login, and until then every try makes it worse: Apple locks accounts that are knocked at too often.
    Login,
    /// A person, elsewhere.
    Person,
}

impl SyncResult {
    /// As programs read it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partly { .. } => "partly",
            Self::WrongPassword => "wrong_password",
            Self::CodeNeeded => "code_needed",
            Self::SessionExpired => "session_expired",
            Self::Throttled => "throttled",
            Self::AccessDenied => "access_denied",
            Self::Refused => "refused",
            Self::SetupIncomplete => "setup_incomplete",
            Self::Indexing => "indexing",
            Self::OtherDomain => "other_domain",
            Self::NotFound { .. } => "not_found",
            Self::NoNetwork => "no_network",
            Self::DiskFull => "disk_full",
            Self::CutOff => "cut_off",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// What mends it.
    pub const fn mends(&self) -> Mends {
        match self {
            Self::Done => Mends::Nothing,
            Self::Partly { .. } | Self::Throttled | Self::Indexing | Self::NoNetwork | Self::CutOff => Mends::Time,
            Self::WrongPassword | Self::CodeNeeded | Self::SessionExpired => Mends::Login,
            Self::AccessDenied
            | Self::Refused
            | Self::SetupIncomplete
            | Self::OtherDomain
            | Self::NotFound { .. }
            | Self::DiskFull
            | Self::Unknown { .. } => Mends::Person,
        }
    }

    /// Whether what is here is fit for Immich to look at: all that came is whole.
    pub const fn is_fit(&self) -> bool {
        matches!(self, Self::Done | Self::Partly { .. })
    }

    /// What to do about it; none where there is nothing to do.
    pub fn remedy(&self, account: &AccountName) -> Option<String> {
        let again = format!("photos-agent icloud sync {account}");
        Some(match self {
            Self::Done => return None,
            Self::WrongPassword | Self::CodeNeeded | Self::SessionExpired => {
                format!("photos-agent icloud login {account}")
            }
            Self::Partly { .. } | Self::Throttled | Self::NoNetwork | Self::CutOff => {
                format!("wait for the next run, or: {again}")
            }
            Self::Indexing => format!("wait until icloud.com shows the photographs, then: {again}"),
            Self::AccessDenied => format!(
                "on an iPhone, in Settings, your name, iCloud: switch Advanced Data Protection off and Access iCloud Data on \
                 the Web on, then: {again}"
            ),
            Self::Refused => format!(
                "see that Access iCloud Data on the Web is on (iPhone, Settings, your name, iCloud), then: photos-agent icloud \
                 login {account}"
            ),
            Self::SetupIncomplete => {
                format!("sign in at https://www.icloud.com and answer what it asks, then: {again}")
            }
            Self::OtherDomain => {
                "set icloud.account.domain to the other of \"com\" and \"cn\", then: photos-agent apply".to_owned()
            }
            Self::NotFound { .. } => "correct albums and libraries of the account, then: photos-agent apply".to_owned(),
            Self::DiskFull => format!("make room (photos-agent doctor, photos-agent snapshot prune), then: {again}"),
            Self::Unknown { .. } => format!("journalctl -u icloudpd@{account}"),
        })
    }
}

impl fmt::Display for SyncResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = |count: u64| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        f.write_str(match self {
            Self::Done => "all is here",
            Self::Partly { failed, cut: 0 } => return write!(f, "{} did not come", files(*failed)),
            Self::Partly { failed: 0, cut } => return write!(f, "{} came cut off and were put aside", files(*cut)),
            Self::Partly { failed, cut } => {
                return write!(f, "{} did not come, {} came cut off and were put aside", files(*failed), files(*cut));
            }
            Self::WrongPassword => "Apple did not take the password",
            Self::CodeNeeded => "Apple wants a code",
            Self::SessionExpired => "Apple does not take the session any more, or there is none",
            Self::Throttled => "Apple does not serve for now",
            Self::AccessDenied => "Apple shows no pictures: web access is off, or Advanced Data Protection on",
            Self::Refused => "Apple takes the session and refuses the pictures (421)",
            Self::SetupIncomplete => "the account's iCloud setup is not complete",
            Self::Indexing => "Apple is still indexing the library",
            Self::OtherDomain => "the account is of Apple's other service",
            Self::NotFound { said } => return write!(f, "icloudpd does not find what the configuration names: {said}"),
            Self::NoNetwork => "Apple cannot be reached",
            Self::DiskFull => "nothing more can be written: the disk is full, or read-only",
            Self::CutOff => "it was ended before its end",
            Self::Unknown { said } => {
                return write!(
                    f,
                    "icloudpd ended in a way that has no name: {}",
                    said.last().map_or("it said nothing", |last| last)
                );
            }
        })
    }
}

/// What a run has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SyncCounts {
    /// Pictures that Apple had for it; not known where it did not get that far.
    pub found: Option<u64>,
    /// Files that came.
    pub downloaded: u64,
    /// Files that did not.
    pub failed: u64,
    /// Files that came cut off.
    pub cut: u64,
    /// Of those that came, what they hold.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<SyncResult> {
        vec![
            SyncResult::Done,
            SyncResult::Partly { failed: 1, cut: 2 },
            SyncResult::WrongPassword,
            SyncResult::CodeNeeded,
            SyncResult::SessionExpired,
            SyncResult::Throttled,
            SyncResult::AccessDenied,
            SyncResult::Refused,
            SyncResult::SetupIncomplete,
            SyncResult::Indexing,
            SyncResult::OtherDomain,
            SyncResult::NotFound { said: "Unknown library: X".into() },
            SyncResult::NoNetwork,
            SyncResult::DiskFull,
            SyncResult::CutOff,
            SyncResult::Unknown { said: vec!["x".into()] },
        ]
    }

    #[test]
    fn whatever_is_not_good_has_a_remedy_and_is_read_back() {
        let account = "anna".parse().unwrap();
        for result in all() {
            assert_eq!(result.remedy(&account).is_none(), result == SyncResult::Done, "{result}");
            let text = serde_json::to_value(&result).unwrap();
            assert_eq!(text["result"], result.word());
            assert_eq!(serde_json::from_value::<SyncResult>(text).unwrap(), result);
        }
    }

    #[test]
    fn what_a_login_mends_is_never_tried_again_by_itself() {
        let of = |mends| {
            all().into_iter().filter(|result| result.mends() == mends).map(|result| result.word()).collect::<Vec<_>>()
        };
        assert_eq!(of(Mends::Login), ["wrong_password", "code_needed", "session_expired"]);
        assert_eq!(of(Mends::Time), ["partly", "throttled", "indexing", "no_network", "cut_off"]);
    }
}
