//! The server.

use std::collections::BTreeSet;

use super::unit::Unit;
use super::{Context, network, own_scans};
use crate::model::Refusal;
use crate::model::{Service, Subvolume};

const BASE: &str = include_str!("../../quadlets/immich-server.container");

/// The port that the server listens on in its container.
pub const PORT: u16 = 2283;

pub(super) fn unit(context: &Context<'_>) -> Result<Unit, Refusal> {
    let settings = context.settings;
    let mut unit = Unit::service(BASE, Service::Server, context)?;
    for name in further_networks(context)? {
        unit.text("Network", name)?;
    }
    unit.text("PublishPort", &format!("{}:{PORT}", settings.immich.listen))?;
    unit.mount(context, Subvolume::Media, "/data", "")?;
    unit.mount(context, Subvolume::Thumbs, "/data/thumbs", "")?;
    unit.mount(context, Subvolume::EncodedVideo, "/data/encoded-video", "")?;
    // Immich deletes originals of an external library when its trash is emptied, unless it cannot.
    unit.mount(context, Subvolume::Icloud, "/external/icloud", ":ro")?;
    if !settings.icloud.accounts.is_empty() {
        unit.add("Service", "ExecStartPre", own_scans::switch_off(&context.facts.programs.podman))?;
        unit.add("Service", "ExecStartPre", own_scans::forget(&context.facts.programs.podman))?;
    }
    unit.time_zone(context)?;
    for (name, value) in &settings.immich.environment {
        unit.environment(name.as_str(), value)?;
    }
    unit.give(Service::Server, &context.images.graphics.acceleration.encoding.given)?;
    unit.commit(context, Subvolume::Media)?;
    Ok(unit)
}

/// The operator's networks, each once.
fn further_networks<'a>(context: &Context<'a>) -> Result<Vec<&'a str>, Refusal> {
    let mut seen = BTreeSet::new();
    let names = context.settings.network.server_networks.iter().map(crate::model::NetworkName::as_str);
    let names = names.filter(|name| seen.insert(*name)).collect::<Vec<_>>();
    if let Some(own) = names.iter().find(|name| network::is_own(name)) {
        return Err(Refusal::new(
            "network.server_networks",
            format!("The server is on `{own}` already."),
            format!("Remove \"{own}\" from `server_networks` in [network]."),
        ));
    }
    Ok(names)
}
