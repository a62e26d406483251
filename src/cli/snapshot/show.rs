//! `photos-agent snapshot show`: one snapshot, as far as it says of itself, and what keeps it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::bytes;
use super::list::changes;
use super::select::select;
use crate::cli::failure::Failure;
use crate::cli::{Context, time};
use crate::host::quota::Size;
use crate::model::{Refusal, SnapshotId};
use crate::plan::retention::{Decision, Verdict};
use crate::record::{Found, Manifest};
use crate::snapshot::{self, Applied, Sizes, name_holes, why_left};

/// Said where sizes are not known.
const NO_QUOTAS: &str = "not known, since quotas are off; turned on, they make each write, snapshot and deletion \
                         dearer (btrfs quota enable)";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Its name, the beginning of it, or `latest`
    id: String,
}

#[derive(Serialize)]
struct Body<'a> {
    snapshot: &'a Manifest,
    /// What is other than in the one before.
    changes: Vec<String>,
    /// Where quotas are on.
    size: Option<Size>,
    /// What the policy says of it.
    verdict: Option<&'a Verdict>,
}

pub(super) fn run(context: &Context, options: &Options) -> Result<ExitCode, Failure> {
    let applied = Applied::read(&context.root)?;
    let snapshots = applied.snapshots(&context.root);
    let all = snapshots.all()?;
    let (id, found) = select(&options.id, &all)?;
    let unfit = |why: String| {
        let remedy = format!("ls -l {}", snapshots.folder(&id).display());
        Failure::from(Refusal::new(format!("snapshot {id}"), why, remedy))
    };
    if !matches!(found, Found::Whole(_)) {
        return Err(unfit(why_left(&found)));
    }
    let manifest = snapshots.get(&id)?.ok_or_else(|| unfit("is not there any more".to_owned()))?;
    let sizes = Sizes::of(&context.root, &applied.desired.disks)?;
    let size = sizes.map(|sizes| sizes.snapshot(&id)).transpose()?;
    let changes = changes_at(&id, &all);
    let judged = snapshot::judge(&context.root, &applied, all)?;
    let verdict = judged.verdicts.iter().find(|verdict| verdict.id == id);
    let body = Body { snapshot: &manifest, changes, size, verdict };
    context.output.answer("snapshot", &body, || text(&body, Timestamp::now()));
    Ok(ExitCode::SUCCESS)
}

/// What is other than in the one before that is understood.
fn changes_at(id: &SnapshotId, all: &[(SnapshotId, Found)]) -> Vec<String> {
    let whole =
        all.iter().filter_map(|(_, found)| if let Found::Whole(summary) = found { Some(summary) } else { None });
    let whole: Vec<_> = whole.collect();
    let pair = whole.windows(2).find(|pair| pair.last().is_some_and(|after| after.id == *id));
    if let Some([before, after]) = pair { changes(before, after) } else { Vec::new() }
}

fn text(body: &Body<'_>, now: Timestamp) -> String {
    let manifest = body.snapshot;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("snapshot", manifest.id.as_str());
    line("moment", &format!("{} ({} ago)", time::local(manifest.created), time::age(manifest.created, now)));
    line("reason", &manifest.reason);
    line("taken by", &format!("{}, with {} (photos-agent {})", manifest.by, manifest.command, manifest.agent));
    let frozen = match manifest.frozen_us {
        0 => "nothing ran".to_owned(),
        long => format!("{}.{} ms", long / 1000, long % 1000 / 100),
    };
    line("frozen", &frozen);
    line("Immich", &format!("{}, generation {}", manifest.release, manifest.generation));
    for (service, image) in &manifest.images {
        line("image", &format!("{} {image}", service.stem()));
    }
    match &manifest.database {
        Some(facts) => {
            let checksums = match (facts.checksums, facts.checksum_failures) {
                (false, _) => "no checksums".to_owned(),
                (true, 0) => "checksums without a failure".to_owned(),
                (true, failures) => format!("{failures} pages that did not fit their checksum"),
            };
            let migration = facts.migration.as_deref().unwrap_or("none");
            line("database", &format!("PostgreSQL {}, {checksums}, last migration {migration}", facts.version));
        }
        None => line("database", "did not run; a start from it recovers as after a power cut"),
    }
    for (part, facts) in &manifest.parts {
        line("part", &format!("{} {}, snapshot of {}", part.name(), facts.uuid, facts.of));
    }
    for hole in &manifest.holes {
        line("WITHOUT", &name_holes(std::slice::from_ref(hole)));
    }
    match body.size {
        Some(size) => line("size", &format!("{} of its own, {} in all", bytes(size.exclusive), bytes(size.total))),
        None => line("size", NO_QUOTAS),
    }
    if !body.changes.is_empty() {
        line("changes", &body.changes.join(", "));
    }
    match body.verdict.map(|verdict| &verdict.decision) {
        Some(Decision::Keep(reasons)) => {
            line("stays", &reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        }
        Some(Decision::Delete(surplus)) => line("goes", &format!("with the next prune: {surplus}")),
        None => {}
    }
    text
}
