//! `photos-agent plan`: what `apply` would do. Changes nothing.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::apply;
use crate::cli::failure::Failure;
use crate::cli::{Context, open};
use crate::model::Refusal;
use crate::plan::{FileChange, FileDrift, Plan, Step};

#[derive(Serialize)]
struct Body<'a> {
    empty: bool,
    #[serde(flatten)]
    plan: &'a Plan,
}

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let (loaded, note) = context.in_force()?;
    let mut plan = apply::survey(&context.host()?, &loaded).await?.plan;
    plan.notes.extend(note);
    if let Some(begun) = open::look(&context.root)?.left() {
        plan.notes.push(format!("{begun}: {}", begun.remedy));
    }
    let body = Body { empty: plan.is_empty(), plan: &plan };
    context.output.answer("plan", body, || text(&plan, context.output.verbose));
    Ok(ExitCode::from(match (plan.refusals.is_empty(), plan.steps.is_empty()) {
        (false, _) => 3,
        (true, false) => 2,
        (true, true) => 0,
    }))
}

/// The plan as people read it: a line for each step with its reason below, and what changes in files.
pub fn text(plan: &Plan, verbose: bool) -> String {
    let mut text = String::new();
    for refusal in &plan.refusals {
        let _ = writeln!(text, "refused: {refusal}\n  next: {}", refusal.remedy);
    }
    if !plan.refusals.is_empty() {
        text.push_str("Nothing is done while something is refused.\n");
    }
    if !plan.steps.is_empty() {
        let _ = writeln!(text, "{} to do:", count(plan.steps.len(), "step"));
    } else if plan.refusals.is_empty() {
        text.push_str("Nothing to do.\n");
    }
    for (at, planned) in plan.steps.iter().enumerate() {
        let _ = writeln!(text, "{:>3}. {}\n       because: {}", at + 1, planned.step, planned.reason);
        if let Step::InstallFiles { files } = &planned.step {
            for file in files {
                describe_file(file, verbose, &mut text);
            }
        }
    }
    if plan.steps.iter().any(|planned| planned.step.reveals()) {
        text.push_str("Images are locked to their digests when they are pulled; units then name the digests.\n");
    }
    tell_concerns(&plan.concerns, &mut text);
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

pub fn tell_concerns(concerns: &[Refusal], text: &mut String) {
    for concern in concerns {
        let _ = writeln!(text, "concern: {concern}\n  next: {}", concern.remedy);
    }
}

fn describe_file(file: &FileChange, verbose: bool, text: &mut String) {
    let kind = match file.drift() {
        FileDrift::Missing => "new",
        FileDrift::OutOfDate => "changed",
        FileDrift::Permissions => "another owner or mode",
        FileDrift::Edited => "edited by hand; that text is kept in /var/lib/photos-agent/displaced",
        FileDrift::Link => "a symbolic link; what it says is kept in /var/lib/photos-agent/displaced",
    };
    let _ = writeln!(text, "       {} ({kind})", file.path);
    if file.before.is_none() && !verbose {
        return;
    }
    let before = file.before.as_deref().unwrap_or_default();
    let diff = similar::TextDiff::from_lines(before, &file.text);
    for change in diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal) {
        let sign = if change.tag() == similar::ChangeTag::Insert { '+' } else { '-' };
        let _ = writeln!(text, "         {sign} {}", change.value().trim_end());
    }
}

pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
