//! `photos-agent config init`: looks at the host, and writes a configuration that says what it saw.
//!
//! What an operator has written is never written again. The file that the package brought, and nobody touched, is nobody's.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Context;
use crate::cli::apply::require_root;
use crate::cli::failure::Failure;
use crate::config::init::{self, Card, Choice, DEFAULT_FOLDER, DEFAULT_PORT, Pool, Seen};
use crate::config::{DEFAULT_PATH, Hardware};
use crate::hardware::{self, Image};
use crate::host::podman::image_folder;
use crate::host::{disk, files, gpu, kernel, mounts, ports, storage};
use crate::model::{FileKind, HostPath, Refusal, Root};

/// Only root reads and writes it: it may name accounts and addresses.
const MODE: u32 = 0o600;

/// How many ports after the first are looked at.
const PORTS: u16 = 16;

/// Folders below which nobody's data lies.
const NOT_FOR_DATA: &[&str] = &[
    "/boot",
    "/dev",
    "/efi",
    "/nix",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/tmp",
];

#[derive(Serialize)]
struct Body {
    /// None where it was only printed.
    written: Option<String>,
    choices: Vec<Choice>,
    text: String,
}

pub(super) fn run(context: &Context, stdout: bool) -> Result<(), Failure> {
    let path = context.config.clone().unwrap_or_else(|| context.root.join(DEFAULT_PATH));
    if !stdout {
        refuse_touched(&path)?;
        if context.config.is_none() && context.root == Root::default() {
            require_root()?;
        }
    }
    let seen = look(&context.root)?;
    let choices = init::choose(&seen);
    let text = init::write(&seen, &choices);
    if !stdout {
        files::write(&path, &text, MODE)?;
    }
    let written = (!stdout).then(|| path.display().to_string());
    let body = Body { written, choices, text };
    if stdout {
        context.output.document("written", &body, || body.text.clone());
    } else {
        context.output.answer("written", &body, || told(&body));
    }
    Ok(())
}

/// Anything but the packaged file as it came.
fn refuse_touched(path: &Path) -> Result<(), Failure> {
    let Some(found) = files::look(path)? else { return Ok(()) };
    if found.kind == FileKind::Regular && init::is_untouched(&found.text) {
        return Ok(());
    }
    let shown = path.display();
    let why = "exists and is left as it is";
    let remedy = format!("photos-agent config init --stdout, to see what it would write; or edit {shown}");
    Err(Refusal::new(shown.to_string(), why, remedy).into())
}

fn told(body: &Body) -> String {
    let mut text = format!("Wrote {}.\n", body.written.as_deref().unwrap_or_default());
    for Choice { key, value, because, .. } in &body.choices {
        let set = value.as_ref().map_or_else(|| "left at the default".to_owned(), |value| format!("= {value}"));
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {key} {set}\n      {because}");
    }
    text.push_str("next: photos-agent plan\n");
    text
}

fn look(root: &Root) -> Result<Seen, Failure> {
    let listening = ports::listeners(root);
    let is_free =
        |port: u16| listening.iter().all(|it| !it.is_in_the_way_of(std::net::Ipv4Addr::LOCALHOST.into(), port));
    let taken = listening.iter().find(|it| it.is_in_the_way_of(std::net::Ipv4Addr::LOCALHOST.into(), DEFAULT_PORT));
    let owner = taken.map(|it| it.owner(root));
    let is_ours = matches!(&owner, Some(Some(owner)) if owner.group.contains(crate::stack::SLICE));
    let taken_by = owner
        .filter(|_| !is_ours)
        .map(|owner| owner.map_or_else(|| "somebody".to_owned(), |it| format!("{} (process {})", it.program, it.pid)));
    Ok(Seen {
        pools: pools(root)?,
        taken_by,
        free_port: (DEFAULT_PORT + 1..=DEFAULT_PORT + PORTS).find(|port| is_free(*port)),
        timezone: timezone(root),
        graphics: graphics(root),
        selinux: kernel::has_selinux(root),
    })
}

/// What "auto" comes to, and what would take more.
fn graphics(root: &Root) -> Vec<Card> {
    let free = storage::space(&image_folder(root)).ok().map(|space| space.free);
    let seen = hardware::Seen {
        hardware: gpu::observe(root),
        selinux: kernel::has_selinux(root),
        room: free,
        ..hardware::Seen::default()
    };
    let chosen = hardware::choose(&Hardware::default(), &seen, &Image::Release(Vec::new())).acceleration;
    let (learning, encoding) = (&chosen.learning, &chosen.encoding);
    // A way that is open to who asks for it says so itself.
    let asks = |why: &String| why.contains(" takes it");
    let variant = learning.not.iter().find(|(_, why)| asks(why));
    let encoder = encoding.not.iter().find(|(_, why)| asks(why)).filter(|_| encoding.encoder.is_none());
    let because = |title: String, why: &str, other: Option<&String>| {
        let other = other.map(|why| format!(" {why}.")).unwrap_or_default();
        format!("\"auto\" is {title} here: {why}.{other}")
    };
    vec![
        Card {
            key: "hardware.ml",
            because: because(learning.title(), &learning.why, variant.map(|(_, why)| why)),
            suggested: variant.map(|(variant, _)| variant.to_string()),
        },
        Card {
            key: "hardware.transcoding",
            because: because(encoding.title(), &encoding.why, encoder.map(|(_, why)| why)),
            suggested: encoder.map(|(encoder, _)| encoder.to_string()),
        },
    ]
}

/// What /etc/localtime leads to, below the folder of all zones.
fn timezone(root: &Root) -> Option<String> {
    let target = std::fs::read_link(root.join("/etc/localtime")).ok()?;
    let text = target.to_str()?;
    text.split_once("zoneinfo/").map(|(_, name)| name.to_owned())
}

/// Each filesystem once: the one of the default folder by that, any other by its shortest path.
fn pools(root: &Root) -> Result<Vec<Pool>, Failure> {
    let all = mounts::all(root)?;
    let default = mounts::around(&all, Path::new(DEFAULT_FOLDER));
    let mut fit: Vec<_> =
        all.iter().filter(|mount| mount.kind == "btrfs" && mount.writable && is_for_data(&mount.at)).collect();
    fit.sort_by_key(|mount| (default != Some(*mount), mount.at.components().count()));
    let mut known = BTreeSet::new();
    fit.retain(|mount| known.insert(mount.source.as_str()));
    let pool = |mount: &mounts::Mount| {
        let is_default = default == Some(mount);
        let folder: HostPath = folder(root, &mount.at, is_default).to_str()?.parse().ok()?;
        let free = storage::space(&root.join(&mount.at)).ok()?.free;
        let has_stack = has_stack(root, folder.as_path());
        Some(Pool { folder, is_default, has_stack, free, turns: disk::turns(root, &mount.source) })
    };
    Ok(fit.into_iter().filter_map(pool).collect())
}

fn is_for_data(at: &Path) -> bool {
    !NOT_FOR_DATA.iter().any(|folder| at.starts_with(folder))
}

/// A disk that was mounted for it is taken whole; on any other the stack has a folder.
fn folder(root: &Root, at: &Path, is_default: bool) -> PathBuf {
    match at {
        _ if is_default => PathBuf::from(DEFAULT_FOLDER),
        _ if at.file_name().is_some_and(|name| name == "photos") || has_stack(root, at) => at.to_owned(),
        _ => at.join("photos"),
    }
}

fn has_stack(root: &Root, folder: &Path) -> bool {
    root.join(folder).join("live/media").is_dir()
}
