//! Machine learning.

use super::unit::Unit;
use super::{Context, Refusal};
use crate::model::{Service, Subvolume};

const BASE: &str = include_str!("../../quadlets/immich-ml.container");

pub(super) fn unit(context: &Context<'_>) -> Result<Unit, Refusal> {
    let mut unit = Unit::service(BASE, Service::Ml, context)?;
    unit.mount(context, Subvolume::MlCache, "/cache", "")?;
    unit.time_zone(context)?;
    let learning = &context.images.graphics.acceleration.learning;
    for (name, value) in &learning.environment {
        unit.environment(name, value)?;
    }
    unit.give(Service::Ml, &learning.given)?;
    Ok(unit)
}
