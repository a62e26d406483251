//! What encodes videos: the card of machine learning where it can, else the best that there is.

use std::collections::BTreeMap;

use crate::config::Hardware as Wishes;
use crate::hardware::candidate::{Way, by_cdi, nodes, ways};
use crate::hardware::{Seen, gfx, is_kept, lost};
use crate::model::Refusal;
use crate::model::hardware::{Encoder, EncoderChoice, Encoding, Given, Gpu, Learning, Lost};

/// Chooses; and says why what is wished for cannot be, where it was not in use.
pub(super) fn choose(
    wishes: &Wishes,
    seen: &Seen,
    learning: &Learning,
    last: Option<&Encoding>,
) -> (Encoding, Option<Refusal>) {
    let only = match wishes.transcoding {
        EncoderChoice::Off => return (Encoding::on_processor("`transcoding = \"off\"` in [hardware]"), None),
        EncoderChoice::Auto => None,
        EncoderChoice::Only(encoder) => Some(encoder),
    };
    if let Some(last) = last.filter(|last| is_kept(&last.given, seen)) {
        return (last.clone(), None);
    }
    let (can, cannot) = ways(wishes, seen, |gpu| each(gpu, wishes, seen, learning));
    let is_taken = |way: &&Way<Encoder>| only.map_or(way.unasked.is_none(), |only| only == way.kind);
    if let Some(way) = can.iter().find(is_taken) {
        let not = why_not(Some(way.kind), &can, &cannot);
        let Way { kind, given, why, .. } = way.clone();
        return (Encoding { encoder: Some(kind), given, why, not, lost: None }, None);
    }
    let not = why_not(None, &can, &cannot);
    let why = only.map_or("there is no card that can", |_| "what is wished for cannot be");
    let chosen = |gone| Encoding { not: not.clone(), lost: gone, ..Encoding::on_processor(why) };
    let reason = |encoder: Encoder| not.get(&encoder).cloned().unwrap_or_default();
    match (last, only) {
        (Some(last), _) if last.given.is_some() => {
            let against = last.encoder.and_then(|encoder| cannot.get(&encoder)).cloned().unwrap_or_default();
            (chosen(Some(lost(last.title(), &last.given, seen, &against))), None)
        }
        (Some(Encoding { lost: Some(gone), .. }), _) => (chosen(Some(gone.clone())), None),
        // It was put in force by something that went back, or on: nothing is refused for it.
        (Some(_), Some(encoder)) => {
            let what = format!("{}, which is wished for,", encoder.title());
            (chosen(Some(Lost { what, why: reason(encoder), there: Vec::new() })), None)
        }
        (None, Some(encoder)) => {
            let why = format!("\"{encoder}\" cannot be: {}", reason(encoder));
            let remedy =
                "photos-agent hardware; then mend that, or let `transcoding` be \"auto\" or \"off\" in [hardware]";
            (chosen(None), Some(Refusal::new("hardware.transcoding", why, remedy)))
        }
        (_, None) => (chosen(None), None),
    }
}

type Each = Result<Way<Encoder>, (Encoder, String)>;

fn each(gpu: &Gpu, wishes: &Wishes, seen: &Seen, learning: &Learning) -> Vec<Each> {
    // One card for both, where it can do both: fewer devices, and the one that is better at it.
    let is_busy = learning.given.is_some()
        && learning.given.card == gpu.title()
        && (learning.given.render.is_none() || learning.given.render == gpu.render);
    let rank = |base: u8| if is_busy { base + 4 } else { base };
    let way = |kind, base, given: Given, why: &str| Way {
        kind,
        rank: rank(base),
        memory: gpu.memory.unwrap_or(0),
        given,
        environment: BTreeMap::new(),
        why: why.to_owned(),
        unasked: None,
    };
    if gpu.is_nvidia() {
        let nvenc = by_cdi(gpu, wishes, seen).map(|given| way(Encoder::Nvenc, 1, given, "a card of NVIDIA's"));
        return vec![nvenc.map_err(|why| (Encoder::Nvenc, why))];
    }
    if gpu.is_intel() && matches!(gpu.driver.as_str(), "i915" | "xe") {
        let given = match nodes(gpu, seen, false) {
            Ok(given) => given,
            Err(why) => return vec![Err((Encoder::Vaapi, why.clone())), Err((Encoder::Qsv, why))],
        };
        // Some of Intel's need firmware or another rate control for Quick Sync; with VAAPI all of them encode.
        let unasked =
            Some("VAAPI does as well, on every processor of Intel's; `transcoding = \"qsv\"` takes it".to_owned());
        let qsv = Way { unasked, ..way(Encoder::Qsv, 0, given.clone(), "since you say so") };
        return vec![Ok(way(Encoder::Vaapi, 2, given, "graphics of Intel's")), Ok(qsv)];
    }
    if gpu.is_amd() {
        return vec![
            vaapi_of_amd(gpu, seen)
                .map(|given| way(Encoder::Vaapi, 1, given, "a card of AMD's"))
                .map_err(|why| (Encoder::Vaapi, why)),
        ];
    }
    vec![Err((Encoder::Vaapi, format!("the driver {} encodes nothing", gpu.driver)))]
}

fn vaapi_of_amd(gpu: &Gpu, seen: &Seen) -> Result<Given, String> {
    if gpu.driver != "amdgpu" {
        return Err(format!("VAAPI needs the driver amdgpu, and it has {}", gpu.driver));
    }
    let known = gpu.kfd.as_ref().and_then(|kfd| gfx::find(kfd.target));
    if known.is_some_and(|known| !known.encodes) {
        return Err("it has no encoder: it is made for computing".to_owned());
    }
    nodes(gpu, seen, false)
}

/// Of each encoder but the one that is taken.
fn why_not(
    taken: Option<Encoder>,
    can: &[Way<Encoder>],
    cannot: &BTreeMap<Encoder, Vec<String>>,
) -> BTreeMap<Encoder, String> {
    let all = [Encoder::Vaapi, Encoder::Qsv, Encoder::Nvenc];
    let why = |encoder: Encoder| {
        if let Some(way) = can.iter().find(|way| way.kind == encoder) {
            let preferred = || format!("{} is preferred", taken.map_or("the processor", Encoder::title));
            return way.unasked.clone().unwrap_or_else(preferred);
        }
        cannot.get(&encoder).map_or_else(|| none_of(encoder).to_owned(), |why| why.join("; "))
    };
    all.into_iter().filter(|encoder| Some(*encoder) != taken).map(|encoder| (encoder, why(encoder))).collect()
}

const fn none_of(encoder: Encoder) -> &'static str {
    match encoder {
        Encoder::Vaapi => "no graphics of AMD's or Intel's with a render node",
        Encoder::Qsv => "no graphics of Intel's with a render node",
        Encoder::Nvenc => "no card of NVIDIA's with a render node",
    }
}
