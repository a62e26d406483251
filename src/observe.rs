//! Looks at the host and says what is there: the first effect of every command, and of `plan` the only one.
//!
//! Reads only. What cannot be looked at is put into the answer as such; only the agent's own memory
//! being unreadable is an error, since nothing can be decided without it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Settings;
use crate::hardware::Seen;
use crate::host::files::FileError;
use crate::host::immich::{CallError, Client, Credential, Hidden};
use crate::host::podman::image_folder;
use crate::host::{Host, files, generator, gpu, kernel, storage};
use crate::model::icloud::{SENTINEL, Sentinel};
use crate::model::{
    AccountName, FileState, HostPath, InForce, Invalid, PlaceState, PodmanState, PostgresMajor, Refusal, Root,
    SecretName, Service, Subvolume, UnitName, UnitState,
};
use crate::plan::transcoding::{self, Asked, Setting};
use crate::plan::{LibraryState, Observed, PODMAN_SOCKET, SentinelState, Unreachable};
use crate::record::{
    Generation, Generations, ImageLock, Pending, RecordError, Scan, Texts, graphics, icloud, installed, is_first_start,
    libraries, places, role_password,
};
use crate::stack::{
    self, API_KEY, Desired, DesiredAccount, FIREWALL_CHAINS, FIREWALL_TABLE, Facts, INNER_INTERFACE, Programs,
    QUADLETS, SubvolumePlace,
};

/// How long after a boot a driver may still load. systemd waits 90 s for a device (`DefaultDeviceTimeoutSec=`), and some of
/// them load after a minute.
pub const DRIVERS_LOAD: Duration = Duration::from_secs(120);

/// Why it cannot be decided what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The agent's own memory.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Something on disk that must not be guessed at.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What must be known of the disk before it is decided what is wanted.
pub fn facts(root: &Root, settings: &Settings) -> Result<Facts, FactsError> {
    let lock = ImageLock::read(root)?;
    let in_force = lock.in_force().cloned().map_or_else(|| ran_last(root), |in_force| Ok(Some(in_force)))?;
    let mut cluster = None;
    // One that was cut off at its first start is no cluster yet, whatever its files say.
    let place = stack::cluster(settings);
    if !is_half_made(root, Subvolume::Postgres, &place) {
        for path in stack::cluster_versions(settings) {
            cluster = cluster.or(cluster_version(root, &place, &path)?);
        }
    }
    let local_time = root.join("/etc/localtime").exists();
    let lock = lock.images().clone();
    Ok(Facts { in_force, lock, cluster, local_time, programs: programs(root), graphics: graphics_seen(root)? })
}

/// The graphics, and what was in use of them. A pull of an image needs room where images lie; what is there already, none.
fn graphics_seen(root: &Root) -> Result<Seen, RecordError> {
    let free = storage::space(&root.join(image_folder(root))).ok().map(|space| space.free);
    let known = graphics(root)?;
    // What was there in this boot already is not late.
    let was_there = known.boot.is_some() && known.boot == kernel::boot(root);
    let booting = !was_there && kernel::since_boot(root).is_some_and(|since| since < DRIVERS_LOAD);
    let last = known.last.map(Box::new);
    let settles = Pending::read(root)?.is_some_and(|open| open.goes_back_or_on());
    Ok(Seen { hardware: gpu::observe(root), last, booting, selinux: kernel::has_selinux(root), room: free, settles })
}

/// What the last generation ran, by digest: where the lock is gone, nothing else must take its place.
fn ran_last(root: &Root) -> Result<Option<InForce>, RecordError> {
    let Some(last) = Generations::new(root).last()? else { return Ok(None) };
    let written = last.images.into_iter().map(|(service, image)| (service.component(), image)).collect();
    Ok(last.release.parse().ok().map(|release| InForce { release, written }))
}

/// The major version of the cluster on disk. Only a file that is not there says that there is none: a guess
/// would put another version's binaries on a cluster.
fn cluster_version(root: &Root, place: &HostPath, path: &HostPath) -> Result<Option<PostgresMajor>, Refusal> {
    let unreadable = |error: FileError| {
        let remedy = format!("run this as root; ls -l {path}");
        Refusal::new(
            path.as_str(),
            format!("cannot be read, so nobody knows which PostgreSQL made the cluster: {}", chain(&error)),
            remedy,
        )
    };
    let Some(text) = files::read(&root.join(path.as_path())).map_err(unreadable)? else { return Ok(None) };
    let unknown = |invalid: Invalid| {
        let why = format!("says {:?}; {invalid}", text.trim());
        let anew = anew(place);
        let remedy = format!(
            "restore {path} from a backup, then: photos-agent apply; or, if nobody has ever used this database: {anew}"
        );
        Refusal::new(path.as_str(), why, remedy)
    };
    text.parse().map(Some).map_err(unknown)
}

/// The commands that keep the cluster aside and have a new one made in its place. A stack that is stopped here would be
/// left down as the operator's, and so it is started here.
fn anew(place: &HostPath) -> String {
    let (owner, mode) = (Subvolume::Postgres.owner(), Subvolume::Postgres.mode());
    format!(
        "systemctl stop photos.target 'immich-*'; mv {place} {place}.aside && btrfs subvolume create {place} && \
         chattr +C {place} && chown {owner}:{owner} {place} && chmod {mode:o} {place} && photos-agent apply && \
         systemctl start photos.target"
    )
}

/// Where distributions put what units run. Debian keeps nft in /usr/sbin; Fedora has joined the two.
fn programs(root: &Root) -> Programs {
    let find = |name: &str| {
        let places = ["/usr/sbin", "/usr/bin"].map(|folder| HostPath::constant(format!("{folder}/{name}")));
        let [first, second] = places;
        if !root.join(first.as_path()).exists() && root.join(second.as_path()).exists() { second } else { first }
    };
    Programs { nft: find("nft"), podman: find("podman") }
}

/// The host as it is now.
pub async fn observe(host: &Host, desired: &Desired) -> Result<Observed, RecordError> {
    let last = Generations::new(&host.root).last()?;
    let pending = Pending::read(&host.root)?;
    let known = graphics(&host.root)?;
    let (podman, units, transcoding) = tokio::join!(
        observe_podman(host, desired),
        observe_units(host, desired),
        // Seldom, and of a size that the others need not carry.
        Box::pin(observe_transcoding(host, desired, known.settings))
    );
    let recorded = recorded(last.as_ref(), installed(&host.root)?);
    let kernel = kernel::observe(&host.root, INNER_INTERFACE, FIREWALL_TABLE, &FIREWALL_CHAINS).unwrap_or_default();
    Ok(Observed {
        podman,
        units,
        places: observe_places(&host.root, desired),
        files: observe_files(&host.root, desired, &recorded),
        shadows: observe_shadows(&host.root, desired),
        kernel,
        converged: last.is_some(),
        settled: last.iter().flat_map(|generation| generation.files.keys().cloned()).collect(),
        known: places(&host.root)?,
        role: role_password(&host.root)?,
        recorded,
        first_starts: half_made(&host.root, desired),
        stack_was_stopped: pending.as_ref().is_some_and(|pending| pending.stack_was_stopped),
        going_back: pending.is_some_and(|pending| pending.restore.is_some()),
        libraries: observe_libraries(&host.root, desired),
        filled: filled(&host.root, desired),
        devices: observe_devices(&host.root, desired),
        transcoding,
        selinux: kernel::has_selinux(&host.root),
    })
}

/// What services are given of the graphics, as far as it is there. A node that is waited for may have another card's name by now.
fn observe_devices(root: &Root, desired: &Desired) -> BTreeSet<HostPath> {
    let wanted = desired.services.iter().flat_map(|service| &service.devices);
    let is_there = |path: &&HostPath| !desired.awaited.contains(path) && root.join(path.as_path()).exists();
    wanted.filter(is_there).cloned().collect()
}

/// Immich's own setting, where there is a card for it, or was.
async fn observe_transcoding(host: &Host, desired: &Desired, ours: Vec<(String, String)>) -> Option<Asked> {
    if desired.acceleration.encoding.encoder.is_none() && ours.is_empty() {
        return None;
    }
    let ours = ours.into_iter().map(|(accel, device)| Setting { accel, device }).collect();
    let key = match host.podman.secret_value(&SecretName::constant(API_KEY)).await {
        Ok(Some(key)) => key,
        Ok(None) => return Some(Asked::NoKey),
        Err(error) => return Some(silent(&error)),
    };
    let run = match host.podman.running(Service::Server.stem()).await {
        // One that is still starting answers late, or not.
        Ok(Some(run)) if run.health.as_deref() != Some("starting") => run,
        Ok(_) => return Some(Asked::Down),
        Err(error) => return Some(silent(&error)),
    };
    let client = Client::new(run.pid, Credential::Key(Hidden::new(key)));
    Some(ask_transcoding(&client, ours).await.unwrap_or_else(|error| silent(&error)))
}

async fn ask_transcoding(client: &Client, ours: Vec<Setting>) -> Result<Asked, CallError> {
    let config = client.config().await?;
    let (now, codec) = match transcoding::read(&config).and_then(|now| Ok((now, transcoding::codec(&config)?))) {
        Ok(read) => read,
        Err(refusal) => return Ok(Asked::Silent(refusal.to_string())),
    };
    let is_file = client.has_config_file().await?;
    Ok(Asked::Seen(transcoding::Seen { now, codec, ours, is_file }))
}

fn silent(error: &dyn std::error::Error) -> Asked {
    Asked::Silent(chain(error))
}

/// Subvolumes whose first start was begun and has not ended well.
fn half_made(root: &Root, desired: &Desired) -> BTreeSet<Subvolume> {
    let half_made = |place: &&SubvolumePlace| is_half_made(root, place.subvolume, &place.path);
    desired.subvolumes.iter().filter(half_made).map(|place| place.subvolume).collect()
}

/// Where it cannot be told, it is taken for what somebody has used.
fn is_half_made(root: &Root, subvolume: Subvolume, path: &HostPath) -> bool {
    is_first_start(root, subvolume, path).unwrap_or(false)
}

fn recorded(last: Option<&Generation>, mut texts: Texts) -> Texts {
    for (path, text) in last.into_iter().flat_map(|generation| &generation.files) {
        texts.entry(path.clone()).or_default().push(text.clone());
    }
    texts
}

async fn observe_podman(host: &Host, desired: &Desired) -> Result<PodmanState, Unreachable> {
    let services = desired.services.iter().map(|service| service.image.clone());
    let images = services.chain(desired.accounts.iter().map(|account| account.image.clone())).collect();
    host.podman.observe(&images).await.map_err(|error| Unreachable(chain(&error)))
}

async fn observe_units(host: &Host, desired: &Desired) -> Result<BTreeMap<UnitName, UnitState>, Unreachable> {
    let mut names: Vec<UnitName> = desired.units().cloned().collect();
    names.extend(PODMAN_SOCKET.parse::<UnitName>());
    let systemd = host.systemd().await.map_err(|error| Unreachable(chain(&error)))?;
    systemd.units(&names).await.map_err(|error| Unreachable(chain(&error)))
}

fn observe_places(root: &Root, desired: &Desired) -> BTreeMap<HostPath, Result<PlaceState, String>> {
    let folders = desired.folders.iter().map(|folder| &folder.path);
    let subvolumes = desired.subvolumes.iter().map(|place| &place.path);
    let look = |path: &HostPath| storage::observe(&root.join(path.as_path())).map_err(|error| chain(&error));
    let accounts = desired.accounts.iter().flat_map(|account| [&account.photos, &account.cookies]);
    let accounts = accounts.filter(|path| path.as_path().parent().is_some_and(|above| root.join(above).is_dir()));
    folders.chain(subvolumes).chain(accounts).map(|path| (path.clone(), look(path))).collect()
}

/// The folders of photographs that are there.
fn observe_libraries(root: &Root, desired: &Desired) -> BTreeMap<AccountName, Result<LibraryState, String>> {
    let look = |account: &DesiredAccount| {
        let at = root.join(account.photos.as_path());
        at.is_dir().then(|| (account.name.clone(), library(&at).map_err(|error| chain(&error))))
    };
    desired.accounts.iter().filter_map(look).collect()
}

/// Accounts of which something came, or of which Immich knows something. Where a record is damaged, all of them: that is no reason to
/// mend nothing else, and none to take a folder that is gone for a new one.
fn filled(root: &Root, desired: &Desired) -> BTreeSet<AccountName> {
    let has_come = match (icloud(root), libraries(root)) {
        (Ok(runs), Ok(known)) => Some(move |name: &AccountName| {
            let came = runs.get(name).is_some_and(|record| record.runs.iter().any(|run| run.counts.downloaded > 0));
            let has_files = |scan: &Scan| scan.known > 0 || scan.after.is_some_and(|after| after > 0);
            came || known.last_scan_of(name).is_some_and(has_files)
        }),
        _ => None,
    };
    let names = desired.accounts.iter().map(|account| &account.name);
    names.filter(|name| has_come.as_ref().is_none_or(|has_come| has_come(name))).cloned().collect()
}

fn library(at: &Path) -> Result<LibraryState, FileError> {
    let has_pictures = files::list(at)?.iter().any(|name| !name.starts_with(SENTINEL));
    let sentinel = match files::read(&at.join(SENTINEL))? {
        None => SentinelState::Missing,
        Some(text) => Sentinel::read(&text).map_or(SentinelState::Strange, SentinelState::Says),
    };
    Ok(LibraryState { has_pictures, sentinel })
}

/// The files that are wanted, and those that were: what nothing wants any more is found by what was recorded.
fn observe_files(root: &Root, desired: &Desired, recorded: &Texts) -> BTreeMap<HostPath, Result<FileState, String>> {
    let wanted = desired.files.iter().map(|file| &file.path);
    let paths: BTreeSet<&HostPath> = wanted.chain(recorded.keys()).collect();
    let look = |path: &HostPath| match files::look(&root.join(path.as_path())) {
        Ok(None) => None,
        Ok(Some(state)) => Some((path.clone(), Ok(state))),
        Err(error) => Some((path.clone(), Err(chain(&error)))),
    };
    paths.into_iter().filter_map(look).collect()
}

/// Other people's quadlets with the names of ours, wherever quadlet would find them.
fn observe_shadows(root: &Root, desired: &Desired) -> Vec<HostPath> {
    let ours: Vec<&str> = desired
        .files
        .iter()
        .filter(|file| file.path.as_str().starts_with(QUADLETS))
        .filter_map(|file| file.path.as_path().file_name()?.to_str())
        .collect();
    let mut found = Vec::new();
    for folder in generator::folders(root, QUADLETS) {
        let names = files::list(&root.join(&folder)).unwrap_or_default();
        let shadows = names.iter().filter(|name| ours.contains(&name.as_str())).map(|name| folder.join(name));
        let is_file = |path: &PathBuf| !root.join(path).is_dir();
        found.extend(shadows.filter(is_file).filter_map(|path| path.to_str()?.parse().ok()));
    }
    found.sort();
    found
}

/// An error and its causes on one line, without those that the text before has said already.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
