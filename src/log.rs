//! Log lines: to the journal with fields when systemd runs us, to standard error else.
//!
//! Messages are constant and lower case, what varies is in fields. The identifiers below are for
//! `journalctl MESSAGE_ID=...` and never change their meaning.

use std::io::IsTerminal as _;
use std::os::fd::AsFd;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// An operation brought the host to what the configuration says.
pub const CONVERGED: &str = "b37c1a3fdaf3423abdfcf9375f60d632";
/// An operation failed.
pub const FAILED: &str = "a01848bcacbd4687b6b520dc9c3501a6";
/// The host was left alone, for a reason that a person must see to.
pub const REFUSED: &str = "3dc133566af34b4a9a586ab83bc1fd0b";
/// Something that a person must see to, while all else is kept.
pub const CONCERN: &str = "b93aab94b5f840bebc21e4289df5ede8";
/// An operation that was interrupted is taken up again.
pub const RESUMED: &str = "c502beca95624734939a03448689a92f";
/// A file of ours that somebody had edited was replaced; its text was kept.
pub const DISPLACED: &str = "a715b25ce635437b90999b6af315bead";
/// A repair did not last and is needed again: the next one waits.
pub const FLAPPING: &str = "07a6081e36ad4b20ac15cdd9e1f9bea0";
/// Something that nobody watched has ended, or was put off; `about` and `outcome` say what, and how.
pub const NOTICE: &str = "5c1fd0b4e7a84c0f9d2a6b83f01e7c95";
/// A unit's job ended.
pub const UNIT: &str = "e7b8743456574e9c800982a41799d560";

/// Starts logging; `level` is for standard error, the journal gets everything from `info` on.
/// `beside` is standard error, whatever else is on it.
pub fn start<W>(level: LevelFilter, beside: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    if under_systemd()
        && let Ok(layer) = tracing_journald::layer()
    {
        // Without a prefix of its own a field `message_id` is the journal's MESSAGE_ID.
        let layer = layer.with_field_prefix(None).with_syslog_identifier("photos-agent".to_owned());
        // journald looks up whose a message is when it reads it, and a process that has ended by then is nobody's (systemd#2913).
        // `journalctl -u` takes root's word for it as well (systemd.journal-fields(7)).
        let unit = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| unit_of(&groups));
        let layer = layer.with_custom_fields(unit.map(|unit| ("OBJECT_SYSTEMD_UNIT", unit)));
        tracing_subscriber::registry().with(layer).with(level.max(LevelFilter::INFO)).init();
        return;
    }
    let layer = tracing_subscriber::fmt::layer().with_writer(beside).with_target(false).without_time();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let layer = layer.with_ansi(std::io::stderr().is_terminal() && !no_color);
    tracing_subscriber::registry().with(layer).with(level).init();
}

/// The service in whose control group a process is, from its proc(5) file `cgroup`.
fn unit_of(groups: &str) -> Option<String> {
    let mut paths = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (of, path) = rest.split_once(':')?;
        matches!(of, "" | "name=systemd").then_some(path)
    });
    paths.find_map(|path| path.rsplit('/').find(|part| part.ends_with(".service")).map(str::to_owned))
}

/// Whether standard error is the journal.
fn under_systemd() -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stream(&stream, std::io::stderr()))
}

/// Whether `stream` (`device:inode`, systemd.exec(5)) names the open file `output`. The variable alone says
/// nothing: a terminal in a desktop session that systemd started inherits it.
fn is_stream(stream: &str, output: impl AsFd) -> bool {
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else { return false };
    nix::sys::stat::fstat(output).is_ok_and(|file| (file.st_dev, file.st_ino) == (device, inode))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_inherited_stream_is_not_ours() {
        use std::os::unix::fs::MetadataExt;
        let [ours, other] = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let name = |file: &std::fs::File| file.metadata().map(|file| format!("{}:{}", file.dev(), file.ino())).unwrap();
        assert!(super::is_stream(&name(&ours), &ours));
        assert!(!super::is_stream(&name(&other), &ours));
        for bad in ["", "1", "1:", ":1", "a:b", "-1:2"] {
            assert!(!super::is_stream(bad, &ours), "{bad}");
        }
    }

    #[test]
    fn a_unit_is_known_by_its_control_group() {
        for (groups, unit) in [
            ("0::/system.slice/photos-scan.service\n", Some("photos-scan.service")),
            (
                "1:name=systemd:/machine/x/system.slice/photos-icloud@anna.service\n0::/\n",
                Some("photos-icloud@anna.service"),
            ),
            ("4:memory:/system.slice/other.service\n0::/user.slice/session-1.scope\n", None),
            ("", None),
            ("x\n0:\n", None),
        ] {
            assert_eq!(super::unit_of(groups).as_deref(), unit, "{groups}");
        }
    }

    #[test]
    fn message_ids_are_what_the_journal_takes() {
        let ids = [
            super::CONVERGED,
            super::FAILED,
            super::REFUSED,
            super::RESUMED,
            super::DISPLACED,
            super::CONCERN,
            super::FLAPPING,
            super::NOTICE,
            super::UNIT,
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        for id in ids {
            assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        }
    }
}
