//! Immich over HTTP: whether it answers where people reach it, what it says to its own container, and the few calls that
//! are made of it (`client`).

mod answers;
mod call;
mod client;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client as Http, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::host::netns::{self, NetnsError};
use crate::model::Release;

pub use answers::{ApiKey, Library, NewKey, Queue, Session, Statistics, User};
pub use call::{CallError, Credential, Hidden};
pub use client::Client;

/// How long an answer may take. The image's own health check waits as long.
const PATIENCE: Duration = Duration::from_secs(2);

/// The port that the server listens on in its container.
pub const PORT: u16 = 2283;

/// What it answers whoever wants to know whether it is up.
pub const PING: &str = "/api/server/ping";

/// More than this is no answer to what is asked here, in bytes.
const LONGEST: usize = 16 * 1024;

/// Why the server did not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum ImmichError {
    /// Its container could not be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// Nobody listens, or no answer came in time.
    #[error("no answer to {path}")]
    Silent {
        /// What was asked for.
        path: &'static str,
        /// The transport's reason.
        #[source]
        source: reqwest::Error,
    },
    /// Another status than 200.
    #[error("{path} was answered with {status}")]
    Refused {
        /// What was asked for.
        path: &'static str,
        /// HTTP status.
        status: StatusCode,
    },
    /// Something that Immich does not say.
    #[error("the answer to {path} was not understood: {reason}")]
    Garbled {
        /// What was asked for.
        path: &'static str,
        /// What was wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Ping {
    res: String,
}

/// `prerelease` came with v3.
#[derive(Deserialize)]
struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    #[serde(default)]
    prerelease: Option<Prerelease>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prerelease {
    Number(u64),
    Text(String),
}

/// Asks the server in the container of this process for a pong, and for its release: on the container's own loopback
/// address, so through closed doors too.
pub async fn probe(pid: u32) -> Result<Release, ImmichError> {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    netns::inside(pid, move || ask(server)).await?
}

async fn ask(server: SocketAddr) -> Result<Release, ImmichError> {
    let Ping { res } = get(server, PING).await?;
    if res != "pong" {
        return Err(ImmichError::Garbled { path: PING, reason: format!("{res:?} is no pong") });
    }
    let path = "/api/server/version";
    let version: Version = get(server, path).await?;
    release(&version).ok_or_else(|| ImmichError::Garbled { path, reason: "it is no version".to_owned() })
}

fn release(version: &Version) -> Option<Release> {
    let Version { major, minor, patch, prerelease } = version;
    let prerelease = match prerelease {
        None => String::new(),
        // As the tags of candidates are written.
        Some(Prerelease::Number(number)) => format!("-rc.{number}"),
        Some(Prerelease::Text(text)) => format!("-{text}"),
    };
    format!("v{major}.{minor}.{patch}{prerelease}").parse().ok()
}

async fn get<T: DeserializeOwned>(server: SocketAddr, path: &'static str) -> Result<T, ImmichError> {
    let silent = |source| ImmichError::Silent { path, source };
    let garbled = |reason| ImmichError::Garbled { path, reason };
    let mut response =
        client(PATIENCE).map_err(silent)?.get(format!("http://{server}{path}")).send().await.map_err(silent)?;
    if response.status() != StatusCode::OK {
        return Err(ImmichError::Refused { path, status: response.status() });
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(silent)? {
        body.extend_from_slice(&part);
        if body.len() > LONGEST {
            return Err(garbled(format!("it is longer than {LONGEST} bytes")));
        }
    }
    serde_json::from_slice(&body).map_err(|error| garbled(error.to_string()))
}

/// A proxy of the environment is for the way out, not for this host; and no server here sends anybody elsewhere.
fn client(patience: Duration) -> reqwest::Result<Http> {
    Http::builder().no_proxy().redirect(Policy::none()).timeout(patience).build()
}

/// Whether something in the container of this process answers on that port of its loopback address, and says that it is well.
pub async fn is_up(pid: u32, port: u16, path: &'static str) -> bool {
    let asked = netns::inside(pid, move || async move {
        let url = format!("http://{}{path}", SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let Ok(client) = client(PATIENCE) else { return false };
        client.get(url).send().await.is_ok_and(|response| response.status().is_success())
    });
    asked.await.unwrap_or(false)
}

/// Whether the server answers on its published address. Its health is looked at from inside the container, so a
/// healthy one may be out of reach: where the host's firewall threw Podman's rules away, for one.
pub async fn answers(listen: SocketAddr) -> bool {
    let url = format!("http://{}/api/server/ping", reachable(listen));
    let Ok(client) = client(PATIENCE) else { return false };
    let Ok(response) = client.get(url).send().await else { return false };
    response.status().is_success()
}

/// Every address is reached on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(address, listen.port())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn only_an_answer_is_an_answer() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(reachable("[::]:80".parse().unwrap()), "[::1]:80".parse().unwrap());
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        drop(silent);
        assert!(!answers(address).await);
        assert!(matches!(ask(address).await, Err(ImmichError::Silent { .. })));
    }

    /// What is made of a server that gives these answers, status and body, one after the other.
    async fn asked(answers: &[(&str, &str)]) -> Result<Release, ImmichError> {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = async {
            for (status, body) in answers {
                let (mut stream, _) = server.accept().await.unwrap();
                let mut question = [0; 1024];
                assert!(stream.read(&mut question).await.unwrap() > 0);
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}");
                // One that has heard enough hangs up.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            asked = ask(address) => asked,
            () = serve => unreachable!(),
        }
    }

    #[tokio::test]
    async fn a_server_says_pong_and_its_release() {
        let pong = ("200 OK", r#"{"res":"pong"}"#);
        for (body, release) in [
            (r#"{"major":2,"minor":7,"patch":5}"#, "v2.7.5"),
            (r#"{"major":3,"minor":2,"patch":2,"prerelease":null}"#, "v3.2.2"),
            (r#"{"major":3,"minor":3,"patch":0,"prerelease":1}"#, "v3.3.0-rc.1"),
            (r#"{"major":3,"minor":3,"patch":0,"prerelease":"rc.1"}"#, "v3.3.0-rc.1"),
        ] {
            assert_eq!(asked(&[pong, ("200 OK", body)]).await.unwrap().to_string(), release);
        }
        let long = format!(r#"{{"res":"{}"}}"#, "x".repeat(LONGEST));
        for answers in [
            &[("200 OK", r#"{"res":"ping"}"#)][..],
            &[("200 OK", "<html>")],
            &[("200 OK", &long)],
            &[pong, ("200 OK", "{}")],
            &[pong, ("200 OK", r#"{"major":3,"minor":3,"patch":0,"prerelease":"x y"}"#)],
        ] {
            assert!(matches!(asked(answers).await, Err(ImmichError::Garbled { .. })), "{answers:?}");
        }
        for status in ["503 Service Unavailable", "302 Found\r\nLocation: http://127.0.0.1:1/"] {
            assert!(matches!(asked(&[(status, "{}")]).await, Err(ImmichError::Refused { .. })), "{status}");
        }
    }
}
