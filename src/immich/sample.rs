//! Some of the files that are there, looked for by the server itself.
//!
//! The agent looks as root, whom neither SELinux nor the mode of a folder stops; what the server may not see is offline for it all the
//! same. A look by the server for each file would be another walk, so it is made for some, which lie evenly in all of them.

use std::time::Duration;

use crate::host::process;
use crate::host::within::View;
use crate::immich::{Error, Server};
use crate::plan::scan;

/// How many at most, and half as many at least of a library that has more. Of what the server does not see of one file in a hundred,
/// one is among a thousand with near certainty.
const MOST: usize = 2000;

/// So many files, looked for by a container on a busy host, on a disk that turns.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Says which of its arguments are not there, each with a zero behind it. As Immich's own look, it follows links.
const LOOK: &str = "for file do test -e \"$file\" || printf '%s\\0' \"$file\"; done; exit 0";

/// Every so-manieth of what was taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    taken: usize,
    /// How often every second one was left out.
    halved: u32,
    files: Vec<String>,
}

impl Sample {
    /// Another one.
    pub fn take(&mut self, file: String) {
        if self.is_turn() && self.files.len() >= MOST {
            let mut stays = false;
            self.files.retain(|_| {
                stays = !stays;
                stays
            });
            self.halved += 1;
        }
        if self.is_turn() {
            self.files.push(file);
        }
        self.taken += 1;
    }

    fn is_turn(&self) -> bool {
        self.taken.trailing_zeros() >= self.halved
    }

    /// Has the server look for them.
    pub async fn look(self, server: &Server, view: &View) -> Result<scan::Sample, Error> {
        let looked_for = self.files.len() as u64;
        if looked_for == 0 {
            return Ok(scan::Sample::default());
        }
        let exec = ["exec", "--interactive", &server.run.id, "xargs", "-0", "sh", "-c", LOOK, "sh"];
        let arguments: Vec<String> = exec.into_iter().map(str::to_owned).collect();
        let names: Vec<u8> = self.files.iter().flat_map(|file| file.bytes().chain([0])).collect();
        let said = process::feed("podman", &arguments, &names, PATIENCE).await?;
        // What was deleted in between, nobody sees.
        let unseen: Vec<&str> = said.split('\0').filter(|file| !file.is_empty() && view.has(file)).collect();
        let example = unseen.first().map(|&file| file.to_owned());
        Ok(scan::Sample { looked_for, unseen: unseen.len() as u64, example })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_even_and_not_too_large() {
        for taken in [0, 1, 7, MOST - 1, MOST, MOST + 1, 2 * MOST, 3 * MOST + 17, 50 * MOST] {
            let mut sample = Sample::default();
            for number in 0..taken {
                sample.take(number.to_string());
            }
            let numbers: Vec<usize> = sample.files.iter().map(|file| file.parse().unwrap()).collect();
            assert!(numbers.len() <= MOST && numbers.len() >= taken.min(MOST / 2), "{taken}: {}", numbers.len());
            let every = 1 << sample.halved;
            assert!(numbers.iter().enumerate().all(|(at, number)| *number == at * every), "{taken}");
            assert!(taken == 0 || taken - numbers.last().unwrap() <= every, "{taken}: to the end");
        }
    }

    #[test]
    fn the_container_names_what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let there = name("line\nbreak and 'quotes\".jpg");
        std::fs::write(&there, "x").unwrap();
        std::os::unix::fs::symlink("/nowhere", name("link")).unwrap();
        let asked = [there, name("gone\n$(x).jpg"), name("link")];
        let said = std::process::Command::new("sh").args(["-c", LOOK, "sh"]).args(&asked).output().unwrap();
        assert!(said.status.success());
        assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("{}\0{}\0", asked[1], asked[2]));
    }
}
