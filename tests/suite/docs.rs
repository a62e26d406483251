//! The documents say what is there: links lead somewhere, decisions have their three parts, names that
//! the packages and the README use exist.

// clippy.toml lets tests do this, but knows only functions that are marked as one, not what they call.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md and everything below docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(page.parent().unwrap().join(target).exists(), "{}: {link}", page.display());
        }
    }
}

/// The anchor that a page gives a title.
fn anchor(title: &str) -> String {
    let title = title.trim_start_matches('#').trim().to_lowercase();
    title
        .chars()
        .filter(|it| it.is_alphanumeric() || " -_".contains(*it))
        .map(|it| if it == ' ' { '-' } else { it })
        .collect()
}

#[test]
fn links_to_chapters_lead_to_one() {
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let Some((target, chapter)) = link.split_once('#') else { continue };
            if target.contains("://") {
                continue;
            }
            let other = if target.is_empty() { page.clone() } else { page.parent().unwrap().join(target) };
            let other = fs::read_to_string(&other).unwrap();
            followed += 1;
            let mut titles = other.lines().filter(|line| line.starts_with('#'));
            assert!(titles.any(|title| anchor(title) == chapter), "{}: {link}", page.display());
        }
    }
    assert!(followed > 20, "{followed}");
}

/// What refusals and the guide itself refer to by its title.
#[test]
fn titles_of_the_operator_guide_that_are_named_exist() {
    let guide = read("docs/operator.md");
    let is_title =
        |title: &str| guide.contains(&format!("\n## {title}\n")) || guide.contains(&format!("\n**{title}.**"));
    let mut texts = vec![("docs/operator.md".to_owned(), guide.clone())];
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                texts.push((path.display().to_string(), read(&path).replace("\\\"", "\"")));
            }
        }
    }
    let mut named = 0;
    for (file, text) in &texts {
        let rests = ["guide, \"", "(see \""].into_iter().flat_map(|before| text.split(before).skip(1));
        for title in rests.filter_map(|rest| rest.split('"').next()) {
            named += 1;
            assert!(is_title(title), "{file}: {title}");
        }
    }
    assert!(named > 0 && !is_title("A first start was cut off"));
}

#[test]
fn decisions_are_numbered_and_have_their_parts() {
    let mut names: Vec<_> = fs::read_dir(root().join("docs/adr"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for (number, name) in (1..).zip(&names) {
        assert!(name.starts_with(&format!("{number:04}-")), "{name} is not number {number}");
        let text = read(Path::new("docs/adr").join(name));
        assert!(text.starts_with(&format!("# {number:04}: ")), "{name}: title");
        for part in ["\n## Context\n", "\n## Decision\n", "\n## Consequences\n"] {
            assert_eq!(text.matches(part).count(), 1, "{name}: {}", part.trim());
        }
    }
}

#[test]
fn make_targets_that_are_named_exist() {
    let makefile = read("Makefile");
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("`make ").skip(1).filter_map(|rest| rest.split(['`', ' ']).next()) {
            assert!(makefile.contains(&format!("\n{target}:")), "{}: make {target}", page.display());
        }
    }
}

#[test]
fn toml_that_is_shown_is_toml() {
    let mut shown = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            shown += 1;
            let parsed = block.parse::<toml::Table>();
            assert!(parsed.is_ok(), "{}: {parsed:?}\n{block}", page.display());
        }
    }
    assert!(shown > 0);
}

#[test]
fn rooms_of_the_developer_guide_exist() {
    let guide = read("docs/developer.md");
    let rooms: Vec<_> = guide.lines().filter_map(|line| line.strip_prefix("| `src/")?.split('`').next()).collect();
    let missing: Vec<_> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| !rooms.iter().any(|room| room.trim_end_matches('/').trim_end_matches(".rs") == name))
        .collect();
    assert!(missing.is_empty(), "not in the table of docs/developer.md: {missing:?}");
}

#[test]
fn the_package_is_of_this_version() {
    let changelog = read("packaging/deb/changelog");
    let expected = format!("photos-agent ({}-", env!("CARGO_PKG_VERSION"));
    assert!(changelog.starts_with(&expected), "{:?}", changelog.lines().next());
}

#[test]
fn the_service_does_not_bind_the_stack() {
    let unit = read("systemd/photos-agent.service");
    let set = |key: &str| unit.lines().any(|line| line.starts_with(&format!("{key}=")));
    for key in ["PartOf", "BindsTo", "Requires", "Conflicts", "PropagatesStopTo", "Upholds", "Slice"] {
        assert!(!set(key), "{key}= ties the agent to what must outlive it");
    }
    let names = unit.lines().filter(|line| !line.starts_with('#')).any(|line| line.contains("photos.target"));
    assert!(!names, "photos.target");
}
