//! Imports go one way (docs/developer.md, "Rooms"): every room of `src` has a place in this table, and
//! no file of a room names what the table does not give it.

// clippy.toml lets tests do this, but knows only functions that are marked as one, not what they call.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder (or file) at the top of `src`.
struct Room {
    name: &'static str,
    /// The other rooms that it may name.
    sees: &'static [&'static str],
    /// What it may name of the world beyond the crate.
    world: World,
}

/// How much of the host a room may touch by itself.
#[derive(Clone, Copy, PartialEq)]
enum World {
    /// Nothing: values in, values out.
    Pure,
    /// Nothing, but for one file of the room, which reads and writes files.
    PureBut(&'static str),
    /// Async, clocks and files; the host itself only through the ports of `host`.
    Effects,
    /// All of it: the one room that talks to the host.
    Host,
}

const NOUNS: &[&str] = &["catalogue", "model"];
const DECISIONS: &[&str] = &["catalogue", "config", "hardware", "model", "quadlet", "stack"];
const EFFECTS: &[&str] =
    &["catalogue", "config", "hardware", "host", "model", "observe", "plan", "quadlet", "record", "stack"];
const DOORS: &[&str] = &[
    "apply",
    "catalogue",
    "config",
    "host",
    "immich",
    "log",
    "model",
    "notify",
    "observe",
    "plan",
    "quadlet",
    "record",
    "snapshot",
    "stack",
    "upgrade",
];

const ROOMS: &[Room] = &[
    Room { name: "model", sees: &[], world: World::Pure },
    Room { name: "catalogue", sees: &["model"], world: World::Pure },
    Room { name: "config", sees: NOUNS, world: World::PureBut("config/files.rs") },
    Room { name: "hardware", sees: &["config", "model"], world: World::Pure },
    Room { name: "quadlet", sees: &["model"], world: World::Pure },
    Room { name: "stack", sees: DECISIONS, world: World::Pure },
    Room { name: "plan", sees: DECISIONS, world: World::Pure },
    Room { name: "host", sees: &["model", "quadlet"], world: World::Host },
    Room { name: "record", sees: &["host", "model"], world: World::Effects },
    Room { name: "log", sees: &[], world: World::Effects },
    Room { name: "observe", sees: EFFECTS, world: World::Effects },
    Room { name: "apply", sees: EFFECTS, world: World::Effects },
    Room {
        name: "snapshot",
        sees: &["apply", "catalogue", "config", "host", "model", "observe", "plan", "quadlet", "record", "stack"],
        world: World::Effects,
    },
    Room {
        name: "upgrade",
        sees: &[
            "apply",
            "catalogue",
            "config",
            "host",
            "model",
            "observe",
            "plan",
            "quadlet",
            "record",
            "snapshot",
            "stack",
        ],
        world: World::Effects,
    },
    Room { name: "notify", sees: &["config", "host", "log", "model", "observe", "record"], world: World::Effects },
    Room {
        name: "icloud",
        sees: &[
            "apply",
            "catalogue",
            "config",
            "host",
            "immich",
            "log",
            "model",
            "notify",
            "observe",
            "plan",
            "quadlet",
            "record",
            "stack",
        ],
        world: World::Effects,
    },
    Room {
        name: "immich",
        sees: &["apply", "config", "host", "model", "observe", "plan", "record", "snapshot", "stack"],
        world: World::Effects,
    },
    Room { name: "agent", sees: DOORS, world: World::Effects },
    // The commands; `photos-agent daemon` is one of them.
    Room {
        name: "cli",
        sees: &[
            "agent",
            "apply",
            "catalogue",
            "config",
            "hardware",
            "host",
            "icloud",
            "immich",
            "log",
            "model",
            "notify",
            "observe",
            "plan",
            "quadlet",
            "record",
            "snapshot",
            "stack",
            "upgrade",
        ],
        world: World::Effects,
    },
];

/// Paths that are the host's, whoever is asked: only `host` names them.
const OF_THE_HOST: &[&str] = &[
    "zbus",
    "reqwest",
    "btrfsutil",
    "std::process",
    "tokio::process",
    "nix::ioctl_none",
    "nix::ioctl_read",
    "nix::ioctl_readwrite",
    "nix::ioctl_write_int",
    "nix::ioctl_write_ptr",
    "nix::request_code_none",
    "nix::request_code_read",
    "nix::request_code_write",
    "nix::libc::ioctl",
];

/// Paths that a pure room has no business with, besides those of the host.
const OF_THE_WORLD: &[&str] = &[
    "tokio",
    "futures_util",
    "nix",
    "tempfile",
    "getrandom",
    "std::fs",
    "std::env",
    "std::net::TcpStream",
    "std::os::unix::net",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    // However the type was imported.
    "*::SystemTime::now",
    "*::Instant::now",
    "*::Timestamp::now",
    "*::Zoned::now",
];

/// Not the host, though the path begins like it: how a program tells its exit code.
const HARMLESS: &[&str] = &["std::process::ExitCode", "std::process::Termination"];

/// Where lines are printed; `print_stdout` of clippy would be allowed away more easily.
const PRINTS: &[&str] = &["cli/output.rs", "cli/output/mod.rs"];

#[test]
fn imports_go_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 10, "found only {} files below {}", files.len(), src.display());
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        found.extend(violations(&file.strip_prefix(&src).unwrap().to_string_lossy(), &text));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_room_has_a_place() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let top: BTreeSet<String> = fs::read_dir(&src)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| !["lib", "main"].contains(&name.as_str()))
        .collect();
    let listed: BTreeSet<String> = ROOMS.iter().map(|room| room.name.to_owned()).collect();
    let homeless: Vec<_> = top.difference(&listed).collect();
    assert!(homeless.is_empty(), "rooms without a line in ROOMS: {homeless:?}");
    let unknown: Vec<_> = ROOMS.iter().flat_map(|room| room.sees).filter(|name| !listed.contains(**name)).collect();
    assert!(unknown.is_empty(), "ROOMS lets a room see one that is not in it: {unknown:?}");
}

#[test]
fn what_breaks_the_rule_is_found() {
    let cases = [
        ("plan/order.rs", "use crate::host::Systemd;", "crate::host::Systemd"),
        ("plan/mod.rs", "use crate::{model::UnitName, apply::{Run as R}};", "crate::apply::Run"),
        ("plan/mod.rs", "use super::apply::Run;", "crate::apply::Run"),
        ("plan/a/b.rs", "fn f() { super::super::super::cli::x() }", "crate::cli::x"),
        ("stack/server.rs", "fn f() -> String { std::fs::read_to_string(\"x\").unwrap() }", "std::fs::read_to_string"),
        ("stack/server.rs", "use std::{fmt, fs as files};", "std::fs"),
        ("stack/server.rs", "use photos_agent::agent::Daemon;", "crate::agent::Daemon"),
        ("quadlet/value.rs", "use jiff::Timestamp;\nlet t = Timestamp::now();", "Timestamp::now"),
        ("model/name.rs", "use std::time::SystemTime;", "std::time::SystemTime"),
        ("model/name.rs", "use crate::config::Settings;", "crate::config::Settings"),
        ("catalogue/mod.rs", "async fn f() { tokio::time::sleep(x).await }", "tokio::time::sleep"),
        ("config/merge.rs", "use std::fs;", "std::fs"),
        ("config/files.rs", "use zbus::Connection;", "zbus::Connection"),
        ("apply/run.rs", "use crate::cli::Output;", "crate::cli::Output"),
        ("apply/run.rs", "let c = ::std::process::Command::new(\"nft\");", "std::process::Command::new"),
        ("agent/mod.rs", "use reqwest::Client as Http;", "reqwest::Client"),
        ("observe/disk.rs", "nix::ioctl_read!(flags, b'f', 1, i64);", "nix::ioctl_read!"),
        ("host/podman.rs", "use crate::plan::Plan;", "crate::plan::Plan"),
        ("cli/plan.rs", "fn f() { println!(\"{}\", 1); }", "println!"),
        ("cli/plan.rs", "fn f() { std::print!(\"x\"); }", "std::print!"),
        ("main.rs", "use zbus::Connection;", "zbus::Connection"),
        ("lib.rs", "pub use tokio::process::Command;", "tokio::process::Command"),
    ];
    for (file, text, names) in cases {
        let found = violations(file, text);
        assert_eq!(found.len(), 1, "{file}: {text}: {found:?}");
        assert!(found[0].contains(&format!("`{names}`")), "{file}: {text}: {found:?}");
    }
}

#[test]
fn what_keeps_the_rule_is_let_through() {
    let cases = [
        ("plan/order.rs", "use crate::model::UnitName;\nuse super::Step;\nuse super::super::stack::Desired;"),
        (
            "plan/order.rs",
            "// use crate::host::Systemd;\n/* std::fs /* nested */ */ const A: &str = \"zbus::Connection\";",
        ),
        (
            "plan/order.rs",
            "const A: &str = r#\"std::fs \" tokio::spawn\"#; const B: char = '\"'; fn f<'a>(x: &'a str) {}",
        ),
        ("plan/order.rs", "/// Like `crate::host::Podman`.\n//! crate::cli::x\nfn f() {}"),
        ("plan/order.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; fn g() { println!(); } }\n"),
        ("plan/order.rs", "#[cfg(test)]\nuse crate::host::fake::Fake;\nfn f() {}"),
        ("config/files.rs", "use std::fs;\nuse std::path::Path;"),
        ("stack/mod.rs", "use std::{collections::{BTreeMap, BTreeSet}, fmt::{self, Write as _}};"),
        ("cli/output.rs", "pub fn line(text: &str) { println!(\"{text}\"); }"),
        ("host/systemd/mod.rs", "use zbus::proxy; use tokio::process::Command; use super::podman::Podman;"),
        ("main.rs", "fn main() -> std::process::ExitCode { photos_agent::cli::run() }"),
        ("apply/mod.rs", "use crate::host::{Podman, Systemd}; tokio::fs::read(path).await"),
    ];
    for (file, text) in cases {
        assert_eq!(violations(file, text), Vec::<String>::new(), "{file}: {text}");
    }
}

/// What `text`, which is `file` below `src`, names against the table.
fn violations(file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    let room = module.first().and_then(|name| ROOMS.iter().find(|room| room.name == *name));
    let mut found = Vec::new();
    for (line, path) in paths(text) {
        let path = resolve(&path, &module);
        let name = path.join("::");
        if let Some(why) = refused(file, room, &path, &name) {
            found.push(format!("src/{file}:{line}: `{name}`: {why}"));
        }
    }
    found
}

fn refused(file: &str, room: Option<&Room>, path: &[String], name: &str) -> Option<String> {
    if ["println!", "print!"].contains(&path.last()?.as_str()) && !PRINTS.contains(&file) {
        return Some("only cli/output prints to stdout".to_owned());
    }
    if let ([first, other, ..], Some(room)) = (path, room)
        && first == "crate"
    {
        let known = ROOMS.iter().any(|room| room.name == other.as_str());
        if known && other != room.name && !room.sees.contains(&other.as_str()) {
            return Some(format!("`{}` does not see `{other}`", room.name));
        }
    }
    // lib.rs is a map and main.rs one expression: they need the world less than any room does.
    let world = room.map_or(World::Effects, |room| room.world);
    let listed = |list: &[&str]| list.iter().any(|rule| matches(rule, name));
    if world != World::Host && listed(OF_THE_HOST) && !listed(HARMLESS) {
        return Some("only `host` talks to the host".to_owned());
    }
    let pure = match world {
        World::Pure => true,
        World::PureBut(with_files) => file != with_files,
        World::Effects | World::Host => false,
    };
    if pure && listed(OF_THE_WORLD) {
        return Some(format!("`{}` is pure", module_of(file).first().map_or("", |name| name)));
    }
    None
}

/// Whether `name` is what `rule` says or lies below it. `*::A::b` is `A::b` however `A` was imported.
fn matches(rule: &str, name: &str) -> bool {
    match rule.strip_prefix("*::") {
        Some(end) => name == end || name.ends_with(&format!("::{end}")),
        None => name == rule || name.strip_prefix(rule).is_some_and(|rest| rest.starts_with("::") || rest == "!"),
    }
}

/// `plan/order.rs` is `["plan", "order"]`, `plan/mod.rs` `["plan"]`, `lib.rs` and `main.rs` `[]`.
fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

/// `super`, `self` and the library's name from outside, as `crate::` paths.
fn resolve(path: &[String], module: &[String]) -> Vec<String> {
    let up = path.iter().take_while(|segment| *segment == "super").count();
    match path.first().map(String::as_str) {
        Some("super") => {
            let kept = module.len().saturating_sub(up);
            let mut whole = vec!["crate".to_owned()];
            whole.extend_from_slice(&module[..kept]);
            whole.extend_from_slice(&path[up..]);
            whole
        }
        Some("self") => [&["crate".to_owned()], module, &path[1..]].concat(),
        Some("photos_agent") => [&["crate".to_owned()], &path[1..]].concat(),
        _ => path.to_vec(),
    }
}

/// Every path of two segments or more, and every macro call, with its line; groups are spread out.
/// What `#[cfg(test)]` guards is left out.
fn paths(text: &str) -> Vec<(usize, Vec<String>)> {
    let tokens = without_tests(&tokens(text));
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let token = &tokens[at];
        let begins = is_word(&token.text) || token.text == "::";
        if begins { path(&tokens, &mut at, &[], &mut found) } else { at += 1 }
    }
    found.retain(|(_, path)| path.len() > 1 || path.iter().any(|segment| segment.ends_with('!')));
    found
}

/// Reads one path, or the members of one group, from `at` on.
fn path(tokens: &[Token], at: &mut usize, before: &[String], found: &mut Vec<(usize, Vec<String>)>) {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let line = tokens[*at].line;
    let mut whole = before.to_vec();
    if text(*at) == "::" {
        *at += 1;
    }
    loop {
        if is_word(text(*at)) {
            whole.push(text(*at).to_owned());
            *at += 1;
        } else if text(*at) == "{" && *at > 0 && text(*at - 1) == "::" {
            *at += 1;
            while !["}", ""].contains(&text(*at)) {
                if is_word(text(*at)) { path(tokens, at, &whole, found) } else { *at += 1 }
            }
            *at += 1;
            return;
        } else {
            break;
        }
        if text(*at) == "!" && text(*at + 1) != "=" {
            whole.last_mut().unwrap().push('!');
        }
        if text(*at) == "::" && (is_word(text(*at + 1)) || text(*at + 1) == "{") {
            *at += 1;
        } else {
            break;
        }
    }
    if text(*at) == "as" {
        *at += 2;
    }
    if whole.len() > 1 && whole.last().is_some_and(|last| last == "self") {
        whole.pop();
    }
    found.push((line, whole));
}

#[derive(Clone)]
struct Token {
    text: String,
    line: usize,
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::`, and single characters; comments, texts, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let from = at;
        let mut token = None;
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < chars.len() {
                if starts(at, "/*") {
                    (depth, at) = (depth + 1, at + 2);
                } else if starts(at, "*/") {
                    (depth, at) = (depth - 1, at + 2);
                } else {
                    at += 1;
                }
                if depth == 0 {
                    break;
                }
            }
        } else if let Some(end) = raw_text(&chars, at).or_else(|| quoted(&chars, at)) {
            at = end;
        } else if chars[at].is_alphanumeric() || chars[at] == '_' {
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            token = Some(chars[from..at].iter().collect());
        } else if starts(at, "::") {
            at += 2;
            token = Some("::".to_owned());
        } else {
            at += 1;
            token = (!chars[from].is_whitespace()).then(|| chars[from].to_string());
        }
        tokens.extend(token.map(|text| Token { text, line }));
        line += chars[from..at].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// The end of `r"..."`, `br#"..."#` and so on, where one begins at `at`.
fn raw_text(chars: &[char], at: usize) -> Option<usize> {
    let mut from = at;
    while ['b', 'c'].contains(chars.get(from)?) && from == at {
        from += 1;
    }
    if chars.get(from) != Some(&'r') {
        return None;
    }
    let hashes = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    let body = from + 1 + hashes;
    if chars.get(body) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    (body + 1..chars.len()).find(|end| chars[*end..].starts_with(&close)).map(|end| end + close.len())
}

/// The end of a text, a character or a lifetime, where one begins at `at`.
fn quoted(chars: &[char], at: usize) -> Option<usize> {
    let quote = *chars.get(at)?;
    let lifetime = quote == '\'' && chars.get(at + 1).is_some_and(|c| *c != '\\') && chars.get(at + 2) != Some(&'\'');
    if lifetime {
        return Some(at + 1);
    }
    if quote != '"' && quote != '\'' {
        return None;
    }
    let mut end = at + 1;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    Some(end + 1)
}

/// Leaves out the item behind every `#[cfg(test)]`: up to its `;`, or over its braces.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const GUARD: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let guarded = GUARD.iter().enumerate().all(|(i, text)| tokens.get(at + i).is_some_and(|t| t.text == *text));
        if !guarded {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += GUARD.len();
        let mut depth = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => continue,
            }
            // A `use` group ends in `};`, an item's body in `}`.
            if depth == 0 && tokens.get(at).is_none_or(|next| next.text != ";") {
                break;
            }
        }
    }
    kept
}

/// The Rust files below `at`, without those that only a test build has (`tests.rs`, `tests/`).
fn sources(at: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
