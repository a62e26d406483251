//! How an operation ends: a report, or what went wrong.

use crate::apply::{StepError, Survey, upgrade};
use crate::host::lock::LockError;
use crate::model::{Refusal, Release, SnapshotId};
use crate::observe::FactsError;
use crate::record::RecordError;

/// How an operation ended well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Its number in the history; none if there was nothing to do.
    pub operation: Option<u64>,
    /// Steps that were taken.
    pub steps: Vec<crate::record::StepRecord>,
    /// The generation the host is at.
    pub generation: u32,
    /// What was seen and left alone.
    pub notes: Vec<String>,
    /// What a person must see to.
    pub concerns: Vec<Refusal>,
}

/// How it did not.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Nothing may be done; the host was not touched.
    #[error("refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Refusal>),
    /// Somebody else is at work.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The agent's own memory failed.
    #[error("the agent's records in /var/lib/photos-agent failed")]
    Record(#[from] RecordError),
    /// A step failed; what came before it is done, what comes after it is not.
    #[error("could not {step}")]
    Step {
        /// The step.
        step: String,
        /// Why.
        #[source]
        source: Box<StepError>,
    },
    /// A snapshot is back, and its services do not come up.
    #[error("snapshot {snapshot} is back, but not all of its services came up")]
    Unwell {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        #[source]
        source: Box<ApplyError>,
    },
    /// An upgrade did not work, and what ran before it runs again.
    #[error("{went_back}")]
    WentBack {
        /// What came of it.
        went_back: Box<upgrade::WentBack>,
        /// The stack that runs again; none where that is not well.
        well: Option<Box<(Survey, jiff::Timestamp)>>,
        /// Why it is not well.
        #[source]
        source: Option<Box<ApplyError>>,
    },
    /// The way to a release has several upgrades, and not all of them were made.
    #[error("Immich {runs} runs now, and the way goes on no further")]
    Halfway {
        /// The last that worked.
        runs: Release,
        /// Why.
        #[source]
        source: Box<ApplyError>,
    },
    /// The steps were taken and the host is still not as it should be.
    #[error("the host changed while it was being changed; still to do: {0}")]
    Unsettled(String),
}

impl From<FactsError> for ApplyError {
    fn from(error: FactsError) -> Self {
        match error {
            FactsError::Record(error) => Self::Record(error),
            FactsError::Refused(refusal) => Self::Refused(vec![refusal]),
        }
    }
}
