//! Podman's quadlet generator, asked what it would make of a set of units before they are written.
//!
//! The staged set is the agent's new files, and links to everything else that quadlet would read:
//! other people's units, since names are shared, and all drop-ins, since a user's drop-in can break a
//! unit that passes alone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::host::files;
use crate::host::process::{self, ProcessError};
use crate::model::Root;

/// Where distributions put the generator: the first is upstream's, the last its link in systemd's folder.
const PROGRAMS: [&str; 3] = [
    "/usr/libexec/podman/quadlet",
    "/usr/lib/podman/quadlet",
    "/usr/lib/systemd/system-generators/podman-system-generator",
];

/// What quadlet reads, highest precedence first (podman-systemd.unit(5)); the staged folder takes the
/// place of the one in /etc.
const BEFORE: &str = "/run/containers/systemd";
const HERE: &str = "/etc/containers/systemd";
const AFTER: &str = "/usr/share/containers/systemd";

/// Folders below which quadlet looks for units.
pub const FOLDERS: [&str; 3] = [BEFORE, HERE, AFTER];

/// What only the generators of ordinary users read (podman-systemd.unit(5)).
const ROOTLESS: &str = "/etc/containers/systemd/users";

/// Where the set is staged: not below [`HERE`], where quadlet would read it for good.
pub const STAGE: &str = "/run/photos-agent/stage";

/// Why a set of units cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// Podman is not whole.
    #[error("Podman's quadlet generator is in none of {}", PROGRAMS.join(", "))]
    Missing,
    /// The set could not be staged.
    #[error("cannot stage the units in {STAGE}")]
    Stage(#[source] io::Error),
    /// The generator did not run.
    #[error("cannot ask Podman's quadlet generator")]
    NotRun(#[from] ProcessError),
    /// It would not make units of these files.
    #[error("Podman's quadlet generator makes no unit of {}: {said}", files.join(", "))]
    Refused {
        /// The files.
        files: Vec<String>,
        /// Its own words.
        said: String,
    },
}

/// A quadlet of the agent: its file name, its new text, and the unit that must come of it.
#[derive(Debug, Clone)]
pub struct Staged<'a> {
    /// Name in the agent's folder.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The unit.
    pub unit: String,
}

/// Every folder that is there and in which quadlet would find units of other people: all but those of drop-ins, of
/// ordinary users, and the agent's own.
pub fn folders(root: &Root, own: &str) -> Vec<PathBuf> {
    let mut left: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    while let Some(folder) = left.pop() {
        let at = root.join(&folder);
        // quadlet follows links to folders, and so do loops.
        if !at.canonicalize().is_ok_and(|real| seen.insert(real)) {
            continue;
        }
        let below = files::list(&at).unwrap_or_default().into_iter().map(|name| folder.join(name));
        left.extend(below.filter(|path| {
            root.join(path).is_dir()
                && path.extension().is_none_or(|kind| kind != "d")
                && ![Path::new(own), Path::new(ROOTLESS)].contains(&path.as_path())
        }));
        found.push(folder);
    }
    found
}

/// Where the generator is on this host.
pub fn find() -> Result<&'static str, GeneratorError> {
    PROGRAMS.into_iter().find(|path| Path::new(path).exists()).ok_or(GeneratorError::Missing)
}

/// Asks the generator whether every unit of `set` comes out, with all else as it is on the host.
pub fn check(root: &Root, folder: &str, set: &[Staged<'_>]) -> Result<(), GeneratorError> {
    let program = find()?;
    let stage = root.join(STAGE);
    clear(&stage).map_err(GeneratorError::Stage)?;
    let staged = stage_all(root, folder, set, &stage);
    let output = staged.map_err(GeneratorError::Stage).and_then(|()| {
        let folders = [root.join(BEFORE), stage.clone(), root.join(AFTER)];
        let folders = folders.map(PathBuf::into_os_string).join(&OsString::from(":"));
        let arguments = ["-dryrun".as_ref(), "-no-kmsg-log".as_ref()];
        process::output(program, &arguments, &[("QUADLET_UNIT_DIRS", &folders)]).map_err(GeneratorError::from)
    });
    clear(&stage).map_err(GeneratorError::Stage)?;
    let output = output?;
    // Its words name files where they were staged; the person looks for them where they are.
    let said = String::from_utf8_lossy(&output.stderr).replace(&*stage.to_string_lossy(), HERE);
    judge(set, &String::from_utf8_lossy(&output.stdout), &said)
}

/// Its exit status counts everybody's units; what matters is whether ours came out.
fn judge(set: &[Staged<'_>], out: &str, said: &str) -> Result<(), GeneratorError> {
    let made: BTreeSet<&str> = out.lines().filter_map(|line| line.strip_prefix("---")?.strip_suffix("---")).collect();
    let missing: Vec<&Staged<'_>> = set.iter().filter(|staged| !made.contains(staged.unit.as_str())).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // That it reads a unit is no news; that it reads a drop-in of one that fails may be the cause.
    let about = |line: &&str| {
        !line.contains("Loading source unit file")
            && missing.iter().any(|staged| line.contains(staged.file) || line.contains(&staged.unit))
    };
    let words = |line: &str| line.split_once("]: ").map_or(line, |(_, words)| words).to_owned();
    let lines: Vec<String> = said.lines().filter(about).map(words).collect();
    let said = if lines.is_empty() { said.trim().to_owned() } else { lines.join("; ") };
    Err(GeneratorError::Refused { files: missing.iter().map(|staged| staged.file.to_owned()).collect(), said })
}

fn clear(stage: &Path) -> io::Result<()> {
    match fs::remove_dir_all(stage) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn stage_all(root: &Root, folder: &str, set: &[Staged<'_>], stage: &Path) -> io::Result<()> {
    link_tree(&root.join(HERE), stage, &root.join(ROOTLESS))?;
    let ours = Path::new(folder).strip_prefix(HERE).map_err(io::Error::other)?;
    let ours = stage.join(ours);
    fs::create_dir_all(&ours)?;
    for staged in set {
        let path = ours.join(staged.file);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        fs::write(path, staged.text)?;
    }
    Ok(())
}

/// Folders are made, files linked: nothing of other people's is copied, whatever its size.
fn link_tree(from: &Path, to: &Path, but: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source == but {
            continue;
        }
        if entry.file_type()?.is_dir() {
            link_tree(&source, &target, but)?;
        } else {
            symlink(&source, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_broken_units_do_not_stop_ours() {
        let set = [Staged { file: "a.container", text: "", unit: "a.service".to_owned() }];
        let said = "quadlet-generator[7]: converting \"theirs.container\": no Image\n\
                    quadlet-generator[7]: Loading source unit file /etc/containers/systemd/a.container\n\
                    quadlet-generator[7]: converting \"a.container\": unsupported key 'Imge'";
        assert!(judge(&set, "---a.service---\n[Service]", said).is_ok());
        let error = judge(&set, "---b.service---", said).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Podman's quadlet generator makes no unit of a.container: converting \"a.container\": unsupported key 'Imge'"
        );
    }

    #[test]
    fn folders_of_other_people_are_found_once_and_without_those_of_users() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let own = "/etc/containers/systemd/photos-agent";
        assert!(folders(&root, own).is_empty());
        for name in ["theirs/deep", "photos-agent/below", "a.container.d", "users/1000"] {
            fs::create_dir_all(root.join(HERE).join(name)).unwrap();
        }
        fs::create_dir_all(root.join("/srv/linked")).unwrap();
        symlink(root.join("/srv/linked"), root.join(HERE).join("linked")).unwrap();
        symlink(root.join(HERE), root.join("/srv/linked/loop")).unwrap();
        fs::create_dir_all(root.join(AFTER)).unwrap();
        fs::write(root.join(AFTER).join("a.container"), "").unwrap();
        let mut found = folders(&root, own);
        found.sort();
        let expected =
            [HERE.to_owned(), format!("{HERE}/linked"), format!("{HERE}/theirs"), format!("{HERE}/theirs/deep")];
        assert_eq!(found, expected.map(PathBuf::from).into_iter().chain([PathBuf::from(AFTER)]).collect::<Vec<_>>());
    }

    #[test]
    fn the_stage_holds_theirs_by_link_and_ours_by_text() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let here = root.join(HERE);
        fs::create_dir_all(here.join("photos-agent/a.container.d")).unwrap();
        fs::write(here.join("theirs.container"), "t").unwrap();
        fs::write(here.join("photos-agent/a.container"), "old").unwrap();
        fs::write(here.join("photos-agent/a.container.d/50-mine.conf"), "d").unwrap();
        let stage = folder.path().join("stage");
        let set = [Staged { file: "a.container", text: "new", unit: "a.service".to_owned() }];
        stage_all(&root, "/etc/containers/systemd/photos-agent", &set, &stage).unwrap();
        assert_eq!(fs::read_to_string(stage.join("photos-agent/a.container")).unwrap(), "new");
        assert_eq!(fs::read_to_string(stage.join("photos-agent/a.container.d/50-mine.conf")).unwrap(), "d");
        assert!(stage.join("theirs.container").is_symlink());
        assert_eq!(fs::read_to_string(here.join("photos-agent/a.container")).unwrap(), "old");
    }
}
