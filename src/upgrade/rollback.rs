//! The way back by hand, hours later: to an earlier generation, its data included. First what was added since, which would be
//! out of sight then; it is kept, and never thrown away.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::apply::{ApplyError, Progress, Report};
use crate::config::Source;
use crate::host::subvolume::Newer;
use crate::host::{Host, process};
use crate::model::{Digest, Quarantined, Refusal, Release, Service, SnapshotId, Subvolume};
use crate::record::{Generations, add_quarantined};
use crate::snapshot::{self, Prospect, ReleaseChange};
use crate::stack;

/// A count over a large table on a busy disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Target {
    /// The generation; none: the newest before this one that has its data.
    pub generation: Option<u32>,
    /// The configuration files of the host.
    pub files: Vec<Source>,
    /// The command.
    pub command: String,
}

/// What would come of it.
#[derive(Debug, Serialize)]
pub struct Outlook {
    /// The generation that comes back.
    pub generation: u32,
    /// What was added since.
    pub added: Added,
    /// What is put back.
    pub restore: Prospect,
}

/// What was added since, and is not there after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Photographs and videos that the database has had since; none where it does not tell.
    pub assets: Option<u64>,
    /// New files among the photographs, and what came from iCloud.
    pub files: u64,
    /// Whether there may be more: the count was given up.
    pub or_more: bool,
}

impl Added {
    /// Whether it is known that nothing was.
    pub const fn is_nothing(&self) -> bool {
        matches!(self.assets, Some(0)) && self.files == 0 && !self.or_more
    }
}

/// Looks into it. Changes nothing.
pub async fn outlook(host: &Host, target: &Target) -> Result<Outlook, ApplyError> {
    let generations = Generations::new(&host.root);
    let current = generations.last()?.map_or(0, |last| last.number);
    let ways = generations.ways_back(usize::MAX)?;
    let (generation, snapshot) = choose(&ways, current, target.generation)?;
    let wish = snapshot::Wish {
        which: snapshot.to_string(),
        only: Vec::new(),
        keep_images: false,
        files: target.files.clone(),
        command: target.command.clone(),
    };
    let restore = snapshot::foresee(host, &wish).await?;
    let newer = |part: Subvolume| restore.newer.get(&part).copied().unwrap_or_default();
    let (media, icloud) = (newer(Subvolume::Media), newer(Subvolume::Icloud));
    let files = media.created + icloud.created;
    let assets = match assets_since(&restore.created.to_string()).await {
        Ok(assets) => assets,
        Err(error) => {
            tracing::warn!("the database does not say what was added: {}", crate::observe::chain(&error));
            None
        }
    };
    let is_more = |newer: Newer| newer.or_more;
    let added = Added { assets, files, or_more: is_more(media) || is_more(icloud) };
    Ok(Outlook { generation, added, restore })
}

/// Does it, if it is still what was looked into.
pub async fn rollback(
    host: &Host,
    target: &Target,
    outlook: &Outlook,
    progress: &mut dyn Progress,
) -> Result<Report, ApplyError> {
    let wish = snapshot::Wish {
        which: outlook.restore.snapshot.to_string(),
        only: Vec::new(),
        keep_images: false,
        files: target.files.clone(),
        command: target.command.clone(),
    };
    let report = snapshot::restore(host, &wish, &outlook.restore, progress).await?;
    let digests = outlook.restore.images.iter().filter_map(|change| change.now.as_ref()?.digest().cloned());
    if let Some(left) = left_behind(&outlook.restore.release, digests.collect(), Timestamp::now()) {
        add_quarantined(&host.root, left)?;
    }
    Ok(report)
}

/// What a person has turned away from is not taken again by the clock, nor by anybody who does not name it.
fn left_behind(change: &ReleaseChange, digests: BTreeSet<Digest>, since: Timestamp) -> Option<Quarantined> {
    let release = |text: &str| text.parse::<Release>().ok();
    let (now, then) = (release(&change.now)?, release(&change.then)?);
    let why = format!("it was rolled back from by hand, to {then}");
    (now > then).then_some(Quarantined { release: now, digests, since, why })
}

fn choose(ways: &[(u32, SnapshotId)], current: u32, wanted: Option<u32>) -> Result<(u32, SnapshotId), ApplyError> {
    let found = match wanted {
        Some(number) => ways.iter().find(|(found, _)| *found == number),
        None => ways.iter().find(|(found, _)| *found < current),
    };
    found.cloned().ok_or_else(|| {
        let what = wanted.map_or_else(|| "an earlier generation".to_owned(), |number| format!("generation {number}"));
        let numbers: Vec<String> = ways.iter().map(|(number, _)| number.to_string()).collect();
        let why = if numbers.is_empty() {
            "cannot be gone back to: no upgrade has taken a snapshot of the data of one yet".to_owned()
        } else {
            format!("cannot be gone back to: there is a snapshot of the data of {} only", numbers.join(", "))
        };
        let remedy = "photos-agent snapshot list, and then: photos-agent restore ID";
        ApplyError::Refused(vec![Refusal::new(what, why, remedy)])
    })
}

/// Photographs and videos that the running database has had since that moment; none where it has no such table.
async fn assets_since(moment: &str) -> Result<Option<u64>, process::ProcessError> {
    let arguments = stack::session(Service::Postgres.stem());
    let said = process::feed("podman", &arguments, stack::assets_since(moment).as_bytes(), PATIENCE).await?;
    Ok(said.lines().rev().find_map(|line| line.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_number_it_is_the_one_before_that_has_its_data() {
        let id = |day: u32| format!("202611{day:02}T020000Z").parse::<SnapshotId>().unwrap();
        let ways = [(7, id(7)), (4, id(4)), (2, id(2))];
        for (current, wanted, found) in [
            (8, None, Some(7)),
            (7, None, Some(4)),
            (7, Some(7), Some(7)),
            (8, Some(2), Some(2)),
            (8, Some(3), None),
            (2, None, None),
        ] {
            let chosen = choose(&ways, current, wanted).map(|(number, _)| number).ok();
            assert_eq!(chosen, found, "{current} {wanted:?}");
        }
        let refused = choose(&[], 3, None).unwrap_err().to_string();
        assert!(refused.contains("no upgrade has taken"), "{refused}");
        let refused = choose(&ways, 8, Some(3)).unwrap_err().to_string();
        assert!(refused.contains("7, 4, 2 only"), "{refused}");
    }

    #[test]
    fn a_newer_release_that_was_turned_away_from_is_not_taken_again() {
        let left = |now: &str, then: &str| {
            let change = ReleaseChange { now: now.to_owned(), then: then.to_owned() };
            left_behind(&change, BTreeSet::new(), Timestamp::UNIX_EPOCH).map(|left| left.release.to_string())
        };
        assert_eq!(left("v3.2.2", "v3.1.0").as_deref(), Some("v3.2.2"));
        // Other images or another configuration of the same, or forward again: nobody has turned away from a release.
        for (now, then) in [("v3.2.2", "v3.2.2"), ("v3.1.0", "v3.2.2"), ("what", "v3.1.0")] {
            assert_eq!(left(now, then), None, "{now} {then}");
        }
    }

    #[test]
    fn nothing_was_added_only_where_that_is_known() {
        let added = |assets, files, or_more| Added { assets, files, or_more };
        assert!(added(Some(0), 0, false).is_nothing());
        for other in
            [added(None, 0, false), added(Some(1), 0, false), added(Some(0), 1, false), added(Some(0), 0, true)]
        {
            assert!(!other.is_nothing(), "{other:?}");
        }
    }
}
