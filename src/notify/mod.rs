//! Tells somebody what came of something that nobody watched: the journal, and the program that the operator has named.
//!
//! Whoever has something to tell says what it is and how it ended; what becomes of the telling changes nothing.

mod night;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Notify;
use crate::host::{hook, kernel};
use crate::log;
use crate::model::Root;
use crate::observe::chain;

pub use night::tell_night;

/// The format of the document; it grows when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

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
    /// What it is about: `upgrade`.
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

/// To the operator's program, if there is one.
async fn to_program<T: Serialize>(root: &Root, settings: &Notify, notice: &Notice<T>) {
    let Some(command) = &settings.command else { return };
    let host = kernel::host_name(root);
    let document = match serde_json::to_vec_pretty(&Document { schema: SCHEMA, host, notice }) {
        Ok(document) => document,
        Err(error) => return tracing::error!("nobody was told: {error}"),
    };
    let words = [notice.about.to_owned(), notice.outcome.word().to_owned()];
    if let Err(error) = hook::tell(&root.join(command.as_path()), &words, &document).await {
        tracing::error!(%command, "{command} was not told: {}", chain(&error));
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
