//! What machine learning computes with: a variant of its image, and the devices of one card.

use std::collections::BTreeMap;

use crate::config::Hardware as Wishes;
use crate::hardware::candidate::{Way, by_cdi, nodes, ways};
use crate::hardware::gfx::{self, Support};
use crate::hardware::{GIB, Image, Seen, is_kept, lost, room_for};
use crate::model::Refusal;
use crate::model::hardware::{Given, Gpu, Learning, Lost, MlChoice, Variant};

/// The oldest driver with which Immich's CUDA image starts (its documentation).
const NVIDIA_DRIVER: u32 = 545;

/// Chooses; and says why what is wished for cannot be, where it was not in use.
pub(super) fn choose(
    wishes: &Wishes,
    seen: &Seen,
    image: &Image,
    last: Option<&Learning>,
) -> (Learning, Option<Refusal>) {
    let only = match the_only_one(wishes, image) {
        Ok(only) => only,
        Err(refusal) => return (Learning::on_processor("what is wished for cannot be"), Some(refusal)),
    };
    if only == Some(Variant::Cpu) {
        let why = match wishes.ml {
            MlChoice::Only(_) => "`ml = \"cpu\"` in [hardware]",
            MlChoice::Auto => "its image is not the release's, and no variant of Immich's by its name",
        };
        return (Learning::on_processor(why), None);
    }
    if let Some(last) = last.filter(|last| is_kept(&last.given, seen)) {
        return (last.clone(), None);
    }
    let (can, mut cannot) = ways(wishes, seen, |gpu| each(gpu, wishes, seen));
    let in_use = last.filter(|last| last.given.is_some()).map(|last| last.variant);
    let (can, unasked) = split(can, only, &Room { image, in_use, seen }, &mut cannot);
    let not = |taken: Variant| why_not(taken, &can, &unasked, &cannot);
    if let Some(way) = can.first().cloned() {
        let not = not(way.kind);
        let Way { kind, given, environment, why, .. } = way;
        return (Learning { variant: kind, given, environment, why, not, lost: None }, None);
    }
    let not = not(Variant::Cpu);
    let why = only.map_or("there is no card that is known to work", |_| "what is wished for cannot be");
    let chosen = |gone| Learning { not: not.clone(), lost: gone, ..Learning::on_processor(why) };
    let reason = |variant: Variant| not.get(&variant).cloned().unwrap_or_default();
    match (last, only) {
        (Some(last), _) if last.given.is_some() => {
            let against = cannot.get(&last.variant).cloned().unwrap_or_default();
            (chosen(Some(lost(last.title(), &last.given, seen, &against))), None)
        }
        (Some(Learning { lost: Some(gone), .. }), _) => (chosen(Some(gone.clone())), None),
        // It was put in force by something that went back, or on: nothing is refused for it.
        (Some(_), Some(variant)) => {
            let what = format!("{}, which is wished for,", variant.title());
            (chosen(Some(Lost { what, why: reason(variant), there: Vec::new() })), None)
        }
        (None, Some(variant)) => {
            let why = format!("\"{variant}\" cannot be: {}", reason(variant));
            (chosen(None), Some(Refusal::new("hardware.ml", why, remedy(variant))))
        }
        (_, None) => (chosen(None), None),
    }
}

/// The one variant that may be, if only one may.
fn the_only_one(wishes: &Wishes, image: &Image) -> Result<Option<Variant>, Refusal> {
    match (wishes.ml, image) {
        (MlChoice::Auto, Image::Release(_)) => Ok(None),
        (MlChoice::Auto, Image::Named(variant)) => Ok(Some(variant.unwrap_or(Variant::Cpu))),
        (MlChoice::Only(variant), Image::Named(Some(named))) if variant != *named => {
            let why = format!("\"{variant}\" is wished for, and `images.ml` names an image of {}", named.title());
            Err(Refusal::new("hardware.ml", why, "let both name the same, or remove one of them"))
        }
        (MlChoice::Only(variant), _) => Ok(Some(variant)),
    }
}

type Each = Result<Way<Variant>, (Variant, String)>;

/// What a card could do.
fn each(gpu: &Gpu, wishes: &Wishes, seen: &Seen) -> Vec<Each> {
    if gpu.is_amd() {
        vec![rocm(gpu, wishes, seen).map_err(|why| (Variant::Rocm, why))]
    } else if gpu.is_intel() {
        vec![openvino(gpu, seen).map_err(|why| (Variant::Openvino, why))]
    } else if gpu.is_nvidia() {
        vec![cuda(gpu, wishes, seen).map_err(|why| (Variant::Cuda, why))]
    } else {
        Vec::new()
    }
}

fn way(kind: Variant, rank: u8, gpu: &Gpu, given: Given, why: String) -> Way<Variant> {
    Way { kind, rank, memory: gpu.memory.unwrap_or(0), given, environment: BTreeMap::new(), why, unasked: None }
}

fn rocm(gpu: &Gpu, wishes: &Wishes, seen: &Seen) -> Result<Way<Variant>, String> {
    if gpu.driver != "amdgpu" {
        return Err(format!("ROCm needs the driver amdgpu, and it has {}", gpu.driver));
    }
    let Some(kfd) = &gpu.kfd else {
        return Err("the kernel does not list it for computing (/sys/class/kfd)".to_owned());
    };
    let target = kfd.target;
    let known = gfx::find(target);
    let named = wishes.gfx_override.clone();
    let (rank, taken_as, mut why) = match known.map(|known| (known.support, known)) {
        _ if named.is_some() => (2, named, format!("{target}, taken as `gfx_override` says")),
        Some((Support::Native, known)) => {
            (if known.integrated { 1 } else { 3 }, None, format!("{target}, which ROCm's libraries know"))
        }
        Some((Support::Override, known)) => {
            let taken_as = known.taken_as.clone();
            let version = taken_as.as_ref().map(ToString::to_string).unwrap_or_default();
            (
                if known.integrated { 1 } else { 2 },
                taken_as,
                format!("{target}, which works when it is taken as {version}"),
            )
        }
        Some((Support::Bad, known)) => {
            return Err(format!("{target}: {}", known.why.as_deref().unwrap_or("it is known not to work")));
        }
        None => {
            return Err(format!(
                "{target} is in no list of what works: `gfx_override = \"10.3.0\"` in [hardware] tries it as gfx1030"
            ));
        }
    };
    if let Some(risk) = known.and_then(|known| known.why.as_ref()) {
        why = format!("{why}; {risk}");
    }
    let given = nodes(gpu, seen, true)?;
    let mut way = way(Variant::Rocm, rank, gpu, given, why);
    if let Some(version) = taken_as {
        way.environment.insert("HSA_OVERRIDE_GFX_VERSION".to_owned(), version.to_string());
    }
    // Who names an override has looked at it.
    if wishes.gfx_override.is_none() && known.is_some_and(|known| known.ask) {
        way.unasked = known.and_then(|known| known.why.clone());
    }
    if known.is_some_and(|known| !known.svm) {
        way.environment.insert("HSA_USE_SVM".to_owned(), "0".to_owned());
    }
    Ok(way)
}

fn openvino(gpu: &Gpu, seen: &Seen) -> Result<Way<Variant>, String> {
    if !matches!(gpu.driver.as_str(), "i915" | "xe") {
        return Err(format!("OpenVINO needs the driver i915 or xe, and it has {}", gpu.driver));
    }
    let given = nodes(gpu, seen, false)?;
    let is_own = !gpu.is_intels_card();
    let mut way = way(Variant::Openvino, if is_own { 0 } else { 2 }, gpu, given, "a card of Intel's".to_owned());
    if is_own {
        "the graphics of the processor, since you say so".clone_into(&mut way.why);
        // immich-app/immich#13674, #12120, #31648
        way.unasked = Some(
            "it is a part of the processor, and on those OpenVINO runs out of memory or crashes while it says that it is well"
                .to_owned(),
        );
    }
    Ok(way)
}

fn cuda(gpu: &Gpu, wishes: &Wishes, seen: &Seen) -> Result<Way<Variant>, String> {
    let given = by_cdi(gpu, wishes, seen)?;
    let version = seen.hardware.nvidia.as_ref().and_then(|driver| driver.version.as_deref()).unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NVIDIA_DRIVER) {
        return Err(format!("Immich's image needs NVIDIA's driver {NVIDIA_DRIVER} or newer, and this is {version}"));
    }
    Ok(way(Variant::Cuda, 4, gpu, given, format!("NVIDIA's driver {version}")))
}

/// What room there is to be for an image.
struct Room<'a> {
    image: &'a Image,
    /// What is in use has its room, and another release of it is pulled while the old one runs: a pull that fails says so.
    in_use: Option<Variant>,
    seen: &'a Seen,
}

impl Room<'_> {
    /// Why there is none for an image that was never pulled, if there is none.
    fn lacks(&self, variant: Variant) -> Option<String> {
        let Image::Release(pulled) = self.image else { return None };
        let (needs, free) = (room_for(variant), self.seen.room?);
        let lacks = !pulled.contains(&variant) && self.in_use != Some(variant) && free < needs;
        lacks.then(|| format!("its image needs {} GiB where images lie, and {} are free", needs / GIB, free / GIB))
    }
}

/// Those that may be taken; those that may be when they are asked for. What cannot be is added to the reasons.
fn split(
    can: Vec<Way<Variant>>,
    only: Option<Variant>,
    room: &Room<'_>,
    cannot: &mut BTreeMap<Variant, Vec<String>>,
) -> (Vec<Way<Variant>>, Vec<Way<Variant>>) {
    let (mut takes, mut unasked) = (Vec::new(), Vec::new());
    for way in can {
        match room.lacks(way.kind) {
            Some(why) => cannot.entry(way.kind).or_default().push(why),
            None if only.is_none() && way.unasked.is_some() => unasked.push(way),
            None if only.is_none_or(|only| only == way.kind) => takes.push(way),
            None => {}
        }
    }
    (takes, unasked)
}

/// Of each variant but the one that is taken.
fn why_not(
    taken: Variant,
    can: &[Way<Variant>],
    unasked: &[Way<Variant>],
    cannot: &BTreeMap<Variant, Vec<String>>,
) -> BTreeMap<Variant, String> {
    let others = Variant::ALL.into_iter().filter(|variant| *variant != taken && *variant != Variant::Cpu);
    let why = |variant: Variant| {
        if let Some(way) = unasked.iter().find(|way| way.kind == variant) {
            let why = way.unasked.as_deref().unwrap_or_default();
            return format!("{}: not by itself: {why}; `ml = \"{variant}\"` in [hardware] takes it", way.given.card);
        }
        if can.iter().any(|way| way.kind == variant) {
            return format!("{} is preferred", taken.title());
        }
        cannot.get(&variant).map_or_else(|| none_of(variant).to_owned(), |why| why.join("; "))
    };
    others.map(|variant| (variant, why(variant))).collect()
}

const fn none_of(variant: Variant) -> &'static str {
    match variant {
        Variant::Cpu => "another is used",
        Variant::Rocm => "no card of AMD's with a render node",
        Variant::Openvino => "no graphics of Intel's with a render node",
        Variant::Cuda => "no card of NVIDIA's with a render node",
    }
}

fn remedy(variant: Variant) -> String {
    format!(
        "photos-agent hardware; then mend that, or let `ml` be \"auto\" or \"cpu\" in [hardware] instead of \"{variant}\""
    )
}
