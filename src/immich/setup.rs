//! The first administrator and a key for the agent, with nothing but what it needs.
//!
//! Password and session are kept nowhere: the session is ended as soon as the key is made.

use serde::Serialize;

use crate::apply::{LOCK, commit_secrets};
use crate::host::Host;
use crate::host::immich::{Client, Credential, Hidden, NewKey};
use crate::host::lock;
use crate::immich::libraries::{self, Ensured};
use crate::immich::{API_KEY, Error, ONE_AT_A_TIME, Server, key_name, schedule, stored_key};
use crate::model::Refusal;
use crate::observe::chain;
use crate::record::{libraries as recorded, set_libraries};
use crate::snapshot::Applied;

/// What the agent's calls need, in Immich's words. `validate` of a library would need `all`, with which a key may delete
/// everything: the agent looks itself.
const PERMISSIONS: [&str; 9] = [
    "adminUser.read",
    "job.create",
    "library.create",
    "library.read",
    "library.statistics",
    "library.update",
    "queue.read",
    "systemConfig.read",
    "systemConfig.update",
];

/// What the key is called in Immich.
const NAME: &str = "photos-agent";

/// The command, as whoever waits for the lock is told.
const COMMAND: &str = "photos-agent immich setup";

/// Who is needed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nobody: there is a key, and it is a good one.
    Nobody,
    /// An administrator, to make a key.
    Login,
    /// The first administrator, who is made now.
    SignUp,
}

/// An administrator.
#[derive(Debug)]
pub struct Administrator {
    /// What they sign in with.
    pub email: String,
    /// What they are called, where they are made now.
    pub name: String,
    /// Their password.
    pub password: Hidden,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Setup {
    /// Whether the first administrator was made.
    pub signed_up: bool,
    /// Whether a key was made.
    pub key_made: bool,
    /// Whether Immich's own scans were on, and are off now; none where they are nobody's concern, without an account.
    pub own_scans_switched_off: Option<bool>,
    /// The libraries of the accounts.
    pub libraries: Vec<Ensured>,
}

/// Looks who is needed. Changes nothing.
pub async fn need(host: &Host) -> Result<Need, Error> {
    let server = Server::find(host).await?;
    if let Some(key) = stored_key(host).await?
        && is_good(&server.client.as_who(Credential::Key(key))).await?
    {
        return Ok(Need::Nobody);
    }
    Ok(if server.client.is_initialized().await? { Need::Login } else { Need::SignUp })
}

/// Whether the key may do all that is needed. One that Immich does not know, since the database is of another time, may not.
async fn is_good(client: &Client) -> Result<bool, Error> {
    match client.own_key().await {
        Ok(key) => {
            let may = |wanted: &str| key.permissions.iter().any(|granted| granted == "all" || granted == wanted);
            Ok(PERMISSIONS.into_iter().all(may))
        }
        Err(error) if error.is_unknown() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes what is missing: a second time, nothing is.
pub async fn setup(host: &Host, administrator: Option<&Administrator>) -> Result<Setup, Error> {
    let _one = lock::take(&host.root.join(ONE_AT_A_TIME), COMMAND, lock::PATIENCE).await?;
    let _lock = lock::take(&host.root.join(LOCK), COMMAND, lock::PATIENCE).await?;
    let applied = Applied::read(&host.root)?;
    let (mut signed_up, mut key_made) = (false, false);
    if let Some(administrator) = administrator {
        let server = Server::find(host).await?;
        if !server.client.is_initialized().await? {
            server.client.sign_up(&administrator.email, &administrator.name, &administrator.password).await?;
            signed_up = true;
        }
        make_key(host, &server.client, administrator).await?;
        key_made = true;
    }
    let server = Server::with_key(host).await?;
    let wanted = libraries::wanted(&applied.loaded.settings);
    let own_scans_switched_off =
        if wanted.is_empty() { None } else { Some(schedule::switch_off(&server.client).await?) };
    let mut known = recorded(&host.root)?;
    let ensured = libraries::ensure(&server.client, &wanted, &mut known).await;
    set_libraries(&host.root, &known)?;
    Ok(Setup { signed_up, key_made, own_scans_switched_off, libraries: ensured? })
}

/// Logs in, makes a key in place of the one that was made before, and logs out, whatever came of it.
async fn make_key(host: &Host, client: &Client, administrator: &Administrator) -> Result<(), Error> {
    let session = client.login(&administrator.email, &administrator.password).await.map_err(|error| {
        if !error.is_unknown() {
            return Error::from(error);
        }
        let why = "was not let in by Immich: address or password are wrong, or it takes no passwords";
        let remedy = format!("try again; or make a key in Immich yourself, and: photos-agent secret set {API_KEY}");
        Refusal::new(administrator.email.clone(), why, remedy).into()
    })?;
    let as_administrator = client.as_who(Credential::Session(session.token));
    let made = if session.is_admin {
        store_key(host, &as_administrator).await
    } else {
        let why = "is no administrator in Immich, and external libraries are theirs alone";
        Err(Refusal::new(administrator.email.clone(), why, "name an administrator: photos-agent immich setup --email")
            .into())
    };
    if let Err(error) = as_administrator.logout().await {
        tracing::warn!(
            "the session was not ended, see it in Immich (Account Settings, Authorized Devices): {}",
            chain(&error)
        );
    }
    made
}

async fn store_key(host: &Host, client: &Client) -> Result<(), Error> {
    let mut known = recorded(&host.root)?;
    let old = known.key.take();
    let NewKey { secret, api_key } = client.create_key(NAME, &PERMISSIONS).await?;
    known.key = Some(api_key.id);
    // Before the secret: a key that nobody knows of could not be deleted later.
    set_libraries(&host.root, &known)?;
    host.podman.replace_secret(&key_name(), secret.reveal().as_bytes().to_vec()).await?;
    commit_secrets(&host.root).await?;
    if let Some(old) = old
        && let Err(error) = client.delete_key(&old).await
    {
        tracing::warn!("the key that was used before is still there: {}", chain(&error));
    }
    Ok(())
}
