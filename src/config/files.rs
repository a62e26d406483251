//! Reads the configuration files, and nothing else.
//!
//! A folder, a pipe or a dangling link where a file belongs is an error with its own words, never a
//! file that is quietly left out.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::excerpt::printable;
use super::problems::{Problem, Problems};
use super::source::{Place, Source};

/// Largest file that is read. A configuration has a few hundred bytes.
const SIZE_LIMIT: u64 = 1024 * 1024;

/// The texts of `main` and of the files in `config.d` beside it, in the order in which they count.
///
/// A file that cannot be read is there with an empty text, and reported.
pub(super) fn read_all(main: &Path, required: bool, problems: &mut Problems) -> Vec<Source> {
    let mut sources = Vec::new();
    match read(main) {
        Ok(None) if required => {
            let help = format!("`{}` was named on the command line", printable(&main.display().to_string()));
            add(&mut sources, main.to_owned(), Err(Problem::new("no such file").help(Some(help))), problems);
        }
        Ok(None) => {}
        Ok(Some(bytes)) => add(&mut sources, main.to_owned(), Ok(bytes), problems),
        Err(problem) => add(&mut sources, main.to_owned(), Err(problem), problems),
    }
    let folder = main.parent().unwrap_or(Path::new("")).join("config.d");
    match list(&folder) {
        Ok(paths) => {
            for path in paths {
                let content = read(&path).map(Option::unwrap_or_default);
                add(&mut sources, path, content, problems);
            }
        }
        Err(problem) => add(&mut sources, folder, Err(problem), problems),
    }
    sources
}

fn add(sources: &mut Vec<Source>, path: PathBuf, content: Result<Vec<u8>, Problem>, problems: &mut Problems) {
    let number = sources.len();
    let text = match content.map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let bom = text.len() - text.strip_prefix('\u{feff}').unwrap_or(&text).len();
            // Up to here the text is the file's own; then stands one character for what is not.
            let start = error.utf8_error().valid_up_to().saturating_sub(bom);
            let place = Place { source: number, span: start..start + 3 };
            problems.at(&place, Problem::new("not UTF-8").expected("a text file in UTF-8"));
            text
        }
        Err(problem) => {
            problems.of_source(number, problem);
            String::new()
        }
    };
    sources.push(Source { path, text });
}

/// The content of the file at `path`; `None` if there is nothing.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    let cannot = |error: &io::Error| Problem::new(format!("cannot be read: {error}"));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(&error)),
        Ok(_) => {}
    }
    let kind = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Problem::new("a symbolic link to a file that does not exist"));
        }
        Err(error) => return Err(cannot(&error)),
        Ok(metadata) => metadata.file_type(),
    };
    // Asked before opening, which would wait at a pipe for ever.
    if !kind.is_file() {
        let found = if kind.is_dir() { "a folder" } else { "a device, pipe or socket" };
        return Err(Problem::new("not a file").expected("a file").found(found));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| cannot(&error))?;
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(Problem::new("too large").expected("a configuration file of at most 1 MiB"));
    }
    Ok(Some(bytes))
}

/// The files `*.toml` of `folder` that are not hidden, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let cannot = |error: &io::Error| Problem::new(format!("cannot be listed: {error}"));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot(&error)),
        Ok(entries) => entries,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| cannot(&error))?.file_name();
        let hidden = name.as_bytes().starts_with(b".");
        if !hidden && Path::new(&name).extension() == Some(OsStr::new("toml")) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
