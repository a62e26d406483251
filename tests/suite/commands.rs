//! Commands that the documents show are commands: each parses by the definition of the command line.

// clippy.toml lets tests do this, but knows only functions that are marked as one, not what they call.
#![allow(clippy::panic)]

use std::fs;
use std::path::Path;

use clap::error::ErrorKind;

/// What people read first.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/operator.md"];

/// Pages that are written by hand.
const PAGES: [&str; 2] = ["packaging/man/photos-agent.1", "packaging/man/photos-agent-config.5"];

/// What stands for something, and an example of it.
const PLACEHOLDERS: [(&str, &str); 4] =
    [("ACCOUNT", "anna"), ("NAME", "anna"), ("NUMBER", "000012"), ("ID", "20261121T0200")];

/// Commands that prose names without what they are given, and an example of that.
const UNFINISHED: [(&str, &str); 4] = [
    ("photos-agent secret set", "photos-db-password"),
    ("photos-agent secret rotate", "photos-db-password"),
    ("photos-agent upgrade --to", "v3.2.2"),
    ("photos-agent upgrade --postgres", "18"),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The commands of a line, as their words: as much of a shell as the documents need.
fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut all, mut words, mut word, mut quote) = (Vec::new(), Vec::new(), String::new(), None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            // A comment.
            (None, '#') if word.is_empty() => break,
            (None, ' ' | ';' | '|' | '&') => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                if letter != ' ' {
                    all.push(std::mem::take(&mut words));
                }
            }
            _ => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    all.push(words);
    all
}

/// Those of a Markdown text, in indented blocks and in backticks, which may go over the end of a line.
fn of_markdown(text: &str) -> Vec<Vec<String>> {
    let (mut found, mut prose, mut is_fenced) = (Vec::new(), String::new(), false);
    for line in text.lines().chain([""]) {
        if line.starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            // Configuration, or what a program says.
        } else if let Some(code) = line.strip_prefix("    ") {
            found.extend(commands(code));
        } else if line.is_empty() {
            assert!(prose.matches('`').count().is_multiple_of(2), "a backtick is open: {prose}");
            found.extend(prose.split('`').skip(1).step_by(2).flat_map(commands));
            prose.clear();
        } else {
            prose.push(' ');
            prose.push_str(line);
        }
    }
    found
}

/// Those of a manual page.
fn of_page(text: &str) -> Vec<Vec<String>> {
    let shown = text.lines().filter_map(|line| line.strip_prefix(".Dl ").or_else(|| line.strip_prefix(".Ql ")));
    shown.flat_map(|line| commands(&line.replace("\\-", "-"))).collect()
}

/// Those that are the agent's, with something in the place of what stands for something.
fn of_the_agent(found: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let ours =
        found.into_iter().filter(|words| words.len() > 1 && words.first().is_some_and(|it| it == "photos-agent"));
    ours.map(|words| {
        let line = words.join(" ");
        let rest = UNFINISHED.iter().find(|(begun, _)| *begun == line).map(|(_, rest)| (*rest).to_owned());
        let fill = |word: String| PLACEHOLDERS.iter().fold(word, |word, (name, example)| word.replace(name, example));
        words.into_iter().map(fill).chain(rest).collect()
    })
    .collect()
}

/// What the command line has against it.
fn objection(words: &[String]) -> Option<String> {
    let error = photos_agent::cli::command().try_get_matches_from(words).err()?;
    let is_asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!is_asked_for).then(|| error.to_string())
}

#[test]
fn commands_that_are_shown_parse() {
    let documents = DOCUMENTS.map(|path| (path, of_the_agent(of_markdown(&read(path)))));
    let pages = PAGES.map(|path| (path, of_the_agent(of_page(&read(path)))));
    let mut wrong = Vec::new();
    for (path, found) in documents.iter().chain(&pages) {
        // So that one that shows none, or shows them in another way, is noticed.
        assert!(found.len() > 1, "{path}: {found:?}");
        for words in found {
            wrong.extend(objection(words).map(|why| format!("{path}: {}\n{why}", words.join(" "))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let shown: usize = documents.iter().map(|(_, found)| found.len()).sum();
    assert!(shown > 100, "{shown}");
}

#[test]
fn what_is_no_command_is_found_and_refused() {
    let text = "Run `photos-agent apply\n--accept NAME`, not `systemctl reload photos-agent`, nor `photos-agent-config`.\n\n    \
                photos-agent snapshot --reason 'a; b'   # photos-agent nonsense\n    \
                photos-agent --json plan | jq '.x | .y' && photos-agent stauts\n    systemctl stop photos-agent\n\n\
                ```\nphotos-agent in a fence\n```\n";
    let found = of_the_agent(of_markdown(text));
    let lines: Vec<String> = found.iter().map(|words| words.join(" ")).collect();
    let snapshot = "photos-agent snapshot --reason a; b";
    assert_eq!(
        lines,
        ["photos-agent apply --accept anna", snapshot, "photos-agent --json plan", "photos-agent stauts"]
    );
    let refused: Vec<bool> = found.iter().map(|words| objection(words).is_some()).collect();
    assert_eq!(refused, [false, false, false, true]);
    let page =
        of_the_agent(of_page(".Nm photos-agent\n.Dl photos-agent plan\n.Ql photos-agent upgrade \\-\\-postgres\n"));
    assert_eq!(page, [vec!["photos-agent", "plan"], vec!["photos-agent", "upgrade", "--postgres", "18"]]);
    assert!(page.iter().all(|words| objection(words).is_none()));
    assert!(objection(&["photos-agent".to_owned(), "plan".to_owned(), "--to".to_owned()]).is_some());
}
