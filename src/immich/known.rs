//! The files that Immich knows of a library, looked for one by one as the server sees them.
//!
//! This walk is the one that the design allows: one look for each known file. The list comes out of the database's own
//! container as it is read, and is never in memory as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::host::process;
use crate::host::within::{self, View};
use crate::immich::Error;
use crate::immich::sample::Sample;
use crate::model::Service;
use crate::plan::scan::{EXAMPLES, from_hex, import_path_of};
use crate::stack;

/// A million files on a cold disk that turns.
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);

/// Rows of a library, counted by a database that is at work.
const COUNTING: Duration = Duration::from_secs(10 * 60);

/// Files that are looked for in one go, beside what else the agent does.
const AT_A_TIME: usize = 1000;

/// The line after the last file: without it, the list was cut off.
const END: &str = "end of the list";

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// By import path.
    pub within: BTreeMap<String, Count>,
    /// Those that lie in no import path.
    pub outside: u64,
    /// Some that are missing, or lie in none.
    pub examples: Vec<String>,
    /// Some that are there.
    pub sample: Sample,
    is_whole: bool,
}

/// The files of an import path.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// All.
    pub files: u64,
    /// Those that the server does not see.
    pub missing: u64,
}

/// Looks for all that the library `id` knows and has not trashed.
pub(super) async fn look(id: &str, import_paths: &[String], view: &Arc<View>) -> Result<Known, Error> {
    let arguments = stack::session(Service::Postgres.stem());
    let statement = statement(identity(id)?);
    let mut known = Known::default();
    process::stream("podman", &arguments, statement.as_bytes(), PATIENCE, AT_A_TIME, async |lines| {
        known.take(lines, import_paths, view).await
    })
    .await?;
    if known.is_whole { Ok(known) } else { Err(Error::Garbled("it was cut off")) }
}

/// How many of its files Immich has moved to the trash since then, because it did not see them. Both clocks are this host's. What somebody
/// had thrown away before keeps the moment at which they did.
pub(super) async fn trashed(id: &str, since: Timestamp) -> Result<u64, Error> {
    let statement = format!(
        "\\connect immich\n\\pset tuples_only on\n\\pset format unaligned\n\
         SELECT count(*) FROM asset WHERE \"libraryId\" = '{}' AND \"isOffline\" AND \"deletedAt\" >= '{since}';\n",
        identity(id)?
    );
    let arguments = stack::session(Service::Postgres.stem());
    let said = process::feed("podman", &arguments, statement.as_bytes(), COUNTING).await?;
    said.trim().parse().map_err(|_| Error::Garbled("it is no number"))
}

/// What is put into a statement.
fn identity(id: &str) -> Result<&str, Error> {
    let is_uuid = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uuid.then_some(id).ok_or(Error::Garbled("the library has no identity that fits"))
}

/// Names in hexadecimal digits, one a line: a name may have a line break in it. `COPY` hands them on as it reads them.
fn statement(id: &str) -> String {
    format!(
        "\\connect immich\n\
         COPY (SELECT encode(convert_to(\"originalPath\", 'UTF8'), 'hex') FROM asset WHERE \"libraryId\" = '{id}' \
         AND \"isOffline\" = false AND \"deletedAt\" IS NULL) TO STDOUT;\n\\echo {END}\n"
    )
}

impl Known {
    async fn take(&mut self, lines: Vec<String>, import_paths: &[String], view: &Arc<View>) -> Result<(), Error> {
        let mut within_them = Vec::with_capacity(lines.len());
        for line in lines {
            if self.is_whole {
                return Err(Error::Garbled("something follows its end"));
            }
            if line == END {
                self.is_whole = true;
                continue;
            }
            let path = from_hex(&line).ok_or(Error::Garbled("a line is no name"))?;
            if let Some(count) = self.count(&path, import_paths) {
                count.files += 1;
                within_them.push(path);
            } else {
                self.outside += 1;
                self.show(path);
            }
        }
        let (found, missing) = within::look_for(Arc::clone(view), within_them).await?;
        for path in found {
            self.sample.take(path);
        }
        for path in missing {
            if let Some(count) = self.count(&path, import_paths) {
                count.missing += 1;
            }
            self.show(path);
        }
        Ok(())
    }

    /// That of the import path in which the file lies.
    fn count(&mut self, path: &str, import_paths: &[String]) -> Option<&mut Count> {
        let import_path = import_path_of(path, import_paths)?;
        if !self.within.contains_key(import_path) {
            self.within.insert(import_path.to_owned(), Count::default());
        }
        self.within.get_mut(import_path)
    }

    fn show(&mut self, path: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        use std::fmt::Write as _;
        text.bytes().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    #[tokio::test]
    async fn what_is_known_is_looked_for_in_the_container() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("external/a")).unwrap();
        std::fs::create_dir_all(folder.path().join("external/b")).unwrap();
        std::fs::write(folder.path().join("external/a/line\nbreak.jpg"), "x").unwrap();
        let view = Arc::new(View::open(folder.path()).unwrap());
        let paths = ["/external/a".to_owned(), "/external/b".to_owned(), "/external/c".to_owned()];
        let lines =
            ["/external/a/line\nbreak.jpg", "/external/b/1.jpg", "/external/a/gone.jpg", "/elsewhere/x.jpg"].map(hex);
        let mut known = Known::default();
        known.take(lines.to_vec(), &paths, &view).await.unwrap();
        assert!(!known.is_whole);
        known.take(vec![hex("/external/b/2.jpg"), END.to_owned()], &paths, &view).await.unwrap();
        let examples = ["/elsewhere/x.jpg", "/external/b/1.jpg", "/external/a/gone.jpg"].map(str::to_owned).to_vec();
        let within = [("/external/a", 2, 1), ("/external/b", 2, 2)]
            .map(|(path, files, missing)| (path.to_owned(), Count { files, missing }));
        let mut sample = Sample::default();
        sample.take("/external/a/line\nbreak.jpg".to_owned());
        assert_eq!(known, Known { within: BTreeMap::from(within), outside: 1, examples, sample, is_whole: true });
        for after in [vec![hex("/x")], vec![END.to_owned()]] {
            assert!(known.take(after, &paths, &view).await.is_err());
        }
        assert!(Known::default().take(vec!["no name".to_owned()], &paths, &view).await.is_err());
    }

    #[test]
    fn only_an_identity_gets_into_a_statement() {
        let good = "6c1f0f2e-3b7a-4f0a-9d58-0a1b2c3d4e5f";
        assert_eq!(identity(good).unwrap(), good);
        for bad in ["", "x' OR true --", "6c1f0f2e-3b7a-4f0a-9d58-0a1b2c3d4e5'"] {
            assert!(identity(bad).is_err(), "{bad}");
        }
    }
}
