//! Manual pages and completions say what the command line says: those that are made from it, and the one that is
//! written by hand.

// clippy.toml lets tests do this, but knows only functions that are marked as one, not what they call.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

#[path = "../../packaging/texts.rs"]
mod made;

/// The words of each command that people type, with its options.
fn commands() -> Vec<(Vec<String>, Vec<String>)> {
    fn add(command: &clap::Command, path: &[String], all: &mut Vec<(Vec<String>, Vec<String>)>) {
        for below in made::visible(command) {
            let path = [path, &[below.get_name().to_owned()]].concat();
            let options = below.get_arguments().filter(|option| !option.is_global_set() && !option.is_hide_set());
            let options = options.filter_map(|option| option.get_long()).filter(|option| *option != "help");
            all.push((path.clone(), options.map(str::to_owned).collect()));
            add(below, &path, all);
        }
    }
    let mut all = Vec::new();
    add(&photos_agent::cli::command(), &[], &mut all);
    assert!(all.len() > 20);
    all
}

#[test]
fn each_command_has_a_page_with_its_options() {
    let pages = made::pages().unwrap();
    let names: BTreeSet<_> = pages.iter().map(|(name, _)| name.clone()).collect();
    let expected: BTreeSet<_> =
        commands().iter().map(|(path, _)| format!("photos-agent-{}.1", path.join("-"))).collect();
    assert_eq!(names, expected, "and hidden ones have none");
    for (path, options) in commands() {
        let name = format!("photos-agent-{}.1", path.join("-"));
        let page = &pages.iter().find(|page| page.0 == name).expect("it is there").1;
        let page = String::from_utf8_lossy(page).replace("\\-", "-");
        for option in options.iter().map(String::as_str).chain(["json", "config", "root"]) {
            assert!(page.contains(&format!("--{option}")), "{name}: --{option}");
        }
        assert!(page.contains("\n.SH \"SEE ALSO\"\n"), "{name}");
    }
}

/// photos-agent.1 is prose, and so nobody but this sees that an option was forgotten, or is gone.
#[test]
fn the_page_that_is_written_by_hand_names_every_command_and_option_and_no_other() {
    let page = include_str!("../../packaging/man/photos-agent.1");
    let entries: Vec<_> = page.split("\n.It Cm ").skip(1).collect();
    let mut known: BTreeSet<String> = ["json", "config", "root", "help"].map(str::to_owned).into();
    for (path, options) in commands() {
        let (first, rest) = path.split_first().expect("a command has a name");
        let own: Vec<_> = entries.iter().filter(|entry| entry.split([' ', '\n']).next() == Some(first)).collect();
        assert!(!own.is_empty(), "no .It Cm {first}");
        let heads = || own.iter().filter_map(|entry| entry.lines().next());
        for word in rest {
            assert!(heads().any(|head| head.split(' ').any(|found| found == word)), "no .It Cm {}", path.join(" "));
        }
        for option in options {
            let flag = format!("Fl -{option}");
            let has = |text: &str| {
                text.match_indices(&flag).any(|(at, _)| {
                    !text
                        .as_bytes()
                        .get(at + flag.len())
                        .is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'-')
                })
            };
            // Alternatives share one macro: `Fl -dry-run | -yes`.
            let shared = format!("| -{option}");
            assert!(own.iter().any(|entry| has(entry) || entry.contains(&shared)), "{}: {flag}", path.join(" "));
            known.insert(option);
        }
    }
    for named in page.split("Fl -").skip(1).filter_map(|rest| rest.split([' ', '\n']).next()) {
        assert!(known.contains(named), "Fl -{named}: there is no such option");
    }
}

#[test]
fn bash_completes_commands_and_options_and_nothing_hidden() {
    let (_, script) = made::completions().swap_remove(0);
    let script = String::from_utf8(script).unwrap();
    let complete = |line: &[&str]| -> BTreeSet<String> {
        let words = line.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let last = line.len() - 1;
        let ask = format!(
            "{script}\nCOMP_WORDS=({words}) COMP_CWORD={last}\n\
             function=$(complete -p photos-agent | grep -o -- '-F [^ ]*' | cut -c 4-)\n\
             $function photos-agent '{}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            line.last().unwrap(),
            line[last - 1],
        );
        let done = Command::new("bash").args(["--norc", "-c", &ask]).output().expect("bash");
        String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let first = complete(&["photos-agent", ""]);
    let visible = commands().into_iter().filter(|(path, _)| path.len() == 1).map(|(path, _)| path.concat());
    for command in visible {
        assert!(first.contains(&command), "{command}: {first:?}");
    }
    for hidden in ["thaw", "resolve", "help"] {
        assert!(!first.contains(hidden), "{hidden}");
    }
    assert!(complete(&["photos-agent", "snapshot", "prune", "--d"]).contains("--dry-run"));
    assert!(complete(&["photos-agent", "restore", "--only", ""]).contains("postgres"));
}

#[test]
fn other_shells_hear_of_nothing_hidden_either() {
    for (name, script) in made::completions() {
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("snapshot") && script.contains("dry-run"), "{name}");
        assert!(!script.contains("thaw") && !script.contains("resolve"), "{name}");
    }
}
