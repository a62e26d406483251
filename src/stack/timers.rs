//! What happens by the clock: snapshots, and pruning after each; upgrades, where they are made unattended; scans, where Immich
//! makes none by itself.

use super::unit::Unit;
use super::{
    Context, DesiredFile, Refusal, SCAN_SERVICE, SCAN_TIMER, SNAPSHOT_SERVICE, SNAPSHOT_TIMER, UNITS, UPGRADE_SERVICE,
    UPGRADE_TIMER,
};
use crate::model::{HostPath, Service, UnitName};
use crate::quadlet::Value;

const TIMER_BASE: &str = include_str!("../../systemd/photos-snapshot.timer");
const SERVICE_BASE: &str = include_str!("../../systemd/photos-snapshot.service");
const UPGRADE_TIMER_BASE: &str = include_str!("../../systemd/photos-upgrade.timer");
const UPGRADE_SERVICE_BASE: &str = include_str!("../../systemd/photos-upgrade.service");
const SCAN_TIMER_BASE: &str = include_str!("../../systemd/photos-scan.timer");
const SCAN_SERVICE_BASE: &str = include_str!("../../systemd/photos-scan.service");

/// Files, and the timers among them.
type Files = (Vec<DesiredFile>, Vec<UnitName>);

fn file(unit: Unit, name: &'static str) -> DesiredFile {
    unit.into_file(HostPath::constant(format!("{UNITS}/{name}")), UnitName::constant(name))
}

/// Of snapshots.
pub(super) fn snapshots(context: &Context<'_>) -> Result<Files, Refusal> {
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

/// Of scans; none where Immich makes its own (`own_scans`).
pub(super) fn scans(context: &Context<'_>) -> Result<Files, Refusal> {
    if context.settings.icloud.accounts.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let files =
        vec![file(Unit::base(SCAN_SERVICE_BASE)?, SCAN_SERVICE), file(Unit::base(SCAN_TIMER_BASE)?, SCAN_TIMER)];
    Ok((files, vec![UnitName::constant(SCAN_TIMER)]))
}

/// Of upgrades; none where a person makes them.
pub(super) fn upgrades(context: &Context<'_>) -> Result<Files, Refusal> {
    let upgrade = &context.settings.upgrade;
    if !upgrade.automatic {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut timer = Unit::base(UPGRADE_TIMER_BASE)?;
    timer.add("Timer", "OnCalendar", Value::literal(upgrade.schedule.as_str()))?;
    let spread = (upgrade.window.length() / 2).as_secs();
    timer.add("Timer", "RandomizedDelaySec", Value::literal(&format!("{spread}s")))?;
    let files = vec![file(Unit::base(UPGRADE_SERVICE_BASE)?, UPGRADE_SERVICE), file(timer, UPGRADE_TIMER)];
    Ok((files, vec![UnitName::constant(UPGRADE_TIMER)]))
}
