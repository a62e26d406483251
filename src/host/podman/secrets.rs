//! Secrets: stored, replaced, and read by whoever must have one.

use reqwest::StatusCode;

use super::answers::{ShownSecret, StoredSecret};
use super::send::send;
use super::{BASE, PATIENCE, Podman, PodmanError, accept, understand, unreachable};
use crate::model::SecretName;

impl Podman {
    /// The value of a secret; none where there is none of this name.
    pub async fn secret_value(&self, name: &SecretName) -> Result<Option<String>, PodmanError> {
        let doing = format!("read the secret {name}");
        let request = self.client.get(format!("{BASE}/secrets/{name}/json")).query(&[("showsecret", "true")]);
        let response = send(request.timeout(PATIENCE), &doing).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = accept(response, &doing).await?;
        let bytes = response.bytes().await.map_err(|source| unreachable(&doing, source))?;
        // Not what was wrong with it: that would repeat it.
        let garbled = |_| PodmanError::Garbled { doing, reason: "it is no secret with its value".to_owned() };
        let shown: ShownSecret = serde_json::from_slice(&bytes).map_err(garbled)?;
        Ok(Some(shown.value))
    }

    /// Stores a new secret. Fails if one of this name exists, so that none is ever replaced by accident.
    pub async fn create_secret(&self, name: &SecretName, value: Vec<u8>) -> Result<(), PodmanError> {
        self.write_secret(name, value, false).await.map(drop)
    }

    /// Stores a secret in place of the one of this name, if there is one. Returns its identity.
    pub async fn replace_secret(&self, name: &SecretName, value: Vec<u8>) -> Result<String, PodmanError> {
        self.write_secret(name, value, true).await
    }

    async fn write_secret(&self, name: &SecretName, value: Vec<u8>, replace: bool) -> Result<String, PodmanError> {
        let doing = format!("store the secret {name}");
        let replace = if replace { "true" } else { "false" };
        let request = self
            .client
            .post(format!("{BASE}/secrets/create"))
            .query(&[("name", name.as_str()), ("replace", replace)])
            .header("content-type", "application/octet-stream")
            .timeout(PATIENCE)
            .body(value);
        let response = send(request, &doing).await?;
        let stored: StoredSecret = understand(accept(response, &doing).await?, &doing).await?;
        Ok(stored.id)
    }
}
