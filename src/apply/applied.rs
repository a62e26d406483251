//! The configuration that was applied last, out of the last generation.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{self, Loaded, Source};
use crate::record::Generation;

/// It, unless this agent does not understand it any more.
pub fn applied(last: Generation) -> Option<Loaded> {
    config::parse(&sources(last.config)).ok()
}

/// What is in force although the files say something else, where a restore brought it back and nobody has said anything
/// since.
pub fn held(last: Option<&Generation>, files: &[Source]) -> Option<Loaded> {
    last.filter(|last| last.holds_against(&texts(files))).cloned().and_then(applied)
}

/// Commands that take the configuration files for the operator's word, as they stand in journal and history: a person's, the
/// daemon's at its start and at a reload, and the boot's.
pub const OF_THE_FILES: [&str; 3] = ["photos-agent apply", "daemon", "photos-resolve"];

/// Configuration of another time, by path.
pub fn understand(config: BTreeMap<String, String>) -> Result<Loaded, config::Diagnostics> {
    config::parse(&sources(config))
}

/// Files by path, as they are recorded.
pub fn texts(files: &[Source]) -> BTreeMap<String, String> {
    files.iter().map(|source| (source.path.display().to_string(), source.text.clone())).collect()
}

/// The files of a generation in the order in which they count: the main one, then those of `config.d` beside it
/// by name.
fn sources(config: BTreeMap<String, String>) -> Vec<Source> {
    let mut sources: Vec<Source> =
        config.into_iter().map(|(path, text)| Source { path: PathBuf::from(path), text }).collect();
    sources.sort_by_cached_key(|source| (source.path.components().count(), source.path.clone()));
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_files_win_in_the_order_in_which_they_were_read() {
        let text = |zone: &str| format!("[immich]\ntimezone = \"{zone}\"\n");
        let config = BTreeMap::from([
            ("/etc/photos-agent/config.d/90-b.toml".to_owned(), text("Europe/Oslo")),
            ("/etc/photos-agent/config.d/10-a.toml".to_owned(), text("Europe/Rome")),
            ("/etc/photos-agent/config.toml".to_owned(), text("Europe/Paris")),
        ]);
        let sources = sources(config);
        let names: Vec<_> = sources.iter().map(|source| source.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["config.toml", "10-a.toml", "90-b.toml"]);
        let zone = config::parse(&sources).unwrap().settings.immich.timezone.unwrap();
        assert_eq!(zone.as_str(), "Europe/Oslo");
    }
}
