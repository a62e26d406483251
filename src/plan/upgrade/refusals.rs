//! What speaks against a release, in words.

use jiff::Timestamp;

use super::images::key;
use super::path::Gap;
use super::{Obstacle, Wish};
use crate::catalogue::{Catalogue, Entry};
use crate::model::{Component, ImageRef, Refusal, Release};

/// How a release gets into the catalogue.
const CATALOGUE: &str = "update photos-agent, or add it in /etc/photos-agent/config.d/NAME.catalogue.toml \
                         (photos-agent-config(5), RELEASES)";

pub(super) fn older(wish: &Wish, release: &Release, runs: &Release) -> Refusal {
    let why = format!("is older than {runs}, which runs, and migrations of the database go forward only");
    match wish {
        Wish::Written(_) => Refusal::new(
            "immich.version",
            format!("names {release}, which {why}"),
            format!("set it to {runs} or remove the line; to go back, database included: photos-agent rollback"),
        ),
        _ => Refusal::new(format!("Immich {release}"), why, "photos-agent rollback"),
    }
}

pub(super) fn unknown(release: &Release, catalogue: &Catalogue) -> Refusal {
    let known = catalogue.names().join(", ");
    Refusal::new(format!("Immich {release}"), format!("is not known; known are {known}"), CATALOGUE)
}

/// The refusal of a release that was named. `entry` is the catalogue's.
pub(super) fn refusal(release: &Release, entry: Option<&Entry>, obstacle: &Obstacle<'_>) -> Option<Refusal> {
    let what = format!("Immich {release}");
    Some(match obstacle {
        Obstacle::Avoid(why) => Refusal::new(
            what,
            format!("should not be taken: {why}"),
            "take another one: photos-agent upgrade --check names the newest",
        ),
        Obstacle::Quarantined(quarantined) => Refusal::new(
            what,
            format!("was tried on {}, and is in quarantine: {}", day(quarantined.since), quarantined.why),
            format!("to try it again: photos-agent upgrade --to {release}"),
        ),
        Obstacle::Missing(image) => Refusal::new(
            what,
            format!("needs {image}, which the registry does not have"),
            "take another release: without a name, the newest is taken that the registry has",
        ),
        Obstacle::Young(ready) => Refusal::new(
            what,
            format!("{}, and hot-fixes follow a release within days", young(entry, *ready)),
            format!("wait until then, or at once: photos-agent upgrade --to {release} --now"),
        ),
        Obstacle::Early => return None,
    })
}

/// The refusal of an image that the operator names, and the registry does not have.
pub(super) fn missing_by_name(component: Component, image: &ImageRef) -> Refusal {
    let why = format!("names {image}, which the registry does not have");
    Refusal::new(key(component), why, "name one that it has, or remove the line")
}

/// What is said of a newer release that was passed over.
pub(super) fn note(entry: &Entry, obstacle: &Obstacle<'_>) -> Option<String> {
    let release = &entry.release;
    Some(match obstacle {
        Obstacle::Avoid(why) => format!("{release} is passed over: {why}"),
        Obstacle::Quarantined(quarantined) => format!(
            "{release} is in quarantine since {}: {}; to try it again: photos-agent upgrade --to {release}",
            day(quarantined.since),
            quarantined.why
        ),
        Obstacle::Missing(image) => format!("{release} is passed over: the registry has no {image}"),
        Obstacle::Young(ready) => {
            format!("{release} {}; at once: photos-agent upgrade --now", young(Some(entry), *ready))
        }
        Obstacle::Early => return None,
    })
}

fn young(entry: Option<&Entry>, ready: Timestamp) -> String {
    let published = entry.map_or_else(String::new, |entry| format!("came out on {} and ", entry.published));
    let moment = ready.strftime("%Y-%m-%d %H:%M");
    format!("{published}is old enough (upgrade.min_age) from {moment} UTC on")
}

fn day(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d").to_string()
}

pub(super) fn gap(runs: &Release, release: &Release, gap: &Gap) -> Refusal {
    let what = format!("the way from {runs} to {release}");
    let (why, missing) = match gap {
        Gap::Gate { release, from } => (
            format!(
                "{release} has to be entered from {from} or newer, and no such release can be reached from what runs"
            ),
            format!("one from {from} on, older than {release}"),
        ),
        Gap::Majors { from, to } => (
            format!("it goes from v{from} to v{to}, and majors are gone through one by one"),
            format!("a release of v{}", from + 1),
        ),
    };
    Refusal::new(what, why, format!("the stone that is missing is {missing}: {CATALOGUE}"))
}
