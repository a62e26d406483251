//! Keys of what happens by the clock, and of who is told what came of it.

use super::{Key, Kind};
use crate::config::value::Value;
use crate::model::Messenger;

pub(super) fn snapshots() -> Vec<Key> {
    let kept = [
        ("last", 3, "How many of the newest snapshots are kept."),
        ("hourly", 0, "How many hours that have a snapshot keep their newest."),
        ("daily", 7, "How many days that have a snapshot keep their newest."),
        ("weekly", 4, "How many weeks that have a snapshot keep their newest."),
        ("monthly", 6, "How many months that have a snapshot keep their newest."),
        ("yearly", 0, "How many years that have a snapshot keep their newest."),
    ];
    let count = |(name, default, about): (&str, i64, &str)| Key {
        path: format!("snapshots.keep.{name}"),
        kind: Kind::Count,
        default: Some(Value::Integer(default)),
        unset: "",
        about: about.to_owned(),
    };
    let schedule = Key {
        path: "snapshots.schedule".to_owned(),
        kind: Kind::Schedule,
        default: Some(Value::Text("*-*-* 02:00:00".to_owned())),
        unset: "",
        about: "When snapshots are taken and pruned: a calendar expression of systemd, or \"off\".".to_owned(),
    };
    std::iter::once(schedule).chain(kept.map(count)).collect()
}

pub(super) fn upgrade() -> [Key; 6] {
    let key = |name: &str, kind: Kind, default: Value, about: &str| Key {
        path: format!("upgrade.{name}"),
        kind,
        default: Some(default),
        unset: "",
        about: about.to_owned(),
    };
    let text = |text: &str| Value::Text(text.to_owned());
    let span = |name: &str, default: &str, about: &str| key(name, Kind::Span, text(default), about);
    [
        span("min_age", "7 days", "How long a release has to be out before an upgrade takes it."),
        span("settle", "5 s", "How long everything has to stay well before an upgrade is done."),
        span("timeout", "30 min", "How long a new release may take to come up before the old one is put back."),
        key("automatic", Kind::Switch, Value::Boolean(false), "Whether upgrades are made by the clock, unattended."),
        // Not the night of the weekly trial of a snapshot, and after the snapshot of the night.
        key(
            "schedule",
            Kind::Calendar,
            text("Sat *-*-* 04:30:00"),
            "When an unattended upgrade may begin: a calendar expression of systemd.",
        ),
        span("window", "2h", "How long after that moment it may still begin."),
    ]
}

pub(super) fn notify() -> [Key; 3] {
    let key = |name: &str, kind: Kind, default: Option<Value>, unset: &'static str, about: &str| Key {
        path: format!("notify.{name}"),
        kind,
        default,
        unset,
        about: about.to_owned(),
    };
    [
        key(
            "command",
            Kind::Program,
            None,
            "no program is told",
            "A program, or a list of it and its arguments, that is told what came of something, as JSON on its standard input.",
        ),
        key(
            "url_secret",
            Kind::Secret,
            None,
            "nothing is sent",
            "The name of the Podman secret that holds the address to which messages are sent.",
        ),
        key(
            "kind",
            Kind::Word(Messenger::WORDS),
            Some(Value::Text(Messenger::Ntfy.as_str().to_owned())),
            "",
            "What takes messages at that address: \"ntfy\", \"discord\" or \"gotify\".",
        ),
    ]
}
