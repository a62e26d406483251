//! What was missed while a service was down is made up for.

use std::collections::BTreeMap;

use crate::host::Host;
use crate::immich;
use crate::model::{SecretName, UnitName, UnitState};
use crate::observe::chain;

/// What machine learning has missed while it was down is queued again. Returns whether there is nothing left to do.
pub(super) async fn make_up(host: &Host, states: &BTreeMap<UnitName, UnitState>) -> bool {
    let done = match immich::owed(&host.root, states) {
        Ok(false) => return true,
        // The agent may ask nothing of Immich, on a host where nobody wanted that of it.
        Ok(true) if matches!(host.podman.secret_value(&SecretName::constant(immich::API_KEY)).await, Ok(None)) => {
            return true;
        }
        Ok(true) => immich::queue_missing(host).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => tracing::info!("machine learning was down and is back: what it has missed is queued"),
        Err(error) => {
            tracing::warn!("what machine learning has missed is not queued yet: {}", chain(&error));
            return false;
        }
    }
    true
}
