//! Whether a library may be scanned: Immich trashes every file that it knows and does not see, so that an empty folder in
//! the place of the photographs costs the whole library.
//!
//! What was seen goes in, what stands in the way comes out. Some of it a person may override (`--force`), who has looked;
//! where the tree is provably another one, or nothing could be seen, nobody may.

use crate::model::{MaxMissing, SubvolumeUuid};
use crate::plan::{Plan, Step};
use crate::stack::own_scans_are_switched_off;

pub use super::obstacle::Obstacle;

/// How many paths are named as examples.
pub const EXAMPLES: usize = 3;

/// What was seen of a library.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Its import paths.
    pub trees: Vec<Tree>,
    /// Files that Immich knows and that lie in none of the import paths: a scan trashes them, too.
    pub outside: u64,
    /// Some of those, and of those that are missing.
    pub examples: Vec<String>,
    /// What the server itself was asked for.
    pub sample: Sample,
    /// Whether the queue of scans waits for a person.
    pub is_paused: bool,
}

/// Some of the files that are there, as the server sees them, which may be less than the agent sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// How many it was asked for.
    pub looked_for: u64,
    /// Those that are not there for it.
    pub unseen: u64,
    /// One of those.
    pub example: Option<String>,
}

impl Seen {
    /// Files that Immich knows and has not trashed.
    pub fn known(&self) -> u64 {
        self.trees.iter().fold(self.outside, |sum, tree| sum.saturating_add(tree.known))
    }

    /// Those of them that a scan trashes.
    pub fn missing(&self) -> u64 {
        self.trees.iter().fold(self.outside, |sum, tree| sum.saturating_add(tree.missing))
    }
}

/// An import path, as the server's container sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The path.
    pub path: String,
    /// Files in it that Immich knows and has not trashed.
    pub known: u64,
    /// Those of them that the server's container does not see.
    pub missing: u64,
    /// Why the server cannot read it, if it cannot.
    pub unreadable: Option<String>,
    /// Whether any file lies in it; none where the server cannot read it.
    pub holds_files: Option<bool>,
    /// What is known of the subvolume, where it is to lie on one of ours.
    pub subvolume: Option<Mounted>,
    /// The mark in it, where it is to have one.
    pub sentinel: Option<Sentinel>,
}

impl Tree {
    fn is_all_missing(&self) -> bool {
        self.known > 0 && self.missing >= self.known
    }
}

/// Which subvolume is where one of ours should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The live one, as the host sees it; none where there is no subvolume.
    pub live: Option<SubvolumeUuid>,
    /// What the server's container has.
    pub server: Option<SubvolumeUuid>,
    /// The one that was scanned last, if any was.
    pub last: Option<SubvolumeUuid>,
    /// Whether the live one was put in its place by a restore.
    pub is_restored: bool,
}

/// The mark in an account's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinel {
    /// What it should say.
    pub account: String,
    /// What it says; none where there is none.
    pub says: Option<String>,
}

/// What stands in the way; `force` is the word of a person who has looked.
pub fn obstacles(seen: &Seen, max_missing: MaxMissing, force: bool) -> Vec<Obstacle> {
    let mut found = Vec::new();
    if seen.trees.is_empty() {
        found.push(Obstacle::NoImportPath);
    }
    found.extend(seen.trees.iter().flat_map(of_tree));
    let (known, missing, allowed) = (seen.known(), seen.missing(), max_missing.of(seen.known()));
    let is_nothing_there = known > 0 && missing >= known;
    if is_nothing_there && !seen.trees.iter().any(|tree| tree.holds_files == Some(true)) {
        // Where it all lies in none of the import paths, none of them has said so.
        if !found.iter().any(|obstacle| matches!(obstacle, Obstacle::Empty { .. })) {
            let paths: Vec<&str> = seen.trees.iter().map(|tree| tree.path.as_str()).collect();
            found.push(Obstacle::Empty { path: paths.join(", "), known });
        }
    } else if missing > allowed {
        let examples = seen.examples.iter().take(EXAMPLES).cloned().collect();
        found.push(Obstacle::Missing { known, missing, allowed, examples });
    }
    if seen.sample.unseen > 0 {
        let Sample { looked_for, unseen, example } = seen.sample.clone();
        found.push(Obstacle::Unseen { looked_for, unseen, example: example.unwrap_or_default() });
    }
    if seen.is_paused {
        found.push(Obstacle::Paused);
    }
    found.retain(|obstacle| !(force && obstacle.yields()));
    found
}

fn of_tree(tree: &Tree) -> Vec<Obstacle> {
    let path = tree.path.clone();
    let mut found = Vec::new();
    if let Some(reason) = &tree.unreadable {
        found.push(Obstacle::Unreadable { path: path.clone(), reason: reason.clone() });
    }
    if let Some(Mounted { live, server, last, is_restored }) = &tree.subvolume {
        match live {
            None => found.push(Obstacle::NotMounted { path: path.clone() }),
            Some(live) if server.as_ref() != Some(live) => found.push(Obstacle::OtherTree { path: path.clone() }),
            Some(live) if last.as_ref().is_some_and(|last| last != live) && !is_restored => {
                found.push(Obstacle::Exchanged { path: path.clone() });
            }
            Some(_) => {}
        }
    }
    match &tree.sentinel {
        Some(Sentinel { says: None, .. }) => found.push(Obstacle::NoSentinel { path: path.clone() }),
        Some(Sentinel { account, says: Some(says) }) if says.trim() != account => {
            found.push(Obstacle::OtherSentinel { path: path.clone(), account: account.clone() });
        }
        _ => {}
    }
    // Whatever share of the library it is: a small one may be a disk of its own.
    if tree.is_all_missing() {
        let known = tree.known;
        found.push(if tree.holds_files == Some(true) {
            Obstacle::Others { path, known }
        } else {
            Obstacle::Empty { path, known }
        });
    }
    found
}

/// Says so in the plan that switches Immich's own scans off, since that is for libraries of other people, too.
pub(super) fn tell_own_scans(plan: &mut Plan) {
    let is_new = |step: &Step| {
        let Step::InstallFiles { files } = step else { return false };
        let are_off = |text: &str| own_scans_are_switched_off(text);
        files.iter().any(|file| are_off(&file.text) && !file.before.as_deref().is_some_and(are_off))
    };
    if plan.steps.iter().any(|planned| is_new(&planned.step)) {
        let text = "Immich's own scan schedule and watcher are switched off, for every external library: they look at \
                    nothing before they scan. photos-scan.timer has them scanned instead, guarded, as photos-agent immich \
                    scan does";
        plan.notes.push(text.to_owned());
    }
}

/// The import path that a file lies in, by name alone: the innermost, where one lies in another.
pub fn import_path_of<'a>(file: &str, import_paths: &'a [String]) -> Option<&'a str> {
    let holds = |folder: &&str| {
        let folder = folder.trim_end_matches('/');
        file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    import_paths.iter().map(String::as_str).filter(holds).max_by_key(|folder| folder.trim_end_matches('/').len())
}

/// The file's name out of the database, where it is in hexadecimal digits: a name may hold any character.
pub fn from_hex(text: &str) -> Option<String> {
    let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16)?).ok();
    let byte = |pair: &[u8]| if let [high, low] = pair { Some(digit(high)? << 4 | digit(low)?) } else { None };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}
