//! One request to Podman's socket, sent again where nobody can have read it.
//!
//! systemd starts Podman for the first connection and Podman ends when nobody has asked for five seconds. One that comes at
//! just that moment is let in and cut off, without an answer.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};

use super::{PodmanError, unreachable};

/// How often a request is sent. The second finds another Podman; the third is for a host under load.
const TRIES: u32 = 3;

/// How long one that ends gets to end.
const PAUSE: Duration = Duration::from_millis(200);

/// Sends it. Whatever is asked of Podman may be asked twice: a secret that is there already is an answer, too.
pub(super) async fn send(request: RequestBuilder, doing: &str) -> Result<Response, PodmanError> {
    for _ in 1..TRIES {
        let Some(again) = request.try_clone() else { break };
        match again.send().await {
            Err(error) if is_cut_off(&error) => {
                tracing::debug!(%error, "asking Podman once more to {doing}");
                tokio::time::sleep(PAUSE).await;
            }
            sent => return sent.map_err(|source| unreachable(doing, source)),
        }
    }
    request.send().await.map_err(|source| unreachable(doing, source))
}

/// Whether no answer can come of it, and not for lack of time. Where nobody listens, nobody does 0.2 s later.
fn is_cut_off(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_timeout() && !error.is_connect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use reqwest::Client;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    /// Somebody who hangs up on the first so many, and counts all.
    fn listen(path: &Path, hangs_up: u32) -> Arc<AtomicU32> {
        let listener = UnixListener::bind(path).unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if count.fetch_add(1, Ordering::SeqCst) < hangs_up {
                    continue;
                }
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await;
            }
        });
        asked
    }

    #[tokio::test]
    async fn who_is_cut_off_asks_again_but_not_for_ever() {
        for (hangs_up, wanted, asked) in [(0, true, 1), (2, true, 3), (9, false, 3)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let count = listen(&path, hangs_up);
            let client = Client::builder().unix_socket(path.as_path()).build().unwrap();
            let sent = send(client.post("http://podman/x").body(vec![1; 100]), "be tested").await;
            assert_eq!((sent.is_ok(), count.load(Ordering::SeqCst)), (wanted, asked), "{sent:?}");
        }
        let client = Client::builder().unix_socket(Path::new("/nowhere")).build().unwrap();
        assert!(matches!(send(client.get("http://podman/x"), "be tested").await, Err(PodmanError::Unreachable { .. })));
    }
}
