//! The way of an upgrade: tables over a catalogue with all of Immich's gates, and properties of any catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use photos_agent::catalogue::Catalogue;
use photos_agent::config::{self, Source};
use photos_agent::model::{Component, ImageRef, PostgresMajor, Quarantined, Release};
use photos_agent::plan::upgrade::{Answer, Because, Question, Wish, decide};
use proptest::prelude::*;

/// Immich's own gates. What is below 3.0 is older than any waiting time.
const HISTORY: &str = r#"
[[release]]
version = "v1.106.4"
published = 2024-06-12
images = { postgres = "ghcr.io/immich-app/postgres:{major}-vectorchord0.4.3", redis = "docker.io/valkey/valkey:8", icloudpd = "docker.io/a/b:1" }
postgres = { majors = [14, 15, 16, 17], default = 14 }
accepts = { postgres = ">=14, <18", vectorchord = ">=0.3, <2", pgvector = ">=0.5, <1" }
health = { server = "a", ml = "a", postgres = "a", redis = "a" }
[[release]]
version = "v1.107.2"
published = 2024-06-26
[[release]]
version = "v1.118.0"
published = 2024-10-15
from = "v1.107.2"
[[release]]
version = "v1.131.3"
published = 2025-04-03
[[release]]
version = "v1.132.3"
published = 2025-04-28
[[release]]
version = "v1.135.3"
published = 2025-06-24
[[release]]
version = "v1.136.0"
published = 2025-07-23
from = "v1.132.0"
[[release]]
version = "v1.137.0"
published = 2025-07-31
[[release]]
version = "v1.144.1"
published = 2025-09-23
[[release]]
version = "v2.0.0"
published = 2025-10-01
[[release]]
version = "v2.7.5"
published = 2026-04-20
"#;

fn catalogue(text: &str) -> Catalogue {
    let source = Source { path: "/etc/photos-agent/config.d/1.catalogue.toml".into(), text: text.to_owned() };
    config::parse(&[source]).unwrap_or_else(|error| panic!("{error}")).settings.catalogue
}

fn release(text: &str) -> Release {
    text.parse().unwrap()
}

/// A question as a table writes it: what runs, what is wished for, and what else is so.
struct Asked {
    catalogue: Catalogue,
    runs: Release,
    wish: Wish,
    images: BTreeMap<Component, ImageRef>,
    other_images: bool,
    missing: BTreeMap<Release, ImageRef>,
    quarantined: Vec<Quarantined>,
    cluster: Option<PostgresMajor>,
    database: Option<ImageRef>,
    now: &'static str,
    at_once: bool,
}

fn ask(runs: &str, wish: &str) -> Asked {
    let wish = match wish.split_once(' ') {
        Some(("to", name)) => Wish::To(release(name)),
        Some(("written", name)) => Wish::Written(release(name)),
        _ => Wish::Newest,
    };
    Asked {
        catalogue: catalogue(HISTORY),
        runs: release(runs),
        wish,
        images: BTreeMap::new(),
        other_images: false,
        missing: BTreeMap::new(),
        quarantined: Vec::new(),
        cluster: PostgresMajor::try_from(17).ok(),
        database: "ghcr.io/immich-app/postgres:17-vectorchord0.4.3".parse().ok(),
        now: "2026-11-21T12:00:00Z",
        at_once: false,
    }
}

impl Asked {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn image(self, component: Component, image: &str) -> Self {
        self.with(|asked| drop(asked.images.insert(component, image.parse().unwrap())))
    }

    fn answer(&self) -> Answer {
        decide(&Question {
            runs: &self.runs,
            catalogue: &self.catalogue,
            wish: self.wish.clone(),
            images: &self.images,
            other_images: self.other_images,
            missing: &self.missing,
            quarantined: &self.quarantined,
            cluster: self.cluster,
            database: self.database.as_ref(),
            now: self.now.parse().unwrap(),
            min_age: Duration::from_secs(7 * 86_400),
            at_once: self.at_once,
        })
    }

    /// The path in one line; a refusal instead where there is one, with its remedy.
    fn said(&self) -> String {
        let answer = self.answer();
        assert!(answer.path.is_empty() || answer.refusals.is_empty());
        let refusals = answer.refusals.iter().map(|refusal| format!("refused: {refusal}; next: {}", refusal.remedy));
        let refusals: Vec<_> = refusals.collect();
        if refusals.is_empty() {
            answer.path.iter().map(|hop| hop.release.to_string()).collect::<Vec<_>>().join(" ")
        } else {
            refusals.join(" | ")
        }
    }
}

#[test]
fn the_way_goes_over_every_stone() {
    for (runs, wish, wanted) in [
        ("v3.2.2", "newest", ""),
        ("v3.1.0", "newest", "v3.2.2"),
        ("v3.0.0", "newest", "v3.2.2"),
        ("v3.1.0", "to v3.2.0", "v3.2.0"),
        // The last of each major, whether the catalogue has what runs or not.
        ("v2.7.5", "newest", "v3.2.2"),
        ("v2.3.1", "newest", "v2.7.5 v3.2.2"),
        ("v2.3.1", "to v2.7.5", "v2.7.5"),
        ("v2.9.9", "newest", "v3.2.2"),
        ("v1.144.1", "newest", "v2.7.5 v3.2.2"),
        ("v1.140.0", "to v2.0.0", "v1.144.1 v2.0.0"),
        // The gates of 1.137 and of 1.107.2.
        ("v1.132.0", "to v1.137.0", "v1.137.0"),
        ("v1.136.0", "to v1.144.1", "v1.144.1"),
        ("v1.131.3", "to v1.137.0", "v1.135.3 v1.137.0"),
        ("v1.131.3", "to v1.136.0", "v1.135.3 v1.136.0"),
        ("v1.131.3", "to v1.135.3", "v1.135.3"),
        ("v1.106.4", "to v1.118.0", "v1.107.2 v1.118.0"),
        ("v1.90.0", "newest", "v1.107.2 v1.135.3 v1.144.1 v2.7.5 v3.2.2"),
    ] {
        assert_eq!(ask(runs, wish).said(), wanted, "{runs} {wish}");
    }
}

#[test]
fn every_hop_has_its_reason() {
    let reasons: Vec<String> =
        ask("v1.90.0", "newest").answer().path.iter().map(|hop| hop.because.to_string()).collect();
    assert_eq!(
        reasons,
        [
            "v1.135.3 has to be entered from v1.107.2 or newer",
            "v1.144.1 has to be entered from v1.132.0 or newer",
            "the last of v1: majors are gone through one by one",
            "the last of v2: majors are gone through one by one",
            "the newest that is old enough",
        ]
    );
    let last = |wish| ask("v3.1.0", wish).answer().path.pop().unwrap().because;
    assert_eq!(last("to v3.2.2"), Because::Asked);
    assert_eq!(last("written v3.2.2"), Because::Written);
}

#[test]
fn what_may_not_be_is_refused_with_the_way_out() {
    let digest = format!("ghcr.io/a/b@sha256:{}", "a".repeat(64));
    for (asked, parts) in [
        (ask("v3.2.2", "to v3.1.0"), &["Immich v3.1.0: is older than v3.2.2", "next: photos-agent rollback"][..]),
        (ask("v3.2.2", "written v3.1.0"), &["immich.version: names v3.1.0", "photos-agent rollback"]),
        (ask("v3.2.2", "to v9.9.9"), &["Immich v9.9.9: is not known", ".catalogue.toml"]),
        (
            ask("v3.1.0", "to v3.2.2").with(|asked| asked.now = "2026-09-20T12:00:00Z"),
            &[
                "came out on 2026-09-16 and is old enough (upgrade.min_age) from 2026-09-23 00:00 UTC on",
                "--to v3.2.2 --now",
            ],
        ),
        (
            ask("v3.1.0", "to v3.2.2").with(|asked| asked.missing = lack(&["v3.2.2"])),
            &["needs ghcr.io/immich-app/immich-server:v3.2.2, which the registry does not have"],
        ),
        (ask("v3.1.0", "written v3.2.2").with(quarantine), &["was tried on 2026-11-20", "unwell", "--to v3.2.2"]),
        (
            ask("v3.1.0", "to v3.2.2").image(Component::Ml, "ghcr.io/a/b:v3.1.0-rocm"),
            &["images.ml: names ghcr.io/a/b:v3.1.0-rocm, which is not of v3.2.2", "v3.2.2-rocm", "upgrade --to v3.2.2"],
        ),
        (
            ask("v3.1.0", "newest")
                .image(Component::Server, "ghcr.io/immich-app/immich-server:v3.2.2")
                .with(|asked| asked.missing = lack(&["v3.2.2"])),
            &["images.server: names ghcr.io/immich-app/immich-server:v3.2.2, which the registry does not have"],
        ),
        (ask("v3.1.0", "newest").image(Component::Server, "ghcr.io/a/b:release"), &["images.server", "moves"]),
        (ask("v3.1.0", "newest").image(Component::Server, &digest), &["images.server", "by its digest alone"]),
        // Fits its end, and not the stone before it.
        (ask("v2.3.1", "newest").image(Component::Server, "ghcr.io/a/b:v3.2.2"), &["is not of v2.7.5"]),
        (
            ask("v1.135.3", "to v1.144.1").with(|asked| asked.cluster = PostgresMajor::try_from(18).ok()),
            &["PostgreSQL 18", "takes >=14, <18", "stay with the release"],
        ),
        (
            ask("v3.1.0", "newest").image(Component::Postgres, "ghcr.io/a/b:17-vectorchord0.2.1"),
            &["has vectorchord 0.2.1, and 0.4.3 runs"],
        ),
        (
            ask("v3.1.0", "newest").image(Component::Postgres, "ghcr.io/a/b:17-vectorchord2.0.0"),
            &["vectorchord 2.0.0", "takes >=0.3, <2"],
        ),
        (
            ask("v3.1.0", "newest").with(|asked| asked.database = "ghcr.io/a/b:17-vectorchord1.2.0".parse().ok()),
            &["has vectorchord 1.1.1, and 1.2.0 runs"],
        ),
        // Stones that the agent's own catalogue lacks.
        (
            ask("v1.144.1", "newest").with(|asked| asked.catalogue = Catalogue::embedded()),
            &["the way from v1.144.1 to v3.2.2", "a release of v2", ".catalogue.toml"],
        ),
        (
            ask("v1.120.0", "to v1.144.1").with(|asked| {
                asked.missing = lack(&["v1.132.3", "v1.135.3"]);
            }),
            &["v1.136.0 has to be entered from v1.132.0 or newer", "one from v1.132.0 on, older than v1.136.0"],
        ),
        (
            ask("v3.1.0", "to v3.2.0").with(|asked| {
                asked.catalogue = catalogue("[[release]]\nversion = \"v3.2.0\"\navoid = \"eats cats\"\n");
            }),
            &["Immich v3.2.0: should not be taken: eats cats"],
        ),
    ] {
        let said = asked.said();
        assert!(said.starts_with("refused: "), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

/// These releases have no image of the server in the registry.
fn lack(names: &[&str]) -> BTreeMap<Release, ImageRef> {
    let image = |name: &str| format!("ghcr.io/immich-app/immich-server:{name}").parse().unwrap();
    names.iter().map(|name| (release(name), image(name))).collect()
}

fn quarantine(asked: &mut Asked) {
    let since = "2026-11-20T10:00:00Z".parse().unwrap();
    let of = release("v3.2.2");
    asked.quarantined = vec![Quarantined { release: of, digests: BTreeSet::new(), since, why: "unwell".to_owned() }];
}

#[test]
fn without_a_name_the_newest_is_taken_that_nothing_speaks_against() {
    let young = "[[release]]\nversion = \"v3.3.0\"\npublished = 2026-11-20\n";
    let early = "[[release]]\nversion = \"v4.0.0-rc.1\"\npublished = 2026-01-01\n";
    let avoid = "[[release]]\nversion = \"v3.3.0\"\npublished = 2026-10-01\navoid = \"eats cats\"\n";
    for (text, change, wanted, note) in [
        (young, None, "v3.2.2", "v3.3.0 came out on 2026-11-20 and is old enough"),
        (young, Some((|asked| asked.at_once = true) as fn(&mut Asked)), "v3.3.0", ""),
        (early, None, "v3.2.2", ""),
        (early, Some(|asked| asked.at_once = true), "v3.2.2", ""),
        (early, Some(|asked| asked.wish = Wish::To(release("v4.0.0-rc.1"))), "v3.2.2 v4.0.0-rc.1", ""),
        (avoid, None, "v3.2.2", "v3.3.0 is passed over: eats cats"),
        (HISTORY, Some(quarantine), "v3.2.0", "v3.2.2 is in quarantine since 2026-11-20: unwell"),
        (HISTORY, Some(|asked| asked.missing = lack(&["v3.2.2"])), "v3.2.0", "the registry has no ghcr"),
        // Told to by name.
        (
            HISTORY,
            Some(|asked| {
                quarantine(asked);
                asked.wish = Wish::To(release("v3.2.2"));
            }),
            "v3.2.2",
            "",
        ),
        (
            HISTORY,
            Some(|asked| asked.wish = Wish::Written(release("v3.2.0"))),
            "v3.2.0",
            "v3.2.2 is known, and is newer",
        ),
        (HISTORY, Some(|asked| asked.wish = Wish::Written(release("v3.1.0"))), "", "v3.2.2 is known, and is newer"),
        (HISTORY, Some(|asked| asked.runs = release("v9.0.0")), "", ""),
    ] {
        let asked = ask("v3.1.0", "newest").with(|asked| asked.catalogue = catalogue(text));
        let asked = asked.with(change.unwrap_or(|_| ()));
        assert_eq!(asked.said(), wanted, "{text}");
        let notes = asked.answer().notes.join("; ");
        assert!(notes.contains(note) && notes.is_empty() == note.is_empty(), "{text}: {notes}");
    }
}

#[test]
fn other_images_of_the_same_release_are_an_upgrade_too() {
    for (wish, other, wanted) in [("newest", true, "v3.2.2"), ("to v3.2.2", true, "v3.2.2"), ("newest", false, "")] {
        let asked = ask("v3.2.2", wish).with(|asked| asked.other_images = other);
        assert_eq!(asked.said(), wanted, "{wish} {other}");
        assert!(asked.answer().path.iter().all(|hop| hop.because == Because::Images));
    }
}

#[test]
fn a_release_that_only_the_operator_knows_needs_both_images() {
    let server = ask("v3.1.0", "to v3.2.9").image(Component::Server, "ghcr.io/a/b:v3.2.9");
    assert!(server.said().contains("is not known"));
    let both = server.image(Component::Ml, "ghcr.io/a/c:v3.2.9-cuda");
    assert_eq!(both.said(), "v3.2.9");
    assert_eq!(both.answer().path[0].published, None);
}

/// Releases of four majors with gates here and there, as a catalogue file says them.
fn any_catalogue() -> impl Strategy<Value = Catalogue> {
    let row = (0u64..5, 0u64..4, prop::option::of((0u64..5, 0u64..4)), 0i8..28, any::<bool>());
    prop::collection::vec(row, 0..25).prop_map(|rows| {
        let mut seen = BTreeSet::new();
        let mut text = HISTORY.to_owned();
        for (major, minor, from, day, avoid) in rows {
            if !seen.insert((major, minor)) {
                continue;
            }
            let from = from.filter(|from| *from < (major, minor));
            let from = from.map_or(String::new(), |(major, minor)| format!("from = \"v{major}.{minor}.7\"\n"));
            let avoid = if avoid && day % 5 == 0 { "avoid = \"x\"\n" } else { "" };
            let day = day + 1;
            let version = format!("version = \"v{major}.{minor}.7\"\npublished = 2026-11-{day:02}\n");
            text += &["[[release]]\n", &version, &from, avoid].concat();
        }
        // What is below HISTORY has to say everything itself.
        let first = text.replace("version = \"v1.106.4\"", "version = \"v0.0.1\"");
        catalogue(&first)
    })
}

proptest! {
    #[test]
    fn a_path_rises_over_known_stones_one_major_at_a_time_and_jumps_no_gate(
        catalogue in any_catalogue(),
        runs in (0u64..5, 0u64..150, 0u64..9),
        target in prop::option::of(any::<prop::sample::Index>()),
        missing in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        at_once in any::<bool>(),
    ) {
        let all: Vec<Release> = catalogue.releases().iter().map(|entry| entry.release.clone()).collect();
        let runs = release(&format!("v{}.{}.{}", runs.0, runs.1, runs.2));
        let wish = target.map_or(Wish::Newest, |index| Wish::To(index.get(&all).clone()));
        let asked = ask("v3.1.0", "newest").with(|asked| {
            let names: Vec<String> = missing.iter().map(|index| index.get(&all).to_string()).collect();
            asked.missing = lack(&names.iter().map(String::as_str).collect::<Vec<_>>());
            (asked.runs, asked.wish, asked.at_once, asked.catalogue) = (runs.clone(), wish.clone(), at_once, catalogue.clone());
            (asked.cluster, asked.database) = (None, None);
        });
        let answer = asked.answer();
        prop_assert!(answer.path.is_empty() || answer.refusals.is_empty());
        if let Wish::To(target) = &wish {
            // Either it gets there, or it says why not, or it is there.
            let arrives = answer.path.last().is_some_and(|hop| hop.release == *target);
            prop_assert!(arrives || !answer.refusals.is_empty() || *target == runs);
        }
        let mut before = runs.clone();
        for hop in &answer.path {
            prop_assert!(hop.release > before);
            let entry = catalogue.find(&hop.release);
            prop_assert!(entry.is_some());
            let entry = entry.unwrap();
            prop_assert!(entry.avoid.is_none() && !asked.missing.contains_key(&hop.release));
            prop_assert!(entry.from.as_ref().is_none_or(|from| before >= *from), "{} from {before}", hop.release);
            prop_assert!(hop.release.major() <= before.major() + 1);
            if hop.release.major() != before.major() {
                // Nothing of the major that is left was there to be taken.
                let left = catalogue.releases().iter().find(|entry| {
                    let young = entry.published > jiff::civil::date(2026, 11, 14);
                    entry.release.major() == before.major() && entry.release > before && entry.avoid.is_none()
                        && !asked.missing.contains_key(&entry.release) && (at_once || !young)
                });
                prop_assert!(left.is_none(), "{left:?} left out before {}", hop.release);
            }
            before = hop.release.clone();
        }
        // The same question has the same answer.
        prop_assert_eq!(asked.answer(), answer);
    }
}
