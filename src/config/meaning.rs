//! From the text of one value to its type, with help for the likeliest mistakes.
//!
//! The types of `model` decide what is right; this adds what to write instead.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::model::hardware::{GfxOverride, GfxTarget, RenderDevice, RenderNode};
use crate::model::icloud::{OLDEST_ICLOUDPD, icloudpd_is_too_old};
use crate::model::{
    Calendar, DatabaseStorage, HostPath, ImageRef, Invalid, NetworkName, PostgresMajor, Release, SecretName, TimeSpan,
    TimeZone,
};

use super::folders;
use super::nearest::nearest;
use super::value::quoted;

/// Why a value is not right, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// To be read after "expected".
    pub expected: String,
    pub help: Option<String>,
}

impl Refusal {
    pub fn new(expected: impl Into<String>, help: Option<String>) -> Self {
        Self { expected: expected.into(), help }
    }
}

impl From<Invalid> for Refusal {
    fn from(Invalid(message): Invalid) -> Self {
        let expected = message.strip_prefix("expected ").unwrap_or(&message);
        Self::new(expected, None)
    }
}

fn did_you_mean(text: &str) -> String {
    format!("did you mean \"{text}\"?")
}

/// A value whose type says all there is to say.
pub(super) fn plain<T: FromStr<Err = Invalid>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(Refusal::from)
}

/// A folder of the stack.
pub(super) fn folder(text: &str) -> Result<HostPath, Refusal> {
    let folder = plain::<HostPath>(text)?;
    folders::refusal(&folder).map_or(Ok(folder), Err)
}

/// The names of the two networks that the agent makes.
const OUR_NETWORKS: [&str; 2] = ["photos", "photos-egress"];

/// A network that the server joins besides ours.
pub(super) fn network(text: &str) -> Result<NetworkName, Refusal> {
    if OUR_NETWORKS.contains(&text) {
        let help = format!("the server joins `{text}` already: leave it out");
        return Err(Refusal::new("a network that photos-agent does not make itself", Some(help)));
    }
    plain(text)
}

/// A release of Immich, by its tag.
pub(super) fn release(text: &str) -> Result<Release, Refusal> {
    text.parse().map_err(|invalid: Invalid| {
        let with_v = format!("v{text}");
        let help = match text {
            "latest" | "release" | "stable" | "" => {
                Some("leave the line out: without it, the newest that is known is meant".to_owned())
            }
            _ if with_v.parse::<Release>().is_ok() => Some(did_you_mean(&with_v)),
            _ => None,
        };
        Refusal { help, ..invalid.into() }
    })
}

/// The published address.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Refusal> {
    let refuse = |help| Err(Refusal::new("an IP address and a port, like \"127.0.0.1:2283\"", help));
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => refuse(Some("port 0 is none that anybody could open".to_owned())),
        // Podman's PublishPort= knows no zone.
        Ok(SocketAddr::V6(address)) if address.scope_id() != 0 => {
            refuse(Some("leave out the zone after `%`".to_owned()))
        }
        Ok(address) => Ok(address),
        Err(_) => refuse(listen_instead(text)),
    }
}

/// What someone who wrote `text` for an address and port may have meant.
fn listen_instead(text: &str) -> Option<String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(did_you_mean(&SocketAddr::new(ip, 2283).to_string()));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
    if host == "localhost" {
        return Some(did_you_mean(&format!("127.0.0.1:{port}")));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(did_you_mean(&SocketAddr::new(ip, port).to_string()));
    }
    if host.is_empty() || host == "*" {
        return Some(format!(
            "write \"127.0.0.1:{port}\" for this host only, \"0.0.0.0:{port}\" for every network it is on"
        ));
    }
    Some("a host name is not looked up: write the address itself".to_owned())
}

/// A time zone.
pub(super) fn time_zone(text: &str) -> Result<TimeZone, Refusal> {
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    // The look-up takes `europe/oslo` too, but a container finds its zone by the name of a file.
    let other_case = known.iter().find(|name| name.eq_ignore_ascii_case(text) && *name != text);
    match (text.parse(), other_case) {
        (Ok(zone), None) => Ok(zone),
        (Ok(_), Some(name)) => {
            Err(Refusal::new("a time zone as the IANA database writes it", Some(did_you_mean(name))))
        }
        (Err(invalid), _) => {
            let help = nearest(text, known.iter().map(String::as_str)).map(did_you_mean);
            Err(Refusal { help, ..Invalid::into(invalid) })
        }
    }
}

/// When something may begin.
pub(super) fn calendar(text: &str) -> Result<Calendar, Refusal> {
    text.parse().map_err(|_: Invalid| {
        let expected = "a calendar expression of systemd, like \"Sat *-*-* 04:30:00\" or \"Mon,Thu 03:30\"";
        let help = match text {
            "off" | "" => "to have no unattended upgrades: automatic = false".to_owned(),
            _ => schedule_instead(text),
        };
        Refusal::new(expected, Some(help))
    })
}

/// Least length of a window: a timer's own spread and a waiting unit before it take their minutes.
const LEAST_WINDOW: Duration = Duration::from_secs(10 * 60);

/// How long after its moment something may begin.
pub(super) fn window(text: &str) -> Result<TimeSpan, Refusal> {
    let window = plain::<TimeSpan>(text)?;
    if window.length() < LEAST_WINDOW {
        return Err(Refusal::new("at least \"10 min\"", None));
    }
    Ok(window)
}

/// A program of the operator's.
pub(super) fn program(text: &str) -> Result<HostPath, Refusal> {
    text.parse().map_err(|_: Invalid| {
        let has_words = text.starts_with('/') && text.contains(' ');
        let help = has_words.then(|| {
            "it is run without a shell: write it and its arguments as a list, [\"/usr/bin/program\", \"argument\"]"
                .to_owned()
        });
        Refusal::new("the absolute path of a program, as the host has it and without `:`", help)
    })
}

/// The name of a secret.
pub(super) fn secret(text: &str) -> Result<SecretName, Refusal> {
    text.parse().map_err(|_: Invalid| {
        let help = "the address itself never stands here: photos-agent secret set notify-url".to_owned();
        Refusal::new("the name of a Podman secret, like \"photos-notify-url\"", Some(help))
    })
}

/// An argument of such a program.
pub(super) fn argument(text: &str) -> Result<(), Refusal> {
    let wrong = text.chars().any(char::is_control);
    if wrong { Err(Refusal::new("an argument without line breaks and control characters", None)) } else { Ok(()) }
}

/// When snapshots are taken; none: never by a timer.
pub(super) fn schedule(text: &str) -> Result<Option<Calendar>, Refusal> {
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_: Invalid| {
        let expected = "\"off\" or a calendar expression of systemd, like \"*-*-* 02:00:00\" or \"Mon,Thu 03:30\"";
        Refusal::new(expected, Some(schedule_instead(text)))
    })
}

/// What someone who wrote `text` for a schedule may have meant.
fn schedule_instead(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    if let [minute, hour, "*", "*", "*"] = words.as_slice()
        && let (Ok(minute @ 0..60), Ok(hour @ 0..24)) = (minute.parse::<u32>(), hour.parse::<u32>())
    {
        return did_you_mean(&format!("*-*-* {hour:02}:{minute:02}:00"));
    }
    if matches!(text.to_ascii_lowercase().as_str(), "never" | "none" | "no" | "disabled" | "") {
        return did_you_mean("off");
    }
    "see systemd.time(7), \"Calendar events\"; `systemd-analyze calendar` says what systemd makes of one".to_owned()
}

/// How many snapshots of a kind are kept.
pub(super) fn count(number: i64) -> Result<u32, Refusal> {
    let fits = u32::try_from(number).ok().filter(|number| *number < 10_000);
    fits.ok_or_else(|| Refusal::new("a number from 0 to 9999", None))
}

/// Largest number of pictures that can be named.
const MOST_PICTURES: i64 = 10_000_000;

/// A number of pictures.
pub(super) fn number(least: u32, number: i64) -> Result<(), Refusal> {
    let fits = (i64::from(least)..=MOST_PICTURES).contains(&number);
    if fits { Ok(()) } else { Err(Refusal::new(format!("a number from {least} to {MOST_PICTURES}"), None)) }
}

/// One of `words`.
pub(super) fn word(words: &[&str], text: &str) -> Result<(), Refusal> {
    if words.contains(&text) {
        return Ok(());
    }
    let listed: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    let help = nearest(text, words.iter().copied()).map(did_you_mean);
    Err(Refusal::new(format!("one of: {}", listed.join(", ")), help))
}

/// The card that is used.
pub(super) fn render(text: &str) -> Result<RenderDevice, Refusal> {
    text.parse().map_err(|invalid: Invalid| {
        let help = if text.starts_with("/dev/dri/card") {
            Some("that is the screen's node; ls -l /dev/dri/by-path tells which render node belongs to it".to_owned())
        } else {
            RenderNode::of_name(text).map(|node| did_you_mean(&node.to_string()))
        };
        Refusal { help, ..invalid.into() }
    })
}

/// As what an AMD card is taken.
pub(super) fn gfx(text: &str) -> Result<GfxOverride, Refusal> {
    text.parse().map_err(|invalid: Invalid| {
        // The stepping is a hexadecimal digit in the one, and a number in the other.
        let help = text.parse::<GfxTarget>().ok().map(|target| did_you_mean(&target.version()));
        Refusal { help, ..invalid.into() }
    })
}

/// An image of icloudpd.
pub(super) fn icloudpd(text: &str) -> Result<ImageRef, Refusal> {
    let image = plain::<ImageRef>(text)?;
    if icloudpd_is_too_old(&image) {
        let help = "Apple has changed how a code is asked for, and older ones get none".to_owned();
        return Err(Refusal::new(format!("icloudpd {OLDEST_ICLOUDPD} or newer"), Some(help)));
    }
    Ok(image)
}

/// The major version of the database.
pub(super) fn major(number: i64) -> Result<PostgresMajor, Refusal> {
    // A number that does not fit is as wrong as 0.
    let number = u32::try_from(number).unwrap_or(0);
    PostgresMajor::try_from(number).map_err(Refusal::from)
}

/// What the database lies on.
pub(super) fn disk(text: &str) -> Result<DatabaseStorage, Refusal> {
    match text {
        "ssd" => return Ok(DatabaseStorage::Ssd),
        "hdd" => return Ok(DatabaseStorage::Hdd),
        _ => {}
    }
    let help = match text.to_ascii_lowercase().as_str() {
        "ssd" | "nvme" | "flash" => Some(did_you_mean("ssd")),
        "hdd" | "disk" | "rotational" => Some(did_you_mean("hdd")),
        _ => None,
    };
    Err(Refusal::new("\"ssd\" or \"hdd\"", help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_nearly_one_gets_help() {
        for (text, help) in [
            ("127.0.0.1", "did you mean \"127.0.0.1:2283\"?"),
            ("::1", "did you mean \"[::1]:2283\"?"),
            ("localhost:80", "did you mean \"127.0.0.1:80\"?"),
            ("fd00::5:x", ""),
            ("photos.lan:80", "a host name is not looked up: write the address itself"),
            ("2283", "write \"127.0.0.1:2283\" for this host only, \"0.0.0.0:2283\" for every network it is on"),
            (":2283", "write \"127.0.0.1:2283\" for this host only, \"0.0.0.0:2283\" for every network it is on"),
            ("0.0.0.0:0", "port 0 is none that anybody could open"),
            ("[fe80::1%3]:80", "leave out the zone after `%`"),
            (":0", ""),
            ("", ""),
        ] {
            assert_eq!(listen(text).unwrap_err().help.unwrap_or_default(), help, "{text}");
        }
        assert!(listen("[::]:2283").is_ok() && listen("0.0.0.0:80").is_ok());
    }
}
