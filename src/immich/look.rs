//! What there is to see of a library before it is scanned, on the host and in the server's container.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::host::immich::Library;
use crate::host::process::{self, Heard};
use crate::host::within::View;
use crate::host::{Host, subvolume};
use crate::immich::{Error, ICLOUD, Server, known};
use crate::model::icloud::{self, SENTINEL};
use crate::model::{Subvolume, SubvolumeUuid};
use crate::plan::scan::{Mounted, Seen, Sentinel, Tree};
use crate::record::Scan;
use crate::snapshot::{Applied, replaced};
use crate::stack::Disk;

/// One look at a folder, by a container on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

/// The queue of scans.
pub(super) const QUEUE: &str = "library";

/// The live subvolume of what came from iCloud, as the host sees it.
struct Live {
    uuid: Option<SubvolumeUuid>,
    /// Of what it is a clone.
    of: Option<SubvolumeUuid>,
}

/// Looks. Changes nothing.
pub(super) async fn look(
    host: &Host,
    applied: &Applied,
    server: &Server,
    library: &Library,
    last: Option<&Scan>,
) -> Result<Seen, Error> {
    let view = Arc::new(View::of(server.run.pid)?);
    let trees = trees(host, applied, server, library, last).await?;
    let known::Known { within, outside, examples, sample, .. } =
        known::look(&library.id, &library.import_paths, &view).await?;
    let sample = sample.look(server, &view).await?;
    let counted = |tree: Tree| {
        let known::Count { files: known, missing } = within.get(&tree.path).copied().unwrap_or_default();
        Tree { known, missing, ..tree }
    };
    let is_paused = server.client.queue(QUEUE).await?.is_paused;
    Ok(Seen { trees: trees.into_iter().map(counted).collect(), outside, examples, sample, is_paused })
}

/// Looks once more, in no time: all but what is known file by file, which stays what it was.
pub(super) async fn again(
    host: &Host,
    applied: &Applied,
    server: &Server,
    library: &Library,
    last: Option<&Scan>,
    before: &Seen,
) -> Result<Seen, Error> {
    let mut trees = trees(host, applied, server, library, last).await?;
    for tree in &mut trees {
        let counted = before.trees.iter().find(|counted| counted.path == tree.path);
        (tree.known, tree.missing) = counted.map_or((0, 0), |counted| (counted.known, counted.missing));
    }
    let is_paused = server.client.queue(QUEUE).await?.is_paused;
    Ok(Seen { trees, is_paused, ..before.clone() })
}

/// The import paths, each once, with nothing counted.
async fn trees(
    host: &Host,
    applied: &Applied,
    server: &Server,
    library: &Library,
    last: Option<&Scan>,
) -> Result<Vec<Tree>, Error> {
    let view = View::of(server.run.pid)?;
    let live = live(host, applied)?;
    let mut trees = Vec::new();
    for path in library.import_paths.iter().collect::<BTreeSet<_>>() {
        let subvolume = if is_ours(path) { Some(mounted(host, applied, &view, path, &live, last)?) } else { None };
        let sentinel = account_of(path).map(|account| sentinel(&view, account)).transpose()?;
        let unreadable = unreadable(server, path).await?;
        let holds_files = if unreadable.is_none() { Some(view.holds_a_file(path)?) } else { None };
        trees.push(Tree { path: path.clone(), known: 0, missing: 0, unreadable, holds_files, subvolume, sentinel });
    }
    Ok(trees)
}

/// The subvolumes that were seen, to be compared with the next time.
pub(super) fn subvolumes(seen: &Seen) -> BTreeMap<String, SubvolumeUuid> {
    let of = |tree: &Tree| Some((tree.path.clone(), tree.subvolume.as_ref()?.live.clone()?));
    seen.trees.iter().filter_map(of).collect()
}

fn is_ours(path: &str) -> bool {
    path.strip_prefix(ICLOUD).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The account in whose folder the path is.
fn account_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(ICLOUD)?.strip_prefix('/')?;
    rest.split('/').next().filter(|name| !name.is_empty())
}

fn live(host: &Host, applied: &Applied) -> Result<Live, Error> {
    let place = applied.desired.subvolumes.iter().find(|place| place.subvolume == Subvolume::Icloud);
    let Some(place) = place else { return Ok(Live { uuid: None, of: None }) };
    let found = subvolume::identify(&host.root.join(place.path.as_path()))?;
    Ok(found.map_or(Live { uuid: None, of: None }, |found| Live { uuid: found.uuid, of: found.parent }))
}

fn mounted(
    host: &Host,
    applied: &Applied,
    view: &View,
    path: &str,
    live: &Live,
    last: Option<&Scan>,
) -> Result<Mounted, Error> {
    let server = view.subvolume_of(path)?;
    let last = last.and_then(|scan| scan.subvolumes.get(path).cloned());
    let is_restored = match (&last, &live.uuid) {
        (Some(last), Some(uuid)) if last != uuid => is_restored(host, applied, last, live.of.as_ref())?,
        _ => false,
    };
    Ok(Mounted { live: live.uuid.clone(), server, last, is_restored })
}

/// Whether what is live is a clone of a snapshot of ours, or the one before it was kept by a restore.
fn is_restored(
    host: &Host,
    applied: &Applied,
    last: &SubvolumeUuid,
    of: Option<&SubvolumeUuid>,
) -> Result<bool, Error> {
    let snapshots = applied.snapshots(&host.root);
    for id in snapshots.names()? {
        let part = snapshots.get(&id)?.and_then(|manifest| manifest.parts.get(&Subvolume::Icloud).cloned());
        if part.is_some_and(|part| Some(&part.uuid) == of) {
            return Ok(true);
        }
    }
    let disks: &[Disk] = &applied.desired.disks;
    for kept in replaced::all(&host.root, disks)? {
        for place in replaced::places(&host.root, disks, kept) {
            let found = subvolume::identify(&place.join(Subvolume::Icloud.name()))?;
            if found.is_some_and(|found| found.uuid.as_ref() == Some(last)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn sentinel(view: &View, account: &str) -> Result<Sentinel, Error> {
    let text = view.read(&format!("{ICLOUD}/{account}/{SENTINEL}"))?;
    // Of a text that is no mark of ours nothing is said.
    let whose = |text: String| icloud::Sentinel::read(&text).map_or_else(String::new, |mark| mark.account.to_string());
    Ok(Sentinel { account: account.to_owned(), says: text.map(whose) })
}

/// What Immich's own `validate` would say, which asks for a key with every permission: whether the server, as the user that
/// it is and with what it may, can read the folder. None where it can.
async fn unreadable(server: &Server, path: &str) -> Result<Option<String>, Error> {
    if !path.starts_with('/') {
        return Ok(Some("it is no absolute path".to_owned()));
    }
    let test = ["exec", &server.run.id, "test", "-d", path, "-a", "-r", path, "-a", "-x", path];
    let arguments: Vec<String> = test.into_iter().map(str::to_owned).collect();
    Ok(match process::hear("podman", &arguments, PATIENCE).await? {
        Heard { code: Some(0), .. } => None,
        Heard { code: Some(1), .. } => Some("it is no folder there, or not one that it may read".to_owned()),
        Heard { err, .. } => Some(format!("it could not be asked: {err}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_paths_are_ours_and_whose() {
        for (path, ours, account) in [
            ("/external/icloud", true, None),
            ("/external/icloud/", true, None),
            ("/external/icloud/anna", true, Some("anna")),
            ("/external/icloud/anna/2026", true, Some("anna")),
            ("/external/icloud2/anna", false, None),
            ("/external", false, None),
            ("/mnt/nas", false, None),
        ] {
            assert_eq!((is_ours(path), account_of(path)), (ours, account), "{path}");
        }
    }
}
