//! `photos-agent snapshot prune`: deletes what the policy does not keep, and says why of each.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::apply::{Talk, require_root};
use crate::cli::failure::Failure;
use crate::cli::plan::count;
use crate::cli::{Context, time};
use crate::config::Keep;
use crate::model::SnapshotId;
use crate::plan::retention::{Decision, Verdict};
use crate::snapshot::{self, Applied, Pruned};

/// The command, as the history has it.
const COMMAND: &str = "photos-agent snapshot prune";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Say of each snapshot what would become of it, and why; exit code 2 if one would be deleted
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    dry_run: bool,
    operation: Option<u64>,
    verdicts: &'a [Verdict],
    left: Vec<Left<'a>>,
}

#[derive(Serialize)]
struct Left<'a> {
    id: &'a SnapshotId,
    why: &'a str,
}

pub(super) async fn run(context: &Context, options: &Options) -> Result<ExitCode, Failure> {
    if !options.dry_run {
        require_root()?;
    }
    let applied = Applied::read(&context.root);
    if let Ok(applied) = &applied {
        tell_unapplied(context, &applied.loaded.settings.snapshots.keep);
    }
    let pruned = if options.dry_run {
        let applied = applied?;
        let found = applied.snapshots(&context.root).all()?;
        snapshot::judge(&context.root, &applied, found)?
    } else {
        snapshot::prune(&context.host()?, COMMAND, &mut Talk::new(context.output)).await?
    };
    let Pruned { verdicts, left, operation } = &pruned;
    let body = Body {
        dry_run: options.dry_run,
        operation: *operation,
        verdicts,
        left: left.iter().map(|(id, why)| Left { id, why }).collect(),
    };
    context.output.answer("pruned", &body, || text(&pruned, options.dry_run));
    let surplus = verdicts.iter().any(|verdict| !verdict.keeps());
    Ok(ExitCode::from(if options.dry_run && surplus { 2 } else { 0 }))
}

/// What was applied last is what holds.
fn tell_unapplied(context: &Context, applied: &Keep) {
    let written = context.load().map(|loaded| loaded.settings.snapshots.keep);
    if written.is_ok_and(|written| written != *applied) {
        context.output.talk("note: `snapshots.keep` was changed and not applied; what was applied last holds");
    }
}

fn text(pruned: &Pruned, dry_run: bool) -> String {
    let mut text = String::new();
    for Verdict { id, moment, decision } in &pruned.verdicts {
        let moment = time::local(*moment);
        match decision {
            Decision::Keep(reasons) if dry_run => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                let _ = writeln!(text, "keep    {id}  {moment}  {}", reasons.join(", "));
            }
            Decision::Delete(surplus) if dry_run => {
                let _ = writeln!(text, "delete  {id}  {moment}  {surplus}");
            }
            // It was told while it was done.
            _ => {}
        }
    }
    for (id, why) in &pruned.left {
        let _ = writeln!(text, "leave   {id}  {why}");
    }
    let kept = pruned.verdicts.iter().filter(|verdict| verdict.keeps()).count();
    let surplus = pruned.verdicts.len() - kept;
    let (kept, surplus) = (count(kept + pruned.left.len(), "snapshot"), count(surplus, "snapshot"));
    let _ = if dry_run {
        writeln!(text, "{surplus} would be deleted, {kept} would stay.")
    } else {
        writeln!(text, "{surplus} deleted, {kept} left.")
    };
    text
}
