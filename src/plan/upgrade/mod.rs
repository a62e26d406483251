//! Which releases an upgrade goes through, or why it does not: from what runs, what is known, and what is wished for.
//!
//! Each hop is an upgrade of its own, with its own snapshot and its own gate. Nothing here looks at the host.

mod images;
mod major;
mod path;
mod refusals;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Serialize;

use crate::catalogue::{Catalogue, Entry};
use crate::model::{Component, ImageRef, PostgresMajor, Quarantined, Refusal, Release};

pub use images::{estimate, refuse_extension};
pub use major::{MajorQuestion, to_major};
use path::Node;

/// What is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A release that was named on the command line.
    To(Release),
    /// The one that the files name.
    Written(Release),
    /// The newest that is old enough.
    Newest,
}

/// All that has to be known.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// What runs.
    pub runs: &'a Release,
    /// The releases that are known.
    pub catalogue: &'a Catalogue,
    /// What is wished for.
    pub wish: Wish,
    /// `[images]`: what the operator names in place of the catalogue's.
    pub images: &'a BTreeMap<Component, ImageRef>,
    /// Whether the images of the same release are to be others than those that run.
    pub other_images: bool,
    /// Releases with an image that the registry does not have, and which.
    pub missing: &'a BTreeMap<Release, ImageRef>,
    /// What did not come up here.
    pub quarantined: &'a [Quarantined],
    /// The major version of the cluster on disk.
    pub cluster: Option<PostgresMajor>,
    /// The image of the database that runs, as it was written.
    pub database: Option<&'a ImageRef>,
    /// Now.
    pub now: Timestamp,
    /// How long a release has to be out.
    pub min_age: Duration,
    /// Whether that does not matter.
    pub at_once: bool,
}

/// One upgrade of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// To this release.
    pub release: Release,
    /// When it came out; none for one that only the operator knows.
    pub published: Option<Date>,
    /// Why to this one.
    pub because: Because,
}

/// Why a hop is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// It is the newest that is old enough.
    Newest,
    /// It was named on the command line.
    Asked,
    /// `immich.version` names it.
    Written,
    /// What comes after it is entered from `from` on only.
    Gate {
        /// What comes after it.
        release: Release,
        /// The oldest from which that may be entered.
        from: Release,
    },
    /// It is the last of its major version, and majors are gone through one by one.
    LastOf {
        /// The major version.
        major: u64,
    },
    /// It runs already, with other images than the files name.
    Images,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest that is old enough"),
            Self::Asked => f.write_str("asked for"),
            Self::Written => f.write_str("immich.version names it"),
            Self::Gate { release, from } => write!(f, "{release} has to be entered from {from} or newer"),
            Self::LastOf { major } => write!(f, "the last of v{major}: majors are gone through one by one"),
            Self::Images => f.write_str("it runs already, with other images than are wanted"),
        }
    }
}

/// The path, or why there is none. Where neither is there, nothing is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Answer {
    /// The releases to go through, in their order.
    pub path: Vec<Hop>,
    /// Why nothing may be done; empty, or the path is.
    pub refusals: Vec<Refusal>,
    /// What a person may want to know of it.
    pub notes: Vec<String>,
}

impl Answer {
    fn refused(refusals: Vec<Refusal>) -> Self {
        Self { refusals, ..Self::default() }
    }
}

/// What speaks against a release.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Obstacle<'a> {
    /// The catalogue's own words.
    Avoid(&'a str),
    Quarantined(&'a Quarantined),
    /// The registry lacks an image of it.
    Missing(&'a ImageRef),
    /// It is too young until then.
    Young(Timestamp),
    /// A release candidate.
    Early,
}

/// Decides.
pub fn decide(question: &Question<'_>) -> Answer {
    let mut answer = match &question.wish {
        Wish::To(release) | Wish::Written(release) => question.named(release),
        Wish::Newest => question.newest(),
    };
    let (mut refusals, notes) = question.unfit(&answer.path);
    if !refusals.is_empty() {
        answer.path.clear();
    }
    answer.refusals.append(&mut refusals);
    answer.notes.extend(notes);
    answer
}

/// When a release is old enough, counted from the beginning of the day on which it came out, in UTC.
pub fn ready(published: Date, min_age: Duration) -> Option<Timestamp> {
    let day = Offset::UTC.to_timestamp(published.at(0, 0, 0, 0)).ok()?;
    day.checked_add(min_age).ok()
}

impl<'a> Question<'a> {
    /// The path to a release that was named.
    fn named(&self, release: &Release) -> Answer {
        if release == self.runs {
            return self.same(release);
        }
        if release < self.runs {
            return Answer::refused(vec![refusals::older(&self.wish, release, self.runs)]);
        }
        let known = self.catalogue.find(release);
        let of_operator = [Component::Server, Component::Ml].iter().all(|name| self.images.contains_key(name));
        // What the operator alone knows is taken for one like the release before it.
        let Some(entry) = known.or_else(|| self.catalogue.nearest(release).filter(|_| of_operator)) else {
            return Answer::refused(vec![refusals::unknown(release, self.catalogue)]);
        };
        let obstacle = known.and_then(|entry| self.obstacle(entry)).filter(|obstacle| match obstacle {
            Obstacle::Early => false,
            Obstacle::Quarantined(_) => !matches!(self.wish, Wish::To(_)),
            _ => true,
        });
        let mut refused: Vec<Refusal> =
            obstacle.and_then(|obstacle| refusals::refusal(release, known, &obstacle)).into_iter().collect();
        let target = Node { release: release.clone(), from: entry.from.clone().filter(|from| from < release) };
        match path::path(self.runs, &target, &self.stones()) {
            Ok(path) if refused.is_empty() => {
                let because = if matches!(self.wish, Wish::To(_)) { Because::Asked } else { Because::Written };
                let is_written = matches!(self.wish, Wish::Written(_));
                let notes = if is_written { self.newer_than(release) } else { Vec::new() };
                Answer { path: self.hops(path, &because), refusals: Vec::new(), notes }
            }
            Ok(_) => Answer::refused(refused),
            Err(gap) => {
                refused.push(refusals::gap(self.runs, release, &gap));
                Answer::refused(refused)
            }
        }
    }

    /// It runs already; but with other images, perhaps.
    fn same(&self, release: &Release) -> Answer {
        let published = self.catalogue.find(release).map(|entry| entry.published);
        let hop = Hop { release: release.clone(), published, because: Because::Images };
        if let Some(image) = self.missing.get(release).filter(|_| self.other_images) {
            let refusal = refusals::refusal(release, self.catalogue.find(release), &Obstacle::Missing(image));
            return Answer::refused(refusal.into_iter().collect());
        }
        let path = if self.other_images { vec![hop] } else { Vec::new() };
        let notes = if matches!(self.wish, Wish::Written(_)) { self.newer_than(release) } else { Vec::new() };
        Answer { path, refusals: Vec::new(), notes }
    }

    /// The path to the newest release that can be had.
    fn newest(&self) -> Answer {
        let stones = self.stones();
        let (mut notes, mut unreached) = (Vec::new(), Vec::new());
        for entry in self.catalogue.releases().iter().filter(|entry| entry.release > *self.runs) {
            if let Some(obstacle) = self.obstacle(entry) {
                if let Some(refusal) = self.missing_by_name(&obstacle) {
                    return Answer::refused(vec![refusal]);
                }
                notes.extend(refusals::note(entry, &obstacle));
                continue;
            }
            match path::path(self.runs, &Node::of(entry), &stones) {
                Ok(path) => {
                    notes.extend(unreached.iter().map(|refusal: &Refusal| format!("{refusal}; {}", refusal.remedy)));
                    return Answer { path: self.hops(path, &Because::Newest), refusals: Vec::new(), notes };
                }
                Err(gap) => unreached.push(refusals::gap(self.runs, &entry.release, &gap)),
            }
        }
        if unreached.is_empty() {
            return Answer { notes, ..self.same(self.runs) };
        }
        unreached.truncate(1);
        Answer { path: Vec::new(), refusals: unreached, notes }
    }

    /// An image that the operator names is missing: no other release would have it.
    fn missing_by_name(&self, obstacle: &Obstacle<'_>) -> Option<Refusal> {
        let Obstacle::Missing(image) = obstacle else { return None };
        let (component, _) = self.images.iter().find(|(_, named)| named == image)?;
        Some(refusals::missing_by_name(*component, image))
    }

    /// What may be stepped on along the way.
    fn stones(&self) -> Vec<Node> {
        let entries = self.catalogue.releases().iter().rev();
        entries.filter(|entry| entry.release > *self.runs && self.obstacle(entry).is_none()).map(Node::of).collect()
    }

    fn obstacle(&self, entry: &'a Entry) -> Option<Obstacle<'a>> {
        let of_it = |quarantined: &&Quarantined| quarantined.release == entry.release;
        if let Some(why) = &entry.avoid {
            return Some(Obstacle::Avoid(why));
        }
        if let Some(image) = self.missing.get(&entry.release) {
            return Some(Obstacle::Missing(image));
        }
        if let Some(quarantined) = self.quarantined.iter().find(of_it) {
            return Some(Obstacle::Quarantined(quarantined));
        }
        // A day that no clock will see is never over.
        let ready = ready(entry.published, self.min_age).unwrap_or(Timestamp::MAX);
        if !self.at_once && ready > self.now {
            return Some(Obstacle::Young(ready));
        }
        entry.release.is_early().then_some(Obstacle::Early)
    }

    fn hops(&self, path: Vec<path::Step>, last: &Because) -> Vec<Hop> {
        let end = path.len().saturating_sub(1);
        let hop = |(at, step): (usize, path::Step)| Hop {
            published: self.catalogue.find(&step.release).map(|entry| entry.published),
            release: step.release,
            because: if at == end { last.clone() } else { step.because },
        };
        path.into_iter().enumerate().map(hop).collect()
    }

    /// That there is something newer than what was named.
    fn newer_than(&self, release: &Release) -> Vec<String> {
        let newest = self.catalogue.newest().filter(|newest| newest.release > *release);
        newest.map(|newest| format!("{} is known, and is newer than {release}", newest.release)).into_iter().collect()
    }

    /// What does not fit along the way: images that the operator names, and the database.
    fn unfit(&self, path: &[Hop]) -> (Vec<Refusal>, Vec<String>) {
        let (mut refused, mut notes) = (Vec::new(), Vec::new());
        let mut database = self.database.cloned();
        for hop in path {
            for component in [Component::Server, Component::Ml] {
                let said = refused.iter().any(|refusal: &Refusal| refusal.what == images::key(component));
                let Some(image) = self.images.get(&component).filter(|_| !said) else { continue };
                match images::fits(component, image, &hop.release) {
                    Ok(note) => notes.extend(note),
                    Err(refusal) => refused.push(refusal),
                }
            }
            let Some(entry) = self.catalogue.nearest(&hop.release) else { continue };
            refused.extend(images::refuse_major(entry, &hop.release, self.cluster, self.images));
            let cluster = self.cluster.and_then(|major| entry.postgres.get(&major));
            if let Some(next) = self.images.get(&Component::Postgres).or(cluster) {
                refused.extend(images::refuse_database(entry, &hop.release, database.as_ref(), next));
                database = Some(next.clone());
            }
        }
        refused.dedup();
        notes.dedup();
        (refused, notes)
    }
}
