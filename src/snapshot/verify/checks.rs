//! What the throwaway database is asked, and what its answers mean.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::apply::throwaway::Running;
use crate::host::process::{Heard, ProcessError};
use crate::observe::chain;
use crate::record::{Finding, Sample};
use crate::stack::throwaway::{ASK, NO_EXTENSION, NO_PROGRAM};

/// The tables of photographs, in the order in which Immich named them.
const ASSETS: [&str; 2] = ["asset", "assets"];

/// Lines of a complaint that are repeated.
const LINES: usize = 5;

/// What was seen on the way.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rows: BTreeMap<String, u64>,
    pub(super) sample: Sample,
    /// Whether its pages have checksums; none where it did not say.
    pub(super) checksums: Option<bool>,
}

/// A line of the answer to [`ASK`].
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Facts { version: String, checksums: bool },
    Rows(BTreeMap<String, u64>),
    Path(String),
}

/// Has the database count its rows, and returns the files that some of them name; none where it does not tell.
pub(super) async fn ask(database: &Running, found: &mut Found) -> (Finding, Option<Vec<String>>) {
    match database.ask(ASK).await {
        Ok(said) => understand(&said, found),
        Err(error) => (Finding::Failed { why: chain(&error) }, None),
    }
}

fn understand(said: &str, found: &mut Found) -> (Finding, Option<Vec<String>>) {
    let (mut paths, mut versions) = (Vec::new(), Vec::new());
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(Said::Facts { version, checksums }) => {
                versions.push(version);
                found.checksums = Some(checksums);
            }
            Ok(Said::Rows(rows)) => found.rows.extend(rows),
            Ok(Said::Path(path)) => paths.push(path),
            Err(error) => {
                let why = format!("the database's answer was not understood: {error}");
                return (Finding::Failed { why }, None);
            }
        }
    }
    let rows: Vec<String> = found.rows.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
    let rows = if rows.is_empty() { "Immich has made no tables in it".to_owned() } else { rows.join(", ") };
    (Finding::Passed { detail: format!("PostgreSQL {}: {rows}", versions.join(" ")) }, Some(paths))
}

/// Rows of photographs; none where there is no such table.
pub(super) fn assets(found: &Found) -> Option<u64> {
    ASSETS.iter().find_map(|table| found.rows.get(*table)).copied()
}

/// Whether rows, tables and indexes belong to one another.
pub(super) async fn structure(database: &Running) -> Finding {
    judge(database.structure().await, "pg_amcheck", |_| "every row is in every index of its table".to_owned())
}

/// Whether every page is as it was written.
pub(super) async fn checksums(database: Running, found: &Found) -> Finding {
    if found.checksums == Some(false) {
        return Finding::NotChecked { why: "the cluster was made without data checksums".to_owned() };
    }
    judge(database.read_whole().await, "pg_checksums", |said| {
        let blocks = said.lines().find_map(|line| line.strip_prefix("Blocks scanned:")).unwrap_or("all").trim();
        format!("{blocks} pages are as they were written")
    })
}

fn judge(result: Result<Heard, ProcessError>, program: &str, passed: impl FnOnce(&str) -> String) -> Finding {
    let heard = match result {
        Ok(heard) => heard,
        Err(error) => return Finding::Failed { why: chain(&error) },
    };
    match heard.code {
        Some(0) => Finding::Passed { detail: passed(&heard.out) },
        Some(NO_PROGRAM) => Finding::NotChecked { why: format!("the image has no {program}") },
        Some(NO_EXTENSION) => Finding::NotChecked { why: "the image has no extension amcheck".to_owned() },
        _ => {
            let all = format!("{}\n{}", heard.out, heard.err);
            let lines: Vec<&str> = all.lines().map(str::trim).filter(|line| !line.is_empty()).take(LINES).collect();
            Finding::Failed { why: format!("{program}: {}", lines.join("; ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_rows_and_paths() {
        let mut found = Found::default();
        let said = "{\"facts\" : {\"version\" : \"17.5\", \"checksums\" : true}}\n{\"rows\" : {\"asset\" : 2}}\n\
                    {\"rows\" : {\"user\" : 1}}\n{\"path\" : \"/data/a\\nb\"}\n";
        let (finding, paths) = understand(said, &mut found);
        assert_eq!(finding, Finding::Passed { detail: "PostgreSQL 17.5: asset 2, user 1".to_owned() });
        assert_eq!(paths.unwrap(), ["/data/a\nb"]);
        assert_eq!((assets(&found), found.checksums), (Some(2), Some(true)));
        assert!(!understand("CHECKPOINT\n", &mut Found::default()).0.has_passed());
        assert_eq!(assets(&Found::default()), None);
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_well() {
        let ended = |code: i32, out: &str, err: &str| {
            let heard = Heard { code: Some(code), out: out.to_owned(), err: err.to_owned() };
            judge(Ok(heard), "pg_x", str::to_owned)
        };
        assert_eq!(ended(0, "fine", ""), Finding::Passed { detail: "fine".to_owned() });
        for code in [NO_PROGRAM, NO_EXTENSION] {
            assert!(matches!(ended(code, "", ""), Finding::NotChecked { .. }), "{code}");
        }
        let why = "pg_x: heap table \"a\"; invalid page".to_owned();
        assert_eq!(ended(2, "heap table \"a\"\n", "invalid page\n"), Finding::Failed { why });
        let killed = Heard { code: None, out: String::new(), err: String::new() };
        assert!(matches!(judge(Ok(killed), "pg_x", str::to_owned), Finding::Failed { .. }));
    }
}
