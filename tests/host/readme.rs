//! The README as a stranger follows it: its commands, as they stand there and in their order, on a host that never saw the agent.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::{Host, deb};

/// Chapters whose commands are run. That of iCloud takes an account at Apple (`icloud::` has a stand-in for one).
const CHAPTERS: [&str; 4] = ["Install", "Go back", "Upgrade", "Use the graphics card"];

/// The commands of a chapter: its indented lines, without what is said beside them.
fn commands(readme: &str, chapter: &str) -> Vec<String> {
    let rest = readme.split(&format!("\n## {chapter}\n")).nth(1).unwrap_or_else(|| panic!("no chapter {chapter}"));
    let text = rest.split("\n## ").next().unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| line.split("  #").next().unwrap_or_default().trim().to_owned()).collect()
}

/// The command where it is another one here: what was built before, another distribution's, what asks a person.
fn here(command: &str) -> Option<String> {
    match command {
        "make package" => None,
        other if other.starts_with("dnf ") => None,
        other if other.starts_with("apt install ") => {
            let package = Path::new(other.split(' ').next_back()?).file_name()?.to_str()?.to_owned();
            Some(format!("apt-get install -y -qq /root/{package} >/dev/null"))
        }
        "photos-agent restore latest" => Some(format!("{command} --yes")),
        _ => Some(command.to_owned()),
    }
}

#[test]
fn the_readme_can_be_followed() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let host = Host::bare("readme");
    let name = deb().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(readme.contains(&name), "the README names {name}");
    host.copy(&deb(), &format!("/root/{name}"));
    let mut done = String::new();
    for command in CHAPTERS.iter().flat_map(|chapter| commands(&readme, chapter)) {
        let Some(command) = here(&command) else { continue };
        match command.as_str() {
            // There is something to do, and that is its answer.
            "photos-agent plan" => drop(host.fails(2, &command)),
            // "until all is well"
            "photos-agent status" => drop(host.wait_for(&command, 180)),
            _ => drop(host.ok(&command)),
        }
        let _ = writeln!(done, "{command}");
    }
    assert!(done.lines().count() >= 10, "{done}");
    host.ok("curl -fs http://127.0.0.1:2283/api/server/ping");
    host.assert_converged();
}
