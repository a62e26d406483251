//! `photos-agent icloud status`, and the line of each account in `photos-agent status`. Changes nothing.

use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::{Context, time};
use crate::config::{Account, Settings};
use crate::host::{Host, lock, timed};
use crate::icloud::{self, jar::Session};
use crate::immich;
use crate::model::{AccountName, Refusal, UnitName};
use crate::observe::chain;
use crate::plan::sync as plan;
use crate::record::{self, AccountRecord, Libraries, Run};

/// How an account stands.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Standing {
    account: AccountName,
    /// None where nobody ever signed in, or it cannot be read.
    session: Option<Session>,
    last: Option<Run>,
    /// Since when a run is under way, or was cut off.
    begun: Option<Timestamp>,
    /// Whether a run or a login is under way.
    at_work: bool,
    /// When the timer is due; none where there is none.
    next: Option<Timestamp>,
    /// What somebody has to see to.
    pub(in crate::cli) concerns: Vec<Refusal>,
}

#[derive(Serialize)]
struct Body {
    well: bool,
    accounts: Vec<Standing>,
}

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let (loaded, _) = context.in_force()?;
    let host = context.host()?;
    let accounts = standings(&host, &loaded.settings).await?;
    let body = Body { well: accounts.iter().all(|account| account.concerns.is_empty()), accounts };
    context.output.answer("icloud", &body, || {
        if body.accounts.is_empty() {
            return "No account: see [[icloud.account]] in photos-agent-config(5).\n".to_owned();
        }
        body.accounts.iter().map(text).collect()
    });
    Ok(ExitCode::from(if body.well { 0 } else { 2 }))
}

/// Every account of the configuration.
pub(in crate::cli) async fn standings(host: &Host, settings: &Settings) -> Result<Vec<Standing>, Failure> {
    let mut records = record::icloud(&host.root)?;
    let known = record::libraries(&host.root)?;
    let scans = lock::holder(&host.root.join(immich::ONE_AT_A_TIME)).is_some();
    let now = Timestamp::now();
    let due = if settings.icloud.accounts.is_empty() { Vec::new() } else { due(host).await };
    let of = |account: &Account| {
        let record = records.remove(&account.name).unwrap_or_default();
        let session = icloud::session_of(&host.root, settings, account);
        let timer = format!("icloudpd@{}.timer", account.name);
        let next = due.iter().find(|(unit, _)| unit.as_str() == timer).map(|(_, at)| *at);
        let at_work = icloud::is_at_work(&host.root, &account.name);
        let mut standing = stand(account, &record, session.map_err(|error| chain(&error)), next, now);
        standing.at_work = at_work;
        // First: what the last run came to is older.
        let cut_off = record.begun.filter(|_| !at_work).map(|begun| plan::tell_cut_off(&account.name, begun));
        standing.concerns.splice(..0, cut_off);
        // On a host without a library of this account, nobody wants Immich to look.
        if !at_work && !scans && known.accounts.contains_key(account.name.as_str()) {
            standing.concerns.extend(unseen(&account.name, &record, &known));
        }
        standing
    };
    Ok(settings.icloud.accounts.iter().map(of).collect())
}

/// What came of an account and was never shown to Immich.
pub(in crate::cli) fn unseen(name: &AccountName, record: &AccountRecord, known: &Libraries) -> Option<Refusal> {
    let came = record.runs.iter().find(|run| run.result.is_fit() && run.counts.downloaded > 0);
    plan::tell_unseen(name, came.map(|run| run.ended), known.last_scan_of(name).map(|scan| scan.at))
}

async fn due(host: &Host) -> Vec<(UnitName, Timestamp)> {
    let Ok(systemd) = host.systemd().await else { return Vec::new() };
    timed::neighbours(&systemd, &[], &["icloudpd@*.timer"]).await.map(|found| found.due).unwrap_or_default()
}

fn stand(
    account: &Account,
    record: &AccountRecord,
    session: Result<Option<Session>, String>,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Standing {
    let name = &account.name;
    let what = || format!("iCloud account {name}");
    let login = || format!("photos-agent icloud login {name}");
    let mut concerns = Vec::new();
    match &session {
        Err(error) => concerns.push(Refusal::new(what(), error.clone(), login())),
        Ok(None) => concerns.push(Refusal::new(what(), "nobody has signed in yet", login())),
        Ok(Some(session)) => {
            let until = session.good_until();
            let ended = plan::refuse_expired(name, until, now);
            let ending = plan::is_ending(until, now).then(|| {
                let date = until.strftime("%Y-%m-%d");
                Refusal::new(what(), format!("its session ends on {date}"), login())
            });
            concerns.extend(ended.or(ending));
        }
    }
    let last = record.runs.first().cloned();
    // A login is newer than what was turned away before it.
    let mended = last.as_ref().is_some_and(|last| {
        last.result.mends() == crate::model::icloud::Mends::Login && record.turned_away().is_none()
    });
    if let Some(last) = last.as_ref().filter(|_| !mended)
        && let Some(remedy) = last.result.remedy(name)
        && concerns.iter().all(|concern| concern.remedy != remedy)
    {
        concerns.push(Refusal::new(what(), last.result.to_string(), remedy));
    }
    let (session, begun, at_work) = (session.ok().flatten(), record.begun, false);
    Standing { account: name.clone(), session, last, begun, at_work, next, concerns }
}

fn text(standing: &Standing) -> String {
    let mut text = format!("{}\n", standing.account);
    let mut say = |what: &str, how: String| {
        let _ = writeln!(text, "  {what:<13} {how}");
    };
    say(
        "session",
        standing.session.map_or_else(
            || "none".to_owned(),
            |session| {
                let trust = session.trusted_until.map(|until| format!("; no new code until {}", time::local(until)));
                format!("good until {}{}", time::local(session.good_until()), trust.unwrap_or_default())
            },
        ),
    );
    if let Some(begun) = standing.begun.filter(|_| standing.at_work) {
        say("at work", format!("since {}", time::local(begun)));
    }
    say(
        "last run",
        standing.last.as_ref().map_or_else(
            || "never".to_owned(),
            |run| {
                let kind = if run.full { ", through everything" } else { "" };
                format!("{}{kind}: {}", time::local(run.at), run.result)
            },
        ),
    );
    if let Some(run) = &standing.last {
        let counts = &run.counts;
        say("", format!("{} files came, {} MiB", counts.downloaded, counts.bytes.div_ceil(1 << 20)));
    }
    say("next run", standing.next.map_or_else(|| "when somebody starts it".to_owned(), time::local));
    for concern in &standing.concerns {
        let _ = writeln!(text, "  {}: {}\n    next: {}", concern.what, concern.why, concern.remedy);
    }
    text
}

/// One line of `photos-agent status`.
pub(in crate::cli) fn line(standing: &Standing) -> String {
    let last = standing.last.as_ref().map_or_else(|| "no run yet".to_owned(), |run| run.result.to_string());
    let session = standing.session.map_or_else(
        || "no session".to_owned(),
        |session| format!("session until {}", session.good_until().strftime("%Y-%m-%d")),
    );
    format!("  iCloud {}: {last}; {session}\n", standing.account)
}
