//! Files that rows of the database name: whether they are in the snapshot. What the database says is not trusted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use crate::host::beneath::{self, Folder};
use crate::host::storage::StorageError;
use crate::model::Subvolume;
use crate::record::Finding;
use crate::snapshot::verify::bench::Bench;
use crate::snapshot::verify::checks::{Found, assets};
use crate::stack::throwaway::seen_by_server;

/// Missing ones that are named in the record, and in the finding.
const EXAMPLES: usize = 20;
const NAMED: usize = 3;

/// Looks for them.
pub(super) fn look(bench: &Bench, paths: &[String], found: &mut Found) -> Result<Finding, StorageError> {
    let mut folders: BTreeMap<Subvolume, Option<Folder>> = BTreeMap::new();
    for path in paths {
        let Some((part, name)) = seen_by_server(path) else {
            found.sample.elsewhere += 1;
            continue;
        };
        let folder = match folders.entry(part) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(bench.part(part).map(|path| Folder::open(&path)).transpose()?),
        };
        let Some(folder) = folder else {
            found.sample.elsewhere += 1;
            continue;
        };
        if folder.look(Path::new(name))? == beneath::Found::File {
            found.sample.found += 1;
        } else {
            found.sample.missing += 1;
            if found.sample.examples.len() < EXAMPLES {
                found.sample.examples.push(path.clone());
            }
        }
    }
    Ok(judge(paths.len(), found))
}

fn judge(asked: usize, found: &Found) -> Finding {
    let sample = &found.sample;
    match assets(found) {
        None => return Finding::NotChecked { why: "Immich has made no tables yet".to_owned() },
        Some(0) => return Finding::Passed { detail: "there are no photographs yet".to_owned() },
        Some(rows) if asked == 0 => {
            return Finding::NotChecked { why: format!("none of {rows} rows names a file that should be there") };
        }
        Some(_) => {}
    }
    if sample.missing > 0 {
        // As a literal: what a terminal would obey is written out.
        let named: Vec<String> = sample.examples.iter().take(NAMED).map(|path| format!("{path:?}")).collect();
        let more = if sample.missing > NAMED as u64 { ", ..." } else { "" };
        let why = format!("{} of {asked} files that rows name are missing: {}{more}", sample.missing, named.join(", "));
        return Finding::Failed { why };
    }
    let elsewhere = match sample.elsewhere {
        0 => String::new(),
        some => format!("; {some} lie where no snapshot reaches"),
    };
    if sample.found == 0 {
        return Finding::NotChecked { why: format!("no file of the sample lies in the snapshot{elsewhere}") };
    }
    Finding::Passed { detail: format!("{} of {asked} files that rows name are there{elsewhere}", sample.found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Sample;

    #[test]
    fn only_files_that_were_seen_count() {
        let judge = |rows: Option<u64>, found: u64, elsewhere: u64, missing: u64| {
            let rows = rows.map(|rows| ("asset".to_owned(), rows)).into_iter().collect();
            let examples = (0..missing).map(|number| format!("/data/\u{1b}[2J{number}")).collect();
            let found = Found { rows, sample: Sample { found, elsewhere, missing, examples }, checksums: None };
            judge(usize::try_from(found.sample.found + elsewhere + missing).unwrap(), &found)
        };
        assert!(judge(Some(9), 9, 0, 0).has_passed());
        assert!(judge(Some(9), 8, 1, 0).has_passed());
        assert!(judge(Some(0), 0, 0, 0).has_passed());
        assert!(matches!(judge(None, 0, 0, 0), Finding::NotChecked { .. }));
        assert!(matches!(judge(Some(9), 0, 0, 0), Finding::NotChecked { .. }));
        assert!(matches!(judge(Some(9), 0, 9, 0), Finding::NotChecked { .. }));
        let Finding::Failed { why } = judge(Some(9), 4, 0, 5) else { panic!("it is not well") };
        assert!(why.starts_with("5 of 9 files") && why.ends_with(", ...") && !why.contains('\u{1b}'), "{why}");
    }
}
