//! What may go back, and what a person has to know of it.

use std::collections::BTreeSet;

use crate::catalogue::Catalogue;
use crate::model::{Release, Subvolume};

/// What goes back of what a snapshot holds: all of it, or what was asked for. The queue is of the database's moment.
pub fn parts(holds: &BTreeSet<Subvolume>, only: &[Subvolume]) -> BTreeSet<Subvolume> {
    let asked = |part: &Subvolume| {
        let of = if *part == Subvolume::Redis { Subvolume::Postgres } else { *part };
        only.is_empty() || only.contains(&of)
    };
    holds.iter().copied().filter(asked).collect()
}

/// Whether a database of release `then` may be opened by release `now`: migrations go forward only, and only between
/// releases that are known.
pub fn may_open(catalogue: &Catalogue, then: &Release, now: &Release) -> bool {
    then == now || (then < now && [then, now].iter().all(|release| catalogue.find(release).is_some()))
}

/// What does not fit together afterwards, where not all goes back.
pub fn warnings(back: &BTreeSet<Subvolume>, stays: &BTreeSet<Subvolume>) -> Vec<String> {
    let mut warnings = Vec::new();
    let (back, stays) = (|part| back.contains(&part), |part| stays.contains(&part));
    if back(Subvolume::Postgres) && stays(Subvolume::Media) {
        warnings.push(
            "the database goes back and the photographs stay: what was uploaded since lies in media and no album shows it; \
             what was deleted since is shown and is not there"
                .to_owned(),
        );
    }
    if back(Subvolume::Media) && stays(Subvolume::Postgres) {
        warnings.push(
            "the photographs go back and the database stays: what was uploaded since is shown and is not there any more; \
             what was deleted since is there and is not shown"
                .to_owned(),
        );
    }
    if back(Subvolume::Icloud) != back(Subvolume::Postgres) && (back(Subvolume::Icloud) || stays(Subvolume::Icloud)) {
        warnings.push(
            "the database and what came from iCloud are of different moments: a scan of that library moves to the trash \
             what it does not find"
                .to_owned(),
        );
    }
    if back(Subvolume::Media) && stays(Subvolume::Thumbs) {
        warnings.push(
            "thumbnails and converted videos stay as they are; Immich makes those anew that are missing when it is told to \
             (Administration, Jobs)"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use Subvolume::{EncodedVideo, Icloud, Media, Postgres, Redis, Thumbs};

    fn set(parts: &[Subvolume]) -> BTreeSet<Subvolume> {
        parts.iter().copied().collect()
    }

    #[test]
    fn the_queue_goes_with_the_database() {
        let holds = set(&[Postgres, Redis, Media, Icloud]);
        for (only, back) in [
            (&[][..], &[Postgres, Redis, Media, Icloud][..]),
            (&[Postgres], &[Postgres, Redis]),
            (&[Media], &[Media]),
            (&[Icloud], &[Icloud]),
            (&[Postgres, Media], &[Postgres, Redis, Media]),
            (&[Thumbs], &[]),
        ] {
            assert_eq!(parts(&holds, only), set(back), "{only:?}");
        }
    }

    #[test]
    fn a_database_is_opened_by_its_release_and_by_known_newer_ones() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        let known = Catalogue::embedded();
        let may_open = |then: &Release, now: &Release| super::may_open(&known, then, now);
        let (newest, older) = (&known.releases()[0].release, &known.releases()[1].release);
        assert!(may_open(older, newest) && may_open(newest, newest));
        assert!(!may_open(newest, older));
        assert!(!may_open(older, &release("v99.0.0")));
        assert!(!may_open(&release("v0.1.0"), newest));
        assert!(may_open(&release("v99.0.0"), &release("v99.0.0")));
    }

    #[test]
    fn what_disagrees_is_said() {
        let all = set(&[Postgres, Redis, Media, Thumbs, EncodedVideo, Icloud]);
        for (back, said) in [
            (&[Postgres, Redis, Media, Thumbs, EncodedVideo, Icloud][..], &[][..]),
            (&[Postgres, Redis, Media, Icloud], &["thumbnails"]),
            (&[Postgres, Redis], &["the photographs stay", "iCloud"]),
            (&[Media], &["the database stays", "thumbnails"]),
            (&[Icloud], &["iCloud"]),
        ] {
            let back = set(back);
            let warnings = warnings(&back, &all.difference(&back).copied().collect());
            assert_eq!(warnings.len(), said.len(), "{back:?}: {warnings:?}");
            assert!(warnings.iter().zip(said).all(|(warning, word)| warning.contains(word)), "{warnings:?}");
        }
    }
}
