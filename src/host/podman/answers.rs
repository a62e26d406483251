//! Podman's answers, as its API writes them, and what is kept of each. Goes no further than the client.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::model::{ContainerRun, ContainerState, DEVICES_LABEL, HASH_LABEL, NetworkState, SecretState};

#[derive(Deserialize)]
pub(super) struct ApiError {
    pub(super) message: String,
}

#[derive(Deserialize)]
pub(super) struct Inspect {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "State")]
    pub(super) state: InspectState,
    #[serde(rename = "Config")]
    pub(super) config: InspectConfig,
    #[serde(rename = "NetworkSettings")]
    network: InspectNetwork,
}

#[derive(Deserialize)]
struct InspectNetwork {
    #[serde(rename = "Networks")]
    networks: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
pub(super) struct InspectConfig {
    #[serde(rename = "Secrets")]
    pub(super) secrets: Option<Vec<MountedSecret>>,
}

#[derive(Deserialize)]
pub(super) struct MountedSecret {
    #[serde(rename = "Name")]
    pub(super) name: String,
    #[serde(rename = "ID")]
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct InspectState {
    #[serde(rename = "Status")]
    pub(super) status: String,
    #[serde(rename = "Pid")]
    pub(super) pid: u32,
    #[serde(rename = "StartedAt")]
    pub(super) started: String,
    #[serde(rename = "Health")]
    pub(super) health: Option<InspectHealth>,
}

#[derive(Deserialize)]
pub(super) struct InspectHealth {
    #[serde(rename = "Status")]
    pub(super) status: String,
}

#[derive(Deserialize)]
pub(super) struct Container {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "Names")]
    pub(super) names: Option<Vec<String>>,
    #[serde(rename = "Labels")]
    pub(super) labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "Networks")]
    pub(super) networks: Option<Vec<String>>,
}

impl Inspect {
    pub(super) fn run(self) -> Option<ContainerRun> {
        let InspectState { status, pid, started, health } = self.state;
        let health = health.map(|health| health.status).filter(|status| !status.is_empty());
        let networks = self.network.networks.unwrap_or_default().into_keys().collect();
        (status == "running" && pid > 0).then_some(ContainerRun { id: self.id, pid, started, health, networks })
    }
}

impl Container {
    pub(super) fn states(self) -> impl Iterator<Item = (String, ContainerState)> {
        let labels = self.labels.unwrap_or_default();
        let state = ContainerState {
            id: self.id,
            unit: labels.get("PODMAN_SYSTEMD_UNIT").cloned(),
            hash: labels.get(HASH_LABEL).cloned(),
            has_devices: labels.contains_key(DEVICES_LABEL),
            networks: self.networks.unwrap_or_default(),
            secrets: BTreeMap::new(),
        };
        self.names.unwrap_or_default().into_iter().map(move |name| (name, state.clone()))
    }
}

#[derive(Deserialize)]
pub(super) struct Network {
    pub(super) name: String,
    #[serde(default)]
    pub(super) driver: String,
    #[serde(default, rename = "network_interface")]
    pub(super) interface: String,
    #[serde(default)]
    pub(super) internal: bool,
    #[serde(default)]
    pub(super) subnets: Option<Vec<NetworkSubnet>>,
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
pub(super) struct NetworkSubnet {
    pub(super) subnet: String,
}

impl Network {
    pub(super) fn state(self) -> NetworkState {
        NetworkState {
            driver: self.driver,
            interface: self.interface,
            internal: self.internal,
            subnets: self.subnets.unwrap_or_default().into_iter().map(|subnet| subnet.subnet).collect(),
            hash: self.labels.unwrap_or_default().remove(HASH_LABEL),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Secret {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "UpdatedAt")]
    pub(super) updated: jiff::Timestamp,
    #[serde(rename = "Spec")]
    pub(super) spec: SecretSpec,
}

/// What is answered to a new or replaced secret.
#[derive(Deserialize)]
pub(super) struct StoredSecret {
    #[serde(rename = "ID")]
    pub(super) id: String,
}

/// A secret whose value was asked for.
#[derive(Deserialize)]
pub(super) struct ShownSecret {
    #[serde(rename = "SecretData")]
    pub(super) value: String,
}

#[derive(Deserialize)]
pub(super) struct SecretSpec {
    #[serde(rename = "Name")]
    pub(super) name: String,
}

impl Secret {
    pub(super) fn state(self) -> (String, SecretState) {
        (self.spec.name, SecretState { id: self.id, updated: self.updated })
    }
}

#[derive(Deserialize)]
pub(super) struct Image {
    #[serde(rename = "RepoDigests")]
    pub(super) repo_digests: Option<Vec<String>>,
    #[serde(rename = "Digest")]
    pub(super) digest: Option<String>,
    #[serde(rename = "Config")]
    pub(super) config: Option<ImageConfig>,
}

#[derive(Deserialize)]
pub(super) struct ImageConfig {
    #[serde(rename = "Cmd")]
    pub(super) command: Option<Vec<String>>,
    #[serde(rename = "Volumes")]
    pub(super) volumes: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
pub(super) struct Info {
    pub(super) store: Store,
}

#[derive(Deserialize)]
pub(super) struct Store {
    #[serde(rename = "graphDriverName")]
    pub(super) driver: String,
    #[serde(rename = "graphRoot")]
    pub(super) graph_root: PathBuf,
}
