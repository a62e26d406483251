//! Whether images belong together: server and machine learning of one release, the database of one that both sides take.

use std::collections::BTreeMap;

use crate::catalogue::Entry;
use crate::model::{Bounds, Component, ImageRef, PostgresMajor, Refusal, Release};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// How much an image takes in Podman's store, about: nobody tells before it is pulled.
pub fn estimate(component: Component, image: &ImageRef) -> u64 {
    let variant = |name: &str| image.tag().is_some_and(|tag| tag.contains(name));
    match component {
        Component::Ml if variant("rocm") => 35 * GIB,
        Component::Ml if variant("cuda") => 6 * GIB,
        Component::Server | Component::Ml => 3 * GIB,
        Component::Postgres => GIB,
        Component::Redis | Component::Icloudpd => 256 * MIB,
    }
}

/// The key under which the operator names an image.
pub(super) fn key(component: Component) -> String {
    format!("images.{}", component.key())
}

/// Whether an image that the operator names is of this release; a note where its tag does not say.
pub(super) fn fits(component: Component, image: &ImageRef, release: &Release) -> Result<Option<String>, Refusal> {
    let key = key(component);
    let Some(tag) = image.tag() else {
        let why = "names an image by its digest alone, and nobody can tell of which release that is";
        let remedy = format!("write the tag before the digest (...:{release}@sha256:...), or remove the line");
        return Err(Refusal::new(key, why, remedy));
    };
    if release.is_of(tag) {
        return Ok(None);
    }
    if let Some((_, variant)) = release_of(tag) {
        let why = format!(
            "names {image}, which is not of {release}: server and machine learning have to be of the release that is \
             put in force"
        );
        let remedy =
            format!("let its tag be {release}{variant}, or remove the line; then: photos-agent upgrade --to {release}");
        return Err(Refusal::new(key, why, remedy));
    }
    if is_moving(tag) {
        let why = format!("names {image}, whose tag moves from release to release");
        return Err(Refusal::new(key, why, format!("let its tag be {release}, or remove the line")));
    }
    Ok(Some(format!(
        "{key}: nobody can tell from {image} whether it is of {release}; a wrong one is undone by the gate"
    )))
}

/// The release that a tag begins with, and what follows it.
fn release_of(tag: &str) -> Option<(Release, &str)> {
    let end = tag.find('-').unwrap_or(tag.len());
    let (release, variant) = tag.split_at_checked(end)?;
    Some((release.parse().ok()?, variant))
}

/// Immich's tags that are no release: `release`, `v3`, `main`, and those of everybody.
fn is_moving(tag: &str) -> bool {
    let first = tag.split('-').next().unwrap_or_default();
    let is_major = first.strip_prefix('v').is_some_and(|rest| rest.split('.').all(|part| part.parse::<u64>().is_ok()));
    is_major || ["release", "latest", "main", "stable"].contains(&first)
}

/// Refuses a cluster that the server of `release` does not take, or that there is no image for.
pub(super) fn refuse_major(
    entry: &Entry,
    release: &Release,
    cluster: Option<PostgresMajor>,
    images: &BTreeMap<Component, ImageRef>,
) -> Option<Refusal> {
    let cluster = cluster?;
    let accepted = &entry.accepts.postgres;
    let why = if accepted.take(&cluster.to_string()) == Some(false) {
        format!("the cluster on disk is of this version, and Immich {release} takes {accepted}")
    } else if !entry.postgres.contains_key(&cluster) && !images.contains_key(&Component::Postgres) {
        let majors: Vec<String> = entry.postgres.keys().map(ToString::to_string).collect();
        format!("the cluster on disk is of this version, and {release} has images for {} only", majors.join(", "))
    } else {
        return None;
    };
    let newer = entry
        .postgres
        .keys()
        .filter(|major| **major > cluster && accepted.take(&major.to_string()) != Some(false))
        .max();
    let remedy = match newer {
        Some(major) => format!("move the database to a newer one first: photos-agent upgrade --postgres {major}"),
        None => {
            "stay with the release that runs, until there is one that takes it: photos-agent upgrade --check".to_owned()
        }
    };
    Some(Refusal::new(format!("PostgreSQL {cluster}"), why, remedy))
}

/// Refuses an image of the database with extensions that the server does not take, or older than those that run.
pub(super) fn refuse_database(
    entry: &Entry,
    release: &Release,
    now: Option<&ImageRef>,
    next: &ImageRef,
) -> Vec<Refusal> {
    let running = now.map(extensions).unwrap_or_default();
    let refuse = |(name, version): (&'static str, &str)| {
        let older = running.get(name).filter(|running| is_older(version, running));
        let backwards = older.map(|running| {
            let why = format!(
                "has {name} {version}, and {running} runs: an extension that the database has used does not go back"
            );
            Refusal::new(next.to_string(), why, "name one that is as new: `postgres = \"...\"` in [images]")
        });
        backwards.or_else(|| refuse_extension(entry, release, name, version))
    };
    extensions(next).into_iter().filter_map(refuse).collect()
}

/// Refuses an extension of a version that the server of `release` does not take: by the name that the database has for
/// it (`vchord`, `vector`) or by that of its project.
pub fn refuse_extension(entry: &Entry, release: &Release, name: &str, version: &str) -> Option<Refusal> {
    let bounds: &Bounds = match name {
        "vchord" | "vectorchord" => &entry.accepts.vectorchord,
        "vector" | "pgvector" => &entry.accepts.pgvector,
        _ => return None,
    };
    let why = format!("Immich {release} takes {bounds}");
    let remedy = "name an image of the database that has such a one: `postgres = \"...\"` in [images]";
    (bounds.take(version) == Some(false)).then(|| Refusal::new(format!("{name} {version}"), why, remedy))
}

/// The extensions that the tag of a database image names: `17-vectorchord1.1.1-pgvector0.8.5`.
fn extensions(image: &ImageRef) -> BTreeMap<&'static str, &str> {
    let parts = image.tag().unwrap_or_default().split('-');
    let read = |part| ["vectorchord", "pgvector"].into_iter().find_map(|name| Some((name, version_of(part, name)?)));
    parts.filter_map(read).collect()
}

fn version_of<'a>(part: &'a str, name: &str) -> Option<&'a str> {
    // `pgvectors0.2.0` is another one.
    part.strip_prefix(name).filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>();
    matches!((numbers(version), numbers(than)), (Some(version), Some(than)) if version < than)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_of_which_release_an_image_is() {
        let release: Release = "v3.2.2".parse().unwrap();
        let digest = format!("sha256:{}", "a".repeat(64));
        let said = |image: &str| match fits(Component::Ml, &image.parse().unwrap(), &release) {
            Ok(None) => String::new(),
            Ok(Some(note)) => note,
            Err(refusal) => format!("{refusal}; {}", refusal.remedy),
        };
        for (image, wanted) in [
            ("ghcr.io/a/b:v3.2.2", ""),
            ("ghcr.io/a/b:v3.2.2-rocm", ""),
            ("ghcr.io/a/b:v3.1.0-rocm", "let its tag be v3.2.2-rocm"),
            ("ghcr.io/a/b:v3.1.0", "let its tag be v3.2.2,"),
            ("ghcr.io/a/b:release", "whose tag moves"),
            ("ghcr.io/a/b:v3", "whose tag moves"),
            ("ghcr.io/a/b:mine", "nobody can tell"),
            (&format!("ghcr.io/a/b@{digest}"), "by its digest alone"),
            (&format!("ghcr.io/a/b:v3.2.2@{digest}"), ""),
        ] {
            let said = said(image);
            assert!(said.contains(wanted) && said.is_empty() == wanted.is_empty(), "{image}: {said}");
        }
    }

    #[test]
    fn the_tag_of_a_database_names_its_extensions() {
        let of = |tag: &str| {
            let image: ImageRef = format!("ghcr.io/immich-app/postgres:{tag}").parse().unwrap();
            extensions(&image).into_iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>()
        };
        assert_eq!(of("17-vectorchord1.1.1"), ["vectorchord 1.1.1"]);
        assert_eq!(of("14-vectorchord0.4.3-pgvectors0.2.0"), ["vectorchord 0.4.3"]);
        assert_eq!(of("18-vectorchord1.1.1-pgvector0.8.5"), ["pgvector 0.8.5", "vectorchord 1.1.1"]);
        assert!(of("mine").is_empty());
        assert!(is_older("0.9.9", "1.0") && is_older("0.9.9", "0.10.0") && !is_older("1.1.1", "1.1.1"));
    }

    #[test]
    fn the_largest_image_is_known() {
        let size = |component, tag: &str| estimate(component, &format!("ghcr.io/a/b:{tag}").parse().unwrap());
        assert_eq!(size(Component::Ml, "v3.2.2-rocm"), 35 * GIB);
        assert!(size(Component::Ml, "v3.2.2") < 5 * GIB && size(Component::Server, "v3.2.2-rocm") < 5 * GIB);
    }
}
