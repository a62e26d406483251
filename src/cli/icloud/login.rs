//! `photos-agent icloud login`. The password goes from a prompt without echo, or from standard input, to icloudpd's own
//! prompt, and nowhere else unless it is to be kept.

use std::io::{self, BufRead};
use std::process::ExitCode;

use clap::Args;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::find;
use crate::apply;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::{Context, time};
use crate::config::Account;
use crate::host::{Host, lock};
use crate::icloud::jar::Session;
use crate::icloud::{self, Asks, GivenUp, Login, Wish};
use crate::model::AccountName;
use crate::model::icloud::SyncResult;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Which account, by its name in the configuration
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Read the password from the first line of standard input, and the code from the next
    #[arg(long)]
    password_stdin: bool,
    /// Keep the password as a Podman secret, so that a session that has ended is renewed without a person as long as Apple
    /// asks for no code
    #[arg(long)]
    keep_password: bool,
    /// Take the code on icloudpd's own web page, on this port of 127.0.0.1; it has no password of its own
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "8080")]
    web: Option<u16>,
    /// The account at Apple has another Apple ID now, and is still the one whose pictures are in the folder
    #[arg(long)]
    new_apple_id: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    account: &'a AccountName,
    #[serde(flatten)]
    session: Session,
    password_kept: bool,
}

pub(super) async fn run(context: &Context, options: Options) -> Result<ExitCode, Failure> {
    require_root()?;
    let (loaded, _) = context.in_force()?;
    let (account, desired) = find(context, &loaded, &options.account)?;
    let host = context.host()?;
    let password = ask_password(options.password_stdin)?;
    let mut person = Person { output: context.output, web: options.web, password };
    let wish = Wish { web: options.web, new_apple_id: options.new_apple_id };
    let login = icloud::login(&host, &account, &desired, wish, &mut person).await?;
    let name = &account.name;
    let session = match login {
        Login::Done(session) => session,
        Login::GivenUp(cause) => {
            let late = if cause == GivenUp::Late { "It took too long. " } else { "" };
            Output::complain(&format!("{late}Nothing was changed: the session is as it was."));
            return Ok(ExitCode::FAILURE);
        }
        Login::Failed(result) => {
            Output::complain(&format!("error: {}; the session is as it was", told(&result)));
            if let SyncResult::Unknown { said } = &result {
                for line in said {
                    Output::complain(&format!("    {line}"));
                }
            }
            Output::complain(&format!("  next: {}", next(&result, name)));
            return Ok(ExitCode::FAILURE);
        }
    };
    // One that was kept before is no better than what Apple has just taken.
    let keeps = options.keep_password || icloud::has_password(&host, name).await?;
    if keeps {
        keep(context, &host, &account, person.password).await?;
    }
    context.output.answer("login", Body { account: name, session, password_kept: keeps }, || {
        let until = time::local(session.good_until());
        let kept = format!("\nThe password is kept: podman secret rm photos-icloud-{name} takes it away.");
        let kept = if keeps { kept } else { String::new() };
        format!("Signed in as {name}, good until {until} if Apple does not end it before.{kept}\nnext: photos-agent icloud sync {name}")
    });
    Ok(ExitCode::SUCCESS)
}

/// In a login it is the code that was wrong, and the same command is the remedy.
fn told(result: &SyncResult) -> String {
    match result {
        SyncResult::CodeNeeded => "Apple did not take the code".to_owned(),
        other => other.to_string(),
    }
}

fn next(result: &SyncResult, account: &AccountName) -> String {
    match result {
        SyncResult::CodeNeeded => format!("photos-agent icloud login {account}, with the code that comes then"),
        SyncResult::WrongPassword => {
            format!(
                "try it at https://account.apple.com first: too many wrong ones lock the account; then: photos-agent icloud login {account}"
            )
        }
        // What it said is told above it: there is no unit and no journal of a login.
        SyncResult::Unknown { .. } => {
            format!(
                "see to what icloudpd says; a newer one comes with: photos-agent apply; then: photos-agent icloud login {account}"
            )
        }
        SyncResult::NoNetwork | SyncResult::Throttled => format!("later: photos-agent icloud login {account}"),
        other => other.remedy(account).unwrap_or_default(),
    }
}

async fn keep(context: &Context, host: &Host, account: &Account, password: String) -> Result<(), Failure> {
    let _lock = lock::take(&context.root.join(apply::LOCK), "photos-agent icloud login", lock::PATIENCE).await?;
    icloud::keep_password(host, account, password).await?;
    apply::commit_secrets(&context.root).await?;
    Ok(())
}

/// Whoever sits at the terminal, or writes into our standard input.
struct Person {
    output: Output,
    web: Option<u16>,
    password: String,
}

impl Asks for Person {
    fn password(&mut self) -> String {
        self.password.clone()
    }

    fn code<'a>(&'a mut self, question: &'a str) -> BoxFuture<'a, Option<String>> {
        self.output.talk(&format!("{question}:"));
        let (tell, told) = tokio::sync::oneshot::channel();
        // A thread of its own, which nobody waits for: what is typed may never come.
        std::thread::spawn(move || tell.send(line().unwrap_or_default()));
        Box::pin(async {
            let code = told.await.unwrap_or_default();
            // An empty line, or the end: whoever was asked does not want to.
            let fits = (1..=6).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
            Some(code).filter(|_| fits)
        })
    }

    fn hear(&mut self, line: &str) {
        // The telephone numbers, one after a letter each.
        let is_number = line.trim_start().as_bytes().get(1) == Some(&b':') && line.starts_with("  ");
        if is_number {
            self.output.talk(line);
        }
        if let Some(port) = self.web.filter(|_| line.contains("-factor authentication is required")) {
            self.output.talk(&format!(
                "Enter the code at http://127.0.0.1:{port}/ on this host; from another one, first: ssh -L \
                 {port}:127.0.0.1:{port} HOST"
            ));
        }
    }
}

/// Before anything else is begun: here, an interrupt ends us at once.
fn ask_password(from_input: bool) -> Result<String, Failure> {
    let asked = if from_input { line() } else { rpassword::prompt_password("Apple password: ") };
    let password = asked.map_err(Failure::Input)?;
    if password.is_empty() || password.chars().any(char::is_control) {
        let what = "the password is empty or has a control character".to_owned();
        return Err(Failure::Usage { what, hint: "the password of the Apple account, in one line".to_owned() });
    }
    Ok(password)
}

fn line() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text)?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_fails_says_what_is_next() {
        let account = "anna".parse().unwrap();
        for result in
            [SyncResult::WrongPassword, SyncResult::CodeNeeded, SyncResult::NoNetwork, SyncResult::OtherDomain]
        {
            assert!(!next(&result, &account).is_empty() && !told(&result).is_empty());
        }
        assert_eq!(told(&SyncResult::CodeNeeded), "Apple did not take the code");
        let unknown = SyncResult::Unknown { said: vec!["KeyError: 'salt'".into()] };
        assert!(
            next(&unknown, &account).contains("photos-agent apply") && !next(&unknown, &account).contains("journalctl")
        );
    }
}
