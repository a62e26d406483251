//! Tells somebody what came of something that nobody watched: the journal, and the program that the operator has named.
//!
//! Whoever has something to tell says what it is and how it ended; what becomes of the telling changes nothing.

mod icloud;
mod matters;
mod night;
mod told;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::{Notify, NotifyCommand, Remote};
use crate::host::webhook::{self, Message};
use crate::host::{Host, hook, kernel};
use crate::log;
use crate::model::Root;
use crate::observe::chain;
use crate::record::{self, Told};

pub use icloud::{tell_endings, tell_run, tell_scan};
pub use matters::{tell_drift, tell_refused, tell_space};
pub use night::tell_night;

/// The format of the document; it grows when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// The secret that holds the address, where the operator has not chosen another one, and how it gets there.
const SECRET: &str = "photos-notify-url";
const SET: &str = "photos-agent secret set notify-url";

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Well.
    Done,
    /// It did not work, and was undone.
    WentBack,
    /// A person must see to something first.
    Refused,
    /// It failed.
    Failed,
}

impl Outcome {
    /// As programs read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::WentBack => "went_back",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What is told.
#[derive(Debug, Clone, Serialize)]
pub struct Notice<T> {
    /// What it is about: `upgrade`, `icloud`, `drift`, `space`.
    pub about: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub at: Timestamp,
    /// In one or two sentences, for people.
    pub summary: String,
    /// For programs.
    pub details: T,
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: u32,
    host: String,
    #[serde(flatten)]
    notice: &'a Notice<T>,
}

/// To the journal.
fn to_journal<T>(notice: &Notice<T>) {
    let (about, outcome, summary) = (notice.about, notice.outcome.word(), &notice.summary);
    if notice.outcome == Outcome::Done {
        tracing::info!(message_id = log::NOTICE, about, outcome, "{summary}");
    } else {
        tracing::error!(message_id = log::NOTICE, about, outcome, "{summary}");
    }
}

/// Tells the journal, and whoever the operator has named: the same of a matter not more than about once a day. What becomes of
/// it changes nothing, and takes two minutes at most.
pub async fn tell<T: Serialize>(root: &Root, settings: &Notify, matter: &str, notice: &Notice<T>) {
    to_journal(notice);
    let known = record::told(root).unwrap_or_default();
    if told::is_due(known.get(matter), notice.outcome.word(), &notice.summary, Timestamp::now()) {
        to_people(root, settings, matter, notice).await;
    }
}

/// To whoever the operator has named, and that they were told is remembered; where nobody could be, the next one tries again.
async fn to_people<T: Serialize>(root: &Root, settings: &Notify, matter: &str, notice: &Notice<T>) {
    let by_program = to_program(root, settings, notice).await;
    let by_address = to_address(root, settings, notice).await;
    if !by_program && !by_address {
        return;
    }
    let (outcome, summary) = (notice.outcome.word().to_owned(), notice.summary.clone());
    if let Err(error) = record::set_told(root, matter, Told { at: Timestamp::now(), outcome, summary }) {
        tracing::error!("that {matter} was told is not written down: {}", chain(&error));
    }
}

/// To the operator's program, if there is one. Whether it was told.
async fn to_program<T: Serialize>(root: &Root, settings: &Notify, notice: &Notice<T>) -> bool {
    let Some(NotifyCommand { program, arguments }) = &settings.command else { return false };
    let host = kernel::host_name(root);
    let document = match serde_json::to_vec_pretty(&Document { schema: SCHEMA, host, notice }) {
        Ok(document) => document,
        Err(error) => {
            tracing::error!("nobody was told: {error}");
            return false;
        }
    };
    let mut words = arguments.clone();
    words.extend([notice.about.to_owned(), notice.outcome.word().to_owned()]);
    let told = hook::tell(&root.join(program.as_path()), &words, &document).await;
    if let Err(error) = &told {
        tracing::error!(command = %program, "{program} was not told: {}", chain(error));
    }
    told.is_ok()
}

/// To the address that a secret holds, if there is one. Whether it was told.
async fn to_address<T>(root: &Root, settings: &Notify, notice: &Notice<T>) -> bool {
    let Some(Remote { secret, kind }) = &settings.remote else { return false };
    let failed = |why: String| {
        tracing::error!("the address in the secret {secret} was not told: {why}");
        false
    };
    let host = match Host::new(root.clone()) {
        Ok(host) => host,
        Err(error) => return failed(chain(&error)),
    };
    let address = match host.podman.secret_value(secret).await {
        Ok(Some(address)) => address,
        Ok(None) if secret.as_str() == SECRET => return failed(format!("there is no such secret; set it with: {SET}")),
        Ok(None) => return failed(format!("there is no such secret; make it with: podman secret create {secret} -")),
        Err(error) => return failed(chain(&error)),
    };
    let title = format!("{}: {}", kernel::host_name(root), notice.about);
    let message = Message { title, text: notice.summary.clone(), urgent: notice.outcome != Outcome::Done };
    match webhook::send(*kind, &address, &message).await {
        Ok(()) => true,
        Err(error) => failed(chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_flat_and_has_the_details_apart() {
        let notice = Notice {
            about: "upgrade",
            outcome: Outcome::WentBack,
            at: "2026-11-21T04:45:12Z".parse().unwrap(),
            summary: "it \"went\" back".to_owned(),
            details: ["x"],
        };
        let document = Document { schema: SCHEMA, host: "photos".to_owned(), notice: &notice };
        let said = serde_json::to_string(&document).unwrap();
        let wanted = r#"{"schema":1,"host":"photos","about":"upgrade","outcome":"went_back","at":"2026-11-21T04:45:12Z","summary":"it \"went\" back","details":["x"]}"#;
        assert_eq!(said, wanted);
        for outcome in [Outcome::Done, Outcome::WentBack, Outcome::Refused, Outcome::Failed] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.word());
        }
    }
}
