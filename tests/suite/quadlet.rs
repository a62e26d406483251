//! `quadlet`: what is written is what is read, whatever goes in.

#![allow(clippy::unwrap_used)]

use photos_agent::model::HostPath;
use photos_agent::quadlet::{File, OnFailure, PodmanVersion, Value, since};
use proptest::prelude::*;

/// Any text, with those characters often that mean something to someone on the way.
fn text() -> impl Strategy<Value = String> {
    let special = r#"[ \t\\"'%$;#={}\[\]\n\r\x00-\x1f\x7f\x85\u{a0}\u{fffe}a-z-]{0,12}"#;
    prop_oneof![special, any::<String>()]
}

/// A unit file as a person may write it.
fn unit_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("[Unit]".to_owned()),
        Just("[Container]".to_owned()),
        "[A-Za-z][A-Za-z0-9-]{0,8} ?= ?[^\n]{0,20}",
        "[#;][^\n]{0,20}",
        "[^\n]{0,20}",
        Just("  continued \\".to_owned()),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn reading_never_panics_and_writing_gives_it_back(text in prop_oneof![unit_text(), any::<String>()]) {
        if let Ok(file) = File::parse(&text) {
            prop_assert_eq!(File::parse(&file.to_string()), Ok(file));
        }
    }

    #[test]
    fn a_value_is_one_line_of_one_key(value in text(), second in text()) {
        let program: HostPath = "/usr/bin/true".parse().unwrap();
        let values = [
            ("Container", "HealthCmd", Value::text(&value)),
            ("Container", "Environment", Value::word(&format!("A={value}"))),
            ("Container", "Exec", Value::words([&value, &second])),
            ("Unit", "Description", Value::setting(&value)),
            ("Service", "CPUQuota", Value::literal(&value)),
            ("Service", "ExecStart", Value::command(OnFailure::Ignore, &program, [&value, &second])),
        ];
        let mut file = File::default();
        let mut written = Vec::new();
        for (section, key, value) in values {
            if let Ok(value) = value {
                written.push((section, key, value.as_str().to_owned()));
                file.add(section, key, value);
            }
        }
        let read = File::parse(&file.to_string()).unwrap();
        prop_assert_eq!(&read, &file);
        for (section, key, value) in &written {
            prop_assert_eq!(read.values(section, key).collect::<Vec<_>>(), [value.as_str()]);
        }
        let entries = read.sections().iter().map(|section| section.entries().len()).sum::<usize>();
        prop_assert_eq!(entries, written.len());
    }

    #[test]
    fn only_what_no_line_can_hold_is_refused_as_a_word(value in text()) {
        let control = value.chars().any(|c| c.is_control() && c != '\t');
        let noncharacter = value.chars().any(|c| matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff) || ('\u{fdd0}'..='\u{fdef}').contains(&c));
        prop_assert_eq!(Value::word(&format!("A={value}")).is_err(), control || noncharacter);
    }
}

#[test]
fn the_table_knows_which_key_came_when() {
    assert_eq!(since("Container", "Image"), Some(PodmanVersion(4, 4)));
    assert_eq!(since("Container", "ShmSize"), Some(PodmanVersion(4, 7)));
    assert_eq!(since("Container", "Memory"), Some(PodmanVersion(5, 5)));
    assert_eq!(since("Network", "InterfaceName"), Some(PodmanVersion(5, 6)));
    assert_eq!(since("Container", "Umask"), None);
    assert_eq!(since("Service", "Image"), None);
}
