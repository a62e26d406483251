//! The trial of the newest snapshot, by the clock.

use super::unit::Unit;
use super::{DesiredFile, Refusal, UNITS, VERIFY_SERVICE, VERIFY_TIMER};
use crate::model::{HostPath, UnitName};

const TIMER_BASE: &str = include_str!("../../systemd/photos-verify.timer");
const SERVICE_BASE: &str = include_str!("../../systemd/photos-verify.service");

/// The files, and the timers among them.
pub(super) fn files() -> Result<(Vec<DesiredFile>, Vec<UnitName>), Refusal> {
    let file = |base: &str, name: &'static str| {
        let path = HostPath::constant(format!("{UNITS}/{name}"));
        Ok::<_, Refusal>(Unit::base(base)?.into_file(path, UnitName::constant(name)))
    };
    let files = vec![file(SERVICE_BASE, VERIFY_SERVICE)?, file(TIMER_BASE, VERIFY_TIMER)?];
    Ok((files, vec![UnitName::constant(VERIFY_TIMER)]))
}
