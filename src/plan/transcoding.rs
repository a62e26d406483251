//! Immich's own setting of what encodes videos: a card changes nothing before it says so, and is missed where it says so still.
//!
//! It is one document of Immich's, which people change by hand. So it is changed only where nobody but the agent has: from
//! Immich's default, or from what the agent wrote itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Refusal;
use crate::model::hardware::{ENCODING, Encoding};
use crate::plan::{Observed, Plan, Step};
use crate::stack::Desired;

/// What Immich makes of a video; not every encoder makes all of them.
const CODEC: &str = "/ffmpeg/targetVideoCodec";

/// Where it stands in the document.
const PLACES: [&str; 2] = ["/ffmpeg/accel", "/ffmpeg/preferredHwDevice"];

/// Where a person finds it.
const IN_IMMICH: &str = "Administration, Settings, Video Transcoding, Hardware Acceleration";

/// What encodes, and on which device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// `ffmpeg.accel`
    pub accel: String,
    /// `ffmpeg.preferredHwDevice`
    pub device: String,
}

/// Immich's default: the processor.
impl Default for Setting {
    fn default() -> Self {
        Self { accel: "disabled".to_owned(), device: "auto".to_owned() }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device.as_str() {
            "auto" => f.write_str(&self.accel),
            device => write!(f, "{} on {device}", self.accel),
        }
    }
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The agent has no key, so may not ask.
    NoKey,
    /// Nobody runs who could be asked.
    Down,
    /// It was not answered.
    Silent(String),
    /// The answer.
    Seen(Seen),
}

/// The setting, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// What it is.
    pub now: Setting,
    /// What Immich makes of a video: `h264`, `hevc`, `vp9`, `av1`.
    pub codec: String,
    /// What the agent has written, at whatever time, the newest last: a restore brings an old one back.
    pub ours: Vec<Setting>,
    /// Whether the whole configuration is a file of the operator's.
    pub is_file: bool,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    AsItIs,
    /// It is to become this.
    Set(Setting),
    /// It is the operator's, and differs.
    Theirs,
    /// What Immich is to make of a video is nothing that it could.
    NotMade,
    /// It is to become this, and stands in a file.
    InFile(Setting),
}

/// What the setting should be.
pub fn wanted(encoding: &Encoding) -> Setting {
    let Some(encoder) = encoding.encoder else { return Setting::default() };
    let device = encoding.given.render.map_or_else(|| "auto".to_owned(), |render| render.to_string());
    Setting { accel: encoder.to_string(), device }
}

/// Whether an encoder makes what Immich wants of it. Of the others, some cards make one or the other, and Immich fails with the rest
/// (its `getSupportedCodecs`).
fn makes(wanted: &Setting, codec: &str) -> bool {
    matches!(codec, "h264" | "hevc") || (wanted.accel == "nvenc" && codec == "av1")
}

/// Judges.
pub fn judge(seen: &Seen, wanted: &Setting) -> Verdict {
    // Somebody who switches it off in Immich leaves the device in it; where there is none in it, it was set and is not any more.
    let was_switched_off = wanted.device == Setting::default().device && seen.ours.last() == Some(wanted);
    let is_untouched = seen.now == Setting::default() && !was_switched_off;
    let is_ours = seen.ours.contains(&seen.now) && seen.now != Setting::default();
    let is_default = *wanted == Setting::default();
    match () {
        () if seen.now == *wanted => Verdict::AsItIs,
        () if !is_default && (is_ours || is_untouched) && !makes(wanted, &seen.codec) => Verdict::NotMade,
        () if is_ours || (is_untouched && !is_default) => {
            if seen.is_file {
                Verdict::InFile(wanted.clone())
            } else {
                Verdict::Set(wanted.clone())
            }
        }
        // Without a card of ours, it is nobody's business but theirs.
        () if is_default => Verdict::AsItIs,
        () => Verdict::Theirs,
    }
}

pub(super) fn plan(observed: &Observed, desired: &Desired, plan: &mut Plan) {
    let encoding = &desired.acceleration.encoding;
    let wanted = wanted(encoding);
    // Before the server has the card, the setting would only make it fail.
    let is_there = encoding.given.there.iter().all(|path| observed.devices.contains(path));
    match &observed.transcoding {
        Some(Asked::NoKey) if encoding.encoder.is_some() => plan.notes.push(format!(
            "Immich encodes videos with the card once its setting says \"{wanted}\": photos-agent immich setup gives the \
             agent a key to set it; or set it yourself ({IN_IMMICH})"
        )),
        Some(Asked::Silent(why)) => {
            plan.notes.push(format!("Immich's setting of what encodes videos could not be looked at: {why}"));
        }
        Some(Asked::Seen(seen)) if is_there => match judge(seen, &wanted) {
            Verdict::AsItIs if encoding.lost.is_some() && seen.now.accel != Setting::default().accel => {
                let why = format!("has Immich's setting \"{}\", and no card any more: each video fails", seen.now);
                plan.concern(ENCODING, why, format!("set it to \"disabled\" in Immich ({IN_IMMICH})"));
            }
            Verdict::AsItIs => {}
            Verdict::NotMade => plan.notes.push(format!(
                "Immich makes {} of videos, which {} does not for certain: with \"h264\" or \"hevc\" it would be used \
                 (Administration, Settings, Video Transcoding)",
                seen.codec,
                encoding.title()
            )),
            Verdict::Set(to) => {
                let from = seen.now.clone();
                plan.step(Step::SetTranscoding { from, to }, reason(encoding));
            }
            Verdict::InFile(to) => plan.notes.push(format!(
                "Immich encodes videos with \"{}\", and its configuration is a file, which is yours. To change it, put this \
                 into it and restart immich-server: \"ffmpeg\": {{ \"accel\": \"{}\", \"preferredHwDevice\": \"{}\" }}",
                seen.now, to.accel, to.device
            )),
            Verdict::Theirs => plan.notes.push(format!(
                "Immich encodes videos with \"{}\", which is your own setting, and could with \"{wanted}\" ({IN_IMMICH})",
                seen.now
            )),
        },
        _ => {}
    }
}

fn reason(encoding: &Encoding) -> String {
    match encoding.encoder {
        Some(_) => format!("nobody has set it otherwise, and there is {}", encoding.title()),
        None if encoding.lost.is_some() => "the agent had set it, and there is no card any more that could".to_owned(),
        None => "the agent had set it, and no card is to be used".to_owned(),
    }
}

/// The setting in Immich's whole configuration.
pub fn read(config: &Value) -> Result<Setting, Refusal> {
    let text =
        |place: &str| config.pointer(place).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| lacks(place));
    let [accel, device] = PLACES;
    Ok(Setting { accel: text(accel)?, device: text(device)? })
}

/// What Immich makes of a video, by its whole configuration.
pub fn codec(config: &Value) -> Result<String, Refusal> {
    config.pointer(CODEC).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| lacks(CODEC))
}

/// The configuration with another setting, all else in it as it was, known here or not.
pub fn changed(mut config: Value, from: &Setting, to: &Setting) -> Result<Value, Refusal> {
    let now = read(&config)?;
    if now != *from {
        let why = format!("encodes videos with \"{now}\" by now, and not with \"{from}\" any more");
        return Err(Refusal::new("Immich", why, "photos-agent plan"));
    }
    for (place, value) in PLACES.into_iter().zip([&to.accel, &to.device]) {
        *config.pointer_mut(place).ok_or_else(|| lacks(place))? = Value::String(value.clone());
    }
    Ok(config)
}

fn lacks(place: &str) -> Refusal {
    let why = format!("does not say what encodes videos: its configuration has no {place}");
    Refusal::new("Immich", why, "install a newer photos-agent, or set `transcoding = \"off\"` in [hardware]")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn setting(accel: &str, device: &str) -> Setting {
        Setting { accel: accel.to_owned(), device: device.to_owned() }
    }

    #[test]
    fn only_what_is_nobodys_or_the_agents_own_is_set() {
        let (none, card) = (Setting::default(), setting("vaapi", "/dev/dri/renderD128"));
        let other = setting("vaapi", "/dev/dri/renderD129");
        // As it was before the agent, and after somebody has switched it off in Immich, which leaves the device.
        let switched_off = setting("disabled", "/dev/dri/renderD128");
        let (theirs, nvenc) = (setting("qsv", "auto"), setting("nvenc", "auto"));
        for (now, ours, wanted, verdict) in [
            (&none, vec![], &card, Verdict::Set(card.clone())),
            (&card, vec![], &card, Verdict::AsItIs),
            (&other, vec![other.clone()], &card, Verdict::Set(card.clone())),
            (&other, vec![], &card, Verdict::Theirs),
            (&switched_off, vec![card.clone()], &card, Verdict::Theirs),
            (&theirs, vec![card.clone()], &card, Verdict::Theirs),
            (&card, vec![card.clone()], &none, Verdict::Set(none.clone())),
            (&card, vec![], &none, Verdict::AsItIs),
            (&theirs, vec![], &none, Verdict::AsItIs),
            // A restore has brought back what was before.
            (&none, vec![card.clone()], &card, Verdict::Set(card.clone())),
            // NVIDIA's has no node to leave in it.
            (&none, vec![], &nvenc, Verdict::Set(nvenc.clone())),
            (&none, vec![nvenc.clone()], &nvenc, Verdict::Theirs),
            (&none, vec![nvenc.clone(), none.clone()], &nvenc, Verdict::Set(nvenc.clone())),
            (&none, vec![none.clone()], &card, Verdict::Set(card.clone())),
        ] {
            let seen = |is_file| Seen { now: now.clone(), ours: ours.clone(), is_file, codec: "h264".to_owned() };
            assert_eq!(judge(&seen(false), wanted), verdict, "{now} {ours:?} {wanted}");
            if let Verdict::Set(to) = verdict {
                assert_eq!(judge(&seen(true), wanted), Verdict::InFile(to));
            }
        }
    }

    #[test]
    fn what_an_encoder_does_not_make_is_not_asked_of_it() {
        let (vaapi, nvenc) = (setting("vaapi", "/dev/dri/renderD128"), setting("nvenc", "auto"));
        for (wanted, codec, sets) in [
            (&vaapi, "hevc", true),
            (&vaapi, "vp9", false),
            (&vaapi, "av1", false),
            (&nvenc, "av1", true),
            (&nvenc, "vp9", false),
        ] {
            let seen = Seen { codec: codec.to_owned(), ..Seen::default() };
            assert_eq!(judge(&seen, wanted) == Verdict::Set(wanted.clone()), sets, "{wanted} {codec}");
        }
    }

    #[test]
    fn all_else_in_the_document_stays() {
        let config = |accel: &str, device: &str| json!({ "ffmpeg": { "accel": accel, "preferredHwDevice": device, "crf": 23, "later": [1, 0.1] }, "x": null });
        let (from, to) = (Setting::default(), setting("vaapi", "/dev/dri/renderD128"));
        let done = changed(config("disabled", "auto"), &from, &to).unwrap();
        assert_eq!(done, config("vaapi", "/dev/dri/renderD128"));
        assert!(changed(done, &from, &to).unwrap_err().why.contains("by now"));
        assert!(changed(json!({ "ffmpeg": {} }), &from, &to).unwrap_err().why.ends_with("/ffmpeg/accel"));
    }
}
