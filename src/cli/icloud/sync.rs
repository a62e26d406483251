//! `photos-agent icloud sync`: one account, now, with progress.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::find;
use crate::cli::Context;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::config::Settings;
use crate::host::Host;
use crate::icloud::{self, IcloudError, News};
use crate::immich::{self, Scanned, Which, Wish};
use crate::model::icloud::SyncResult;
use crate::model::{AccountName, SecretName};
use crate::notify::{self, Outcome};
use crate::observe::chain;
use crate::record::Run;

/// How often the counts are told.
const TELL: Duration = Duration::from_secs(2);

/// How long the scan waits for whoever changes the host: a snapshot, an upgrade. Nobody waits for the scan.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Which account, by its name in the configuration
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Let Immich look at the library even where more is missing than `icloud.max_missing`
    #[arg(long)]
    force: bool,
    /// Nobody watches: what comes of it is told in the journal
    #[arg(long, hide = true)]
    scheduled: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    account: &'a AccountName,
    #[serde(flatten)]
    run: &'a Run,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// None where there was no scan.
    scanned: Option<Scanned>,
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let (loaded, _) = context.in_force()?;
    let (account, desired) = find(context, &loaded, &options.account)?;
    let host = context.host()?;
    let mut talk = Talk { output: context.output, told: None };
    let name = &account.name;
    let outcome = icloud::sync(&host, &account, &desired, &mut |news| talk.hear(&news)).await;
    if options.scheduled {
        tell(context, &loaded.settings, name, &outcome).await;
    }
    let run = outcome?;
    let remedy = run.result.remedy(name);
    // Only what is fit to be seen, and nothing before it is written down what came of the run.
    let scanned = if run.result.is_fit() { scan(&host, name, options.force).await } else { Ok(None) };
    if let (Err(error), true) = (&scanned, options.scheduled) {
        let next = error.remedy().unwrap_or_default();
        let said = (Outcome::Refused, format!("{}; next: {next}", chain(error)));
        notify::tell_run(&context.root, &loaded.settings.notify, "scan", name, said, Option::<&Run>::None).await;
    }
    let (scanned, failed) = match scanned {
        Ok(scanned) => (scanned, None),
        Err(error) => (None, Some(error)),
    };
    let body = Body { account: name, run: &run, remedy: remedy.clone(), scanned };
    context.output.answer("sync", &body, || text(name, &run));
    if run.result.is_fit() && body.scanned.is_none() && failed.is_none() {
        context.output.talk("Immich was not asked to look: the agent has no key. next: photos-agent immich setup");
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    if let Some(remedy) = remedy.filter(|_| !context.output.json) {
        Output::complain(&format!("  next: {remedy}"));
    }
    Ok(if run.result == SyncResult::Done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets Immich look; none where the agent has no key of Immich's.
async fn scan(host: &Host, account: &AccountName, force: bool) -> Result<Option<Scanned>, immich::Error> {
    let key = SecretName::constant(immich::API_KEY);
    if host.podman.secret_value(&key).await?.is_none() {
        return Ok(None);
    }
    let command = "photos-agent icloud sync".to_owned();
    let wish = Wish { which: Which::Account(account.clone()), force, command, patience: PATIENCE };
    Box::pin(immich::guarded_scan(host, &wish)).await.map(Some)
}

/// A unit that fails says why in its own words, not "exit code 1".
async fn tell(context: &Context, settings: &Settings, account: &AccountName, outcome: &Result<Run, IcloudError>) {
    let said = match outcome {
        Ok(run) if run.result == SyncResult::Done => (Outcome::Done, text(account, run).trim_end().to_owned()),
        Ok(run) => {
            let next = run.result.remedy(account).unwrap_or_default();
            (Outcome::Failed, format!("{}; next: {next}", text(account, run).trim_end()))
        }
        Err(error @ IcloudError::Refused(refusal)) => {
            (Outcome::Refused, format!("{}; next: {}", chain(error), refusal.remedy))
        }
        Err(error) => (Outcome::Failed, format!("{}; next: photos-agent icloud status", chain(error))),
    };
    notify::tell_run(&context.root, &settings.notify, "icloud", account, said, outcome.as_ref().ok()).await;
    let endings = icloud::endings(&context.root, settings, Timestamp::now());
    notify::tell_endings(&context.root, &settings.notify, &endings).await;
}

fn text(account: &AccountName, run: &Run) -> String {
    let counts = &run.counts;
    let found = counts.found.map(|found| format!(" of {found} pictures")).unwrap_or_default();
    let mib = counts.bytes.div_ceil(1 << 20);
    let kind = if run.full { "through everything" } else { "what is new" };
    format!("{account} ({kind}{found}): {} files came, {mib} MiB; {}\n", counts.downloaded, run.result)
}

struct Talk {
    output: Output,
    told: Option<Instant>,
}

impl Talk {
    fn hear(&mut self, news: &News<'_>) {
        match news {
            News::Counts(counts) => {
                if self.told.is_some_and(|told| told.elapsed() < TELL) {
                    return;
                }
                self.told = Some(Instant::now());
                let of = counts.found.map(|found| format!(" ({found} pictures at Apple)")).unwrap_or_default();
                let failed = if counts.failed > 0 { format!(", {} did not", counts.failed) } else { String::new() };
                self.output.talk(&format!("{} files came{failed}{of}", counts.downloaded));
            }
            News::Again(result, wait) => {
                self.output.talk(&format!("{result}; once more in {} s", wait.as_secs()));
            }
            News::Said(line) if self.output.verbose => self.output.talk(&format!("    {line}")),
            News::Said(_) => {}
        }
    }
}
