//! After an outage of machine learning: what it has missed is queued again, once.

use std::collections::BTreeMap;

use crate::host::Host;
use crate::immich::{Error, Server};
use crate::model::{Root, Service, UnitName, UnitState};
use crate::plan::learning::came_back;
use crate::record::{Learning, learning, set_learning};

/// What a queue does with machine learning.
const QUEUES: [&str; 3] = ["smartSearch", "faceDetection", "ocr"];

/// Whether something is to be queued, by the states of the units and by what was written down: who notices first may be
/// ended before it is done.
pub fn owed(root: &Root, units: &BTreeMap<UnitName, UnitState>) -> Result<bool, Error> {
    let known = learning(root)?;
    let of = |service: Service| units.get(&UnitName::constant(service.unit()));
    let (Some(ml), Some(server)) = (of(Service::Ml), of(Service::Server)) else { return Ok(known.owed) };
    if let Some(start) = came_back(ml, server, known.seen) {
        set_learning(root, &Learning::new(start, true))?;
        return Ok(true);
    }
    Ok(known.owed)
}

/// Queues it, and writes down that it was.
pub async fn queue_missing(host: &Host) -> Result<(), Error> {
    let server = Server::with_key(host).await?;
    for queue in QUEUES {
        server.client.start_missing(queue).await?;
    }
    let known = learning(&host.root)?;
    set_learning(&host.root, &Learning::new(known.seen, false))?;
    Ok(())
}
