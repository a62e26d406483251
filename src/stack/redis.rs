//! The job queue.

use super::unit::Unit;
use super::{Context, Refusal};
use crate::model::{Service, Subvolume};

const BASE: &str = include_str!("../../quadlets/immich-redis.container");

pub(super) fn unit(context: &Context<'_>) -> Result<Unit, Refusal> {
    let mut unit = Unit::service(BASE, Service::Redis, context)?;
    unit.mount(context, Subvolume::Redis, "/data", "")?;
    unit.commit(context, Subvolume::Redis)?;
    Ok(unit)
}
