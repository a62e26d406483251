//! What the database is asked before a snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::apply::ask_database;
use crate::model::{ActiveState, Service, UnitName, UnitState};
use crate::record::DatabaseFacts;
use crate::stack::CHECKPOINT;

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
    match ask_database(CHECKPOINT, PATIENCE).await {
        Ok(facts) => Some(facts),
        Err(error) => {
            tracing::warn!("the database did not make its checkpoint: {}", crate::observe::chain(&error));
            None
        }
    }
}
