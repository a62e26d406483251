//! Podman over its REST socket: what is there, pull, secrets, networks.
//!
//! One client for the life of the process, no process per question. Bodies that hold a secret go to
//! the socket and nowhere else: no error, log or debug text of this room repeats a request body.

mod answers;
mod folder;
mod pull;
mod registry;
mod secrets;
mod send;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use reqwest::{Client, Method, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::model::{ContainerRun, ContainerState, Digest, ImageRef, NetworkName, PodmanState};
use answers::{ApiError, Container, Image, Info, Inspect, InspectHealth, Network, Secret};
use send::send;

pub use folder::{commit_images, image_folder};
pub use pull::PullProgress;
pub use registry::Offer;

/// Where a rootful Podman listens (podman.socket).
pub const SOCKET: &str = "/run/podman/podman.sock";

/// Oldest API that answers all that is asked here; newer Podmans serve it too.
const BASE: &str = "http://podman/v5.0.0/libpod";

/// Where each answer says which Podman gave it.
const VERSION: &str = "Libpod-Api-Version";

/// For questions, not for pulls. A cold socket starts Podman first (90 ms), a busy store can take seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest silence in the stream of a pull: unpacking a layer of many gigabytes says nothing for minutes.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// What went wrong between the agent and Podman.
#[derive(Debug, thiserror::Error)]
pub enum PodmanError {
    /// Nobody listens, or the connection broke.
    #[error("cannot reach Podman on {SOCKET} to {doing}")]
    Unreachable {
        /// What was being done.
        doing: String,
        /// The transport's reason.
        #[source]
        source: reqwest::Error,
    },
    /// Podman answered with an error.
    #[error("Podman could not {doing}: {message}")]
    Refused {
        /// What was being done.
        doing: String,
        /// HTTP status.
        status: u16,
        /// Podman's own words.
        message: String,
    },
    /// Podman answered with something else than its API says.
    #[error("Podman's answer was not understood while trying to {doing}: {reason}")]
    Garbled {
        /// What was being done.
        doing: String,
        /// What was wrong with it.
        reason: String,
    },
}

/// The one client of Podman's socket.
#[derive(Debug, Clone)]
pub struct Podman {
    client: Client,
}

impl Podman {
    /// A client; connects when first asked something.
    pub fn new() -> Result<Self, PodmanError> {
        let client = Client::builder().unix_socket(Path::new(SOCKET)).read_timeout(SILENCE).build();
        client
            .map(|client| Self { client })
            .map_err(|source| PodmanError::Unreachable { doing: "set up the connection".to_owned(), source })
    }

    /// All that planning needs to know, of the images only `wanted`: the questions side by side, and one more for
    /// each container of ours. What is asked is what Podman answers within a few milliseconds: `version` and `info`
    /// start processes, the list of images reads every manifest in the store.
    pub async fn observe(&self, wanted: &BTreeSet<ImageRef>) -> Result<PodmanState, PodmanError> {
        let images = async { try_join_all(wanted.iter().map(|image| self.stored(image))).await };
        let (version, containers, networks, secrets, images) = tokio::try_join!(
            self.version(),
            self.containers(),
            self.get::<Vec<Network>>("networks/json", &[], "list networks"),
            self.get::<Vec<Secret>>("secrets/json", &[], "list secrets"),
            images,
        )?;
        Ok(PodmanState {
            version,
            containers,
            networks: networks.into_iter().map(|network| (network.name.clone(), network.state())).collect(),
            secrets: secrets.into_iter().map(Secret::state).collect(),
            images: images.into_iter().flatten().collect(),
        })
    }

    async fn containers(&self) -> Result<BTreeMap<String, ContainerState>, PodmanError> {
        let containers: Vec<Container> = self.get("containers/json", &[("all", "true")], "list containers").await?;
        let mut containers: BTreeMap<String, ContainerState> =
            containers.into_iter().flat_map(Container::states).collect();
        let ours = containers.iter_mut().filter(|(_, state)| state.hash.is_some());
        let ask = ours.map(|(name, state)| async move {
            // One that went meanwhile had none.
            if let Ok(inspect) = self.inspect(name).await {
                let secrets = inspect.config.secrets.unwrap_or_default();
                state.secrets = secrets.into_iter().map(|secret| (secret.name, secret.id)).collect();
            }
        });
        join_all(ask).await;
        Ok(containers)
    }

    /// The image, if a unit that names it would find it in the store. A tag is never taken for one: what it
    /// means is known after a pull.
    async fn stored(&self, image: &ImageRef) -> Result<Option<String>, PodmanError> {
        if image.digest().is_none() {
            return Ok(None);
        }
        let doing = "look for an image";
        let request = self.client.get(format!("{BASE}/images/{image}/exists")).timeout(PATIENCE);
        let response = send(request, doing).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        accept(response, doing).await.map(|_| Some(image.to_string()))
    }

    async fn inspect(&self, container: &str) -> Result<Inspect, PodmanError> {
        self.get(&format!("containers/{container}/json"), &[], "inspect a container").await
    }

    /// From the header that every answer has. It is the version of libpod's API, which is Podman's own.
    async fn version(&self) -> Result<String, PodmanError> {
        let doing = "ask for its version";
        let request = self.client.get(format!("{BASE}/_ping")).timeout(PATIENCE);
        let response = send(request, doing).await?;
        let response = accept(response, doing).await?;
        let version = response.headers().get(VERSION).and_then(|version| version.to_str().ok());
        version.map(str::to_owned).ok_or_else(|| PodmanError::Garbled {
            doing: doing.to_owned(),
            reason: format!("the answer has no header {VERSION}"),
        })
    }

    /// Health of a running container, as Podman last saw it: `healthy`, `starting`, `unhealthy`.
    pub async fn health(&self, container: &str) -> Result<Option<String>, PodmanError> {
        let inspect = self.inspect(container).await?;
        Ok(inspect.state.health.map(|health| health.status).filter(|status| !status.is_empty()))
    }

    /// The container, if it runs.
    pub async fn running(&self, container: &str) -> Result<Option<ContainerRun>, PodmanError> {
        match self.inspect(container).await {
            Ok(inspect) => Ok(inspect.run()),
            Err(PodmanError::Refused { status, .. }) if status == StatusCode::NOT_FOUND.as_u16() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has a container's health looked at now, as its own timer does. Whether it is well.
    pub async fn check_health(&self, container: &str) -> Result<bool, PodmanError> {
        let path = format!("containers/{container}/healthcheck");
        let health: InspectHealth = self.get(&path, &[], "look at a container's health").await?;
        Ok(health.status == "healthy")
    }

    /// Removes a network that no container uses.
    pub async fn remove_network(&self, name: &NetworkName) -> Result<(), PodmanError> {
        let doing = format!("remove the network {name}");
        let request = self.client.request(Method::DELETE, format!("{BASE}/networks/{name}")).timeout(PATIENCE);
        let response = send(request, &doing).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        accept(response, &doing).await.map(drop)
    }

    /// Pulls an image and returns its digest. A missing tag, an unreachable registry and a broken
    /// stream are errors; what had arrived stays for the next try.
    pub async fn pull(
        &self,
        image: &ImageRef,
        progress: &mut (dyn FnMut(PullProgress) + Send),
    ) -> Result<Digest, PodmanError> {
        let doing = format!("pull {image}");
        let reference = image.to_string();
        // compatMode: Docker's stream of JSON lines, which counts bytes; libpod's own has words only.
        let query = [("reference", reference.as_str()), ("policy", "always"), ("compatMode", "true")];
        let request = self.client.post(format!("{BASE}/images/pull")).query(&query);
        let response = send(request, &doing).await?;
        let response = accept(response, &doing).await?;
        pull::read(response, &doing, progress).await?;
        self.digest(image, &doing).await
    }

    /// The folder in which images lie. Podman starts processes to answer it, which takes half a second.
    pub async fn image_folder(&self) -> Result<PathBuf, PodmanError> {
        let info: Info = self.get("info", &[], "ask where images lie").await?;
        Ok(info.store.graph_root)
    }

    /// What they lie in: `overlay`, or another driver. Takes as long.
    pub async fn image_driver(&self) -> Result<String, PodmanError> {
        let info: Info = self.get("info", &[], "ask what images lie in").await?;
        Ok(info.store.driver)
    }

    /// Paths that an image in the store declares as volumes.
    pub async fn volumes(&self, image: &ImageRef) -> Result<Vec<String>, PodmanError> {
        let inspected: Image = self.get(&format!("images/{image}/json"), &[], "inspect an image").await?;
        let volumes = inspected.config.and_then(|config| config.volumes).unwrap_or_default();
        Ok(volumes.into_keys().collect())
    }

    /// What an image in the store runs, unless it is told otherwise: the arguments of its entry point.
    pub async fn command(&self, image: &ImageRef) -> Result<Vec<String>, PodmanError> {
        let inspected: Image = self.get(&format!("images/{image}/json"), &[], "inspect an image").await?;
        Ok(inspected.config.and_then(|config| config.command).unwrap_or_default())
    }

    /// Whether an image that is named by its digest is in the store.
    pub async fn has(&self, image: &ImageRef) -> Result<bool, PodmanError> {
        Ok(self.stored(image).await?.is_some())
    }

    /// Ends a container at once and removes it. One that is not there is fine.
    pub async fn remove_container(&self, name: &str) -> Result<(), PodmanError> {
        let doing = format!("remove the container {name}");
        // Without a word to its process, and with its anonymous volumes.
        let query = [("force", "true"), ("timeout", "0"), ("v", "true")];
        let request = self.client.request(Method::DELETE, format!("{BASE}/containers/{name}"));
        let request = request.query(&query).timeout(PATIENCE);
        let response = send(request, &doing).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        accept(response, &doing).await.map(drop)
    }

    /// Ends a container's first process without Podman, which writes down what it does, and cannot on a full disk. What is
    /// left of the container is removed later.
    pub async fn end_process(&self, name: &str) -> Result<(), PodmanError> {
        let Some(run) = self.running(name).await? else { return Ok(()) };
        // Podman's word for it may be old, and the number another process's by now.
        let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", run.pid)).unwrap_or_default();
        if let (true, Ok(pid)) = (cgroup.contains(&run.id), i32::try_from(run.pid)) {
            // One that has ended meanwhile is fine.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        Ok(())
    }

    async fn digest(&self, image: &ImageRef, doing: &str) -> Result<Digest, PodmanError> {
        let inspected: Image = self.get(&format!("images/{image}/json"), &[], doing).await?;
        if let Some(digest) = image.digest() {
            return Ok(digest.clone());
        }
        let of_repository = |name: &String| {
            let (repository, digest) = name.split_once('@')?;
            (repository == image.repository()).then(|| digest.parse::<Digest>().ok()).flatten()
        };
        let names = inspected.repo_digests.unwrap_or_default();
        let digests: Vec<Digest> = names.iter().filter_map(of_repository).collect();
        // A multi-platform image has two: that of the list and that of the platform. Podman's own
        // answer for the image is the one it resolved the tag to.
        let own = digests.iter().find(|digest| Some(digest.as_str()) == inspected.digest.as_deref());
        own.or(digests.first()).cloned().ok_or_else(|| PodmanError::Garbled {
            doing: doing.to_owned(),
            reason: format!("the image has no digest for {}", image.repository()),
        })
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        doing: &str,
    ) -> Result<T, PodmanError> {
        let request = self.client.get(format!("{BASE}/{path}")).query(query).timeout(PATIENCE);
        let response = send(request, doing).await?;
        understand(accept(response, doing).await?, doing).await
    }
}

async fn understand<T: DeserializeOwned>(response: Response, doing: &str) -> Result<T, PodmanError> {
    let bytes = response.bytes().await.map_err(|source| unreachable(doing, source))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| PodmanError::Garbled { doing: doing.to_owned(), reason: error.to_string() })
}

fn unreachable(doing: &str, source: reqwest::Error) -> PodmanError {
    PodmanError::Unreachable { doing: doing.to_owned(), source }
}

async fn accept(response: Response, doing: &str) -> Result<Response, PodmanError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.bytes().await.unwrap_or_default();
    let refusal: Option<ApiError> = serde_json::from_slice(&body).ok();
    let message = refusal.map_or_else(|| status.to_string(), |refusal| refusal.message);
    Err(PodmanError::Refused { doing: doing.to_owned(), status: status.as_u16(), message })
}
