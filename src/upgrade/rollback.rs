//! The way back by hand, hours later: to an earlier generation, its data included. First what was added since, which would be
//! out of sight then; it is kept, and never thrown away.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::apply::{ApplyError, Progress, Report};
use crate::config::Source;
use crate::host::subvolume::{self, Newer};
use crate::host::{Host, process};
use crate::model::{Digest, Quarantined, Refusal, Release, Service, SnapshotId, Subvolume, SubvolumeUuid};
use crate::record::{Generations, Part, Pending, add_quarantined, lift_quarantine};
use crate::snapshot::{self, Applied, Prospect, ReleaseChange};
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
    /// Whether it only looks: then the database is not asked, since Podman writes down the session that asks it.
    pub looks_only: bool,
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
    /// Photographs and videos that the database has had since; none where it does not tell or was not asked.
    pub assets: Option<u64>,
    /// Whether it was asked.
    pub is_asked: bool,
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
    let (ways, live) = look(host)?;
    let (generation, snapshot) = choose(&ways, live.as_ref(), target.generation)?;
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
    let assets = if target.looks_only { None } else { assets_since(&restore.created.to_string()).await };
    let is_more = |newer: Newer| newer.or_more;
    let added = Added { assets, is_asked: !target.looks_only, files, or_more: is_more(media) || is_more(icloud) };
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
    let digests = outlook.restore.images.iter().filter_map(|change| change.now.as_ref()?.digest().cloned());
    let left = left_behind(&outlook.restore.release, digests.collect(), Timestamp::now());
    // Before it begins, since one that is killed is finished by somebody who does not know what was wanted.
    if let Some(left) = left.clone() {
        add_quarantined(&host.root, left)?;
    }
    let ended = snapshot::restore(host, &wish, &outlook.restore, progress).await;
    // What is left open is finished yet.
    if let (Err(_), Some(left), Ok(None)) = (&ended, left, Pending::read(&host.root)) {
        lift_quarantine(&host.root, &left.release)?;
    }
    ended
}

/// What a person has turned away from is not taken again by the clock, nor by anybody who does not name it.
fn left_behind(change: &ReleaseChange, digests: BTreeSet<Digest>, since: Timestamp) -> Option<Quarantined> {
    let release = |text: &str| text.parse::<Release>().ok();
    let (now, then) = (release(&change.now)?, release(&change.then)?);
    let why = format!("it was rolled back from by hand, to {then}");
    (now > then).then_some(Quarantined { release: now, digests, since, why })
}

/// A generation whose data is there.
#[derive(Debug, Clone)]
struct Way {
    number: u32,
    snapshot: SnapshotId,
    /// Its database.
    database: Part,
}

/// The database that is live, and what it is a clone of.
#[derive(Debug)]
struct Live {
    uuid: SubvolumeUuid,
    of: Option<SubvolumeUuid>,
}

/// The ways back, the newest first, and the database that is live.
fn look(host: &Host) -> Result<(Vec<Way>, Option<Live>), ApplyError> {
    let applied = Applied::read(&host.root)?;
    let snapshots = applied.snapshots(&host.root);
    let mut ways = Vec::new();
    for (number, snapshot) in Generations::new(&host.root).ways_back(usize::MAX)? {
        // One that somebody has deleted is none.
        let part = snapshots.get(&snapshot)?.and_then(|manifest| manifest.parts.get(&Subvolume::Postgres).cloned());
        ways.extend(part.map(|database| Way { number, snapshot, database }));
    }
    let disk = applied.desired.disks.iter().find(|disk| disk.subvolumes.contains(&Subvolume::Postgres));
    let live = disk.map(|disk| disk.live().join(Subvolume::Postgres.name()));
    let live = live.map(|path| subvolume::identify(&host.root.join(path.as_path())));
    let live = live.transpose().map_err(|error| ApplyError::Step {
        step: "look at what is live".to_owned(),
        source: Box::new(error.into()),
    })?;
    let found = live.flatten().and_then(|live| Some(Live { uuid: live.uuid?, of: live.parent }));
    Ok((ways, found))
}

/// Without a number it is the last that was taken of what is live; of what was itself put back, the one before that.
fn choose(ways: &[Way], live: Option<&Live>, wanted: Option<u32>) -> Result<(u32, SnapshotId), ApplyError> {
    let of_live = || ways.iter().find(|way| live.is_some_and(|live| live.uuid == way.database.of));
    let before = || {
        let put_back = ways.iter().find(|way| live.is_some_and(|live| live.of.as_ref() == Some(&way.database.uuid)));
        match put_back {
            // By the filesystem's own count, since a clock may have been set back.
            Some(back) => ways.iter().find(|way| way.database.generation < back.database.generation),
            None => ways.first(),
        }
    };
    let found = match wanted {
        Some(number) => ways.iter().find(|way| way.number == number),
        None => of_live().or_else(before),
    };
    found.map(|way| (way.number, way.snapshot.clone())).ok_or_else(|| {
        let what = wanted.map_or_else(|| "an earlier generation".to_owned(), |number| format!("generation {number}"));
        let numbers: Vec<String> = ways.iter().map(|way| way.number.to_string()).collect();
        let why = if numbers.is_empty() {
            "cannot be gone back to: no upgrade has taken a snapshot of the data of one yet".to_owned()
        } else {
            format!("cannot be gone back to: there is a snapshot of the data of {} only", numbers.join(", "))
        };
        let remedy = "photos-agent snapshot list, and then: photos-agent restore ID";
        ApplyError::Refused(vec![Refusal::new(what, why, remedy)])
    })
}

/// Photographs and videos that the running database has had since that moment; none where it does not say, or has no such
/// table.
async fn assets_since(moment: &str) -> Option<u64> {
    let arguments = stack::session(Service::Postgres.stem());
    match process::feed("podman", &arguments, stack::assets_since(moment).as_bytes(), PATIENCE).await {
        Ok(said) => said.lines().rev().find_map(|line| line.trim().parse().ok()),
        Err(error) => {
            tracing::warn!("the database does not say what was added: {}", crate::observe::chain(&error));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_number_it_is_the_one_before_that_has_its_data() {
        let uuid = |letter: char| -> SubvolumeUuid {
            format!("{}-0000-0000-0000-000000000000", [letter; 8].iter().collect::<String>()).parse().unwrap()
        };
        let way = |number: u32, live: char, shot: char| Way {
            number,
            snapshot: format!("202611{number:02}T020000Z").parse().unwrap(),
            database: Part { uuid: uuid(shot), of: uuid(live), generation: number.into() },
        };
        // Taken of a twice; then the second was put back as b, of which one was taken, too.
        let ways = [way(7, 'b', '3'), way(4, 'a', '2'), way(2, 'a', '1')];
        let live = |own: char, of: char| Live { uuid: uuid(own), of: Some(uuid(of)) };
        for (ways, live, wanted, found) in [
            (&ways[1..], live('a', 'f'), None, Some(4)),
            (&ways[1..], live('b', '2'), None, Some(2)),
            (&ways[..], live('b', '2'), None, Some(7)),
            (&ways[..], live('c', '3'), None, Some(4)),
            (&ways[..], live('c', '1'), None, None),
            // Put back from a snapshot that no upgrade took.
            (&ways[..], live('c', 'e'), None, Some(7)),
            (&ways[..], live('a', 'f'), Some(7), Some(7)),
            (&ways[..], live('a', 'f'), Some(3), None),
        ] {
            let chosen = choose(ways, Some(&live), wanted).map(|(number, _)| number).ok();
            assert_eq!(chosen, found, "{live:?} {wanted:?}");
        }
        let refused = choose(&[], None, None).unwrap_err().to_string();
        assert!(refused.contains("no upgrade has taken"), "{refused}");
        let refused = choose(&ways, None, Some(3)).unwrap_err().to_string();
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
        let added = |assets, files, or_more| Added { assets, is_asked: true, files, or_more };
        assert!(added(Some(0), 0, false).is_nothing());
        for other in
            [added(None, 0, false), added(Some(1), 0, false), added(Some(0), 1, false), added(Some(0), 0, true)]
        {
            assert!(!other.is_nothing(), "{other:?}");
        }
    }
}
