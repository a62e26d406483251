//! night.json: what the last unattended upgrade came to, and what was told of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{HostPath, Refusal, Release, Root};
use crate::record::{RecordError, SCHEMA, read, state, write};

/// A try that nobody watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Night {
    /// When it began.
    pub at: Timestamp,
    /// What it came to.
    #[serde(flatten)]
    pub came_to: CameTo,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CameTo {
    /// Nothing yet; or it was cut off.
    Begun,
    /// There was nothing newer.
    Nothing,
    /// It was not the moment for it.
    Deferred {
        /// Why.
        why: String,
    },
    /// The new release runs.
    Done {
        /// What ran.
        from: Release,
        /// What runs.
        to: Release,
    },
    /// It did not work, and the old one runs again.
    WentBack {
        /// What runs again.
        from: Release,
        /// What was tried.
        to: Release,
        /// Why.
        why: String,
        /// What failed, kept: data and the journal of the units.
        kept: Vec<HostPath>,
        /// Whether what runs again is well, as far as is known.
        well: bool,
    },
    /// A person must see to something first.
    Refused {
        /// To what.
        refusals: Vec<Refusal>,
    },
    /// It failed before anything was changed, or left something open.
    Failed {
        /// Why.
        why: String,
    },
}

impl fmt::Display for CameTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun => f.write_str("the upgrade was begun"),
            Self::Nothing => f.write_str("nothing to upgrade"),
            Self::Deferred { why } => write!(f, "the upgrade was put off: {why}"),
            Self::Done { from, to } if from == to => write!(f, "Immich {to} runs on newer images"),
            Self::Done { from, to } => write!(f, "Immich {to} runs; it was {from}"),
            Self::WentBack { from, to, why, well, .. } => {
                let but = if *well { "" } else { ", but not all is well (photos-agent status)" };
                write!(f, "Immich {to} did not work here, and {from} runs again{but}: {why}")
            }
            Self::Refused { refusals } => {
                let each = refusals.iter().map(|refusal| format!("{refusal}; next: {}", refusal.remedy));
                write!(f, "the upgrade was refused: {}", each.collect::<Vec<_>>().join(". "))
            }
            Self::Failed { why } => write!(f, "the upgrade failed: {why}"),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct File {
    schema: u32,
    last: Option<Night>,
    /// What is known to whoever is told, where it would be the same again.
    told: Option<CameTo>,
}

const NAME: &str = "night.json";

/// The last one.
pub fn last_night(root: &Root) -> Result<Option<Night>, RecordError> {
    Ok(read::<File>(&state(root, NAME))?.and_then(|file| file.last))
}

/// Writes one down, durable on return. Returns whether it is to be told: a reason that has not changed since the last time
/// is not.
pub fn set_last_night(root: &Root, night: Night) -> Result<bool, RecordError> {
    let path = state(root, NAME);
    let before = read::<File>(&path)?.unwrap_or_default().told;
    let (is_news, told) = match &night.came_to {
        // They say nothing of what was told before.
        CameTo::Begun | CameTo::Deferred { .. } => (false, before),
        CameTo::Nothing => (false, None),
        CameTo::Done { .. } | CameTo::WentBack { .. } => (true, None),
        again @ (CameTo::Refused { .. } | CameTo::Failed { .. }) => {
            (before.as_ref() != Some(again), Some(again.clone()))
        }
    };
    write(&path, &File { schema: SCHEMA, last: Some(night), told })?;
    Ok(is_news)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reason_is_news_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        assert_eq!(last_night(&root).unwrap(), None);
        let refused = |why: &str| CameTo::Refused { refusals: vec![Refusal::new("it", why, "x")] };
        let release = |text: &str| text.parse::<Release>().unwrap();
        let (from, to) = (release("v3.1.0"), release("v3.2.2"));
        let back =
            CameTo::WentBack { from: from.clone(), to: to.clone(), why: "x".into(), kept: Vec::new(), well: true };
        let failed = CameTo::Failed { why: "no registry".into() };
        let deferred = CameTo::Deferred { why: "x".into() };
        for (came_to, news) in [
            (CameTo::Begun, false),
            (refused("a"), true),
            (CameTo::Begun, false),
            (refused("a"), false),
            (deferred.clone(), false),
            (refused("a"), false),
            (refused("b"), true),
            (refused("a"), true),
            (CameTo::Nothing, false),
            (refused("a"), true),
            (failed.clone(), true),
            (failed, false),
            (back.clone(), true),
            (back, true),
            (CameTo::Done { from, to }, true),
        ] {
            let night = Night { at: "2026-11-21T04:45:12Z".parse().unwrap(), came_to: came_to.clone() };
            assert_eq!(set_last_night(&root, night.clone()).unwrap(), news, "{came_to:?}");
            assert_eq!(last_night(&root).unwrap(), Some(night));
        }
    }
}
