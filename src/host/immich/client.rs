//! The few calls that are made of Immich, each with a limit of time and of size.
//!
//! They go to the server's own container, on its loopback address: what is asked is the process whose view of the files was
//! looked at, whatever is published where, and no key or password passes a wire.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answers::{ApiKey, Features, Library, NewKey, Queue, ServerConfig, Session, Statistics, User};
use super::call::{Call, CallError, Credential, Hidden};
use crate::host::netns;

/// A way to one server.
#[derive(Debug, Clone)]
pub struct Client {
    place: Place,
    credential: Credential,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// In the network of this process.
    Inside(u32),
    #[cfg(test)]
    At(SocketAddr),
}

impl Client {
    /// To the server in the container of this process.
    pub const fn new(pid: u32, credential: Credential) -> Self {
        Self { place: Place::Inside(pid), credential }
    }

    /// The same server, asked by somebody else.
    #[must_use]
    pub fn as_who(&self, credential: Credential) -> Self {
        Self { place: self.place, credential }
    }

    /// Whether there is an administrator yet.
    pub async fn is_initialized(&self) -> Result<bool, CallError> {
        Ok(self.get::<ServerConfig>("/server/config", "say whether it is set up").await?.is_initialized)
    }

    /// Whether it is in maintenance, where it answers nothing else.
    pub async fn is_in_maintenance(&self) -> Result<bool, CallError> {
        Ok(self.get::<ServerConfig>("/server/config", "say whether it is in maintenance").await?.maintenance_mode)
    }

    /// Where it says that people reach it (`externalDomain`); empty where nobody has set that.
    pub async fn public_address(&self) -> Result<String, CallError> {
        Ok(self.get::<ServerConfig>("/server/config", "say where people reach it").await?.external_domain)
    }

    /// Whether its configuration is a file, so that it changes none of it.
    pub async fn has_config_file(&self) -> Result<bool, CallError> {
        Ok(self.get::<Features>("/server/features", "say where its configuration is").await?.config_file)
    }

    /// Makes the first administrator.
    pub async fn sign_up(&self, email: &str, name: &str, password: &Hidden) -> Result<(), CallError> {
        let body = json!({ "email": email, "name": name, "password": password.reveal() });
        self.tell(Method::POST, "/auth/admin-sign-up", Some(body), "make the first administrator").await
    }

    /// Logs in.
    pub async fn login(&self, email: &str, password: &Hidden) -> Result<Session, CallError> {
        let body = json!({ "email": email, "password": password.reveal() });
        self.ask(Method::POST, "/auth/login", Some(body), "log in").await
    }

    /// Ends the session that it asks with.
    pub async fn logout(&self) -> Result<(), CallError> {
        self.tell(Method::POST, "/auth/logout", None, "log out").await
    }

    /// The key that it asks with.
    pub async fn own_key(&self) -> Result<ApiKey, CallError> {
        self.get("/api-keys/me", "say what the key may do").await
    }

    /// Makes a key.
    pub async fn create_key(&self, name: &str, permissions: &[&str]) -> Result<NewKey, CallError> {
        let body = json!({ "name": name, "permissions": permissions });
        self.ask(Method::POST, "/api-keys", Some(body), "make an API key").await
    }

    /// Deletes a key; one that is gone is fine.
    pub async fn delete_key(&self, id: &str) -> Result<(), CallError> {
        let deleted = self.tell(Method::DELETE, &format!("/api-keys/{id}"), None, "delete an API key").await;
        match deleted {
            // What is not there is a bad request to Immich.
            Err(error) if matches!(error.status(), Some(400 | 404)) => Ok(()),
            deleted => deleted,
        }
    }

    /// Everybody with an account.
    pub async fn users(&self) -> Result<Vec<User>, CallError> {
        self.get("/admin/users", "list its users").await
    }

    /// All external libraries.
    pub async fn libraries(&self) -> Result<Vec<Library>, CallError> {
        self.get("/libraries", "list its external libraries").await
    }

    /// Makes a library, with the exclusion patterns that Immich has for a new one.
    pub async fn create_library(&self, owner: &str, name: &str, import_path: &str) -> Result<Library, CallError> {
        let body = json!({ "ownerId": owner, "name": name, "importPaths": [import_path] });
        self.ask(Method::POST, "/libraries", Some(body), "make an external library").await
    }

    /// Gives a library these import paths, and leaves all else of it.
    pub async fn set_import_paths(&self, id: &str, paths: &[String]) -> Result<Library, CallError> {
        let body = json!({ "importPaths": paths });
        self.ask(Method::PUT, &format!("/libraries/{id}"), Some(body), "set the import paths of a library").await
    }

    /// Queues a scan.
    pub async fn scan(&self, id: &str) -> Result<(), CallError> {
        self.tell(Method::POST, &format!("/libraries/{id}/scan"), None, "scan a library").await
    }

    /// What a library holds.
    pub async fn statistics(&self, id: &str) -> Result<Statistics, CallError> {
        self.get(&format!("/libraries/{id}/statistics"), "count a library").await
    }

    /// A queue.
    pub async fn queue(&self, name: &str) -> Result<Queue, CallError> {
        self.get(&format!("/queues/{name}"), "say how far a queue is").await
    }

    /// Queues what a queue has not done yet of all assets.
    pub async fn start_missing(&self, queue: &str) -> Result<(), CallError> {
        let body = json!({ "command": "start", "force": false });
        self.tell(Method::PUT, &format!("/jobs/{queue}"), Some(body), &format!("queue what is missing of {queue}"))
            .await
    }

    /// Its whole configuration.
    pub async fn config(&self) -> Result<Value, CallError> {
        self.get("/system-config", "show its configuration").await
    }

    /// Replaces its whole configuration, of which every key has to be there.
    pub async fn set_config(&self, config: Value) -> Result<(), CallError> {
        self.tell(Method::PUT, "/system-config", Some(config), "change its configuration").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, doing: &str) -> Result<T, CallError> {
        self.ask(Method::GET, path, None, doing).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        doing: &str,
    ) -> Result<T, CallError> {
        let answer = self.call(method, path, body, doing).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            // Not the error's own text, which repeats values of the answer: a new key is one.
            let reason = format!("{:?} at line {}, column {}", error.classify(), error.line(), error.column());
            CallError::Garbled { doing: doing.to_owned(), reason }
        })
    }

    async fn tell(&self, method: Method, path: &str, body: Option<Value>, doing: &str) -> Result<(), CallError> {
        self.call(method, path, body, doing).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>, doing: &str) -> Result<Vec<u8>, CallError> {
        let (path, doing, credential) = (path.to_owned(), doing.to_owned(), self.credential.clone());
        let call = Call { method, path, body, doing: doing.clone(), credential };
        match self.place {
            Place::Inside(pid) => {
                let server = SocketAddr::from((Ipv4Addr::LOCALHOST, super::PORT));
                let inside = netns::inside(pid, move || call.send(server)).await;
                inside.map_err(|source| CallError::Netns { doing, source })?
            }
            #[cfg(test)]
            Place::At(server) => call.send(server).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::call::LONGEST;
    use super::*;

    /// A client with a key, of a server that gives this answer; and what the server was asked.
    async fn asked<T>(
        answer: &str,
        call: impl AsyncFnOnce(Client) -> Result<T, CallError>,
    ) -> (Result<T, CallError>, String) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = Credential::Key(Hidden::new("k3y".to_owned()));
        let client = Client { place: Place::At(server.local_addr().unwrap()), credential: key };
        let serve = async {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut question = vec![0; 4096];
            let mut length = stream.read(&mut question).await.unwrap();
            // Head and body may come apart.
            let head = String::from_utf8_lossy(&question[..length]).to_lowercase();
            if head.contains("content-type: application/json") && head.ends_with("\r\n\r\n") {
                length += stream.read(&mut question[length..]).await.unwrap();
            }
            let _ = stream.write_all(answer.as_bytes()).await;
            String::from_utf8_lossy(&question[..length]).into_owned()
        };
        let (called, question) = tokio::join!(call(client), serve);
        (called, question)
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn calls_say_what_they_should_and_the_key_is_in_the_header() {
        let done = answer("204 No Content", "");
        let (called, question) = asked(&done, async |client: Client| client.scan("a-b").await).await;
        called.unwrap();
        assert!(question.starts_with("POST /api/libraries/a-b/scan HTTP/1.1\r\n"), "{question}");
        assert!(question.contains("x-api-key: k3y\r\n"), "{question}");
        let (called, question) = asked(&done, async |client: Client| client.start_missing("ocr").await).await;
        called.unwrap();
        assert!(question.starts_with("PUT /api/jobs/ocr HTTP/1.1\r\n"), "{question}");
        assert!(question.ends_with(r#"{"command":"start","force":false}"#), "{question}");
        let queue = r#"{"name":"library","isPaused":false,
            "statistics":{"active":1,"waiting":2,"delayed":0,"failed":7,"completed":9,"paused":0}}"#;
        let (called, _) = asked(&answer("200 OK", queue), async |client: Client| client.queue("library").await).await;
        assert_eq!(called.unwrap().left(), 3);
    }

    #[tokio::test]
    async fn nothing_secret_is_in_an_error() {
        // v2 with a text, v2 with several, v3, and a proxy.
        for (body, said) in [
            (
                r#"{"message":"Missing permission: library.read","statusCode":403,"error":"Forbidden"}"#,
                "Missing permission",
            ),
            (r#"{"message":["a is short","b is long"],"statusCode":400}"#, "a is short, b is long"),
            (r#"{"message":"Validation failed","errors":[{"path":["x"],"message":"y"}]}"#, "Validation failed"),
            ("<html>", "Forbidden"),
        ] {
            let (called, _) =
                asked(&answer("403 Forbidden", body), async |client: Client| client.libraries().await).await;
            let error = called.unwrap_err();
            assert_eq!(error.status(), Some(403));
            assert!(error.to_string().contains(said), "{error}");
            assert!(!format!("{error:?}").contains("k3y"), "{error:?}");
        }
        // An answer that is not what it should be is not repeated either.
        let garbled = r#"{"secret":["s3cret"],"apiKey":"s3cret"}"#;
        let made = async |client: Client| client.create_key("x", &["library.read"]).await;
        let (called, question) = asked(&answer("201 Created", garbled), made).await;
        let error = called.unwrap_err();
        assert!(matches!(error, CallError::Garbled { .. }) && !format!("{error:?}").contains("s3cret"), "{error:?}");
        assert!(question.contains(r#""permissions":["library.read"]"#), "{question}");
        let login = r#"{"accessToken":"t0ken","isAdmin":true}"#;
        let password = Hidden::new("p4ss".to_owned());
        let (called, _) =
            asked(&answer("201 Created", login), async |client: Client| client.login("a@b", &password).await).await;
        let session = called.unwrap();
        assert_eq!(session.token.reveal(), "t0ken");
        assert!(!format!("{session:?}").contains("t0ken"));
    }

    #[tokio::test]
    async fn an_endless_answer_ends() {
        let endless = answer("200 OK", &"x".repeat(LONGEST + 1));
        let (called, _) = asked(&endless, async |client: Client| client.libraries().await).await;
        assert!(matches!(called, Err(CallError::Garbled { .. })), "{called:?}");
    }
}
