//! `photos-agent restore`: what would go back, the question whether it shall, and the restore.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::apply::Report;
use crate::cli::apply::{Talk, report_text, require_root};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::plan::count;
use crate::cli::{Context, time};
use crate::host::subvolume::Newer;
use crate::model::{HostPath, Refusal, Subvolume};
use crate::snapshot::{self, Prospect, Wish};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The snapshot: its name, the beginning of it, or `latest`
    #[arg(value_name = "ID")]
    which: String,

    /// Put back this alone, although it is of another moment than the rest then (can be repeated)
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Only>,

    /// Keep the images and the configuration that run now
    #[arg(long)]
    keep_images: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Only {
    /// The database and the queue of jobs, with configuration and images
    Postgres,
    /// The photographs
    Media,
    /// What came from iCloud
    Icloud,
}

impl Only {
    const fn part(self) -> Subvolume {
        match self {
            Self::Postgres => Subvolume::Postgres,
            Self::Media => Subvolume::Media,
            Self::Icloud => Subvolume::Icloud,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    prospect: &'a Prospect,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Report>,
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let Options { which, only, keep_images, yes, dry_run } = options;
    let only = only.into_iter().map(Only::part).collect();
    let command = "photos-agent restore".to_owned();
    let wish = Wish { which, only, keep_images, files: context.sources()?, command };
    let host = context.host()?;
    let prospect = snapshot::foresee(&host, &wish).await?;
    let told = text(&prospect);
    if dry_run {
        context.output.answer("restore", Body { prospect: &prospect, report: None }, || told);
        return Ok(ExitCode::SUCCESS);
    }
    context.output.talk(&told);
    if !yes {
        ask(
            &format!("restore of {}", prospect.snapshot),
            &format!("photos-agent restore {} --yes", prospect.snapshot),
        )?;
    }
    let mut talk = Talk::new(context.output);
    let report = snapshot::restore(&host, &wish, &prospect, &mut talk).await?;
    context.output.answer("restore", Body { prospect: &prospect, report: Some(&report) }, || {
        let kept: Vec<&str> = prospect.kept.iter().map(HostPath::as_str).collect();
        let kept = kept.join(", ");
        format!("{}Snapshot {} is back. What was live is kept in {kept}\n", report_text(&report), prospect.snapshot)
    });
    Ok(ExitCode::SUCCESS)
}

/// Asks on the terminal; nobody there is a no.
pub(super) fn ask(what: &str, without: &str) -> Result<(), Failure> {
    let refused = |why: &str| Failure::from(Refusal::new(what, why, without));
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(refused("takes what is newer out of sight, and there is no terminal to ask on"));
    }
    Output::complain("Put it back? Type yes:");
    let mut answer = String::new();
    input.lock().read_line(&mut answer).map_err(Failure::Input)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(refused("was not wanted; nothing was changed")) }
}

pub(super) fn text(prospect: &Prospect) -> String {
    let Prospect { snapshot, created, reason, .. } = prospect;
    let mut text = format!("Restore snapshot {snapshot} of {} ({reason})\n", time::local(*created));
    let names = |parts: &std::collections::BTreeSet<Subvolume>| {
        parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(text, "  goes back:      {}", names(&prospect.back));
    if !prospect.stays.is_empty() {
        let _ = writeln!(text, "  stays:          {}", names(&prospect.stays));
    }
    let snapshot::ReleaseChange { now, then } = &prospect.release;
    let release = if now == then { format!("{now}, as now") } else { format!("{then}; now it is {now}") };
    let _ = writeln!(text, "  Immich:         {release}");
    for change in &prospect.images {
        let _ = writeln!(text, "  image:          {}", change.then);
    }
    if prospect.configuration_changes {
        let _ = writeln!(text, "  configuration:  as it was then");
    }
    if prospect.files_out_of_force {
        let _ = writeln!(
            text,
            "                  /etc/photos-agent is not touched, and is in force again after an edit or: photos-agent apply"
        );
    }
    for (part, newer) in &prospect.newer {
        let _ = writeln!(text, "  newer, {:<9}{}", format!("{}:", part.name()), count_of(*newer));
    }
    if prospect.back.contains(&Subvolume::Postgres) {
        let _ = writeln!(text, "  newer, database: all that was written since");
    }
    for kept in &prospect.kept {
        let _ = writeln!(text, "  kept:           what is live now, in {kept}");
    }
    let after = if prospect.starts { "is stopped for it, and started again" } else { "is down, and stays so" };
    let _ = writeln!(text, "  the stack:      {after}");
    for warning in &prospect.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn count_of(newer: Newer) -> String {
    let number = usize::try_from(newer.changed).unwrap_or(usize::MAX);
    match newer {
        Newer { changed: 0, or_more: false, .. } => "no file".to_owned(),
        Newer { created, or_more, .. } => {
            let more = if or_more { " or more" } else { "" };
            format!("{}{more}, {created} of them new", count(number, "file"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_lost_is_counted_in_words() {
        let newer = |changed, created, or_more| count_of(Newer { changed, created, or_more });
        assert_eq!(newer(0, 0, false), "no file");
        assert_eq!(newer(1, 0, false), "1 file, 0 of them new");
        assert_eq!(newer(3, 2, true), "3 files or more, 2 of them new");
    }
}
