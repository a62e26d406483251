//! Whether the program can be run that is told what came of an unattended upgrade.

use super::{Finding, Known};
use crate::host::hook;
use crate::model::{HostPath, Root};
use crate::observe::chain;

pub(super) fn told(root: &Root, known: &Known) -> Finding {
    match &known.loaded {
        Ok(loaded) => judge(root, loaded.settings.notify.command.as_ref().map(|command| &command.program)),
        Err(_) => Finding::unknown("the configuration has mistakes"),
    }
}

fn judge(root: &Root, command: Option<&HostPath>) -> Finding {
    let Some(command) = command else { return Finding::holds("nobody is to be told anything") };
    match hook::check(&root.join(command.as_path())) {
        Ok(()) => Finding::holds(format!("{command} is told")),
        Err(error) => {
            Finding::fails_for_root(chain(&error), format!("chown root: '{command}' && chmod 755 '{command}'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_found_before_there_is_something_to_tell() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        assert!(matches!(judge(&root, None), Finding::Holds { .. }));
        let command = "/usr/bin/mail -s photos root".parse().unwrap();
        assert!(!matches!(judge(&root, Some(&command)), Finding::Holds { .. }));
    }
}
