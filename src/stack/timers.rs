//! What happens by the clock: snapshots, and pruning after each.

use super::unit::Unit;
use super::{Context, DesiredFile, Refusal, SNAPSHOT_SERVICE, SNAPSHOT_TIMER, UNITS};
use crate::model::{HostPath, Service, UnitName};
use crate::quadlet::Value;

const TIMER_BASE: &str = include_str!("../../systemd/photos-snapshot.timer");
const SERVICE_BASE: &str = include_str!("../../systemd/photos-snapshot.service");

/// The files, and the timers among them.
pub(super) fn files(context: &Context<'_>) -> Result<(Vec<DesiredFile>, Vec<UnitName>), Refusal> {
    let file = |unit: Unit, name: &'static str| {
        unit.into_file(HostPath::constant(format!("{UNITS}/{name}")), UnitName::constant(name))
    };
    let mut service = Unit::base(SERVICE_BASE)?;
    for waited in Service::ALL {
        service.add("Unit", "After", Value::setting(&waited.unit()))?;
    }
    // Without a schedule it can still be started by hand, or by a timer of the operator's.
    let mut files = vec![file(service, SNAPSHOT_SERVICE)];
    let Some(schedule) = &context.settings.snapshots.schedule else { return Ok((files, Vec::new())) };
    let mut timer = Unit::base(TIMER_BASE)?;
    timer.add("Timer", "OnCalendar", Value::literal(schedule.as_str()))?;
    files.push(file(timer, SNAPSHOT_TIMER));
    Ok((files, vec![UnitName::constant(SNAPSHOT_TIMER)]))
}
