//! Configuration: what operators get to read when they make a mistake, and properties of any input.

#![cfg(test)]

use photos_agent::config::{self, Loaded, Source};

/// The texts as the files config.toml, config.d/1.toml and so on.
fn sources(texts: &[&str]) -> Vec<Source> {
    let path = |number| match number {
        0 => "/etc/photos-agent/config.toml".into(),
        _ => format!("/etc/photos-agent/config.d/{number}.toml").into(),
    };
    texts.iter().enumerate().map(|(n, text)| Source { path: path(n), text: (*text).to_owned() }).collect()
}

fn loaded(texts: &[&str]) -> Loaded {
    config::parse(&sources(texts)).unwrap_or_else(|diagnostics| panic!("{texts:?}\n{diagnostics}"))
}

fn refused(texts: &[&str]) -> String {
    config::parse(&sources(texts)).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    insta::assert_snapshot!(refused(&["[storage]\n\nrot = \"/srv/photos\"\n"]), @r#"
    /etc/photos-agent/config.toml:3:1: unknown key `storage.rot`
      3 | rot = "/srv/photos"
        | ^^^
      expected one of: databases, ml_cache, root
      did you mean `root`?
    "#);
}

#[test]
fn later_files_win() {
    let loaded = loaded(&["[storage]\nroot = \"/a\"\n", "[storage]\nroot = \"/b\"\n"]);
    assert_eq!(loaded.settings.storage.root.as_str(), "/b");
}
