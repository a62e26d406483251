//! `upgrade --check`: everything that is known and decided before an upgrade starts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::Running;
use super::images::{self, ImageChange};
use super::offers::{Heard, is_stored};
use super::space::{self, Needs};
use crate::apply::ApplyError;
use crate::config::{Loaded, Settings};
use crate::host::Host;
use crate::model::{Component, ImageRef, Quarantined, Refusal, Release};
use crate::observe::facts;
use crate::plan::upgrade::{Answer, Hop, Question, Wish, decide, estimate};
use crate::record::quarantine;
use crate::stack::{self, Facts};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    /// A release by name.
    pub to: Option<Release>,
    /// Whether one is taken that has just come out.
    pub at_once: bool,
}

/// One upgrade of the way, and the images that it brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Where to, and why.
    #[serde(flatten)]
    pub hop: Hop,
    /// By service.
    pub images: Vec<ImageChange>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What runs.
    pub runs: Release,
    /// The newest release of the catalogue that nothing speaks against.
    pub newest: Option<Release>,
    /// When it came out.
    pub published: Option<jiff::civil::Date>,
    /// What the registry says.
    pub registry: Heard,
    /// The upgrades, one after the other, each with its own snapshot; empty: there is none, or it is refused.
    pub path: Vec<Stage>,
    /// What they take.
    pub space: Option<Needs>,
    /// Why nothing may be done.
    pub refusals: Vec<Refusal>,
    /// What may go wrong, and what to do about it.
    pub concerns: Vec<Refusal>,
    /// What did not come up here.
    pub quarantine: Vec<Quarantined>,
    /// What a person may want to know.
    pub notes: Vec<String>,
}

/// Looks, and writes nothing.
pub async fn check(host: &Host, loaded: &Loaded, order: &Order) -> Result<Check, ApplyError> {
    let mut running = Running::read(&host.root)?;
    let facts = facts(&host.root, &loaded.settings)?;
    let settings = &stack::within_major(&loaded.settings, &facts);
    if let Some(runs) = &facts.in_force {
        running.release = runs.release.clone();
    }
    let survey = Survey {
        host,
        settings,
        wish: wish(loaded, order),
        database: facts.in_force.as_ref().and_then(|runs| runs.written.get(&Component::Postgres).cloned()),
        quarantine: quarantine(&host.root)?,
        running,
        facts,
        at_once: order.at_once,
        now: Timestamp::now(),
    };
    let mut heard = Heard::default();
    heard.look_beyond(host, &settings.catalogue).await;
    let (answer, path) = survey.way(&mut heard).await?;
    let Answer { mut refusals, mut notes, .. } = answer;
    notes.extend(told(&heard));
    let (mut space, mut concerns) = (None, Vec::new());
    if !path.is_empty() {
        let needs = space::measure(host, settings, survey.pulled(&path).await).await;
        concerns.extend(needs.concerns());
        space = Some(needs);
        let desired = stack::desire(settings, &survey.facts);
        let full = space::refuse_full(host, &desired.map(|desired| desired.disks).unwrap_or_default())?;
        refusals.extend(full);
    }
    let newest = settings.catalogue.newest();
    Ok(Check {
        runs: survey.running.release,
        newest: newest.map(|newest| newest.release.clone()),
        published: newest.map(|newest| newest.published),
        registry: heard,
        path: if refusals.is_empty() { path } else { Vec::new() },
        space,
        refusals,
        concerns,
        quarantine: survey.quarantine,
        notes,
    })
}

fn wish(loaded: &Loaded, order: &Order) -> Wish {
    match &order.to {
        Some(release) => Wish::To(release.clone()),
        None if loaded.origins.is_written("immich.version") => Wish::Written(loaded.settings.immich.version.clone()),
        None => Wish::Newest,
    }
}

/// What the registry's answers mean for a person.
fn told(heard: &Heard) -> Vec<String> {
    let silent = heard
        .silent
        .iter()
        .map(|why| format!("the registry could not be asked, so that only the catalogue is known: {why}"));
    let beyond = heard.beyond.iter().map(|release| {
        format!(
            "the registry has {release}, which this catalogue does not know: update photos-agent, or add it in \
             /etc/photos-agent/config.d/NAME.catalogue.toml (photos-agent-config(5), RELEASES)"
        )
    });
    silent.chain(beyond).collect()
}

/// What is known of host and wish.
struct Survey<'a> {
    host: &'a Host,
    settings: &'a Settings,
    running: Running,
    facts: Facts,
    wish: Wish,
    database: Option<ImageRef>,
    quarantine: Vec<Quarantined>,
    at_once: bool,
    now: Timestamp,
}

impl Survey<'_> {
    /// The way, once the registry was asked for what lies on it. A release that it lacks is gone round, if it was not named.
    async fn way(&self, heard: &mut Heard) -> Result<(Answer, Vec<Stage>), ApplyError> {
        let refused = |refusal| ApplyError::Refused(vec![refusal]);
        let same = images::of_release(self.settings, &self.facts, &self.running.release, &self.running);
        // A release that only its own images could tell is asked for by name, and has other ones.
        let other_images = same.is_ok_and(|images| images.iter().any(|image| image.changes));
        let mut missing = BTreeMap::new();
        loop {
            let answer = decide(&self.question(&missing, other_images));
            let stage = |hop: &Hop| {
                let images = images::of_release(self.settings, &self.facts, &hop.release, &self.running)?;
                Ok(Stage { hop: hop.clone(), images })
            };
            let path: Vec<Stage> = answer.path.iter().map(stage).collect::<Result<_, _>>().map_err(refused)?;
            heard.ask(self.host, self.to_ask(&path, heard).await).await;
            let lack = |stage: &Stage| {
                let image = stage.images.iter().map(|image| &image.then).find(|image| heard.missing.contains(*image));
                Some((stage.hop.release.clone(), image?.clone()))
            };
            let before = missing.len();
            missing.extend(path.iter().filter_map(lack));
            // Each round takes one more out of the catalogue.
            if missing.len() == before {
                return Ok((answer, path));
            }
        }
    }

    fn question<'a>(&'a self, missing: &'a BTreeMap<Release, ImageRef>, other_images: bool) -> Question<'a> {
        Question {
            runs: &self.running.release,
            catalogue: &self.settings.catalogue,
            wish: self.wish.clone(),
            images: &self.settings.images,
            other_images,
            missing,
            quarantined: &self.quarantine,
            cluster: self.facts.cluster,
            database: self.database.as_ref(),
            now: self.now,
            min_age: self.settings.upgrade.min_age.length(),
            at_once: self.at_once,
        }
    }

    /// The images of the way that are neither in Podman's store nor asked for. One that does not answer is not asked again.
    async fn to_ask(&self, path: &[Stage], heard: &Heard) -> BTreeSet<ImageRef> {
        let mut images = BTreeSet::new();
        if heard.silent.is_some() {
            return images;
        }
        for image in path.iter().flat_map(|stage| &stage.images).map(|image| &image.then) {
            if !heard.knows(image) && !is_stored(self.host, image, &self.facts.lock).await {
                images.insert(image.clone());
            }
        }
        images
    }

    /// What the images take that have to be pulled, about.
    async fn pulled(&self, path: &[Stage]) -> u64 {
        let all = path.iter().flat_map(|stage| &stage.images);
        let images: BTreeMap<&ImageRef, Component> =
            all.map(|image| (&image.then, image.service.component())).collect();
        let mut sum = 0;
        for (image, component) in images {
            if !is_stored(self.host, image, &self.facts.lock).await {
                sum += estimate(component, image);
            }
        }
        sum
    }
}
