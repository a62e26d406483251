//! From files to [`Settings`].
//!
//! Three stages: a fragment is what one file says, merged are all of them with later files winning,
//! `Settings` is what the rest of the crate trusts. This module reads configuration files and nothing
//! else of the host; it decides nothing about the stack.
//!
//! Read are the main file ([`DEFAULT_PATH`], or the one that `--config` names) and then the files
//! `config.d/*.toml` beside it, by name, hidden ones left out. A missing main file is an empty one,
//! unless it was named on the command line. Sections merge key by key and `immich.environment`
//! variable by variable; a list is replaced whole by the later file. Accounts of iCloud are those of all files, each in one. A variable that an earlier file
//! sets can be set otherwise, but not be taken away. Files `config.d/*.catalogue.toml` have releases of Immich instead, which
//! are laid over the agent's own, release by release.
//!
//! Everything that is wrong is reported at once ([`Diagnostics`]): of a file that is not TOML only that,
//! and what values mean together only when all files could be read. The report has an end for a file of
//! any content, and nothing panics, whatever the bytes. No report shows the value of anything that
//! looks like a secret.

mod diagnostic;
mod document;
mod excerpt;
mod files;
mod folders;
mod fragment;
pub mod init;
mod keys;
mod meaning;
mod merged;
mod nearest;
mod origins;
mod problems;
mod releases;
mod resolve;
mod schema;
mod settings;
mod source;
mod value;
mod variables;

use std::path::Path;

use serde::Serialize;

use crate::model::Root;
use merged::Merged;
use problems::Problems;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use origins::{Origin, Origins, Setting};
pub use schema::schema;
pub use settings::{
    Account, Hardware, Icloud, Immich, Keep, Limits, Network, Notify, NotifyCommand, Postgres, Remote, Settings, Skip,
    Snapshots, Storage, Upgrade,
};
pub use source::{Position, Source};

/// The main file, unless `--config` names another.
pub const DEFAULT_PATH: &str = "/etc/photos-agent/config.toml";

/// The configuration file that `config init` writes: every key, explained and commented out.
pub fn template() -> &'static str {
    include_str!("../../packaging/config.toml")
}

/// A configuration without a mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// What holds.
    pub settings: Settings,
    /// Where each value came from.
    pub origins: Origins,
    /// The files as they were read.
    pub sources: Vec<Source>,
}

impl Loaded {
    /// The configuration as TOML, every key with its value; with `origin`, each says where it is from.
    pub fn show(&self, origin: bool) -> String {
        self.origins.show(origin)
    }
}

/// Reads the configuration: `main` and the files in `config.d` beside it.
///
/// An `explicit` file is one that a person named: it must exist, and is not looked up below `root`.
pub fn load(root: &Root, main: &Path, explicit: bool) -> Result<Loaded, Diagnostics> {
    let mut problems = Problems::default();
    let main = if explicit { main.to_owned() } else { root.join(main) };
    let sources = files::read_all(&main, explicit, &mut problems);
    understand(sources, problems)
}

/// The files that [`load`] reads, whatever they say.
pub fn sources(root: &Root, main: &Path, explicit: bool) -> Result<Vec<Source>, Diagnostics> {
    let mut problems = Problems::default();
    let main = if explicit { main.to_owned() } else { root.join(main) };
    let sources = files::read_all(&main, explicit, &mut problems);
    if problems.is_empty() { Ok(sources) } else { Err(problems.into_diagnostics(&sources)) }
}

/// Everything that [`load`] does but reading files. The sources count in their order.
pub fn parse(sources: &[Source]) -> Result<Loaded, Diagnostics> {
    understand(sources.to_vec(), Problems::default())
}

fn understand(sources: Vec<Source>, mut problems: Problems) -> Result<Loaded, Diagnostics> {
    // What values mean together can only be said where all files could be read.
    let unread = !problems.is_empty();
    let settings = sources.iter().enumerate().filter(|(_, source)| !releases::is_catalogue(&source.path));
    let fragments: Vec<_> = settings.map(|(number, source)| fragment::read(number, source, &mut problems)).collect();
    let fragments = fragments.into_iter().collect::<Option<Vec<_>>>();
    let catalogue = releases::read(&sources, &mut problems);
    let (Some(fragments), Some(catalogue), false) = (fragments, catalogue, unread) else {
        return Err(problems.into_diagnostics(&sources));
    };
    fragment::check_each_once(&fragments, &mut problems);
    let merged = Merged::of(fragments);
    match resolve::resolve(&merged, &catalogue, &mut problems) {
        Some(settings) if problems.is_empty() => {
            let origins = Origins::of(&merged, &settings.catalogue, &sources);
            Ok(Loaded { settings, origins, sources })
        }
        _ => Err(problems.into_diagnostics(&sources)),
    }
}
