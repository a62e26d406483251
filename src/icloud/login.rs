//! A login: icloudpd's own sign-in in a container with a terminal, in a folder of cookies apart.
//!
//! A password is typed once. icloudpd asks its terminal and nothing else, so that a wrong one fails at once; where it asks
//! again all the same, it is ended: what is tried too often locks an account.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::config::Account;
use crate::host::Host;
use crate::host::terminal::Terminal;
use crate::icloud::log::{Ended, Reading};
use crate::icloud::{Cookies, IcloudError, claim, remember};
use crate::model::icloud::SyncResult;
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
    /// Whoever was asked did not answer.
    GivenUp,
}

/// Signs in. `web`: the code is asked for on icloudpd's own page instead, on this port of loopback.
pub async fn login(
    host: &Host,
    account: &Account,
    desired: &DesiredAccount,
    web: Option<u16>,
    asks: &mut dyn Asks,
) -> Result<Login, IcloudError> {
    let _claim = claim(&host.root, &account.name, "photos-agent icloud login").await?;
    crate::icloud::sync::refuse_running(host, desired).await?;
    // From nothing: what is known of a browser is good for as long as it was, and not a day longer.
    let login = sign_in(host, account, desired, web, false, asks).await?;
    if let Login::Done(_) = login {
        remember(&host.root, &account.name, |record| record.login = Some(Timestamp::now())).await?;
    }
    Ok(login)
}

/// The same for whoever has claimed the account.
pub(super) async fn sign_in(
    host: &Host,
    account: &Account,
    desired: &DesiredAccount,
    web: Option<u16>,
    known: bool,
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
        _ = tokio::signal::ctrl_c() => Ok(Login::GivenUp),
        () = tokio::time::sleep(LIFE) => Ok(Login::GivenUp),
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
                return Ok(Login::GivenUp);
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
