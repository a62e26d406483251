//! The target that upholds the services, and the slice that they run in.

use super::unit::Unit;
use super::{DesiredFile, Refusal, TARGET, UNITS};
use crate::model::{HostPath, Service, UnitName};
use crate::quadlet::Value;

const TARGET_BASE: &str = include_str!("../../systemd/photos.target");
const SLICE: &str = "photos.slice";
const SLICE_BASE: &str = include_str!("../../systemd/photos.slice");

/// The target and the slice.
pub(super) fn files() -> Result<Vec<DesiredFile>, Refusal> {
    let mut target = Unit::base(TARGET_BASE)?;
    for service in Service::ALL {
        target.add("Unit", "Upholds", Value::setting(&service.unit()))?;
    }
    Ok(vec![
        target.into_file(HostPath::constant(format!("{UNITS}/{TARGET}")), UnitName::constant(TARGET)),
        Unit::base(SLICE_BASE)?.into_file(HostPath::constant(format!("{UNITS}/{SLICE}")), UnitName::constant(SLICE)),
    ])
}
