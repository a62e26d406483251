//! Whether an upgrade may begin at all, and to what: everything that could be in its way is looked for while all runs on.

use crate::apply::{self, ApplyError, texts};
use crate::config::{Settings, Source};
use crate::host::{Host, door, immich, netns, storage};
use crate::model::layout::STATE;
use crate::model::{ActiveState, ImageRef, InForce, LoadState, Refusal, Release, Root, Service};
use crate::observe::{chain, facts};
use crate::plan::door::{Doors, doors};
use crate::plan::graphics;
use crate::plan::{Wanted, wanted};
use crate::record::{lift_quarantine, quarantine};
use crate::snapshot::{self, Applied};
use crate::stack::{self, Facts};
use crate::upgrade::pull::{self, Unheard};
use crate::upgrade::{Check, Order, Wish, check};

/// Bytes that have to be free beside what is known to be needed.
const ROOM: u64 = 256 << 20;

/// All is well, and there is a way on, or nothing newer.
#[derive(Debug)]
pub(super) struct Ready {
    /// What runs.
    pub applied: Applied,
    /// What is to run.
    pub target: InForce,
    /// What a person may want to know of that choice.
    pub notes: Vec<String>,
}

pub(super) async fn look(host: &Host, wish: &Wish) -> Result<Ready, ApplyError> {
    let applied = well(host, &wish.files).await?;
    lift_what_was_pushed_again(host, &applied).await?;
    let check = check(host, &applied.loaded, &wish.order).await?;
    if !check.refusals.is_empty() {
        return Err(ApplyError::Refused(check.refusals));
    }
    refuse_without_room_for_the_dump(&check)?;
    let release = check.path.into_iter().next().map_or(check.runs, |stage| stage.hop.release);
    let target = target(host, &applied, release)?;
    Ok(Ready { applied, target, notes: check.notes })
}

/// What runs, where all is well and could be gone back to.
pub(super) async fn well(host: &Host, files: &[Source]) -> Result<Applied, ApplyError> {
    let root = &host.root;
    snapshot::refuse_open_operation(root, "and is finished first")?;
    snapshot::refuse_frozen(host).await?;
    let applied = Applied::read(root)?;
    refuse_unapplied(&applied, files)?;
    refuse_unwell(host, &applied).await?;
    let disks = &applied.desired.disks;
    snapshot::refuse_missing(root, disks)?;
    snapshot::refuse_full(root, disks)?;
    refuse_full_records(root)?;
    snapshot::remove_debris(root, &applied).map_err(|error| failed("remove an interrupted snapshot", error))?;
    snapshot::refuse_unexchangeable(root, &applied)?;
    Ok(applied)
}

/// Where the journal cannot be written, nothing is put back either, and what is pulled may have taken the room.
pub(super) fn refuse_full_records(root: &Root) -> Result<(), ApplyError> {
    let free = storage::space(&root.join(STATE)).map_err(|error| failed("measure the disk of the records", error))?;
    if free.free >= ROOM {
        return Ok(());
    }
    let why = format!("has {free}, and an upgrade has to be written down and its services have to log");
    let remedy = "free 256 MiB there: podman image prune, journalctl --vacuum-size=200M";
    Err(refused(Refusal::new(STATE, why, remedy)))
}

/// The dump takes about what the database takes, and the database must not run out of room for it.
fn refuse_without_room_for_the_dump(check: &Check) -> Result<(), ApplyError> {
    let Some(needs) = &check.space else { return Ok(()) };
    let (Some(database), Some(free), Some(storage)) = (needs.database, needs.free_for_data, &needs.storage) else {
        return Ok(());
    };
    if free.free >= database.saturating_add(ROOM) {
        return Ok(());
    }
    let mib = database.div_ceil(1 << 20);
    let why = format!("has {free}, and the dump of the database before an upgrade may take {mib} MiB");
    Err(refused(Refusal::new(storage.as_str(), why, "photos-agent snapshot prune, or free space otherwise")))
}

/// What the release's entry and the operator's images come to, for the cluster on disk.
fn target(host: &Host, applied: &Applied, release: Release) -> Result<InForce, ApplyError> {
    let known = facts(&host.root, &applied.loaded.settings)?;
    let mut settings: Settings = stack::within_major(&applied.loaded.settings, &known);
    settings.immich.version = release;
    let desired = stack::desire(&settings, &Facts { in_force: None, ..known });
    Ok(desired.map_err(|refusal| ApplyError::Refused(vec![refusal]))?.runs)
}

/// What an upgrade would go to next, or newer images of what runs, as far as that is known.
pub(super) async fn next(host: &Host, applied: &Applied, order: &Order) -> Result<InForce, ApplyError> {
    let check = check(host, &applied.loaded, order).await?;
    let release = check.path.into_iter().next().map_or(check.runs, |stage| stage.hop.release);
    target(host, applied, release)
}

/// It is images that are in quarantine: a tag that means others by now is tried like any other.
async fn lift_what_was_pushed_again(host: &Host, applied: &Applied) -> Result<(), ApplyError> {
    for quarantined in quarantine(&host.root)? {
        if quarantined.release < applied.desired.runs.release {
            continue;
        }
        let Ok(target) = target(host, applied, quarantined.release.clone()) else { continue };
        // A registry that does not answer tells nothing.
        let Ok(images) = pull::all(host, &target, &mut Unheard).await else { continue };
        let digest = |image: &ImageRef| image.digest().or_else(|| images.get(image)).cloned();
        let digests = target.written.values().filter_map(digest).collect();
        if !quarantined.is_of(&quarantined.release, &digests) {
            lift_quarantine(&host.root, &quarantined.release)?;
        }
    }
    Ok(())
}

/// An edit that nobody has applied yet would come with the upgrade, or be lost with it.
fn refuse_unapplied(applied: &Applied, files: &[Source]) -> Result<(), ApplyError> {
    let files = texts(files);
    if files == applied.generation.config || applied.generation.holds_against(&files) {
        return Ok(());
    }
    let why = "say something else than what was applied last, and an upgrade changes one thing at a time";
    Err(refused(Refusal::new("the configuration files", why, "photos-agent plan; photos-agent apply")))
}

/// An upgrade of what is not well could not be told from one that did not work.
async fn refuse_unwell(host: &Host, applied: &Applied) -> Result<(), ApplyError> {
    let survey = apply::survey(host, &applied.loaded).await?;
    let mut refusals = survey.plan.refusals;
    refusals.extend(survey.plan.concerns.into_iter().filter(|concern| !graphics::is_about(concern)));
    if let Some(step) = survey.plan.steps.first() {
        let why = format!("is not as it should be ({}: {})", step.step, step.reason);
        refusals.push(Refusal::new("the host", why, "photos-agent plan; photos-agent apply"));
    }
    if let Ok(podman) = &survey.observed.podman {
        match doors(podman, &survey.desired) {
            Ok(doors) => refusals.extend(unclosable(&doors).await),
            Err(unknown) => refusals.extend(unknown),
        }
    }
    if refusals.is_empty() && wanted(&survey.observed, &survey.desired) != Wanted::Run {
        let why = "is stopped or masked, so that nobody could tell whether the new one works";
        let remedy = "systemctl unmask photos.target; systemctl start photos.target";
        refusals.push(Refusal::new("the stack", why, remedy));
    }
    if refusals.is_empty() {
        refusals.extend(unhealthy(host, &survey.desired).await?);
    }
    if refusals.is_empty() {
        refusals.extend(strange_server(host, &survey.desired.runs.release).await);
    }
    if refusals.is_empty() { Ok(()) } else { Err(ApplyError::Refused(refusals)) }
}

/// Where people cannot be kept out while it is tried, what they upload could be lost.
async fn unclosable(doors: &Doors) -> Option<Refusal> {
    let error = door::can_close(&doors.rules()).await.err()?;
    let why = format!("cannot be closed while the new release is tried: {}", chain(&error));
    Some(Refusal::new("the doors of the server", why, "nft list ruleset; modprobe nf_tables; photos-agent doctor"))
}

async fn unhealthy(host: &Host, desired: &stack::Desired) -> Result<Vec<Refusal>, ApplyError> {
    let units: Vec<_> = desired.services.iter().map(|service| service.unit.clone()).collect();
    let states = host.systemd().await.map_err(|error| failed("ask systemd", error))?;
    let states = states.units(&units).await.map_err(|error| failed("ask systemd", error))?;
    let mut refusals = Vec::new();
    for service in &desired.services {
        let state = states.get(&service.unit).cloned().unwrap_or_default();
        // One can do without that; not without the others.
        if state.load == LoadState::Masked && service.service == Service::Ml {
            continue;
        }
        let health = host.podman.health(service.service.stem()).await.ok().flatten();
        if state.active != ActiveState::Active || health.as_deref() != Some("healthy") {
            let why = format!(
                "is {}, {}, before anything was done",
                state.sub,
                health.as_deref().unwrap_or("its health unknown")
            );
            let remedy = format!("systemctl start photos.target; journalctl -u {}", service.unit);
            refusals.push(Refusal::new(service.unit.as_str(), why, remedy));
        }
    }
    Ok(refusals)
}

/// The server says that it is what it is taken for, and it alone is in its network.
async fn strange_server(host: &Host, release: &Release) -> Vec<Refusal> {
    let unit = Service::Server.unit();
    let refuse = |why: String, remedy: &str| vec![Refusal::new(&unit, why, remedy)];
    let run = match host.podman.running(Service::Server.stem()).await {
        Ok(Some(run)) => run,
        Ok(None) => return refuse("does not run".to_owned(), "photos-agent status"),
        Err(error) => return refuse(format!("cannot be looked at: {}", chain(&error)), "photos-agent status"),
    };
    match immich::probe(run.pid).await {
        Ok(says) if says == *release => {}
        Ok(says) => {
            let why = format!("says that it is {says}, and {release} is what was put in force");
            return refuse(why, "name the image of that release in [images], or let immich.version say what it is");
        }
        Err(error) => return refuse(format!("does not answer: {}", chain(&error)), "journalctl -u immich-server"),
    }
    match netns::guests(run.pid) {
        Ok(guests) if guests.is_empty() => Vec::new(),
        Ok(guests) => {
            let why = format!(
                "shares its network with {}, which nothing keeps from uploading while the new release is tried",
                guests.join(", ")
            );
            refuse(why, "stop that container until the upgrade is done")
        }
        Err(error) => refuse(format!("cannot be looked at: {error}"), "photos-agent status"),
    }
}

fn refused(refusal: Refusal) -> ApplyError {
    ApplyError::Refused(vec![refusal])
}

fn failed(step: &str, source: impl Into<apply::StepError>) -> ApplyError {
    ApplyError::Step { step: step.to_owned(), source: Box::new(source.into()) }
}
