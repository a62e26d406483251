//! Messages to an address that is as good as a password: it is in no error, no log and no argument.

use std::time::Duration;

use hyper_tls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reqwest::{Body, RequestBuilder};
use serde_json::json;

use crate::model::Messenger;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long is waited before each further try.
const PAUSES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(12)];

/// Longest text: Discord takes 2000 characters, and the others more.
const LONGEST: usize = 1500;

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// In a few words.
    pub title: String,
    /// In one or two sentences.
    pub text: String,
    /// Whether somebody should see to something.
    pub urgent: bool,
}

/// Why it was not sent.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It is none.
    #[error("what the secret holds is no address that begins with https:// or http://")]
    Address,
    /// Nobody was reached, or nobody answered.
    #[error("cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was not taken.
    #[error("answered with {0}")]
    Refused(u16),
}

impl WebhookError {
    /// Whether it may be otherwise in a moment.
    const fn time_mends(&self) -> bool {
        match self {
            Self::Address => false,
            Self::Unreachable(_) => true,
            Self::Refused(status) => *status == 429 || *status >= 500,
        }
    }
}

/// Sends it, in a few tries.
pub async fn send(kind: Messenger, address: &str, message: &Message) -> Result<(), WebhookError> {
    send_with(kind, address, message, &PAUSES).await
}

async fn send_with(kind: Messenger, address: &str, message: &Message, pauses: &[Duration]) -> Result<(), WebhookError> {
    let mut pauses = pauses.iter();
    loop {
        let error = match once(kind, address, message).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match pauses.next() {
            Some(pause) if error.time_mends() => tokio::time::sleep(*pause).await,
            _ => return Err(error),
        }
    }
}

async fn once(kind: Messenger, address: &str, message: &Message) -> Result<(), WebhookError> {
    let url = reqwest::Url::parse(address.trim()).map_err(|_| WebhookError::Address)?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err(WebhookError::Address);
    }
    let unreachable = |error: reqwest::Error| WebhookError::Unreachable(error.without_url().into());
    // It has the words for it (a name and a password in the address among them), and no TLS.
    let words = reqwest::Client::builder().no_proxy().build().map_err(unreachable)?;
    let request = body(kind, words.post(url), message).build().and_then(TryInto::try_into).map_err(unreachable)?;
    let answer = transport()?.request(request);
    let answer = tokio::time::timeout(PATIENCE, answer).await.map_err(|late| WebhookError::Unreachable(late.into()))?;
    let status = answer.map_err(|error| WebhookError::Unreachable(error.into()))?.status();
    if status.is_success() { Ok(()) } else { Err(WebhookError::Refused(status.as_u16())) }
}

/// Of the certificates that this host vouches for. It follows no redirects: what an address leads to is said in the secret, and
/// nowhere else. It knows no proxy.
fn transport() -> Result<Client<HttpsConnector<HttpConnector>, Body>, WebhookError> {
    let tls = native_tls::TlsConnector::new().map_err(|error| WebhookError::Unreachable(error.into()))?;
    let mut tcp = HttpConnector::new();
    // It takes https as well: what is beneath TLS.
    tcp.enforce_http(false);
    Ok(Client::builder(TokioExecutor::new()).build(HttpsConnector::from((tcp, tls.into()))))
}

/// The message as each of them takes it.
fn body(kind: Messenger, request: RequestBuilder, message: &Message) -> RequestBuilder {
    let text: String = message.text.chars().take(LONGEST).collect();
    let title = &message.title;
    match kind {
        // A header holds ASCII only; the rest of the text is where it belongs.
        Messenger::Ntfy => request
            .header("Title", title.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect::<String>())
            .header("Priority", if message.urgent { "high" } else { "default" })
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(text),
        // Nobody is called by what a text happens to have in it.
        Messenger::Discord => {
            request.json(&json!({ "content": format!("**{title}**\n{text}"), "allowed_mentions": { "parse": [] } }))
        }
        Messenger::Gotify => {
            request.json(&json!({ "title": title, "message": text, "priority": if message.urgent { 8 } else { 4 } }))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers with these statuses, one after the other, and keeps what it was sent.
    async fn server(statuses: &'static [u16]) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/open-sesame", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = heard.clone();
        tokio::spawn(async move {
            for status in statuses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                loop {
                    let read = stream.read(&mut buffer).await.unwrap();
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                    let length = text
                        .to_lowercase()
                        .split("content-length: ")
                        .nth(1)
                        .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                    if read == 0 || body.is_some() && body >= length {
                        break;
                    }
                }
                keep.lock().unwrap().push(text);
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (address, heard)
    }

    fn message() -> Message {
        Message {
            title: "photos: icloud ü".into(),
            text: "the session of \"anna\" ends ü @everyone".into(),
            urgent: true,
        }
    }

    #[tokio::test]
    async fn each_gets_what_it_understands() {
        for (kind, wanted) in [
            (
                Messenger::Ntfy,
                vec![
                    "title: photos: icloud \r\n",
                    "priority: high",
                    "\r\n\r\nthe session of \"anna\" ends ü @everyone",
                ],
            ),
            (Messenger::Discord, vec!["**photos: icloud ü**", r#""allowed_mentions":{"parse":[]}"#]),
            (Messenger::Gotify, vec![r#""title":"photos: icloud ü""#, r#""priority":8"#, r#"\"anna\" ends ü"#]),
        ] {
            let (address, heard) = server(&[200]).await;
            send_with(kind, &format!("{address}\n"), &message(), &[]).await.unwrap();
            let heard = heard.lock().unwrap().join("");
            assert!(heard.starts_with("POST /open-sesame HTTP/1.1\r\n"), "{heard}");
            for part in wanted {
                assert!(heard.contains(part), "{kind}: {part}: {heard}");
            }
        }
    }

    #[tokio::test]
    async fn a_name_and_a_password_in_the_address_are_said_as_http_has_it() {
        let (address, heard) = server(&[200]).await;
        let address = address.replace("http://", "http://anna:secret@");
        send_with(Messenger::Ntfy, &address, &message(), &[]).await.unwrap();
        let heard = heard.lock().unwrap().join("");
        // RFC 7617: base64 of `anna:secret`.
        assert!(heard.contains("authorization: Basic YW5uYTpzZWNyZXQ=\r\n") && !heard.contains("secret@"), "{heard}");
    }

    #[tokio::test]
    async fn it_is_tried_again_where_that_may_help() {
        let pauses = [Duration::from_millis(1); 2];
        let (address, heard) = server(&[503, 429, 200]).await;
        send_with(Messenger::Ntfy, &address, &message(), &pauses).await.unwrap();
        assert_eq!(heard.lock().unwrap().len(), 3);
        let (address, heard) = server(&[403, 200]).await;
        let refused = send_with(Messenger::Ntfy, &address, &message(), &pauses).await.unwrap_err();
        assert_eq!((refused.to_string().as_str(), heard.lock().unwrap().len()), ("answered with 403", 1));
    }

    #[tokio::test]
    async fn no_error_tells_the_address() {
        use std::error::Error as _;
        use std::fmt::Write as _;
        for bad in [
            "",
            "ftp://open-sesame",
            "open-sesame",
            "https://",
            "http://open-sesame.invalid/open-sesame",
            "https://127.0.0.1:1/open-sesame",
        ] {
            let error = send_with(Messenger::Gotify, bad, &message(), &[]).await.unwrap_err();
            let mut said = format!("{error} {error:?}");
            let mut cause = error.source();
            while let Some(error) = cause {
                let _ = write!(said, "{error} {error:?}");
                cause = error.source();
            }
            assert!(!said.contains("/open-sesame"), "{bad}: {said}");
        }
    }
}
