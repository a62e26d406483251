//! Files `config.d/*.catalogue.toml`: releases of Immich beside those that the agent was built with.
//!
//! What a row may say is the catalogue's; here its mistakes get their places, and the files their order.

use std::ffi::OsStr;
use std::path::Path;

use crate::catalogue::{self, Catalogue, Mistake};

use super::document;
use super::excerpt::printable;
use super::problems::{Problem, Problems};
use super::source::{Place, Source};

/// How the name of a file ends that has releases instead of settings.
const ENDING: &str = ".catalogue.toml";

/// Whether a file has releases instead of settings: by its name, and only in `config.d`.
pub(super) fn is_catalogue(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    let name = path.file_name().and_then(OsStr::to_str);
    folder == Some(OsStr::new("config.d")) && name.is_some_and(|name| name.ends_with(ENDING))
}

/// The releases that are known with all these files. What is wrong with them goes to `problems`.
pub(super) fn read(sources: &[Source], problems: &mut Problems) -> Option<Catalogue> {
    let mut files = Vec::new();
    let mut sound = true;
    for (number, source) in sources.iter().enumerate().filter(|(_, source)| is_catalogue(&source.path)) {
        let Some(table) = document::read(number, source, problems) else {
            sound = false;
            continue;
        };
        let (rows, mistakes) = catalogue::read(table);
        sound &= mistakes.is_empty();
        for mistake in mistakes {
            report(number, source, mistake, problems);
        }
        files.push((number, rows));
    }
    if !sound {
        return None;
    }
    let mistakes = match Catalogue::with(files) {
        Ok(catalogue) => return Some(catalogue),
        Err(mistakes) => mistakes,
    };
    for (number, mistake) in mistakes {
        match sources.get(number) {
            Some(source) => report(number, source, mistake, problems),
            // A release of ours that a file has left without what it needs.
            None => problems.of_defaults(Problem::new(mistake.message).help(mistake.help)),
        }
    }
    None
}

fn report(number: usize, source: &Source, mistake: Mistake, problems: &mut Problems) {
    let place = Place::within(number, mistake.span, source.content().len());
    // In the words of the reader, which says what it found and then what it expected.
    let message = printable(&mistake.message);
    let (message, expected) = match message.split_once("expected ") {
        Some((message, expected)) => (message.trim_end_matches([',', ':', ' ']), Some(expected.to_owned())),
        None => (message.as_str(), None),
    };
    let message = if message.is_empty() { "bad value" } else { message };
    let problem = Problem::new(format!("catalogue: {message}")).help(mistake.help);
    problems.at(&place, Problem { expected, ..problem });
}
