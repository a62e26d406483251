//! Which image each service runs: what is in force, or at first the catalogue's and the operator's; by digest once locked.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Facts, Refusal};
use crate::catalogue::Entry;
use crate::config::Settings;
use crate::hardware::{self, Choice, Image};
use crate::model::hardware::Variant;
use crate::model::{Component, Digest, ImageRef, InForce, PostgresMajor, Release, Service};

/// The images of all services, and the catalogue's entry that they belong to.
pub(super) struct Images<'a> {
    entry: &'a Entry,
    /// The cluster's major version, which decides where its data is mounted.
    pub(super) major: PostgresMajor,
    /// As they are written.
    pub(super) runs: InForce,
    /// What the settings say, where that is something else.
    pub(super) wish: Option<InForce>,
    /// What they say of another major version of the database.
    pub(super) other_major: Option<OtherMajor>,
    /// What machine learning and transcoding are given, and what is refused of it.
    pub(super) graphics: Choice,
}

/// A wish for another major version of the database than that of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherMajor {
    /// The key of the configuration.
    pub key: &'static str,
    /// What it says.
    pub wished: PostgresMajor,
    /// What runs.
    pub runs: PostgresMajor,
}

impl Images<'_> {
    /// What `service` runs.
    pub(super) fn run(&self, service: Service, lock: &BTreeMap<ImageRef, Digest>) -> ImageRef {
        let written = self.runs.written.get(&service.component()).unwrap_or(&self.entry.server);
        match written.digest().or_else(|| lock.get(written)) {
            Some(digest) => written.at(digest.clone()),
            None => written.clone(),
        }
    }

    /// The command that tells whether `service` is healthy.
    pub(super) fn health(&self, service: Service) -> &str {
        // The catalogue refuses an entry that lacks one.
        self.entry.health.get(&service).map_or("false", String::as_str)
    }
}

/// Chooses the images for these settings and the cluster on disk.
pub(super) fn choose<'a>(settings: &'a Settings, facts: &Facts) -> Result<Images<'a>, Refusal> {
    let wished = entry(settings).ok_or_else(|| unknown_release(settings));
    let Some(runs) = &facts.in_force else {
        let entry = wished?;
        let major = major(settings, facts, entry)?;
        let mut runs = wish(settings, entry, major)?;
        let graphics = accelerate(settings, facts, entry, &mut runs);
        return Ok(Images { entry, major, runs, wish: None, other_major: None, graphics });
    };
    // What runs goes on to run, whatever this catalogue knows of it.
    let entry = settings.catalogue.nearest(&runs.release).ok_or_else(|| unknown_release(settings))?;
    let other_major = other_major(settings, facts);
    let settings = &within_major(settings, facts);
    let major = match runs_major(facts) {
        Some(major) => major,
        None => major(settings, facts, entry)?,
    };
    let wish = wished.and_then(|entry| wish(settings, entry, major)).ok();
    let mut written = wish.as_ref().map(|wish| wish.written.clone()).unwrap_or_default();
    written.extend(runs.written.clone());
    let mut runs = InForce { release: runs.release.clone(), written };
    let graphics = accelerate(settings, facts, entry, &mut runs);
    let mut wish = wish;
    if let Some(wish) = &mut wish {
        take_variant(settings, wish, graphics.acceleration.learning.variant);
    }
    let wish = wish.filter(|wish| *wish != runs);
    Ok(Images { entry, major, runs, wish, other_major, graphics })
}

/// What machine learning computes with is of this host and not of the release: whatever is in force, it is decided anew, and the
/// release's image taken in the variant that belongs to it. An image that the operator names stays as it is.
fn accelerate(settings: &Settings, facts: &Facts, entry: &Entry, runs: &mut InForce) -> Choice {
    let graphics = &facts.graphics;
    let image = runs.written.get(&Component::Ml).unwrap_or(&entry.ml);
    let variant = variant_of(settings, runs, image);
    let image = if variant.is_some() {
        let is_pulled = |variant: &Variant| {
            let image = in_variant(image, &runs.release, *variant);
            image.is_some_and(|image| facts.lock.contains_key(&image))
        };
        Image::Release(Variant::ALL.into_iter().filter(is_pulled).collect())
    } else {
        // Where the lock is gone, what ran last is known by its digest alone.
        let last = || graphics.last.as_ref().map(|last| last.learning.variant);
        let is_named = settings.images.contains_key(&Component::Ml);
        Image::Named(named_variant(image, &runs.release).or_else(|| last().filter(|_| !is_named)))
    };
    let mut choice = hardware::choose(&settings.hardware, graphics, &image);
    let learning = &mut choice.acceleration.learning;
    match variant {
        // It is in force in this variant, which runs on the processor as well.
        Some(variant) if graphics.settles && variant != learning.variant => {
            (learning.variant, learning.given, learning.environment) = Default::default();
        }
        _ => take_variant(settings, runs, learning.variant),
    }
    choice
}

/// Takes the release's image of machine learning in this variant.
fn take_variant(settings: &Settings, runs: &mut InForce, variant: Variant) {
    let Some(image) = runs.written.get(&Component::Ml) else { return };
    if variant_of(settings, runs, image).is_some()
        && let Some(image) = in_variant(image, &runs.release, variant)
    {
        runs.written.insert(Component::Ml, image);
    }
}

fn in_variant(image: &ImageRef, release: &Release, variant: Variant) -> Option<ImageRef> {
    image.with_tag(&format!("{release}{}", variant.suffix()))
}

/// The variant of an image that is the release's own, which may be taken in another one.
fn variant_of(settings: &Settings, runs: &InForce, image: &ImageRef) -> Option<Variant> {
    let is_named = settings.images.contains_key(&Component::Ml) || image.digest().is_some();
    let variant = image.tag().and_then(|tag| Variant::of_tag(tag, &runs.release));
    variant.filter(|_| !is_named)
}

/// What can be told of one that the operator names.
fn named_variant(image: &ImageRef, release: &Release) -> Option<Variant> {
    let tag = image.tag()?;
    let ends = |variant: &Variant| !variant.suffix().is_empty() && tag.ends_with(variant.suffix());
    Variant::of_tag(tag, release).or_else(|| Variant::ALL.into_iter().find(ends))
}

/// The major version of what runs: the cluster's, or where there is none, that of its image.
fn runs_major(facts: &Facts) -> Option<PostgresMajor> {
    let runs = facts.in_force.as_ref()?;
    facts.cluster.or_else(|| runs.written.get(&Component::Postgres).and_then(major_of))
}

/// Which of the settings wishes for another major version than that which runs.
fn other_major(settings: &Settings, facts: &Facts) -> Option<OtherMajor> {
    let runs = runs_major(facts)?;
    let image = settings.images.get(&Component::Postgres).and_then(major_of);
    let wishes = [("postgres.major", settings.postgres.major), ("images.postgres", image)];
    let (key, major) =
        wishes.into_iter().find_map(|(key, major)| Some((key, major.filter(|major| *major != runs)?)))?;
    Some(OtherMajor { key, wished: major, runs })
}

/// The settings without what they wish of another major version of the database than that which runs: it is changed by an
/// operation of its own, and until then the image stays.
pub fn within_major(settings: &Settings, facts: &Facts) -> Settings {
    let mut settings = settings.clone();
    let (Some(runs), Some(in_force)) = (runs_major(facts), &facts.in_force) else { return settings };
    if settings.postgres.major.is_some_and(|major| major != runs) {
        settings.postgres.major = None;
    }
    let named = settings.images.get(&Component::Postgres).and_then(major_of);
    if named.is_some_and(|major| major != runs) {
        match in_force.written.get(&Component::Postgres) {
            Some(image) => drop(settings.images.insert(Component::Postgres, image.clone())),
            None => drop(settings.images.remove(&Component::Postgres)),
        }
    }
    settings
}

/// What the settings say.
fn wish(settings: &Settings, entry: &Entry, major: PostgresMajor) -> Result<InForce, Refusal> {
    let mut written = BTreeMap::from([
        (Component::Server, entry.server.clone()),
        (Component::Ml, entry.ml.clone()),
        (Component::Redis, entry.redis.clone()),
    ]);
    if let Some(image) = entry.postgres.get(&major) {
        written.insert(Component::Postgres, image.clone());
    }
    for component in Service::ALL.map(Service::component) {
        if let Some(image) = settings.images.get(&component) {
            written.insert(component, image.clone());
        }
    }
    if !written.contains_key(&Component::Postgres) {
        return Err(no_image(major, entry));
    }
    Ok(InForce { release: settings.immich.version.clone(), written })
}

/// The catalogue's entry. For a release that it lacks, whose server and machine learning the operator named, that of
/// the nearest release: the other images and the health commands seldom change from one release to the next.
fn entry(settings: &Settings) -> Option<&Entry> {
    let version = &settings.immich.version;
    let named = [Component::Server, Component::Ml].iter().all(|component| settings.images.contains_key(component));
    let catalogue = &settings.catalogue;
    catalogue.find(version).or_else(|| catalogue.nearest(version).filter(|_| named))
}

/// The major version: the cluster's on disk, else the operator's, else that of the operator's image, else the
/// catalogue's. Where two of them are known and differ, nothing would start, so it is refused.
fn major(settings: &Settings, facts: &Facts, entry: &Entry) -> Result<PostgresMajor, Refusal> {
    let written = settings.postgres.major;
    let image = settings.images.get(&Component::Postgres);
    let of_image = image.and_then(major_of);
    if let (Some(written), Some(cluster)) = (written, facts.cluster)
        && written != cluster
    {
        return Err(refuse_other_major("postgres.major", &written.to_string(), cluster));
    }
    let known = facts.cluster.or(written);
    if let (Some(image), Some(of_image), Some(known)) = (image, of_image, known)
        && of_image != known
    {
        return Err(match facts.cluster {
            Some(cluster) => refuse_other_major("images.postgres", &image.to_string(), cluster),
            None => Refusal::new(
                "images.postgres",
                format!("{image} is PostgreSQL {of_image}, but postgres.major is {known}."),
                "Let both name the same major version, or remove one of them.",
            ),
        });
    }
    Ok(known.or(of_image).unwrap_or(entry.default_major))
}

/// The major version that a tag begins with (`17-vectorchord1.1.1`), where it does.
pub fn major_of(image: &ImageRef) -> Option<PostgresMajor> {
    let tag = image.tag()?;
    let digits = tag.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn unknown_release(settings: &Settings) -> Refusal {
    let known = settings.catalogue.names();
    Refusal::new(
        "immich.version",
        format!("This photos-agent does not know Immich {}.", settings.immich.version),
        format!(
            "Set `version` in [immich] to one of {}, name its `server` and `ml` in [images], or upgrade photos-agent.",
            known.join(", ")
        ),
    )
}

fn refuse_other_major(what: &str, written: &str, cluster: PostgresMajor) -> Refusal {
    Refusal::new(
        what,
        format!(
            "It says {written}, but the cluster on disk is of PostgreSQL {cluster} (PG_VERSION), and a cluster is opened \
             by its own major version only."
        ),
        format!(
            "Remove `{what}` or let it name {cluster}. Once that runs, a newer major version is an operation of its own: \
             photos-agent upgrade --postgres MAJOR"
        ),
    )
}

fn no_image(major: PostgresMajor, entry: &Entry) -> Refusal {
    Refusal::new(
        "postgres.major",
        format!("Immich {} has no image with PostgreSQL {major} in the catalogue.", entry.release),
        "Name an image that has it: `postgres = \"...\"` in [images].",
    )
}
