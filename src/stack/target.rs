//! The target that upholds the services, the slice that they run in, and the unit that holds them back.

use super::unit::Unit;
use super::{DesiredFile, RESOLVE, Refusal, SLICE, TARGET, UNITS};
use crate::model::{HostPath, Service, UnitName};
use crate::quadlet::Value;

const TARGET_BASE: &str = include_str!("../../systemd/photos.target");
const RESOLVE_BASE: &str = include_str!("../../systemd/photos-resolve.service");
const SLICE_BASE: &str = include_str!("../../systemd/photos.slice");

/// The target, the slice and the gate.
pub(super) fn files() -> Result<Vec<DesiredFile>, Refusal> {
    let mut target = Unit::base(TARGET_BASE)?;
    for service in Service::ALL {
        target.add("Unit", "Upholds", Value::setting(&service.unit()))?;
    }
    Ok(vec![
        target.into_file(HostPath::constant(format!("{UNITS}/{TARGET}")), UnitName::constant(TARGET)),
        Unit::base(SLICE_BASE)?.into_file(HostPath::constant(format!("{UNITS}/{SLICE}")), UnitName::constant(SLICE)),
        Unit::base(RESOLVE_BASE)?
            .into_file(HostPath::constant(format!("{UNITS}/{RESOLVE}")), UnitName::constant(RESOLVE)),
    ])
}
