//! Configuration and images that belong to a snapshot, and whether the host can run them.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply::{self, ApplyError, Survey, Then, texts};
use crate::config::Loaded;
use crate::host::{Host, files};
use crate::model::layout::STATE;
use crate::model::{
    Digest, ImageRef, InForce, PlaceState, PostgresMajor, Refusal, Release, RestoredStack, Service, Subvolume,
};
use crate::plan::Step;
use crate::plan::going_back::may_open;
use crate::record::{Manifest, Snapshots};
use crate::snapshot::restore::{ImageChange, Wish, refused, what};
use crate::snapshot::{Applied, failed};
use crate::stack::{self, Desired, QUADLETS, UNITS};

/// Folders with texts of the agent's own; every other text of a snapshot is configuration.
const OWN: [&str; 4] = [QUADLETS, UNITS, "/etc/sysctl.d", STATE];

/// What was found.
pub(super) struct Stack {
    pub then: Loaded,
    pub goes_back: Option<RestoredStack>,
    pub images: Vec<ImageChange>,
    pub pull: Vec<ImageRef>,
    pub resume: bool,
    pub desired: Desired,
}

/// The stack after the restore. It is that of the snapshot where the database goes back, since the two are one thing.
pub(super) async fn look(
    host: &Host,
    wish: &Wish,
    applied: &Applied,
    manifest: &Manifest,
    snapshots: &Snapshots,
    back: &BTreeSet<Subvolume>,
) -> Result<Stack, ApplyError> {
    let with_database = back.contains(&Subvolume::Postgres);
    let cluster = if with_database { Some(cluster(host, applied, manifest)?) } else { None };
    let with_stack = with_database && !wish.keep_images;
    if with_database && wish.keep_images {
        check_kept(host, applied, manifest, cluster)?;
    }
    let (loaded, then) = if with_stack {
        let loaded = configuration(manifest, snapshots)?;
        let in_force = in_force(host, &loaded, manifest, cluster)?;
        let images = locked(&in_force, manifest);
        (loaded, Then { in_force: Some(in_force), images, cluster })
    } else {
        (applied.loaded.clone(), Then { cluster, ..Then::default() })
    };
    let (survey, resume) = apply::foresee(host, &loaded, &then).await?;
    refuse_what_cannot_run(&survey, back)?;
    if with_stack {
        check_places_and_images(applied, manifest, &survey)?;
    }
    let pulls = survey.plan.steps.iter().filter_map(|planned| match &planned.step {
        Step::Pull { image } => Some(image.clone()),
        _ => None,
    });
    let goes_back = with_stack.then(|| {
        let (config, files) = (texts(&loaded.sources), texts(&wish.files));
        let out_of_force = (files != config).then_some(files);
        let Then { in_force, images, .. } = then;
        RestoredStack { config, in_force, images, out_of_force }
    });
    let change = |service: &crate::stack::DesiredService| ImageChange {
        service: service.service,
        now: applied.generation.images.get(&service.service).cloned(),
        then: service.image.clone(),
    };
    let images = survey.desired.services.iter().map(change).filter(|change| change.now.as_ref() != Some(&change.then));
    Ok(Stack {
        images: images.collect(),
        pull: pulls.collect(),
        goes_back,
        resume,
        then: loaded,
        desired: survey.desired,
    })
}

/// The major version of the snapshot's cluster.
fn cluster(host: &Host, applied: &Applied, manifest: &Manifest) -> Result<PostgresMajor, ApplyError> {
    let place = Subvolume::Postgres;
    let disk = applied.desired.disks.iter().find(|disk| disk.subvolumes.contains(&place));
    let live = disk.map(|disk| disk.live().join(place.name()));
    for version in stack::cluster_versions(&applied.loaded.settings) {
        let (Some(disk), Some(live)) = (disk, &live) else { break };
        let Ok(within) = version.as_path().strip_prefix(live.as_path()) else { continue };
        let path = host.root.join(disk.shot(&manifest.id, place).as_path()).join(within);
        let text = files::read(&path).map_err(|error| failed("look at the snapshot's database", error))?;
        if let Some(major) = text.and_then(|text| text.parse().ok()) {
            return Ok(major);
        }
    }
    let why = "holds no database whose version is known";
    Err(refused(Refusal::new(what(&manifest.id), why, "take another one: photos-agent snapshot list")))
}

/// Whether what runs now may open a database of then.
fn check_kept(
    host: &Host,
    applied: &Applied,
    manifest: &Manifest,
    cluster: Option<PostgresMajor>,
) -> Result<(), ApplyError> {
    let remedy = format!("let the images go back with the data: photos-agent restore {}", manifest.id);
    let now = &applied.desired.runs.release;
    let catalogue = &applied.loaded.settings.catalogue;
    if !manifest.release.parse::<Release>().is_ok_and(|then| may_open(catalogue, &then, now)) {
        let why = format!("cannot be kept: Immich {now} opens no database of {}, as far as is known", manifest.release);
        return Err(refused(Refusal::new("the images", why, remedy)));
    }
    let live = stack::cluster_versions(&applied.loaded.settings)
        .into_iter()
        .find_map(|path| files::read(&host.root.join(path.as_path())).ok().flatten()?.parse::<PostgresMajor>().ok());
    if let (Some(live), Some(then)) = (live, cluster)
        && live != then
    {
        let why = format!("cannot be kept: PostgreSQL {live} runs now, and the snapshot's database is of {then}");
        return Err(refused(Refusal::new("the images", why, remedy)));
    }
    Ok(())
}

/// The configuration of the moment.
fn configuration(manifest: &Manifest, snapshots: &Snapshots) -> Result<Loaded, ApplyError> {
    let refuse = |why: String| {
        let remedy =
            format!("keep what runs now, where that may be: photos-agent restore {} --keep-images", manifest.id);
        refused(Refusal::new(what(&manifest.id), why, remedy))
    };
    let own = |path: &&String| OWN.iter().any(|folder| std::path::Path::new(path).starts_with(folder));
    let mut config = BTreeMap::new();
    for path in manifest.texts.keys().filter(|path| !own(path)) {
        let Some(text) = snapshots.text(manifest, path)? else {
            return Err(refuse(format!("has no configuration any more: {path} of it is missing or damaged")));
        };
        config.insert(path.clone(), text);
    }
    apply::understand(config).map_err(|mistakes| {
        refuse(format!("has a configuration that this photos-agent does not understand:\n{mistakes}"))
    })
}

/// What ran at the moment.
fn in_force(
    host: &Host,
    then: &Loaded,
    manifest: &Manifest,
    cluster: Option<PostgresMajor>,
) -> Result<InForce, ApplyError> {
    match manifest.release.parse() {
        Ok(release) if !manifest.written.is_empty() => Ok(InForce { release, written: manifest.written.clone() }),
        _ => apply::wished(host, then, cluster),
    }
}

/// The digests of the moment, by the images as they are written.
fn locked(in_force: &InForce, manifest: &Manifest) -> BTreeMap<ImageRef, Digest> {
    let digest = |service: Service| {
        let image = in_force.written.get(&service.component()).filter(|image| image.digest().is_none())?;
        Some((image.clone(), manifest.images.get(&service)?.digest()?.clone()))
    };
    Service::ALL.into_iter().filter_map(digest).collect()
}

/// What would stop the restore half-way, or the start after it.
fn refuse_what_cannot_run(survey: &Survey, back: &BTreeSet<Subvolume>) -> Result<(), ApplyError> {
    if let Err(silent) = &survey.observed.podman {
        let why = format!("cannot be asked: {}", silent.0);
        return Err(refused(Refusal::new("Podman", why, "systemctl enable --now podman.socket")));
    }
    // What is gone and goes back is what this is for.
    let lost = |refusal: &&Refusal| {
        survey.desired.subvolumes.iter().any(|place| {
            let is_absent = matches!(survey.observed.places.get(&place.path), Some(Ok(PlaceState::Absent { .. })));
            place.path.as_str() == refusal.what && back.contains(&place.subvolume) && is_absent
        })
    };
    // Nor does a card that is not there any more stand in the way of a database.
    let unfit = |refusal: &&Refusal| survey.desired.unfit.contains(refusal);
    let refusals = survey.plan.refusals.iter().filter(|refusal| !lost(refusal) && !unfit(refusal));
    let refusals: Vec<Refusal> = refusals.cloned().collect();
    if !refusals.is_empty() {
        return Err(ApplyError::Refused(refusals));
    }
    Ok(())
}

fn check_places_and_images(applied: &Applied, manifest: &Manifest, survey: &Survey) -> Result<(), ApplyError> {
    if survey.desired.disks != applied.desired.disks {
        let why =
            "was taken when storage.root or storage.databases named another folder, and so does its configuration";
        let remedy =
            format!("keep the configuration, where that may be: photos-agent restore {} --keep-images", manifest.id);
        return Err(refused(Refusal::new(what(&manifest.id), why, remedy)));
    }
    for service in &survey.desired.services {
        if manifest.images.get(&service.service) != Some(&service.image) {
            let why = format!(
                "does not say which image {} ran, or its configuration names another one",
                service.service.stem()
            );
            let remedy =
                format!("keep the images, where that may be: photos-agent restore {} --keep-images", manifest.id);
            return Err(refused(Refusal::new(what(&manifest.id), why, remedy)));
        }
    }
    Ok(())
}
