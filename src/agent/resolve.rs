//! What photos-resolve.service runs: finishes an operation that was cut off, before any service starts.
//!
//! The services wait for READY=1, which is sent as soon as nothing is left that one of them must not meet; what
//! else there is to do goes on beside them. Where that moment does not come, their conditions hold them.

use std::time::Duration;

use crate::agent::status::{Narrator, notify_ready};
use crate::apply::{self, ApplyError, OF_THE_FILES, Report, applied};
use crate::config::{Diagnostics, Loaded};
use crate::host::Host;
use crate::log;
use crate::model::Root;
use crate::notify::tell_night;
use crate::observe::chain;
use crate::record::{Generations, Pending};
use crate::snapshot;
use crate::upgrade::{self, News};

/// The command under which it stands in the history.
const RESOLVE: &str = "photos-resolve";

/// The same, where it is not the files that it goes on with.
const RESOLVE_APPLIED: &str = "photos-resolve (as applied last)";

/// The command under which the daemon applies the files.
pub(super) const APPLY: &str = "daemon";

/// Whether whoever began it was applying the files, or finishing for somebody who was.
pub(super) fn applies_files(open: &Pending) -> bool {
    !open.goes_back_or_on() && OF_THE_FILES.contains(&open.command.as_str())
}

/// Finishes the open operation; none if there is none.
pub async fn resolve<E: From<ApplyError> + From<Diagnostics>>(
    host: &Host,
    load: impl FnOnce() -> Result<Loaded, Diagnostics>,
) -> Result<Option<Report>, E> {
    // Whoever is at work starts the services himself, and must not wait for those that wait for this unit.
    let choose = |open: &Pending| choose::<E>(&host.root, open, load);
    let open = Pending::read(&host.root).map_err(ApplyError::from)?;
    let command = if open.as_ref().is_none_or(applies_files) { RESOLVE } else { RESOLVE_APPLIED };
    let report = apply::resume::<E>(host, command, &mut Narrator, notify_ready, choose).await?;
    // Where nothing was to be started, nobody has said it yet; to end without it is a failure to systemd.
    notify_ready();
    // It goes on beside the services, and is no reason to hold them: what is not whole, nobody starts from.
    if let Err(error) = snapshot::tidy(host, RESOLVE, Duration::MAX).await {
        tracing::error!("what is left of a snapshot stays for now: {}", chain(&error));
    }
    tell_what_was_cut_off(&host.root).await;
    if let Some(Report { generation, steps, .. }) = &report {
        tracing::info!(message_id = log::CONVERGED, generation, steps = steps.len(), "converged");
    }
    Ok(report)
}

/// An unattended upgrade that was cut off has an end now, which nobody has told.
async fn tell_what_was_cut_off(root: &Root) {
    match upgrade::catch_up(root).await {
        Ok(None) => {}
        Ok(Some(News { night, is_news })) => {
            let settings = Generations::new(root).last().ok().flatten().and_then(applied);
            let notify = settings.map(|loaded| loaded.settings.notify).unwrap_or_default();
            tell_night(root, &notify, &night, is_news).await;
        }
        Err(error) => tracing::error!("nobody is told of an unattended upgrade: {}", chain(&error)),
    }
}

/// The files, where they were being applied, and then what was applied last: services must not wait for somebody who
/// mends a file.
fn choose<E: From<ApplyError> + From<Diagnostics>>(
    root: &Root,
    open: &Pending,
    load: impl FnOnce() -> Result<Loaded, Diagnostics>,
) -> Result<Vec<Loaded>, E> {
    let last = Generations::new(root).last().map_err(ApplyError::from)?.and_then(applied);
    match last {
        Some(last) if !applies_files(open) => Ok(vec![last]),
        last => match load() {
            Ok(files) => Ok(std::iter::once(files).chain(last).collect()),
            Err(mistakes) => match last {
                Some(last) => {
                    tracing::error!(
                        message_id = log::REFUSED,
                        "the configuration has mistakes, back to the last one that was applied:\n{mistakes}"
                    );
                    Ok(vec![last])
                }
                None => Err(mistakes.into()),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::apply::understand;
    use crate::model::Restore;
    use crate::record::Generation;

    fn config(zone: &str) -> BTreeMap<String, String> {
        let text = format!("[immich]\ntimezone = \"{zone}\"\n");
        BTreeMap::from([("/etc/photos-agent/config.toml".to_owned(), text)])
    }

    #[derive(Debug)]
    struct Failed;

    impl From<ApplyError> for Failed {
        fn from(_: ApplyError) -> Self {
            Self
        }
    }

    impl From<Diagnostics> for Failed {
        fn from(_: Diagnostics) -> Self {
            Self
        }
    }

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let last = Generation {
            schema: 1,
            number: 1,
            created: "2026-11-21T14:45:12Z".parse().unwrap(),
            agent: String::new(),
            release: String::new(),
            config: config("Europe/Oslo"),
            images: BTreeMap::new(),
            files: BTreeMap::new(),
            snapshot: None,
            restored: None,
        };
        Generations::new(&root).record(last).unwrap();
        (folder, root)
    }

    fn open(command: &str, restores: bool) -> Pending {
        let restore = Restore {
            snapshot: "20261121T144512Z".parse().unwrap(),
            operation: 1,
            disks: Vec::new(),
            failed: false,
            stack: None,
        };
        Pending {
            schema: 1,
            id: 1,
            command: command.to_owned(),
            started: "2026-11-21T14:45:12Z".parse().unwrap(),
            agent: String::new(),
            stack_was_stopped: false,
            holds: true,
            restore: restores.then_some(restore),
            upgrade: None,
            steps: Vec::new(),
        }
    }

    #[test]
    fn files_that_nobody_has_applied_are_not_applied_by_a_boot() {
        let (_folder, root) = root();
        for (command, restores, takes) in [
            ("photos-agent apply", false, ["Europe/Rome", "Europe/Oslo"].as_slice()),
            ("daemon", false, &["Europe/Rome", "Europe/Oslo"]),
            (RESOLVE, false, &["Europe/Rome", "Europe/Oslo"]),
            ("daemon: drift", false, &["Europe/Oslo"]),
            (RESOLVE_APPLIED, false, &["Europe/Oslo"]),
            ("photos-agent restore", true, &["Europe/Oslo"]),
            // It finishes the restore, and nothing else.
            ("photos-agent apply", true, &["Europe/Oslo"]),
        ] {
            let load = || Ok(understand(config("Europe/Rome")).unwrap());
            let chosen = choose::<Failed>(&root, &open(command, restores), load);
            let zone = |loaded: &Loaded| loaded.settings.immich.timezone.clone().unwrap().to_string();
            assert_eq!(chosen.unwrap().iter().map(zone).collect::<Vec<_>>(), takes, "{command}, {restores}");
        }
    }
}
