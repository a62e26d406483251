//! What becomes of a restore that was begun: undone while every live tree is the old one, finished as soon as one is not.
//!
//! Decided from the UUIDs on disk. The journal says which to look for; how far it came, it does not have to say.

use std::collections::BTreeMap;

use crate::model::{Change, HostPath, Origin, Restore, RestoredDisk, Subvolume, SubvolumeUuid};

/// A subvolume that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its own UUID.
    pub uuid: SubvolumeUuid,
    /// That of what it was cloned from.
    pub of: Option<SubvolumeUuid>,
    /// Whether nothing is in it.
    pub empty: bool,
}

/// What lies in a folder that is, was or may become a live tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// Subvolumes with the names of parts.
    pub parts: BTreeMap<Subvolume, Found>,
    /// Whatever else.
    pub others: Vec<String>,
}

/// The three folders of a disk that a restore moves things between; none where there is no such folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskState {
    /// What the services have mounted.
    pub live: Option<Tree>,
    /// What is being made, or was replaced just now.
    pub next: Option<Tree>,
    /// What was replaced, where it is kept.
    pub replaced: Option<Tree>,
}

/// What is to be done with one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Make the new tree, what is half-made of it first removed, then exchange.
    Make,
    /// It is made: exchange.
    Exchange,
    /// It was exchanged: put what was replaced where it is kept.
    PutAside,
    /// Nothing.
    Nothing,
}

/// What is to be done with all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was exchanged: remove what was made, and go on with what was.
    Undo,
    /// Something was exchanged: exchange the rest, one kind of work for each disk in their order.
    Finish(Vec<Work>),
    /// Somebody else was at work: these trees are neither the old nor the new ones.
    Unknown(Vec<HostPath>),
}

/// What is done with a restore that was begun. `states` are those of its disks, in their order.
pub fn judge(restore: &Restore, states: &[DiskState]) -> Verdict {
    let disks = || restore.disks.iter().zip(states);
    let unknown: Vec<HostPath> =
        disks().filter(|(disk, state)| work(disk, state).is_none()).map(|(disk, _)| disk.base.clone()).collect();
    if !unknown.is_empty() || restore.disks.len() != states.len() {
        return Verdict::Unknown(unknown);
    }
    let works: Vec<Work> = disks().filter_map(|(disk, state)| work(disk, state)).collect();
    if works.iter().all(|work| matches!(work, Work::Make | Work::Exchange)) {
        return Verdict::Undo;
    }
    Verdict::Finish(works)
}

/// What is left to do with one disk; none where it is in no state that a restore leaves.
pub fn work(disk: &RestoredDisk, state: &DiskState) -> Option<Work> {
    let live = state.live.as_ref()?;
    if is_old(disk, live) {
        return match &state.next {
            // What was replaced before is replaced no more.
            _ if state.replaced.is_some() => None,
            Some(next) if is_new(disk, next) => Some(Work::Exchange),
            Some(next) => removable(disk, next).map(|_| Work::Make),
            None => Some(Work::Make),
        };
    }
    if !is_new(disk, live) {
        return None;
    }
    match (&state.next, &state.replaced) {
        (Some(next), None) if is_old(disk, next) => Some(Work::PutAside),
        (None, _) => Some(Work::Nothing),
        _ => None,
    }
}

/// The parts of a tree in the making; none if anything in it was not made for this restore. Only these are ever deleted.
pub fn removable(disk: &RestoredDisk, tree: &Tree) -> Option<Vec<Subvolume>> {
    let is_ours = |(part, found): (&Subvolume, &Found)| {
        let ours = disk.parts.get(part).is_some_and(|change| is_made(change, found) || is_begun(change, found));
        let is_kept = disk.parts.values().any(|change| change.before.as_ref() == Some(&found.uuid));
        (ours && !is_kept).then_some(*part)
    };
    if tree.others.is_empty() { tree.parts.iter().map(is_ours).collect() } else { None }
}

/// Everything as it was before.
pub fn is_old(disk: &RestoredDisk, tree: &Tree) -> bool {
    let same =
        |(part, change): (&Subvolume, &Change)| tree.parts.get(part).map(|found| &found.uuid) == change.before.as_ref();
    disk.parts.iter().all(same)
}

/// Everything as it is to be.
pub fn is_new(disk: &RestoredDisk, tree: &Tree) -> bool {
    let made = |(part, change): (&Subvolume, &Change)| tree.parts.get(part).is_some_and(|found| is_made(change, found));
    disk.parts.iter().all(made)
}

fn is_made(change: &Change, found: &Found) -> bool {
    let comes_of_it = match &change.of {
        Origin::Clone(of) => found.of.as_ref() == Some(of) && found.uuid != *of,
        Origin::Made { made } => made.as_ref() == Some(&found.uuid),
    };
    comes_of_it && change.before.as_ref() != Some(&found.uuid)
}

/// Whether it is what was made before its UUID could be written down, of which nobody can have used anything.
fn is_begun(change: &Change, found: &Found) -> bool {
    change.of == Origin::Made { made: None } && found.of.is_none() && found.empty
}

#[cfg(test)]
mod tests {
    use super::Work::{Exchange, Make, Nothing, PutAside};
    use super::*;

    /// A UUID by a letter.
    fn uuid(letter: char) -> SubvolumeUuid {
        let first: String = [letter; 8].iter().collect();
        format!("{first}-0000-0000-0000-000000000000").parse().unwrap()
    }

    const PARTS: [Subvolume; 3] = [Subvolume::Postgres, Subvolume::Media, Subvolume::Thumbs];

    /// Live are a, b, c; postgres and media go back to clones of d and e, thumbs stays.
    fn disk() -> RestoredDisk {
        let clone = |of: char| Origin::Clone(uuid(of));
        let change = |before: char, of: char| Change { before: Some(uuid(before)), of: clone(of), back: before != of };
        let changes = [change('a', 'd'), change('b', 'e'), change('c', 'c')];
        RestoredDisk { base: "/var/lib/photos".parse().unwrap(), parts: PARTS.into_iter().zip(changes).collect() }
    }

    fn restore(disks: usize) -> Restore {
        let disks = vec![disk(); disks];
        let snapshot = "20261121T144512Z".parse().unwrap();
        Restore { snapshot, operation: 7, disks, failed: false, stack: None }
    }

    /// The same where postgres is made anew; its UUID is known, or it is not yet.
    fn fresh(made: Option<char>) -> RestoredDisk {
        let mut disk = disk();
        for (part, before) in PARTS.into_iter().zip("abc".chars()) {
            let of = match part {
                Subvolume::Postgres => Origin::Made { made: made.map(uuid) },
                _ => Origin::Clone(uuid(before)),
            };
            disk.parts.insert(part, Change { before: Some(uuid(before)), of, back: false });
        }
        disk
    }

    /// A tree as text: for each part its UUID and that of what it is a clone of, and a star where it is empty; a dot is a part
    /// that is not there.
    fn tree(text: &str) -> Option<Tree> {
        if text == "-" {
            return None;
        }
        let (parts, others) = text.split_once('+').map_or((text, None), |(parts, others)| (parts, Some(others)));
        let found = |word: &str| {
            let mut letters = word.chars();
            let own = letters.next().filter(|letter| *letter != '.')?;
            let of = letters.next().filter(|letter| *letter != '*').map(uuid);
            Some(Found { uuid: uuid(own), of, empty: word.ends_with('*') })
        };
        let parts = PARTS.into_iter().zip(parts.split(' ')).filter_map(|(part, word)| Some((part, found(word)?)));
        Some(Tree { parts: parts.collect(), others: others.into_iter().map(str::to_owned).collect() })
    }

    fn state(live: &str, next: &str, replaced: &str) -> DiskState {
        DiskState { live: tree(live), next: tree(next), replaced: tree(replaced) }
    }

    const OLD: &str = "a b c";
    const NEW: &str = "1d 2e 3c";

    #[test]
    fn each_state_of_a_disk_has_its_work() {
        for (live, next, replaced, wanted) in [
            // Before the exchange.
            (OLD, "-", "-", Some(Work::Make)),
            (OLD, ". . .", "-", Some(Work::Make)),
            (OLD, "1d . .", "-", Some(Work::Make)),
            (OLD, "1d 2e .", "-", Some(Work::Make)),
            (OLD, NEW, "-", Some(Work::Exchange)),
            ("a b c+theirs", NEW, "-", Some(Work::Exchange)),
            ("af bf cf", NEW, "-", Some(Work::Exchange)),
            // After it.
            (NEW, OLD, "-", Some(Work::PutAside)),
            (NEW, "a b c+theirs", "-", Some(Work::PutAside)),
            (NEW, "-", OLD, Some(Work::Nothing)),
            ("1d 2e 3c+theirs", "-", OLD, Some(Work::Nothing)),
            // Somebody has pruned what was replaced.
            (NEW, "-", "-", Some(Work::Nothing)),
            // What no restore leaves.
            ("-", "-", "-", None),
            ("-", NEW, "-", None),
            ("-", OLD, NEW, None),
            (". . .", NEW, "-", None),
            ("a 2e 3c", "1d b c", "-", None),
            ("1d b c", "a 2e 3c", "-", None),
            ("a b .", NEW, "-", None),
            ("9f b c", NEW, "-", None),
            (OLD, "7 8 9", "-", None),
            (OLD, "1d 2e 3c+theirs", "-", Some(Work::Exchange)),
            (OLD, "1d . .+theirs", "-", None),
            (OLD, OLD, "-", None),
            (OLD, NEW, OLD, None),
            (OLD, "-", OLD, None),
            (NEW, NEW, "-", None),
            (NEW, OLD, OLD, None),
            (NEW, "a . c", "-", None),
            // A snapshot itself, where a clone of it belongs.
            (OLD, "d e c", "-", None),
            ("d e c", OLD, "-", None),
        ] {
            assert_eq!(
                work(&disk(), &state(live, next, replaced)),
                wanted,
                "live {live}, next {next}, kept {replaced}"
            );
        }
    }

    #[test]
    fn nothing_is_undone_as_soon_as_one_tree_was_exchanged() {
        let (old, made) = (state(OLD, "-", "-"), state(OLD, NEW, "-"));
        let (exchanged, aside) = (state(NEW, OLD, "-"), state(NEW, "-", OLD));
        let strange = state("a 2e 3c", "-", "-");
        for (states, wanted) in [
            (vec![&old], Verdict::Undo),
            (vec![&made], Verdict::Undo),
            (vec![&exchanged], Verdict::Finish(vec![PutAside])),
            (vec![&aside], Verdict::Finish(vec![Nothing])),
            (vec![&old, &old], Verdict::Undo),
            (vec![&made, &old], Verdict::Undo),
            (vec![&made, &made], Verdict::Undo),
            (vec![&exchanged, &made], Verdict::Finish(vec![PutAside, Exchange])),
            (vec![&made, &exchanged], Verdict::Finish(vec![Exchange, PutAside])),
            (vec![&aside, &made], Verdict::Finish(vec![Nothing, Exchange])),
            (vec![&exchanged, &old], Verdict::Finish(vec![PutAside, Make])),
            (vec![&exchanged, &exchanged], Verdict::Finish(vec![PutAside, PutAside])),
            (vec![&aside, &exchanged], Verdict::Finish(vec![Nothing, PutAside])),
            (vec![&aside, &aside], Verdict::Finish(vec![Nothing, Nothing])),
            (vec![&strange, &made], Verdict::Unknown(vec![disk().base])),
            (vec![&exchanged, &strange], Verdict::Unknown(vec![disk().base])),
        ] {
            let states: Vec<DiskState> = states.into_iter().cloned().collect();
            assert_eq!(judge(&restore(states.len()), &states), wanted, "{states:?}");
        }
        // A disk that was not looked at.
        assert_eq!(judge(&restore(2), &[made]), Verdict::Unknown(Vec::new()));
    }

    #[test]
    fn whatever_was_live_or_is_a_snapshot_is_never_removed() {
        for (next, parts) in [
            (". . .", Some(&[][..])),
            ("1d . .", Some(&[Subvolume::Postgres][..])),
            (NEW, Some(&PARTS[..])),
            ("a . .", None),
            ("1d 2e c", None),
            ("d e 3c", None),
            ("bd . .", None),
            ("1f . .", None),
            ("1d . .+file", None),
        ] {
            assert_eq!(removable(&disk(), &tree(next).unwrap()).as_deref(), parts, "{next}");
        }
    }

    #[test]
    fn what_is_made_anew_is_known_by_its_own_uuid() {
        for (made, live, next, replaced, wanted) in [
            // Before its UUID was written down: only what is empty can be ours.
            (None, OLD, "-", "-", Some(Work::Make)),
            (None, OLD, ". . .", "-", Some(Work::Make)),
            (None, OLD, "1* . .", "-", Some(Work::Make)),
            (None, OLD, "1 . .", "-", None),
            (None, OLD, "1a* . .", "-", None),
            (None, OLD, "a* . .", "-", None),
            (None, OLD, ". 1* .", "-", None),
            (None, OLD, "1* 2b 3c", "-", Some(Work::Make)),
            // After it.
            (Some('1'), OLD, "1* . .", "-", Some(Work::Make)),
            (Some('1'), OLD, "1 . .", "-", Some(Work::Make)),
            (Some('1'), OLD, "1 2b .", "-", Some(Work::Make)),
            (Some('1'), OLD, "1 2b 3c", "-", Some(Work::Exchange)),
            (Some('1'), OLD, "4 2b 3c", "-", None),
            (Some('1'), OLD, "4* . .", "-", None),
            (Some('1'), OLD, "1 2b 3c+theirs", "-", Some(Work::Exchange)),
            (Some('1'), "1 2b 3c", OLD, "-", Some(Work::PutAside)),
            (Some('1'), "1 2b 3c", "-", OLD, Some(Work::Nothing)),
            (Some('1'), "4 2b 3c", "-", OLD, None),
            // Nobody exchanges what is not known.
            (None, "1 2b 3c", OLD, "-", None),
            (Some('a'), OLD, "a 2b 3c", "-", None),
        ] {
            let found = work(&fresh(made), &state(live, next, replaced));
            assert_eq!(found, wanted, "made {made:?}, live {live}, next {next}, kept {replaced}");
        }
        let parts = |made, next| removable(&fresh(made), &tree(next).unwrap());
        assert_eq!(parts(None, "1* . ."), Some(vec![Subvolume::Postgres]));
        assert_eq!(parts(None, "1 . ."), None);
        assert_eq!(parts(Some('1'), "1 2b ."), Some(vec![Subvolume::Postgres, Subvolume::Media]));
        assert_eq!(parts(Some('1'), "2 . ."), None);
    }

    #[test]
    fn what_was_lost_comes_back() {
        let mut disk = disk();
        for change in disk.parts.values_mut().filter(|change| change.back) {
            change.before = None;
        }
        for (live, next, replaced, wanted) in [
            (". . c", "-", "-", Some(Work::Make)),
            (". . c", NEW, "-", Some(Work::Exchange)),
            (NEW, ". . c", "-", Some(Work::PutAside)),
            (NEW, "-", ". . c", Some(Work::Nothing)),
            ("a . c", NEW, "-", None),
        ] {
            assert_eq!(work(&disk, &state(live, next, replaced)), wanted, "live {live}, next {next}");
        }
    }
}
