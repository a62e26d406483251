//! Configuration: what operators get to read, and properties of any input.

#![cfg(test)]

mod accounts;
mod files;
mod init;
mod mistakes;
mod properties;
mod shown;
mod template;

use photos_agent::config::{self, Diagnostics, Loaded, Source};

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

fn refused(texts: &[&str]) -> Diagnostics {
    config::parse(&sources(texts)).unwrap_err()
}
