//! What prune makes of each snapshot: what is known of it is gathered here, and decided in `plan`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Keep;
use crate::model::{Root, SnapshotId};
use crate::plan::retention::{Candidate, Need, Verdict, retain};
use crate::record::{Found, Generation, Generations, Pending, RecordError, Snapshots, trials};
use crate::snapshot::Applied;

/// The data of how many earlier generations is kept to roll back to: that of the upgrade before, and of the one before that.
const WAYS_BACK: usize = 2;

/// A decision on each snapshot, and what it came to.
#[derive(Debug)]
pub struct Pruned {
    /// One for each that is understood, the newest first.
    pub verdicts: Vec<Verdict>,
    /// Those that stay without one, and why.
    pub left: Vec<(SnapshotId, String)>,
    /// The number of the operation, if there was anything to do.
    pub operation: Option<u64>,
}

/// What has a say in what stays, besides the policy.
#[derive(Debug, Default)]
struct Claims {
    /// Those that were tried, and would do.
    proven: BTreeSet<SnapshotId>,
    /// Those that something of the agent's own needs.
    needed: Vec<(SnapshotId, Need)>,
}

/// What the policy that was applied says of each snapshot; changes nothing.
pub fn judge(root: &Root, applied: &Applied, found: Vec<(SnapshotId, Found)>) -> Result<Pruned, RecordError> {
    let proven = proven(root, &applied.snapshots(root), &found)?;
    let claims = Claims {
        proven,
        needed: needed(
            Pending::read(root)?.as_ref(),
            &applied.generation,
            &Generations::new(root).ways_back(WAYS_BACK)?,
        ),
    };
    Ok(decide(found, &claims, &applied.loaded.settings.snapshots.keep, Timestamp::now()))
}

/// The newest that is proven, as it is remembered; where that one is gone or was found wanting since, all that are.
fn proven(
    root: &Root,
    snapshots: &Snapshots,
    found: &[(SnapshotId, Found)],
) -> Result<BTreeSet<SnapshotId>, RecordError> {
    // Where none was ever proven, ten thousand need not be asked.
    let Some(last) = trials(root)?.proven else { return Ok(BTreeSet::new()) };
    let ids = || found.iter().map(|(id, _)| id);
    if ids().any(|id| *id == last.snapshot) {
        let it = snapshots.proven([&last.snapshot])?;
        if !it.is_empty() {
            return Ok(it);
        }
    }
    snapshots.proven(ids())
}

/// What an unfinished restore or upgrade goes back to, what the configuration in force came back with, and what one may roll
/// back to.
fn needed(open: Option<&Pending>, last: &Generation, ways_back: &[(u32, SnapshotId)]) -> Vec<(SnapshotId, Need)> {
    let restore = open.and_then(|open| Some((open.restore.as_ref()?.snapshot.clone(), Need::Operation(open.id))));
    let upgrade =
        open.and_then(|open| Some((open.upgrade.as_ref()?.phase.snapshot()?.clone(), Need::Operation(open.id))));
    let operation = restore.or(upgrade);
    let restored = last.restored.as_ref();
    let generation = restored.map(|restored| (restored.snapshot.clone(), Need::Generation(last.number)));
    let ways_back = ways_back.iter().map(|(number, snapshot)| (snapshot.clone(), Need::Generation(*number)));
    operation.into_iter().chain(generation).chain(ways_back).collect()
}

fn decide(found: Vec<(SnapshotId, Found)>, claims: &Claims, keep: &Keep, now: Timestamp) -> Pruned {
    let (mut candidates, mut left) = (Vec::new(), Vec::new());
    for (id, found) in found {
        match found {
            Found::Whole(summary) => {
                let asked = summary.keep.then_some(Need::AskedToKeep);
                let others = claims.needed.iter().filter(|(other, _)| *other == id).map(|(_, need)| *need);
                let needed = asked.into_iter().chain(others).collect();
                let proven = claims.proven.contains(&id);
                candidates.push(Candidate { id, moment: summary.created, needed, proven });
            }
            Found::Newer(_) | Found::Damaged(_) => left.push((id, why_left(&found))),
            Found::Debris => {}
        }
    }
    Pruned { verdicts: retain(candidates, keep, now, &TimeZone::system()), left, operation: None }
}

/// Why it is of no use to this agent.
pub fn why_left(found: &Found) -> String {
    match found {
        Found::Newer(format) => format!("its manifest has format {format}, of a newer photos-agent"),
        Found::Damaged(why) => format!("its manifest is damaged: {why}"),
        Found::Debris => "it has no manifest, so it is not whole".to_owned(),
        Found::Whole(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Restore;
    use crate::plan::retention::{Decision, Reason};
    use crate::record::{Restored, Trial, Trials, add_trial};

    const OLD: &str = "20261119T020000Z";
    const MIDDLE: &str = "20261120T020000Z";
    const NEW: &str = "20261121T020000Z";

    fn id(name: &str) -> SnapshotId {
        name.parse().unwrap()
    }

    fn whole(name: &str, created: &str) -> (SnapshotId, Found) {
        let text = format!(
            r#"{{"schema":1,"id":"{name}","created":"{created}","reason":"","keep":false,"release":"","images":{{}}}}"#
        );
        (id(name), Found::Whole(serde_json::from_str(&text).unwrap()))
    }

    fn all() -> Vec<(SnapshotId, Found)> {
        vec![
            whole(OLD, "2026-11-19T02:00:00Z"),
            whole(MIDDLE, "2026-11-20T02:00:00Z"),
            whole(NEW, "2026-11-21T02:00:00Z"),
        ]
    }

    #[test]
    fn what_an_operation_or_the_generation_in_force_needs_stays() {
        let generation = |restored| Generation {
            schema: 1,
            number: 7,
            created: "2026-11-21T14:45:12Z".parse().unwrap(),
            agent: String::new(),
            release: String::new(),
            config: BTreeMap::new(),
            images: BTreeMap::new(),
            files: BTreeMap::new(),
            snapshot: None,
            restored,
        };
        let text = r#"{"schema":1,"id":9,"command":"photos-agent restore","started":"2026-01-01T00:00:00Z","agent":"0",
            "stack_was_stopped":false,"steps":[]}"#;
        let open: Pending = serde_json::from_str(text).unwrap();
        assert_eq!(needed(Some(&open), &generation(None), &[]), []);
        let restore = Restore { snapshot: id(OLD), operation: 9, disks: Vec::new(), failed: false, stack: None };
        let restoring = Pending { restore: Some(restore), ..open };
        let restored = Restored { snapshot: id(MIDDLE), out_of_force: BTreeMap::new() };
        let needed = needed(Some(&restoring), &generation(Some(restored)), &[(3, id(NEW))]);
        assert_eq!(
            needed,
            [(id(OLD), Need::Operation(9)), (id(MIDDLE), Need::Generation(7)), (id(NEW), Need::Generation(3))]
        );

        let keep = Keep { last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        let kept = |claims: &Claims| {
            let judged = decide(all(), claims, &keep, now);
            judged.verdicts.into_iter().map(|verdict| verdict.decision).collect::<Vec<_>>()
        };
        assert!(matches!(kept(&Claims::default()).as_slice(), [_, Decision::Delete(_), Decision::Delete(_)]));
        let decisions = kept(&Claims { proven: BTreeSet::from([id(MIDDLE)]), needed });
        let generation = Reason::Needed(Need::Generation(7));
        assert_eq!(decisions[1], Decision::Keep(vec![Reason::NewestProven, generation]));
        assert_eq!(decisions[2], Decision::Keep(vec![Reason::Needed(Need::Operation(9))]));
    }

    #[test]
    fn where_the_remembered_proof_is_of_no_use_those_beside_the_manifests_are() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let snapshots = Snapshots::new(folder.path().join("snapshots"));
        let proof = |name: &str, finding: &str| {
            let text = format!(
                r#"{{"schema":1,"snapshot":"{name}","begun":"2026-11-21T03:00:00Z","took_ms":1,
                "image":"docker.io/library/postgres:17","checks":[{{"what":"start","finding":"{finding}","detail":"","why":""}},
                {{"what":"rows","finding":"passed","detail":""}}],"rows":{{}},
                "files":{{"found":0,"elsewhere":0,"missing":0,"examples":[]}},"agent":""}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        for name in [OLD, MIDDLE, NEW] {
            std::fs::create_dir_all(snapshots.folder(&id(name))).unwrap();
        }
        let found = || proven(&root, &snapshots, &all()).unwrap();
        assert_eq!(found(), BTreeSet::new());
        for name in [OLD, MIDDLE] {
            snapshots.put_proof(&proof(name, "passed")).unwrap();
        }
        snapshots.put_proof(&proof(NEW, "failed")).unwrap();
        add_trial(&root, &proof(MIDDLE, "passed"), "2026-11-20T02:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(found(), BTreeSet::from([id(MIDDLE)]));
        assert!(matches!(trials(&root).unwrap(), Trials { proven: Some(Trial { proven: true, .. }), .. }));
        // Found wanting since, and then gone.
        snapshots.put_proof(&proof(MIDDLE, "failed")).unwrap();
        assert_eq!(found(), BTreeSet::from([id(OLD)]));
        let left = [whole(OLD, "2026-11-19T02:00:00Z")];
        assert_eq!(proven(&root, &snapshots, &left).unwrap(), BTreeSet::from([id(OLD)]));
        snapshots.put_proof(&proof(NEW, "passed")).unwrap();
        assert_eq!(found(), BTreeSet::from([id(OLD), id(NEW)]));
        // Another's proof proves nothing.
        std::fs::copy(snapshots.folder(&id(OLD)).join("proof.json"), snapshots.folder(&id(NEW)).join("proof.json"))
            .unwrap();
        assert_eq!(found(), BTreeSet::from([id(OLD)]));
    }
}
