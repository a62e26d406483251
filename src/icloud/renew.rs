//! The session of a run: the one that is there, or one that the kept password makes. It is used once in a run, and for nobody else.

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::icloud::login::{Asks, GivenUp, Login, sign_in};
use crate::icloud::place::Place;
use crate::icloud::{IcloudError, password_name, recall, remember};
use crate::model::icloud::{Mends, SyncResult};

/// What a run has tried of it.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// Apple has answered a sign-in of this run.
    answered: bool,
}

impl Renewal {
    /// Makes sure of a session: none where there is one, else why not.
    pub(super) async fn have_session(&mut self, place: &Place<'_>) -> Result<Option<SyncResult>, IcloudError> {
        let (cookies, name) = (&place.cookies, place.account.name.as_str());
        if cookies.bring_back()? {
            tracing::warn!(account = name, "the session was torn; the last good one was put back");
        }
        let session = cookies.session().unwrap_or_else(|error| {
            tracing::warn!(account = name, "{}", crate::observe::chain(&error));
            None
        });
        if session.is_some_and(|session| session.good_until() > Timestamp::now()) {
            return Ok(None);
        }
        self.renew(place, SyncResult::SessionExpired).await
    }

    /// Signs in with the password, where one is kept for this Apple ID: none where that went well, else `why` or what came of it.
    pub(super) async fn renew(
        &mut self,
        place: &Place<'_>,
        why: SyncResult,
    ) -> Result<Option<SyncResult>, IcloudError> {
        let Place { host, account, .. } = place;
        let may = recall(&host.root, &account.name)?.may_sign_in(&account.apple_id);
        let Some(name) = password_name(&account.name).filter(|_| may && !self.answered) else { return Ok(Some(why)) };
        let Some(password) = host.podman.secret_value(&name).await? else { return Ok(Some(why)) };
        let mut asks = Unattended(password);
        let login = sign_in(host, account, place.desired, None, true, &place.interrupt, &mut asks);
        let result = match login.await? {
            Login::Done(_) => None,
            Login::Failed(result) => Some(result),
            Login::GivenUp(GivenUp::Asked) => Some(SyncResult::CodeNeeded),
            Login::GivenUp(GivenUp::Late) => Some(SyncResult::NoNetwork),
            Login::GivenUp(GivenUp::Interrupted) => return Err(IcloudError::Interrupted),
        };
        let mends = result.as_ref().map(SyncResult::mends);
        // What time mends was no answer, and may be tried again.
        self.answered = mends != Some(Mends::Time);
        let refused = is_refused(result.as_ref());
        remember(&host.root, &account.name, |record| {
            record.kept.iter_mut().for_each(|kept| kept.refused |= refused);
        })
        .await?;
        Ok(result)
    }
}

/// Whether a password that came to this must not be sent again: Apple's no, or something that has no name. A code is asked for
/// behind a password that was taken.
fn is_refused(result: Option<&SyncResult>) -> bool {
    matches!(result, Some(SyncResult::WrongPassword | SyncResult::SessionExpired | SyncResult::Unknown { .. }))
}

/// The password that was kept. Nobody is there for a code.
struct Unattended(String);

impl Asks for Unattended {
    fn password(&mut self) -> String {
        std::mem::take(&mut self.0)
    }

    fn code<'a>(&'a mut self, _question: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    fn hear(&mut self, _line: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_sent_again_only_where_it_was_not_refused() {
        let unknown = SyncResult::Unknown { said: vec!["This Apple Account has been locked".into()] };
        for (result, refused) in [
            (None, false),
            (Some(SyncResult::WrongPassword), true),
            (Some(unknown), true),
            (Some(SyncResult::CodeNeeded), false),
            (Some(SyncResult::Throttled), false),
            (Some(SyncResult::NoNetwork), false),
            (Some(SyncResult::SetupIncomplete), false),
        ] {
            assert_eq!(is_refused(result.as_ref()), refused, "{result:?}");
        }
    }
}
