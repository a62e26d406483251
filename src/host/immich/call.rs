//! One call of Immich's API: who asks, what is said, and why it came to nothing.
//!
//! Keys, tokens and passwords are in headers and bodies only: no error, log or debug text repeats one, and none repeats an
//! answer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::host::netns::NetnsError;

/// A server under load answers late; none of these answers is long to work out.
const PATIENCE: Duration = Duration::from_secs(30);

/// The list of users of a large family and the whole configuration are thousands of times smaller, in bytes.
pub(super) const LONGEST: usize = 8 * 1024 * 1024;

/// How much of a refusal is repeated, in characters.
const SAID: usize = 300;

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// Hides it.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// For whoever must have it: Podman's store, a header, a body.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Anybody.
    Nobody,
    /// Somebody with an API key.
    Key(Hidden),
    /// Somebody who has logged in.
    Session(Hidden),
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server's container could not be entered.
    #[error("cannot ask Immich to {doing}")]
    Netns {
        /// What was being done.
        doing: String,
        /// Why.
        #[source]
        source: NetnsError,
    },
    /// Nobody listens, or no answer came in time.
    #[error("Immich did not answer when asked to {doing}")]
    Silent {
        /// What was being done.
        doing: String,
        /// The transport's reason.
        #[source]
        source: reqwest::Error,
    },
    /// Immich said no.
    #[error("Immich could not {doing}: {said} ({status})")]
    Refused {
        /// What was being done.
        doing: String,
        /// HTTP status.
        status: u16,
        /// Immich's own words.
        said: String,
    },
    /// Something that its API does not say.
    #[error("Immich's answer was not understood when asked to {doing}: {reason}")]
    Garbled {
        /// What was being done.
        doing: String,
        /// What was wrong with it.
        reason: String,
    },
}

impl CallError {
    /// The status of a refusal.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether it was the credentials that were not taken.
    pub const fn is_unknown(&self) -> bool {
        matches!(self.status(), Some(401))
    }
}

/// Of refusals: v2 says a text or several, v3 a text and where in the request.
#[derive(Deserialize)]
struct Refusal {
    message: Value,
}

/// What is asked of a server.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) doing: String,
    pub(super) credential: Credential,
}

impl Call {
    /// Asks, and returns the answer's body.
    pub(super) async fn send(self, server: SocketAddr) -> Result<Vec<u8>, CallError> {
        let silent = |source| CallError::Silent { doing: self.doing.clone(), source };
        let mut response = self.request(server).map_err(silent)?.send().await.map_err(silent)?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await.map_err(silent)? {
            answer.extend_from_slice(&part);
            if answer.len() > LONGEST {
                let reason = format!("it is longer than {LONGEST} bytes");
                return Err(CallError::Garbled { doing: self.doing, reason });
            }
        }
        if status.is_success() {
            return Ok(answer);
        }
        Err(CallError::Refused { said: said(status, &answer), doing: self.doing, status: status.as_u16() })
    }

    fn request(&self, server: SocketAddr) -> reqwest::Result<RequestBuilder> {
        let url = format!("http://{server}/api{}", self.path);
        let request = super::client(PATIENCE)?.request(self.method.clone(), url);
        let request = match &self.credential {
            Credential::Nobody => request,
            Credential::Key(key) => request.header("x-api-key", key.reveal()),
            Credential::Session(token) => request.bearer_auth(token.reveal()),
        };
        Ok(match &self.body {
            Some(body) => request.json(body),
            None => request,
        })
    }
}

/// A refusal in Immich's words, on one line and not endless.
fn said(status: StatusCode, answer: &[u8]) -> String {
    let words = serde_json::from_slice::<Refusal>(answer).ok().and_then(|refusal| match refusal.message {
        Value::String(text) => Some(text),
        Value::Array(texts) => {
            let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        }
        _ => None,
    });
    let words = words.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned());
    words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SAID).collect()
}
