//! When a library is scanned, and what a person may override.

use photos_agent::model::{MaxMissing, SubvolumeUuid};
use photos_agent::plan::scan::{Mounted, Obstacle, Sample, Seen, Sentinel, Tree, from_hex, import_path_of, obstacles};
use proptest::prelude::*;

use super::said;
use super::world::World;

const PATH: &str = "/external/icloud/anna";

fn max_missing() -> MaxMissing {
    MaxMissing { share: "1%".parse().unwrap(), files: 10 }
}

fn uuid(digit: char) -> SubvolumeUuid {
    format!("{}-0000-4000-8000-000000000000", digit.to_string().repeat(8)).parse().unwrap()
}

fn mounted(live: Option<char>, server: Option<char>, last: Option<char>) -> Mounted {
    Mounted { live: live.map(uuid), server: server.map(uuid), last: last.map(uuid), is_restored: false }
}

type Change = fn(&mut Seen);

/// An account's library in good order, of which nothing is missing.
fn good(known: u64) -> Seen {
    let sentinel = Sentinel { account: "anna".into(), says: Some("anna\n".into()) };
    let tree = Tree {
        subvolume: Some(mounted(Some('a'), Some('a'), Some('a'))),
        sentinel: Some(sentinel),
        ..plain(PATH, known, 0, known > 0)
    };
    Seen { trees: vec![tree], ..Seen::default() }
}

/// An import path of somebody else.
fn plain(path: &str, known: u64, missing: u64, holds_files: bool) -> Tree {
    let holds_files = Some(holds_files);
    Tree { path: path.into(), known, missing, unreadable: None, holds_files, subvolume: None, sentinel: None }
}

fn lacking(known: u64, missing: u64) -> Seen {
    let mut seen = good(known);
    seen.trees[0].missing = missing;
    seen
}

/// What stands in the way after `change`, by its first words, and with `force`.
fn after(change: impl FnOnce(&mut Seen)) -> (Vec<String>, Vec<String>) {
    let mut seen = good(1000);
    change(&mut seen);
    let said = |force| obstacles(&seen, max_missing(), force).iter().map(ToString::to_string).collect();
    (said(false), said(true))
}

#[test]
fn a_good_tree_is_scanned() {
    for seen in [good(0), good(1), good(1_000_000), lacking(1000, 10), lacking(10_000, 100)] {
        assert_eq!(obstacles(&seen, max_missing(), false), [], "{seen:?}");
    }
    // The first scan of what nobody has scanned before, and the first after a restore.
    for (last, is_restored) in [(None, false), (Some('b'), true)] {
        let mut seen = good(5);
        let tree = Mounted { is_restored, ..mounted(Some('a'), Some('a'), last) };
        seen.trees[0].subvolume = Some(tree);
        assert_eq!(obstacles(&seen, max_missing(), false), [], "{seen:?}");
    }
    // A folder that is not ours has neither.
    let mut seen = good(5);
    (seen.trees[0].subvolume, seen.trees[0].sentinel) = (None, None);
    assert_eq!(obstacles(&seen, max_missing(), false), []);
}

#[test]
fn what_nobody_may_override_and_what_a_person_may() {
    fn tree(seen: &mut Seen) -> &mut Tree {
        &mut seen.trees[0]
    }
    let table: [(Change, &str, bool); 15] = [
        (|seen| seen.trees.clear(), "the library has no import path", false),
        (
            |seen| tree(seen).unreadable = Some("gone".into()),
            "the server cannot read /external/icloud/anna: gone",
            false,
        ),
        (|seen| tree(seen).subvolume = Some(mounted(None, None, Some('a'))), "no subvolume lies where", false),
        (|seen| tree(seen).subvolume = Some(mounted(None, Some('a'), Some('a'))), "no subvolume lies where", false),
        (
            |seen| tree(seen).subvolume = Some(mounted(Some('a'), Some('b'), None)),
            "the server sees another tree",
            false,
        ),
        (
            |seen| tree(seen).subvolume = Some(mounted(Some('a'), None, Some('a'))),
            "the server sees another tree",
            false,
        ),
        (|seen| tree(seen).subvolume = Some(mounted(Some('b'), Some('b'), Some('a'))), "another subvolume than", true),
        (|seen| tree(seen).sentinel.as_mut().unwrap().says = None, "the file .photos-agent is not in", false),
        (|seen| tree(seen).sentinel.as_mut().unwrap().says = Some("ben".into()), "is not that of anna", false),
        (
            |seen| {
                tree(seen).missing = 1000;
                tree(seen).holds_files = Some(false);
            },
            "there is not one file in /external/icloud/anna, and Immich knows 1000",
            false,
        ),
        // Nobody has looked for others.
        (
            |seen| {
                tree(seen).missing = 1000;
                tree(seen).holds_files = None;
            },
            "there is not one file in",
            false,
        ),
        // The import path is another one, and empty.
        (
            |seen| {
                (seen.outside, tree(seen).known) = (1000, 0);
                tree(seen).holds_files = Some(false);
            },
            "there is not one file in /external/icloud/anna, and Immich knows 1000",
            false,
        ),
        (
            |seen| {
                (seen.outside, tree(seen).missing) = (5, 6);
                seen.examples = vec!["/a".into(), "/b".into(), "/c".into(), "/d".into()];
            },
            "11 of the 1005 files that Immich knows are missing, and 10 may be; /a, /b, /c",
            true,
        ),
        (
            |seen| seen.sample = Sample { looked_for: 900, unseen: 1, example: Some("/a/b.jpg".into()) },
            "the server does not see 1 of 900 files that are there, like /a/b.jpg",
            false,
        ),
        (|seen| seen.is_paused = true, "the queue of scans is paused", false),
    ];
    for (change, why, yields) in table {
        let (said, forced) = after(change);
        assert!(said.len() == 1 && said[0].contains(why), "{why}: {said:?}");
        assert_eq!(forced.is_empty(), yields, "{why}: {forced:?}");
    }
}

/// As many files as before, and none of those that are known.
#[test]
fn where_every_path_moved_a_person_decides() {
    let (said, forced) = after(|seen| seen.trees[0].missing = 1000);
    let others = format!("there are files in {PATH}, and not one of the 1000 that Immich knows there");
    assert_eq!(said, [others.as_str(), "1000 of the 1000 files that Immich knows are missing, and 10 may be"]);
    assert!(forced.is_empty(), "{forced:?}");
}

/// A disk that is not mounted is no small matter because little of the library lies on it.
#[test]
fn each_import_path_counts_for_itself() {
    for (tree, why, yields) in [
        (plain("/mnt/nas", 9, 9, false), Some("there is not one file in /mnt/nas, and Immich knows 9"), false),
        (plain("/mnt/nas", 9, 9, true), Some("there are files in /mnt/nas, and not one of the 9"), true),
        (plain("/mnt/nas", 9, 8, true), None, true),
        // What was never scanned.
        (plain("/mnt/nas", 0, 0, false), None, true),
        (plain("/mnt/nas", 0, 0, true), None, true),
    ] {
        let (said, forced) = after(|seen| seen.trees.push(tree.clone()));
        assert_eq!(said.len(), why.iter().count(), "{said:?}");
        assert!(said.iter().zip(why).all(|(said, why)| said.contains(why)), "{why:?}: {said:?}");
        assert_eq!(forced.is_empty(), yields, "{why:?}: {forced:?}");
    }
}

/// Immich's own scans are for every library, so it is said that they go off, once. What was left of a scan goes before a start, too.
#[test]
fn own_scans_are_off_where_there_is_an_account_and_it_is_said() {
    let notes = |world: &World| said(&world.plan()).iter().filter(|line| line.contains("own scan schedule")).count();
    let mut world = World::converged();
    assert_eq!(notes(&world), 0);
    let text = "[[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\n";
    let source = photos_agent::config::Source { path: "/etc/photos-agent/config.toml".into(), text: text.to_owned() };
    world.settings.icloud = photos_agent::config::parse(&[source]).unwrap().settings.icloud;
    let unit = |world: &World| {
        let files = world.desired().files;
        files.iter().find(|file| file.path.as_str().ends_with("/immich-server.container")).unwrap().text.clone()
    };
    let text = unit(&world);
    let line = text.lines().find(|line| line.contains("{library,scan,enabled}")).expect("a command in the unit");
    // It has to be there before the server is; a failure keeps the server from starting, and systemd expands no variable.
    assert!(line.starts_with("ExecStartPre=/usr/bin/podman exec --user=postgres immich-postgres psql "), "{line}");
    assert!(line.contains("DO $$$$BEGIN IF to_regclass('system_metadata') IS NOT NULL"), "{line}");
    let line = text.lines().find(|line| line.contains("immich_bull:library:")).expect("another one");
    assert!(line.starts_with("ExecStartPre=/usr/bin/podman exec immich-redis valkey-cli -e EVAL "), "{line}");
    assert_eq!(notes(&world), 1);
    world.apply(None);
    assert_eq!(notes(&world), 0, "it is done");
    world.settings.icloud = World::converged().settings.icloud;
    assert!(!unit(&world).contains("{library,scan,enabled}") && !unit(&world).contains("immich_bull"));
}

#[test]
fn names_come_out_of_the_database_whole() {
    assert_eq!(from_hex("2f61c3a40a").as_deref(), Some("/aä\n"));
    assert_eq!(from_hex("").as_deref(), Some(""));
    for bad in ["2", "2g", "ff", "+1", "2f6"] {
        assert_eq!(from_hex(bad), None, "{bad}");
    }
    let paths = ["/external/a", "/external/b/", "/external/b/inner"].map(str::to_owned);
    for (file, path) in [
        ("/external/a/x.jpg", Some("/external/a")),
        ("/external/b/c/x.jpg", Some("/external/b/")),
        ("/external/b/inner/x.jpg", Some("/external/b/inner")),
        ("/external/ab/x.jpg", None),
        ("/external/a", None),
    ] {
        assert_eq!(import_path_of(file, &paths), path, "{file}");
    }
}

fn any_uuid() -> impl Strategy<Value = Option<SubvolumeUuid>> {
    prop::option::of(prop::sample::select(vec!['a', 'b']).prop_map(uuid))
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let subvolume = (any_uuid(), any_uuid(), any_uuid(), any::<bool>())
        .prop_map(|(live, server, last, is_restored)| Mounted { live, server, last, is_restored });
    let says = prop::option::of(prop::sample::select(vec!["anna".to_owned(), "ben".to_owned(), String::new()]));
    let sentinel = says.prop_map(|says| Sentinel { account: "anna".into(), says });
    let unreadable = prop::option::of(Just("gone".to_owned()));
    let places = (unreadable, prop::option::of(any::<bool>()), prop::option::of(subvolume), prop::option::of(sentinel));
    // All missing as often as some: that is what it is about.
    let counts = prop_oneof![(0u64..5000, 0u64..50), (0u64..5000).prop_map(|known| (known, known))];
    (places, counts).prop_map(|((unreadable, holds_files, subvolume, sentinel), (known, missing))| Tree {
        path: PATH.into(),
        known,
        missing: missing.min(known),
        unreadable,
        holds_files,
        subvolume,
        sentinel,
    })
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let trees = prop::collection::vec(any_tree(), 0..4);
    let outside = prop_oneof![Just(0u64), 0u64..5000];
    let sample =
        prop_oneof![Just(0u64), 0u64..100].prop_map(|unseen| Sample { looked_for: 100, unseen, example: None });
    (trees, outside, sample, any::<bool>()).prop_map(|(trees, outside, sample, is_paused)| Seen {
        trees,
        outside,
        examples: Vec::new(),
        sample,
        is_paused,
    })
}

/// Libraries without marks and subvolumes, where the counts decide.
fn any_counts() -> impl Strategy<Value = Seen> {
    any_seen().prop_map(|seen| {
        let plain = |tree: Tree| Tree { unreadable: None, subvolume: None, sentinel: None, ..tree };
        Seen { trees: seen.trees.into_iter().map(plain).collect(), is_paused: false, sample: Sample::default(), ..seen }
    })
}

proptest! {
    /// Law 4, whoever insists.
    #[test]
    fn a_wrong_tree_is_never_scanned(seen in any_seen(), force: bool) {
        if obstacles(&seen, max_missing(), force).is_empty() {
            prop_assert!(!seen.trees.is_empty() && seen.sample.unseen == 0);
            for tree in &seen.trees {
                prop_assert!(tree.unreadable.is_none());
                if let Some(mounted) = &tree.subvolume {
                    prop_assert!(mounted.live.is_some() && mounted.live == mounted.server);
                }
                if let Some(sentinel) = &tree.sentinel {
                    prop_assert_eq!(sentinel.says.as_deref(), Some("anna"));
                }
            }
            let (known, gone) = (seen.known(), seen.missing());
            prop_assert!(gone <= max_missing().of(known) || force);
            prop_assert!(gone < known || known == 0 || seen.trees.iter().any(|tree| tree.holds_files == Some(true)));
        }
    }

    /// Whatever lies elsewhere, and whoever insists: an import path of which all is missing and that holds nothing is not scanned,
    /// and one that holds something else takes a person.
    #[test]
    fn an_empty_import_path_is_never_scanned(seen in any_counts(), force: bool) {
        let found = obstacles(&seen, max_missing(), force);
        for tree in seen.trees.iter().filter(|tree| tree.known > 0 && tree.missing == tree.known) {
            prop_assert!(tree.holds_files == Some(true) && force || !found.is_empty());
        }
        let is_good = |tree: &Tree| tree.known == 0 || tree.missing < tree.known;
        if !seen.trees.is_empty() && seen.trees.iter().all(is_good) && seen.missing() <= max_missing().of(seen.known()) && seen.outside < 1 {
            prop_assert!(found.is_empty(), "{found:?}");
        }
    }

    /// A person's word takes obstacles away, and adds none.
    #[test]
    fn force_takes_away_only_what_yields(seen in any_seen()) {
        let (all, forced) = (obstacles(&seen, max_missing(), false), obstacles(&seen, max_missing(), true));
        let left: Vec<Obstacle> = all.into_iter().filter(|obstacle| !obstacle.yields()).collect();
        prop_assert_eq!(left, forced);
    }

    #[test]
    fn every_name_survives_the_way_from_the_database(name in ".*") {
        let hex = name.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        prop_assert_eq!(from_hex(&hex), Some(name));
    }
}
