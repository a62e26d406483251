//! Where images lie, as Podman's configuration says. Podman itself takes half a second to answer that, and may not be up yet.

use std::path::PathBuf;

use crate::host::files::{self, FileError};
use crate::model::Root;

/// The operator's, and the distribution's (containers-storage.conf(5)).
const FILES: [&str; 2] = ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"];

/// Podman's default.
const DEFAULT: &str = "/var/lib/containers/storage";

/// The folder below which images lie, or its nearest parent that is there: a host on which nothing was pulled has none yet.
pub fn image_folder(root: &Root) -> PathBuf {
    // The first file that is there is the one that counts.
    let text = FILES.iter().find_map(|file| files::read(&root.join(file)).ok()?);
    let folder = root.join(text.as_deref().and_then(graph_root).unwrap_or_else(|| PathBuf::from(DEFAULT)));
    folder.ancestors().find(|folder| folder.exists()).map_or_else(|| folder.clone(), PathBuf::from)
}

/// Waits until what was pulled is on its disk. Podman syncs the names of layers, and nothing that is in them: after a power cut
/// it takes for whole what is not, a pull does not mend it, and a container of it does not start.
pub async fn commit_images(root: &Root) -> Result<(), FileError> {
    files::commit(&image_folder(root)).await
}

fn graph_root(text: &str) -> Option<PathBuf> {
    let file: toml::Table = text.parse().ok()?;
    Some(PathBuf::from(file.get("storage")?.get("graphroot")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        assert_eq!(image_folder(&root), folder.path());
        for path in ["/var/lib/containers", "/etc/containers", "/usr/share/containers", "/srv/images"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        assert_eq!(image_folder(&root), root.join("/var/lib/containers"));
        std::fs::write(root.join(FILES[1]), "[storage]\ngraphroot = \"/srv/images\"\n").unwrap();
        assert_eq!(image_folder(&root), root.join("/srv/images"));
        std::fs::write(root.join(FILES[0]), "[storage]\ndriver = \"overlay\"\n").unwrap();
        assert_eq!(image_folder(&root), root.join("/var/lib/containers"));
    }
}
