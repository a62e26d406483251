//! `photos-agent immich`: a key for the agent, a library for each account, and scans that cannot empty one.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::cli::icloud::status::unseen;
use crate::host::Host;
use crate::host::immich::Hidden;
use crate::host::lock;
use crate::immich::{self, Administrator, Kept, Need, Scanned, Setup, Which, Wish};
use crate::model::{AccountName, SecretName};
use crate::notify::{self, Outcome};
use crate::observe::chain;
use crate::record;

/// How long a scan that nobody watches waits for another one, or for whoever changes the host.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// No password is longer, in bytes.
const LONGEST: u64 = 4096;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the first administrator if there is none, a key for the agent, and a library for each iCloud account
    Setup {
        /// What the administrator signs in with
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// What the first administrator is called
        #[arg(long, default_value = "Admin")]
        name: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Have external libraries scanned, each only if the tree that Immich sees is provably the right one
    Scan {
        /// An iCloud account, or a library's name or identity [default: all libraries]
        library: Option<String>,
        /// Scan although more is missing than may be, or another subvolume lies there: you have looked
        #[arg(long, requires = "library")]
        force: bool,
        /// Nobody watches: what no run of an account sees to, and what comes of it is told
        #[arg(long, hide = true, conflicts_with = "library")]
        scheduled: bool,
    },
}

#[derive(Serialize)]
struct Scans<'a> {
    scanned: &'a [&'a Scanned],
    refused: &'a [&'a NotScanned],
}

/// Why a library was not scanned.
#[derive(Debug, Serialize)]
pub(super) struct NotScanned {
    library: String,
    error: String,
    remedy: Option<String>,
}

impl NotScanned {
    pub(super) fn new(library: &str, error: &immich::Error) -> Self {
        Self { library: library.to_owned(), error: chain(error), remedy: error.remedy() }
    }
}

impl fmt::Display for NotScanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; next: {remedy}"))
    }
}

pub(super) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    require_root()?;
    let host = context.host()?;
    match command {
        Command::Setup { email, name, password_stdin } => setup(context, &host, email, name, password_stdin).await,
        Command::Scan { library: Some(library), force, .. } => {
            let scanned = scan(&host, library, force, lock::PATIENCE).await?;
            let body = Scans { scanned: &[&scanned], refused: &[] };
            context.output.answer("scans", body, || text(&scanned));
            Ok(ExitCode::SUCCESS)
        }
        Command::Scan { library: None, scheduled: true, .. } => scan_scheduled(context, &host).await,
        Command::Scan { library: None, .. } => {
            let libraries = immich::library_names(&host).await?;
            let (done, code) = scan_each(&host, libraries, lock::PATIENCE).await;
            answer(context, &done);
            Ok(code)
        }
    }
}

async fn setup(
    context: &Context,
    host: &Host,
    email: Option<String>,
    name: String,
    password_stdin: bool,
) -> Result<ExitCode, Failure> {
    let need = immich::need(host).await?;
    let administrator = match need {
        Need::Nobody => None,
        Need::Login | Need::SignUp => {
            let email = email.ok_or_else(|| who(need))?;
            let password = Hidden::new(read_password(&email, need, password_stdin)?);
            Some(Administrator { email, name, password })
        }
    };
    let done = immich::setup(host, administrator.as_ref()).await?;
    context.output.answer("immich", &done, || told(&done, administrator.as_ref()));
    Ok(ExitCode::SUCCESS)
}

fn who(need: Need) -> Failure {
    let what = match need {
        Need::SignUp => "Immich has no administrator yet: say with which address the first one signs in",
        Need::Login | Need::Nobody => "an administrator of Immich has to sign in once, so that the agent gets a key",
    };
    let hint = "photos-agent immich setup --email you@example.org";
    Failure::Usage { what: what.to_owned(), hint: hint.to_owned() }
}

fn read_password(email: &str, need: Need, from_stdin: bool) -> Result<String, Failure> {
    let password = if from_stdin || !std::io::stdin().is_terminal() {
        let mut text = String::new();
        std::io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(Failure::Input)?;
        // What `echo` and editors add is not part of a password.
        text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text).to_owned()).unwrap_or(text)
    } else {
        let prompt = |text: String| rpassword::prompt_password(text).map_err(Failure::Input);
        let first = prompt(format!("Password of {email} in Immich: "))?;
        if need == Need::SignUp && prompt("The same once more: ".to_owned())? != first {
            return Err(Failure::Usage { what: "the two passwords differ".to_owned(), hint: "try again".to_owned() });
        }
        first
    };
    if password.is_empty() {
        let hint = "type it, or give it on standard input with --password-stdin";
        return Err(Failure::Usage { what: "the password is empty".to_owned(), hint: hint.to_owned() });
    }
    Ok(password)
}

fn told(done: &Setup, administrator: Option<&Administrator>) -> String {
    let mut lines = Vec::new();
    if let Some(Administrator { email, .. }) = administrator.filter(|_| done.signed_up) {
        lines.push(format!("{email} is the first administrator of Immich."));
    }
    lines.push(if done.key_made {
        format!("The agent has a key of its own, as the secret {}.", immich::API_KEY)
    } else {
        "The agent's key is good.".to_owned()
    });
    if done.own_scans_switched_off == Some(true) {
        lines.push(
            "Immich's own scan schedule and watcher are off, for all libraries: photos-agent scans them.".to_owned(),
        );
    }
    for ensured in &done.libraries {
        let kept = match ensured.kept {
            Kept::AsItWas => "is there",
            Kept::Made => "was made",
            Kept::PathAdded => "has its import path again",
        };
        lines.push(format!("The library of {} {kept}.", ensured.account));
    }
    lines.join("\n")
}

async fn scan(host: &Host, library: String, force: bool, patience: Duration) -> Result<Scanned, immich::Error> {
    let command = format!("photos-agent immich scan {library}");
    let wish = Wish { which: Which::Named(library), force, command, patience };
    Box::pin(immich::guarded_scan(host, &wish)).await
}

/// What came of several, by name.
type Each = Vec<(String, Result<Scanned, NotScanned>)>;

/// One after the other: that one is refused is no reason to leave out the next.
async fn scan_each(host: &Host, libraries: Vec<(String, String)>, patience: Duration) -> (Each, ExitCode) {
    let (mut each, mut code) = (Vec::new(), 0);
    for (id, name) in libraries {
        let done = scan(host, id, false, patience).await.map_err(|error| {
            // What failed is worse than what was refused.
            code = if error.is_refusal() && code != 1 { 3 } else { 1 };
            NotScanned::new(&name, &error)
        });
        each.push((name, done));
    }
    (each, ExitCode::from(code))
}

fn answer(context: &Context, each: &Each) {
    let scanned: Vec<&Scanned> = each.iter().filter_map(|(_, done)| done.as_ref().ok()).collect();
    let refused: Vec<&NotScanned> = each.iter().filter_map(|(_, done)| done.as_ref().err()).collect();
    context.output.answer("scans", Scans { scanned: &scanned, refused: &refused }, || {
        let mut lines: Vec<String> = scanned.iter().map(|scanned| text(scanned)).collect();
        lines.extend(refused.iter().map(|refused| format!("not scanned: {}: {refused}", refused.library)));
        if lines.is_empty() { "Immich has no external library.".to_owned() } else { lines.join("\n") }
    });
}

/// Libraries of the operator's own, since Immich does not scan them by itself, and those of accounts of which something came that
/// Immich was not shown: the scan after that run was refused, or cut off.
async fn scan_scheduled(context: &Context, host: &Host) -> Result<ExitCode, Failure> {
    let key = SecretName::constant(immich::API_KEY);
    if host.podman.secret_value(&key).await?.is_none() {
        context.output.talk("Immich is not asked to look: the agent has no key. next: photos-agent immich setup");
        return Ok(ExitCode::SUCCESS);
    }
    let (loaded, _) = context.in_force()?;
    let (runs, known) = (record::icloud(&context.root)?, record::libraries(&context.root)?);
    let is_wanted = |id: &String| match known.accounts.iter().find(|(_, library)| *library == id) {
        None => true,
        Some((name, _)) => {
            let name: Option<AccountName> = name.parse().ok();
            name.is_some_and(|name| runs.get(&name).is_some_and(|run| unseen(&name, run, &known).is_some()))
        }
    };
    let libraries = immich::library_names(host).await?.into_iter().filter(|(id, _)| is_wanted(id)).collect();
    let (each, code) = scan_each(host, libraries, PATIENCE).await;
    for (library, done) in &each {
        let said = match done {
            Ok(scanned) if scanned.lost() > scanned.missing => (Outcome::Failed, text(scanned)),
            Ok(scanned) => (Outcome::Done, text(scanned)),
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        notify::tell_scan(&context.root, &loaded.settings.notify, library, said, done.as_ref().ok()).await;
    }
    answer(context, &each);
    Ok(code)
}

/// What came of a scan, for people.
pub(super) fn text(scanned: &Scanned) -> String {
    let Scanned { name, known, missing, before, after, .. } = scanned;
    let mut text = format!("{name}: {missing} of {known} known files were missing; ");
    let _ = match after {
        Some(after) => {
            write!(text, "{} photographs and videos before the scan, {} after it", before.total(), after.total())
        }
        None => write!(text, "what it came to is not known yet (photos-agent immich scan looks again)"),
    };
    if scanned.lost() > *missing {
        let _ = write!(text, "\nMore went to Immich's trash than was missing: {}. Look there.", scanned.lost());
    }
    for overridden in &scanned.overridden {
        let _ = write!(text, "\nOverridden: {overridden}");
    }
    if scanned.own_scans_switched_off {
        text.push_str("\nImmich's own scan schedule and watcher were on, and are off now");
    }
    text
}
