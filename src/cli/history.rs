//! `photos-agent history`: operations and generations, newest first.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::{Context, time};
use crate::model::SnapshotId;
use crate::record::{Entry, Generation, Generations, History, Outcome, Pending};

#[derive(Serialize)]
struct Body {
    pending: Option<Pending>,
    operations: Vec<Operation>,
    generations: Vec<Summary>,
}

#[derive(Serialize)]
struct Operation {
    #[serde(flatten)]
    entry: Entry,
    /// How often in a row it failed the same way.
    times: u64,
    /// Where the texts of edited files are that it replaced.
    kept: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Summary {
    number: u32,
    created: jiff::Timestamp,
    release: String,
    agent: String,
    /// The data at its end, to roll back to.
    snapshot: Option<SnapshotId>,
}

impl From<Generation> for Summary {
    fn from(generation: Generation) -> Self {
        let Generation { number, created, release, agent, snapshot, .. } = generation;
        Self { number, created, release, agent, snapshot }
    }
}

pub(super) fn run(context: &Context) -> Result<ExitCode, Failure> {
    let history = History::new(&context.root);
    let all_kept = history.kept()?;
    let operation = |(entry, times): (Entry, u64)| {
        let kept = all_kept.iter().filter(|(id, _)| *id == entry.id).map(|(_, path)| path.clone()).collect();
        Operation { entry, times, kept }
    };
    let operations = history.counted()?.into_iter().rev().map(operation).collect();
    let generations = Generations::new(&context.root);
    let mut summaries = Vec::new();
    for number in generations.numbers()?.into_iter().rev() {
        summaries.extend(generations.get(number)?.map(Summary::from));
    }
    let body = Body { pending: Pending::read(&context.root)?, operations, generations: summaries };
    context.output.answer("history", &body, || text(&body, context.output.verbose));
    Ok(ExitCode::SUCCESS)
}

fn text(body: &Body, verbose: bool) -> String {
    let mut text = String::new();
    if let Some(pending) = &body.pending {
        let since = time::local(pending.started);
        let _ = writeln!(text, "open: operation {} ({}) since {since}", pending.id, pending.command);
    }
    if body.operations.is_empty() && body.generations.is_empty() {
        text.push_str("No operation yet.\n");
    }
    for Operation { entry, times, kept } in &body.operations {
        let outcome = match &entry.outcome {
            Outcome::Done => "done".to_owned(),
            Outcome::Failed(why) => format!("failed: {}", why.lines().next().unwrap_or_default()),
            Outcome::Interrupted => "interrupted".to_owned(),
        };
        let generation = entry.generation.map(|number| format!(", generation {number}")).unwrap_or_default();
        let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
        let started = time::local(entry.started);
        let _ = writeln!(text, "{:>5}  {started}  {}  {outcome}{generation}{times}", entry.id, entry.command);
        for path in kept {
            let _ = writeln!(text, "         an edited text is kept in {}", path.display());
        }
        for step in entry.steps.iter().filter(|_| verbose) {
            let took = step.took_ms.map_or_else(|| "not ended".to_owned(), |ms| format!("{ms} ms"));
            let _ = writeln!(text, "         {} ({}; {took})", step.step, step.reason);
        }
    }
    if !body.generations.is_empty() {
        text.push_str("Generations:\n");
    }
    for generation in &body.generations {
        let Summary { number, created, release, agent, snapshot } = generation;
        let data = snapshot.as_ref().map(|id| format!("  data in snapshot {id}")).unwrap_or_default();
        let created = time::local(*created);
        let _ = writeln!(text, "{number:>5}  {created}  Immich {release}  photos-agent {agent}{data}");
    }
    text
}
