//! icloudpd: for each account a container that downloads once, what starts it, and when.
//!
//! No part of a release of Immich: its image follows the configuration and the newest catalogue at once (docs/adr/0022).

use super::unit::Unit;
use super::{Context, DesiredAccount, DesiredFile, QUADLETS, UNITS, network};
use crate::config::Account;
use crate::model::icloud::{OLDEST_ICLOUDPD, PhotoSize, Sentinel, icloudpd_is_too_old};
use crate::model::{AccountName, Component, EnvironmentName, HostPath, ImageRef, Refusal, Subvolume, UnitName};
use crate::quadlet::Value;

const BASE: &str = include_str!("../../quadlets/icloudpd@.container");
const TIMER_BASE: &str = include_str!("../../systemd/icloudpd@.timer");
const SERVICE_BASE: &str = include_str!("../../systemd/photos-icloud@.service");

/// uid and gid in the container, and so of photographs and cookies. As the base has it; no number that a distribution
/// gives to anybody.
pub const UID: u32 = 53939;

/// Permission bits of folders of photographs. Nobody but root passes through the folder above; the server reads them as
/// root, and need not be more for it.
pub const PHOTOS_MODE: u32 = 0o755;

/// Where the container has photographs and cookies.
const PHOTOS: &str = "/photos";
const COOKIES: &str = "/cookies";

/// The variable of the run's own options of icloudpd.
const OPTIONS: &str = "ICLOUDPD_OPTIONS";

/// All units of containers of icloudpd.
pub const ALL_RUNS: &str = "icloudpd@*.service";

/// The container's name.
pub fn container(account: &AccountName) -> String {
    format!("icloudpd-{account}")
}

/// The unit of the container.
pub fn run_unit(account: &AccountName) -> UnitName {
    UnitName::constant(format!("icloudpd@{account}.service"))
}

/// The unit that looks, starts the container, and reads what it said.
pub fn sync_unit(account: &AccountName) -> UnitName {
    UnitName::constant(format!("photos-icloud@{account}.service"))
}

/// What a run has of its own, as variables of systemd's: `PODMAN_OPTIONS` and `ICLOUDPD_OPTIONS`, each words with spaces
/// between them. Without this file, no run starts.
pub fn run_file(account: &AccountName) -> HostPath {
    HostPath::constant(format!("/run/photos-agent/icloudpd@{account}.env"))
}

/// The files of all accounts, and what is known of each by them.
pub(super) fn accounts(context: &Context<'_>) -> Result<(Vec<DesiredFile>, Vec<DesiredAccount>), Refusal> {
    let settings = context.settings;
    let (mut files, mut accounts) = (Vec::new(), Vec::new());
    for account in &settings.icloud.accounts {
        let image = image(context)?;
        let (of_it, desired) = of_account(account, image, context)?;
        files.extend(of_it);
        accounts.push(desired);
    }
    Ok((files, accounts))
}

/// The operator's, else that of the newest release that is known: what Apple changes has nothing to do with the release
/// that runs.
fn image(context: &Context<'_>) -> Result<ImageRef, Refusal> {
    let settings = context.settings;
    let written = settings.images.get(&Component::Icloudpd);
    let image = written.or_else(|| settings.catalogue.newest().map(|entry| &entry.icloudpd)).ok_or_else(|| {
        Refusal::new("images.icloudpd", "is in no catalogue", "name it: `icloudpd = \"...\"` in [images]")
    })?;
    if icloudpd_is_too_old(image) {
        let why = format!("{image} is older than {OLDEST_ICLOUDPD}, and cannot be signed in any more.");
        let remedy = format!("Name icloudpd {OLDEST_ICLOUDPD} or newer, in [images] or in your catalogue files.");
        return Err(Refusal::new("images.icloudpd", why, remedy));
    }
    let locked = image.digest().or_else(|| context.facts.lock.get(image));
    Ok(locked.map_or_else(|| image.clone(), |digest| image.at(digest.clone())))
}

fn of_account(
    account: &Account,
    image: ImageRef,
    context: &Context<'_>,
) -> Result<(Vec<DesiredFile>, DesiredAccount), Refusal> {
    let name = &account.name;
    let photos = context.places.of(Subvolume::Icloud).join(name.as_str());
    let cookies = context.places.of(Subvolume::Icloudpd).join(name.as_str());
    let mut unit = quadlet(account, &image, context)?;
    unit.volume(&photos, PHOTOS, "")?;
    unit.volume(&cookies, COOKIES, "")?;
    let hash = unit.label("Container")?;
    let (run, sync) = (run_unit(name), sync_unit(name));
    let quadlet = HostPath::constant(format!("{QUADLETS}/icloudpd@{name}.container"));
    let mut files = vec![
        unit.into_file(quadlet, run.clone()),
        Unit::base(SERVICE_BASE)?.into_file(HostPath::constant(format!("{UNITS}/{sync}")), sync.clone()),
    ];
    let timer = timer(account)?;
    let timer_unit = timer.as_ref().and_then(|file| file.unit.clone());
    files.extend(timer);
    let sentinel = Sentinel { account: name.clone(), paths: account.paths.clone() };
    let rewrites = account.set_exif_datetime;
    let desired = DesiredAccount {
        name: name.clone(),
        run,
        sync,
        timer: timer_unit,
        image,
        hash,
        photos,
        cookies,
        sentinel,
        rewrites,
    };
    Ok((files, desired))
}

fn quadlet(account: &Account, image: &ImageRef, context: &Context<'_>) -> Result<Unit, Refusal> {
    let mut unit = Unit::base(BASE)?;
    unit.text("ContainerName", &container(&account.name))?;
    unit.text("Image", &image.to_string())?;
    unit.add("Service", "ExecStartPre", network::load_rules(context))?;
    unit.limits(Component::Icloudpd, context)?;
    match &account.paths.timezone {
        Some(zone) => unit.environment("TZ", zone.as_str())?,
        None if context.facts.local_time => {
            unit.text("Timezone", "local")?;
            // The image has a zone of its own in its environment, which would win.
            unit.environment("TZ", ":/etc/localtime")?;
        }
        None => {}
    }
    let variable = EnvironmentName::constant(OPTIONS);
    unit.add("Container", "Exec", Value::words_around("icloudpd", &variable, arguments(account)))?;
    Ok(unit)
}

/// What icloudpd is told. Each option and its value are one word, so that no value is taken for an option; what stands before
/// the first user name holds for all.
pub fn arguments(account: &Account) -> Vec<String> {
    let paths = &account.paths;
    let mut words: Vec<String> = ["--no-progress-bar", "--log-level=debug"].map(str::to_owned).into();
    let mut say = |option: &str, value: &str| words.push(format!("--{option}={value}"));
    say("domain", account.domain.as_str());
    // Asked for in the terminal of whoever signs in. Here there is none, so that a run that would need them ends at once.
    say("password-provider", "console");
    say("mfa-provider", "console");
    say("directory", PHOTOS);
    say("cookie-directory", COOKIES);
    say("folder-structure", paths.folder_structure.as_str());
    say("file-match-policy", paths.file_match_policy.as_str());
    say("live-photo-mov-filename-policy", paths.live_photo_mov_filename_policy.as_str());
    say("live-photo-size", paths.live_photo_size.as_str());
    say("align-raw", paths.align_raw.as_str());
    paths.size.iter().for_each(|size: &PhotoSize| say("size", size.as_str()));
    account.album.iter().for_each(|album| say("album", album.as_str()));
    account.recent.iter().for_each(|recent| say("recent", &recent.to_string()));
    account.skip_created_before.iter().for_each(|day| say("skip-created-before", day.as_str()));
    account.skip_created_after.iter().for_each(|day| say("skip-created-after", day.as_str()));
    let flags = [
        ("keep-unicode-in-filenames", paths.keep_unicode_in_filenames),
        ("force-size", account.force_size),
        ("skip-videos", account.skip.videos),
        ("skip-photos", account.skip.photos),
        ("skip-live-photos", account.skip.live_photos),
        ("xmp-sidecar", account.xmp_sidecar),
        ("set-exif-datetime", account.set_exif_datetime),
    ];
    words.extend(flags.into_iter().filter(|(_, on)| *on).map(|(flag, _)| format!("--{flag}")));
    for library in &account.library {
        // The one option that icloudpd knows only as a word of its own. No Apple ID begins with a dash.
        words.extend(["--username".to_owned(), account.apple_id.to_string(), format!("--library={library}")]);
    }
    words
}

/// None where the operator starts each run.
fn timer(account: &Account) -> Result<Option<DesiredFile>, Refusal> {
    let Some(schedule) = &account.schedule else { return Ok(None) };
    let schedule = match &account.paths.timezone {
        Some(zone) => schedule.by(zone),
        None => schedule.clone(),
    };
    let mut timer = Unit::base(TIMER_BASE)?;
    timer.add("Timer", "OnCalendar", Value::literal(schedule.as_str()))?;
    let name = UnitName::constant(format!("icloudpd@{}.timer", account.name));
    Ok(Some(timer.into_file(HostPath::constant(format!("{UNITS}/{name}")), name)))
}
