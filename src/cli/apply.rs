//! `photos-agent apply`: converge now, and say what happens.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::apply::{self, Event, Progress, Report};
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::output::{Moving, Output};
use crate::cli::plan::{count, tell_concerns};
use crate::host::lock;
use crate::model::{AccountName, Refusal, UnitName};
use crate::record::Pending;
use crate::snapshot;

/// The command, as the history has it.
const APPLY: &str = "photos-agent apply";

/// How often the bytes of a pull are told.
const TELL_BYTES: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Let options of this iCloud account change that move its pictures, and take its folder for the right one: all pictures
    /// are downloaded again (can be repeated)
    #[arg(long, value_name = "ACCOUNT")]
    accept: Vec<AccountName>,
}

pub(super) async fn run(context: &Context, options: &Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let loaded = context.load()?;
    let mut talk = Talk::new(context.output);
    let host = context.host()?;
    let was_open = Pending::read(&host.root)?.is_some();
    if !options.accept.is_empty() {
        for account in apply::accept(&host, &loaded, &options.accept, APPLY).await? {
            talk.output
                .talk(&format!("The folder of {account} is taken as it is, and its options as they are written."));
        }
    }
    let report = apply::apply(&host, &loaded, APPLY, &mut talk).await?;
    if was_open {
        // It may have been a snapshot, or the deletion of one.
        snapshot::tidy(&host, APPLY, lock::PATIENCE).await?;
    }
    context.output.answer("report", &report, || report_text(&report));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn report_text(report: &Report) -> String {
    let done = match report.operation {
        Some(id) => format!("Operation {id}: {} done.", count(report.steps.len(), "step")),
        None => "Nothing to do.".to_owned(),
    };
    let mut text = format!("{done} Generation {}.\n", report.generation);
    tell_concerns(&report.concerns, &mut text);
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// Everything that changes the host needs root; said before the first thing fails half-way.
pub(super) fn require_root() -> Result<(), Refusal> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Refusal::new("this command", "changes the host and needs root", "sudo photos-agent ..."))
}

/// Tells a person on standard error: in lines, and in a terminal what only goes on in one that moves.
pub(super) struct Talk {
    output: Output,
    told: Instant,
    goes_on: Option<GoesOn>,
}

impl Talk {
    pub(super) fn new(output: Output) -> Self {
        let now = Instant::now();
        let goes_on = output.moving().map(|line| GoesOn { line, since: now, units: Vec::new() });
        Self { output, told: now, goes_on }
    }
}

/// What the line that moves says.
struct GoesOn {
    line: Moving,
    since: Instant,
    /// Those that are waited for.
    units: Vec<String>,
}

impl GoesOn {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Step { .. } => self.begin("", Duration::ZERO),
            Event::Pulling(_, bytes) => self.line.arrived(bytes.current, bytes.total),
            Event::Pulled(..) => self.line.rest(),
            Event::Unit { unit, .. } if self.units.iter().any(|name| name == unit.as_str()) => {
                self.units.retain(|name| name != unit.as_str());
                self.line.wait(&waiting(&self.units), self.since);
            }
            Event::Waiting(units, long) => {
                let units: Vec<String> = units.iter().map(|unit| unit.as_str().to_owned()).collect();
                self.begin(&waiting(&units), *long);
                self.units = units;
            }
            Event::Well(is_well) => {
                self.begin(if *is_well { "all is well" } else { "not all is well" }, Duration::ZERO);
            }
            Event::Unit { .. } | Event::Resumed(_) | Event::GateOpened | Event::Displaced { .. } => {}
        }
    }

    fn begin(&mut self, words: &str, ago: Duration) {
        let now = Instant::now();
        self.since = now.checked_sub(ago).unwrap_or(now);
        self.units.clear();
        self.line.wait(words, self.since);
    }
}

fn waiting(units: &[String]) -> String {
    if units.is_empty() { String::new() } else { format!("waiting for {}", units.join(", ")) }
}

impl Progress for Talk {
    fn hear(&mut self, event: Event<'_>) {
        if let Some(goes_on) = &mut self.goes_on {
            goes_on.hear(&event);
        }
        let line = match event {
            Event::Pulling(..) | Event::Waiting(..) if self.goes_on.is_some() => return,
            Event::Resumed(id) => format!("Operation {id} was interrupted; going on from there."),
            Event::Step { step, reason } => format!("{step}   ({reason})"),
            Event::GateOpened | Event::Well(_) => return,
            Event::Pulling(_, bytes) => {
                if self.told.elapsed() < TELL_BYTES {
                    return;
                }
                self.told = Instant::now();
                format!("    {} of {} MiB", bytes.current >> 20, bytes.total >> 20)
            }
            Event::Pulled(image, took) => format!("    {image} in {:.1} s", took.as_secs_f32()),
            Event::Unit { unit, result, took } => format!("    {unit}: {result} after {:.1} s", took.as_secs_f32()),
            Event::Waiting(units, long) => {
                let names: Vec<&str> = units.iter().map(|unit| UnitName::as_str(unit)).collect();
                format!("    waiting for {} since {} s", names.join(", "), long.as_secs())
            }
            Event::Displaced { path, kept } => format!("    {path} had been edited; its text is in {kept}"),
        };
        self.output.talk(&line);
    }
}

#[cfg(test)]
mod tests;
