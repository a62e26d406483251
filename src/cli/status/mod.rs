//! `photos-agent status`: services, health, storage, pending work. Changes nothing.

mod graphics;
mod text;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use crate::apply::{self, Survey};
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::icloud::status::{Standing, standings};
use crate::cli::open::{self, Begun, Open};
use crate::config::Settings;
use crate::host::storage::{Space, allocation, space};
use crate::host::{Host, door, immich};
use crate::model::{ActiveState, HostPath, LoadState, Refusal, Room, Service, UnitName, UnitState};
use crate::plan::Plan;
use crate::record::{
    Found, Generations, Night, Snapshots, Summary, Trials, Upgraded, last_night, last_upgrade, trials,
};
use crate::snapshot::{self, name_holes};
use graphics::Graphics;

#[derive(Serialize)]
struct Body {
    /// Every service is up and healthy but for masked ones, nothing is pending or was left half-done, and nobody has
    /// to see to anything.
    well: bool,
    release: String,
    generation: Option<u32>,
    target: Row,
    services: Vec<Row>,
    /// Where people reach the server, and whether it answers there.
    listen: SocketAddr,
    answers: bool,
    /// Whether nobody is let in, since what was upgraded has not proven itself yet.
    doors_closed: bool,
    /// What machine learning and transcoding use.
    hardware: Graphics,
    storage: BTreeMap<HostPath, Option<Disk>>,
    /// None where they cannot be looked at.
    snapshots: Option<Taken>,
    /// Who is changing the host right now.
    busy: Option<String>,
    /// An operation that was begun and not ended.
    open_operation: Option<Begun>,
    /// How the last upgrade ended.
    upgrade: Option<Upgraded>,
    /// What the last unattended one came to, where one is made.
    night: Option<Night>,
    /// The last trials of snapshots.
    proofs: Trials,
    /// How the accounts of iCloud stand.
    icloud: Vec<Standing>,
    pending_steps: Vec<String>,
    refusals: Vec<Refusal>,
    /// What a person must see to, and what forbids nothing.
    concerns: Vec<Refusal>,
    notes: Vec<String>,
}

/// Room at a place.
#[derive(Serialize)]
struct Disk {
    #[serde(flatten)]
    space: Space,
    /// Where it is BTRFS.
    btrfs: Option<Room>,
}

#[derive(Serialize)]
struct Taken {
    /// Those that are whole.
    count: usize,
    /// The last that is understood and whose time has come.
    newest: Option<Summary>,
    /// What to know of that choice; among the notes.
    #[serde(skip)]
    told: Option<String>,
}

#[derive(Serialize)]
struct Row {
    unit: UnitName,
    active: String,
    sub: String,
    health: Option<String>,
    since: Option<Timestamp>,
    restarts: u32,
    image: Option<String>,
    /// The operator has masked it, so that it stays down.
    masked: bool,
}

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let (loaded, note) = context.in_force()?;
    let host = context.host()?;
    let mut survey = apply::survey(&host, &loaded).await?;
    survey.plan.notes.extend(note);
    let body = body(context, &host, &loaded.settings, survey).await?;
    context.output.answer("status", &body, || text::text(&body));
    Ok(ExitCode::from(if body.well { 0 } else { 2 }))
}

async fn body(context: &Context, host: &Host, settings: &Settings, survey: Survey) -> Result<Body, Failure> {
    let health = health(host, &survey).await;
    let row = |unit: &UnitName, image: Option<String>, health: Option<String>| {
        let state = state(&survey, unit);
        // Of a unit that is down, Podman may still hold what it last saw.
        let health = health.filter(|_| matches!(state.active, ActiveState::Active | ActiveState::Activating));
        Row {
            unit: unit.clone(),
            active: word(state.active).to_owned(),
            sub: state.sub.clone(),
            health,
            since: since(&state),
            restarts: state.restarts,
            image,
            masked: state.load == LoadState::Masked,
        }
    };
    let services: Vec<Row> = survey
        .desired
        .services
        .iter()
        .zip(health)
        .map(|(service, health)| row(&service.unit, Some(service.image.to_string()), health))
        .collect();
    let plan = &survey.plan;
    let listen = settings.immich.listen;
    let answers = immich::answers(listen).await;
    // Who is masked is down on purpose, and the server is who answers.
    let server = Service::Server.unit();
    let silent = services.iter().any(|row| row.masked && row.unit.as_str() == server);
    let open = open::look(&context.root)?;
    let snapshots = snapshots(context, &survey);
    let lacks = snapshots.as_ref().and_then(|taken| lacks(taken.newest.as_ref()?));
    let proofs = trials(&context.root)?;
    let told = snapshots.as_ref().and_then(|taken| taken.told.clone());
    // An ordinary user may not look into the folders of sessions.
    let icloud = if nix::unistd::geteuid().is_root() { standings(host, settings).await? } else { Vec::new() };
    let of_icloud: Vec<Refusal> = icloud.iter().flat_map(|account| account.concerns.iter().cloned()).collect();
    let hardware = Graphics::look(host, &survey).await?;
    let (of_cards, is_degraded) = (hardware.concerns.clone(), hardware.is_degraded());
    let doubted = proofs.last.as_ref().is_some_and(|trial| !trial.proven);
    Ok(Body {
        well: is_well(&services, answers || silent, plan, &open)
            && !doubted
            && lacks.is_none()
            && of_icloud.is_empty()
            && of_cards.is_empty()
            && !is_degraded,
        release: survey.desired.runs.release.to_string(),
        generation: Generations::new(&context.root).numbers()?.into_iter().max(),
        target: row(&survey.desired.target, None, None),
        services,
        listen,
        answers,
        // An ordinary user is not told.
        doors_closed: door::is_any_closed(&context.root).unwrap_or(false),
        hardware,
        storage: storage(context, settings),
        snapshots,
        upgrade: last_upgrade(&context.root)?,
        night: last_night(&context.root)?,
        proofs,
        icloud,
        busy: open.busy,
        open_operation: open.operation,
        pending_steps: plan.steps.iter().map(|planned| planned.step.to_string()).collect(),
        refusals: plan.refusals.clone(),
        concerns: plan.concerns.iter().cloned().chain(lacks).chain(of_icloud).chain(of_cards).collect(),
        notes: plan.notes.iter().cloned().chain(told).collect(),
    })
}

fn is_well(services: &[Row], reachable: bool, plan: &Plan, open: &Open) -> bool {
    all_healthy(services) && reachable && plan.is_empty() && plan.concerns.is_empty() && open.left().is_none()
}

/// Whether every service is healthy that the operator did not mask.
fn all_healthy(services: &[Row]) -> bool {
    services.iter().all(|row| row.masked || row.health.as_deref() == Some("healthy"))
}

/// Health of each service's container; none where there is no container or Podman is silent.
async fn health(host: &Host, survey: &Survey) -> Vec<Option<String>> {
    let ask = |service: &crate::stack::DesiredService| {
        let name = service.service.stem();
        let exists = survey.observed.podman.as_ref().is_ok_and(|podman| podman.containers.contains_key(name));
        async move { if exists { host.podman.health(name).await.ok().flatten() } else { None } }
    };
    join_all(survey.desired.services.iter().map(ask)).await
}

fn storage(context: &Context, settings: &Settings) -> BTreeMap<HostPath, Option<Disk>> {
    let storage = &settings.storage;
    let paths = [Some(&storage.root), storage.databases.as_ref(), storage.ml_cache.as_ref()];
    let look = |path: &HostPath| {
        let at = context.root.join(path.as_path());
        let btrfs = || allocation(&at).ok().flatten().map(|found| found.room());
        (path.clone(), space(&at).ok().map(|space| Disk { space, btrfs: btrfs() }))
    };
    paths.into_iter().flatten().map(look).collect()
}

/// An ordinary user may not look.
fn snapshots(context: &Context, survey: &Survey) -> Option<Taken> {
    let folder = context.root.join(survey.desired.snapshots.as_path());
    let all = Snapshots::new(folder).all().ok()?;
    let count = all.iter().filter(|(_, found)| *found != Found::Debris).count();
    let latest = snapshot::latest(&all, Timestamp::now());
    let told = latest.as_ref().and_then(snapshot::passed_over);
    let newest = latest.map(|latest| latest.one.clone());
    let mut whole =
        all.into_iter().filter_map(|(_, found)| if let Found::Whole(one) = found { Some(one) } else { None });
    Some(Taken { count, newest: whole.find(|one| newest.as_ref() == Some(&one.id)), told })
}

/// The concern that photographs are in no snapshot.
fn lacks(newest: &Summary) -> Option<Refusal> {
    let why = || {
        format!("is without {}: subvolumes of their own or mounts, which no snapshot holds", name_holes(&newest.holes))
    };
    let remedy = "copy what lies there into plain folders of the live tree, or mount it elsewhere and see to copies of it \
                  yourself; then: photos-agent snapshot";
    (!newest.holes.is_empty()).then(|| Refusal::new(format!("snapshot {}", newest.id), why(), remedy))
}

fn state(survey: &Survey, unit: &UnitName) -> UnitState {
    let units = survey.observed.units.as_ref().ok();
    units.and_then(|units| units.get(unit)).cloned().unwrap_or_default()
}

fn since(state: &UnitState) -> Option<Timestamp> {
    let moment = if state.active == ActiveState::Active { state.active_since } else { state.inactive_since };
    i64::try_from(moment).ok().filter(|moment| *moment > 0).and_then(|us| Timestamp::from_microsecond(us).ok())
}

const fn word(state: ActiveState) -> &'static str {
    match state {
        ActiveState::Active => "active",
        ActiveState::Activating => "starting",
        ActiveState::Deactivating => "stopping",
        ActiveState::Inactive => "inactive",
        ActiveState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_was_left_is_not_well_whatever_runs() {
        let well = |operation, busy: Option<&str>| {
            is_well(&[], true, &Plan::default(), &Open { operation, busy: busy.map(str::to_owned) })
        };
        let begun = Some(Begun { id: 7, holds: true, remedy: "" });
        assert!(well(None, None) && well(begun, Some("photos-agent apply")));
        assert!(!well(begun, None), "the services of the next boot wait for its end");
    }

    #[test]
    fn a_masked_service_is_down_on_purpose() {
        let row = |health: Option<&str>, masked: bool| Row {
            unit: Service::Ml.unit().parse().unwrap(),
            active: word(if health.is_some() { ActiveState::Active } else { ActiveState::Inactive }).to_owned(),
            sub: String::new(),
            health: health.map(str::to_owned),
            since: None,
            restarts: 0,
            image: None,
            masked,
        };
        assert!(all_healthy(&[row(Some("healthy"), false), row(None, true)]));
        assert!(!all_healthy(&[row(Some("healthy"), false), row(None, false)]));
        assert!(!all_healthy(&[row(Some("unhealthy"), false)]));
        let describe = |masked| text::describe(&row(None, masked));
        assert!(describe(true).contains(" masked "), "{}", describe(true));
        assert!(describe(false).contains(" inactive "));
    }
}
