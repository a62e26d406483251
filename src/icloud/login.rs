//! A login: icloudpd's own sign-in in a container with a terminal, in a folder of cookies apart.
//!
//! A password is typed once. icloudpd asks its terminal and nothing else, so that a wrong one fails at once; where it asks
//! again all the same, it is ended: what is tried too often locks an account.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::config::Account;
use crate::host::Host;
use crate::host::interrupt::Interrupt;
use crate::host::terminal::Terminal;
use crate::icloud::log::{Ended, Reading};
use crate::icloud::{Cookies, IcloudError, claim, password_name, refuse_other, remember};
use crate::model::AccountName;
use crate::model::icloud::SyncResult;
use crate::record::Kept;
use crate::stack::DesiredAccount;

/// Longest login: somebody has to find the device that shows the code.
const LIFE: Duration = Duration::from_secs(15 * 60);

/// How long the container has to end when its program has.
const END: Duration = Duration::from_secs(60);

/// What icloudpd asks, by the ends of its questions.
const PASSWORD: &str = "iCloud Password for ";
const CODES: [&str; 2] = ["Please enter two-factor authentication code", "Please enter two-step authentication code"];

/// Who answers what icloudpd asks.
pub trait Asks: Send {
    /// The password.
    fn password(&mut self) -> String;
    /// The code, or the letter of a telephone number; `question` is icloudpd's own, with the numbers before it. None: to end here.
    fn code<'a>(&'a mut self, question: &'a str) -> BoxFuture<'a, Option<String>>;
    /// What icloudpd says meanwhile.
    fn hear(&mut self, line: &str);
}

/// What a login came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// There is a session, until then.
    Done(crate::icloud::jar::Session),
    /// There is none that is new, and the old one is as it was.
    Failed(SyncResult),
    /// It was ended before its end, and nothing is said of session or password.
    GivenUp(GivenUp),
}

/// Who ended a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// Whoever was asked, for a code or once more for the password, by no answer.
    Asked,
    /// Time.
    Late,
    /// A signal.
    Interrupted,
}

/// How somebody wants to sign in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// The code is asked for on icloudpd's own page instead, on this port of loopback.
    pub web: Option<u16>,
    /// The library in the folder is that of this Apple ID, whatever its name was before.
    pub new_apple_id: bool,
}

/// Signs in. A password that is kept is none any more: whoever has one that is good puts it there ([`keep_password`]).
pub async fn login(
    host: &Host,
    account: &Account,
    desired: &DesiredAccount,
    wish: Wish,
    asks: &mut dyn Asks,
) -> Result<Login, IcloudError> {
    let _claim = claim(&host.root, &account.name, "photos-agent icloud login").await?;
    let interrupt = Interrupt::listen().map_err(IcloudError::Signals)?;
    crate::icloud::sync::refuse_running(host, desired).await?;
    if !wish.new_apple_id {
        refuse_other(&host.root, account, desired)?;
    }
    // From nothing: what is known of a browser is good for as long as it was, and not a day longer.
    let login = sign_in(host, account, desired, wish.web, false, &interrupt, asks).await?;
    if let Login::Done(_) = login {
        remember(&host.root, &account.name, |record| {
            record.login = Some(Timestamp::now());
            record.kept = None;
            if wish.new_apple_id {
                record.apple_id = Some(account.apple_id.clone());
            }
        })
        .await?;
    }
    Ok(login)
}

/// Whether a password of the account is in Podman's store.
pub async fn has_password(host: &Host, account: &AccountName) -> Result<bool, IcloudError> {
    let stored = host.podman.observe(&BTreeSet::new()).await?.secrets;
    Ok(password_name(account).is_some_and(|name| stored.contains_key(name.as_str())))
}

/// Keeps a password that Apple has just taken, in place of the one that was kept. Whoever calls this has the lock of the host.
pub async fn keep_password(host: &Host, account: &Account, password: String) -> Result<(), IcloudError> {
    let Some(name) = password_name(&account.name) else { return Ok(()) };
    host.podman.replace_secret(&name, password.into_bytes()).await?;
    let kept = Kept { apple_id: account.apple_id.clone(), refused: false };
    remember(&host.root, &account.name, |record| record.kept = Some(kept)).await
}

/// The same for whoever has claimed the account.
pub(super) async fn sign_in(
    host: &Host,
    account: &Account,
    desired: &DesiredAccount,
    web: Option<u16>,
    known: bool,
    interrupt: &Interrupt,
    asks: &mut dyn Asks,
) -> Result<Login, IcloudError> {
    let cookies = Cookies::new(host.root.join(desired.cookies.as_path()), &account.apple_id);
    let apart = cookies.begin_apart(known)?;
    let name = container(account);
    host.podman.remove_container(&name).await?;
    let arguments = arguments(account, desired, &apart, web);
    let talk = async {
        let mut dialogue =
            Dialogue { asks, reading: Reading::default(), line: String::new(), typed: false, given_up: false };
        dialogue.run(Terminal::start("podman", &arguments)?).await
    };
    let ended = tokio::select! {
        ended = talk => ended,
        () = interrupt.wait() => Ok(Login::GivenUp(GivenUp::Interrupted)),
        () = tokio::time::sleep(LIFE) => Ok(Login::GivenUp(GivenUp::Late)),
    };
    // Whatever became of it: a container that waits for a code would wait on.
    let removed = host.podman.remove_container(&name).await;
    let login = match ended {
        Ok(Login::Failed(SyncResult::Done)) => match apart.session()? {
            Some(session) => {
                cookies.take_over(&apart)?;
                cookies.keep()?;
                Ok(Login::Done(session))
            }
            None => Ok(Login::Failed(SyncResult::Unknown { said: vec!["it left no session".to_owned()] })),
        },
        other => other,
    };
    apart.forget()?;
    removed?;
    login
}

/// The name of its container.
fn container(account: &Account) -> String {
    format!("photos-icloud-login-{}", account.name)
}

/// Podman's arguments: the container of a run, with a terminal and without photographs.
fn arguments(account: &Account, desired: &DesiredAccount, apart: &Cookies, web: Option<u16>) -> Vec<String> {
    let user = crate::stack::icloudpd::UID;
    let source = apart.folder().display().to_string().replace('"', "\"\"");
    let mut words: Vec<String> = [
        "run",
        "--rm",
        "--interactive",
        "--tty",
        "--pull=never",
        "--network=photos-egress",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--security-opt=label=level:s0",
        "--log-driver=none",
    ]
    .map(str::to_owned)
    .into();
    words.extend([
        format!("--name={}", container(account)),
        format!("--timeout={}", LIFE.as_secs() + END.as_secs()),
        format!("--user={user}:{user}"),
        format!("--mount=type=bind,\"source={source}\",target=/cookies"),
    ]);
    words.extend(web.map(|port| format!("--publish=127.0.0.1:{port}:8080")));
    words.extend([desired.image.to_string(), "icloudpd".to_owned()]);
    words.extend(["--no-progress-bar", "--log-level=info", "--password-provider=console"].map(str::to_owned));
    words.push(format!("--mfa-provider={}", if web.is_some() { "webui" } else { "console" }));
    words.extend([
        format!("--domain={}", account.domain),
        "--cookie-directory=/cookies".to_owned(),
        "--auth-only".to_owned(),
    ]);
    // Two words: with `=` between them icloudpd does not see that a user begins.
    words.extend(["--username".to_owned(), account.apple_id.to_string()]);
    words
}

struct Dialogue<'a> {
    asks: &'a mut dyn Asks,
    reading: Reading,
    /// What was said since the last line's end.
    line: String,
    /// Whether the password was typed.
    typed: bool,
    given_up: bool,
}

impl Dialogue<'_> {
    /// What it came to; [`SyncResult::Done`] where Apple took everything.
    async fn run(&mut self, mut terminal: Terminal) -> Result<Login, IcloudError> {
        let mut completed = false;
        while let Some(piece) = terminal.hear().await {
            self.line += &String::from_utf8_lossy(&piece);
            while let Some((line, rest)) = self.line.split_once('\n') {
                let (line, rest) = (line.trim_end_matches('\r').to_owned(), rest.to_owned());
                self.line = rest;
                completed |= line.contains("Authentication completed successfully");
                self.reading.take(&line);
                self.asks.hear(&line);
            }
            if let Some(answer) = self.answer().await {
                terminal.type_line(&answer).map_err(IcloudError::Terminal)?;
                // The question is answered; its line goes on with what is said next.
                self.line.clear();
            }
            if self.given_up {
                return Ok(Login::GivenUp(GivenUp::Asked));
            }
        }
        let status = terminal.end(END).await?;
        let ended = if status.success() { Ended::Well } else { Ended::Badly };
        Ok(Login::Failed(if completed && status.success() {
            SyncResult::Done
        } else {
            self.reading.result(ended, true)
        }))
    }

    /// What to type now; none where nothing is asked.
    async fn answer(&mut self) -> Option<String> {
        if self.line.starts_with(PASSWORD) && self.line.trim_end().ends_with(':') {
            if self.typed {
                self.given_up = true;
                return None;
            }
            self.typed = true;
            return Some(self.asks.password());
        }
        if CODES.iter().any(|question| self.line.starts_with(question)) && self.line.ends_with(": ") {
            let question = self.line.trim_end().trim_end_matches(':').to_owned();
            let code = self.asks.code(&question).await;
            self.given_up = code.is_none();
            return code;
        }
        None
    }
}
