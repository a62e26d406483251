//! Immich's own setting of what encodes videos: asked for, and set.

use crate::apply::steps::StepError;
use crate::host::Host;
use crate::host::immich::{Client, Credential, Hidden};
use crate::model::{Refusal, SecretName, Service};
use crate::plan::transcoding::{Setting, changed};
use crate::record::add_setting;
use crate::stack::API_KEY;

/// Sets it. Written down first: what is set and not known to be the agent's would never be set back.
pub(super) async fn set(host: &Host, from: &Setting, to: &Setting) -> Result<(), StepError> {
    let client = client(host).await?;
    let wanted = changed(client.config().await?, from, to)?;
    add_setting(&host.root, &to.accel, &to.device)?;
    client.set_config(wanted).await?;
    Ok(())
}

async fn client(host: &Host) -> Result<Client, StepError> {
    let key = host.podman.secret_value(&SecretName::constant(API_KEY)).await?;
    let run = host.podman.running(Service::Server.stem()).await?;
    let (Some(key), Some(run)) = (key, run) else {
        return Err(Refusal::new("immich-server", "cannot be asked any more", "photos-agent status").into());
    };
    Ok(Client::new(run.pid, Credential::Key(Hidden::new(key))))
}
