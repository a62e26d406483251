//! What is made from the definition of the command line, so that it cannot say anything else: a manual page for each
//! command (beside photos-agent.1, which is written by hand) and completions for three shells.
//!
//!     cargo run --example texts -- FOLDER
//!
//! An example and not a command, so that none of this is in the binary.

use std::path::Path;
use std::{env, fs, io};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use jiff::Timestamp;

/// A file's name, and what is in it.
pub type Text = (String, Vec<u8>);

/// A page for each command and what is below it; the overview itself is not among them.
pub fn pages() -> io::Result<Vec<Text>> {
    let mut root = photos_agent::cli::command();
    root.build();
    let date = date()?;
    let mut pages = Vec::new();
    for command in visible(&root) {
        add_pages(command, &date, &mut pages)?;
    }
    Ok(pages)
}

/// The same for everybody who presses Tab, under the names that the shells look for.
pub fn completions() -> Vec<Text> {
    [Shell::Bash, Shell::Zsh, Shell::Fish]
        .into_iter()
        .map(|shell| {
            let mut command = without_hidden(&photos_agent::cli::command()).version(env!("CARGO_PKG_VERSION"));
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, "photos-agent", &mut text);
            match shell {
                // clap_complete 4.6 spells the name in two ways, and so completes nothing behind a command
                // (clap-rs/clap#6421). A test holds it to that; with one that spells it once, this does nothing.
                Shell::Bash => {
                    let text = String::from_utf8_lossy(&text).replace("photos__subcmd__agent", "photos__agent");
                    ("photos-agent".to_owned(), text.into_bytes())
                }
                Shell::Fish => ("photos-agent.fish".to_owned(), text),
                _ => ("_photos-agent".to_owned(), text),
            }
        })
        .collect()
}

/// The commands below this one that people type.
pub fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

/// That of the package, where one is built: the same source gives the same pages.
fn date() -> io::Result<String> {
    let now = match env::var("SOURCE_DATE_EPOCH") {
        Ok(epoch) => epoch
            .parse()
            .map_err(io::Error::other)
            .and_then(|second| Timestamp::from_second(second).map_err(io::Error::other))?,
        Err(_) => Timestamp::now(),
    };
    Ok(now.strftime("%F").to_string())
}

fn add_pages(command: &Command, date: &str, pages: &mut Vec<Text>) -> io::Result<()> {
    let man = Man::new(command.clone())
        .date(date)
        .source(concat!("photos-agent ", env!("CARGO_PKG_VERSION")))
        .manual("photos-agent");
    let name = man.get_filename();
    let mut page = Vec::new();
    man.render(&mut page)?;
    // What it does at length, and the exit codes, are written once.
    let mut also = vec![bold("photos-agent"), roman("(1), "), bold("photos-agent-config"), roman("(5)")];
    if let Some((parent, _)) = command.get_display_name().and_then(|name| name.rsplit_once('-'))
        && parent != "photos-agent"
    {
        also.splice(0..0, [bold(parent), roman("(1), ")]);
    }
    Roff::new().control("SH", ["SEE ALSO"]).text(also).to_writer(&mut page)?;
    pages.push((name, page));
    for below in visible(command) {
        add_pages(below, date, pages)?;
    }
    Ok(())
}

/// The generators complete hidden commands as well, which only units and the agent itself run; and clap takes none away.
fn without_hidden(command: &Command) -> Command {
    // clap wants names that live as long as the program, which is over in a moment.
    Command::new(&*command.get_name().to_owned().leak())
        .about(command.get_about().cloned().unwrap_or_default())
        .disable_help_subcommand(true)
        .args(command.get_arguments().cloned())
        .subcommands(visible(command).map(without_hidden))
}

fn write(folder: &Path, texts: Vec<Text>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    texts.into_iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}

#[allow(dead_code, reason = "the tests include this file")]
fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: texts FOLDER"))?;
    write(&Path::new(&folder).join("man"), pages()?)?;
    write(&Path::new(&folder).join("completions"), completions())
}
