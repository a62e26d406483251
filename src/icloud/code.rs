//! The number of Apple's answer, as icloudpd repeats it at the end of an error, `Bad Gateway (502)`: of HTTP, and no more is made
//! of it than whether Apple has said no.

use crate::model::icloud::SyncResult;

/// Apple's own number for a password that is not the right one.
const WRONG: &str = "\"-20101\"";

/// The number at the end of a message, also within the quotes of an error that wraps another.
pub(super) fn status(message: &str) -> Option<u16> {
    let inner = message.trim_end_matches(['\'', '"', ')']);
    let (_, number) = inner.rsplit_once('(').filter(|_| inner.len() < message.len())?;
    number.parse().ok()
}

/// Whether it says nothing of the account: who is asked has too much to do, or a gateway does not reach him.
pub(super) const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// What it means that icloudpd asks for a password after such an error: it does so after every one.
pub(super) const fn of_session(status: Option<u16>) -> SyncResult {
    match status {
        None | Some(401 | 421 | 450) => SyncResult::SessionExpired,
        Some(_) => SyncResult::Throttled,
    }
}

/// What an error of the sign-in means. icloudpd has the same words for all that Apple can answer: none where it is neither the
/// password nor passing, an account that is locked, say.
pub(super) fn of_sign_in(message: &str) -> Option<SyncResult> {
    match status(message) {
        Some(status) if is_passing(status) => Some(SyncResult::Throttled),
        status if status == Some(401) || message.contains(WRONG) => Some(SyncResult::WrongPassword),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_last_thing_that_is_said() {
        for (message, number) in [
            ("Bad Gateway (502)", Some(502)),
            ("('Invalid authentication token.', PyiCloudAPIResponseException('Bad Gateway (502)'))", Some(502)),
            (r#"('x', PyiCloudAPIResponseException('{"code": "-20101"} (401)'))"#, Some(401)),
            ("private db access disabled (ACCESS_DENIED)", None),
            ("Skipping IMG (502).JPG", None),
            ("(502", None),
            ("502)", None),
            ("", None),
        ] {
            assert_eq!(status(message), number, "{message}");
        }
    }

    #[test]
    fn only_what_apple_says_of_the_password_is_held_against_it() {
        let said =
            |inner: &str| format!("('Invalid email/password combination.', PyiCloudAPIResponseException('{inner}'))");
        for (inner, result) in [
            (r#"{"code": "-20101"} (401)"#, Some(SyncResult::WrongPassword)),
            (r#"{"code": "-20101"} (409)"#, Some(SyncResult::WrongPassword)),
            ("Unauthorized (401)", Some(SyncResult::WrongPassword)),
            ("Service Unavailable (503)", Some(SyncResult::Throttled)),
            (r#"{"code": "-20101"} (502)"#, Some(SyncResult::Throttled)),
            ("Too Many Requests (429)", Some(SyncResult::Throttled)),
            (r#"{"code": "-20209"} (403)"#, None),
            ("", None),
        ] {
            assert_eq!(of_sign_in(&said(inner)), result, "{inner}");
        }
    }

    #[test]
    fn a_session_ends_by_apples_word_and_by_no_gateway() {
        for (status, result) in [
            (None, SyncResult::SessionExpired),
            (Some(421), SyncResult::SessionExpired),
            (Some(450), SyncResult::SessionExpired),
            (Some(401), SyncResult::SessionExpired),
            (Some(500), SyncResult::Throttled),
            (Some(504), SyncResult::Throttled),
            (Some(403), SyncResult::Throttled),
        ] {
            assert_eq!(of_session(status), result, "{status:?}");
        }
    }
}
