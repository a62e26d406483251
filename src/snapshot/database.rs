//! What the database is asked before a snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::apply::StepError;
use crate::host::process;
use crate::model::{ActiveState, Service, UnitName, UnitState};
use crate::record::DatabaseFacts;
use crate::stack;

/// A checkpoint of a large cache on a slow disk takes minutes, and all runs on meanwhile.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Has the database write out what it holds in memory, so that a start from the snapshot has little to replay. None where
/// it is not up, or does not answer: what is on disk recovers all the same.
pub(super) async fn checkpoint(states: &BTreeMap<UnitName, UnitState>) -> Option<DatabaseFacts> {
    let is_up = |(unit, state): (&UnitName, &UnitState)| {
        unit.as_str() == Service::Postgres.unit() && state.active == ActiveState::Active
    };
    if !states.iter().any(is_up) {
        return None;
    }
    match ask().await {
        Ok(facts) => Some(facts),
        Err(error) => {
            tracing::warn!("the database did not make its checkpoint: {}", crate::observe::chain(&error));
            None
        }
    }
}

async fn ask() -> Result<DatabaseFacts, StepError> {
    let arguments = stack::session(Service::Postgres.stem());
    let said = process::feed("podman", &arguments, stack::CHECKPOINT.as_bytes(), PATIENCE).await?;
    understand(&said).ok_or_else(|| StepError::Jobs(vec![format!("the database's answer was not understood: {said}")]))
}

/// Documents, one a line, which together are one.
fn understand(said: &str) -> Option<DatabaseFacts> {
    let mut all = serde_json::Map::new();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        all.extend(serde_json::from_str::<serde_json::Map<_, _>>(line).ok()?);
    }
    serde_json::from_value(all.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_document_in_lines() {
        let facts = "{\"version\" : \"17.5\", \"checksums\" : true, \"checksum_failures\" : 0}\n";
        let known = understand(facts).unwrap();
        assert_eq!((known.version.as_str(), known.checksums, known.migration), ("17.5", true, None));
        let migrated = understand(&format!("{facts}{{\"migration\" : \"1700000000000-A\"}}\n")).unwrap();
        assert_eq!(migrated.migration.as_deref(), Some("1700000000000-A"));
        assert_eq!(understand("CHECKPOINT\n"), None);
        assert_eq!(understand(""), None);
    }
}
