//! `photos-agent upgrade --check`: what there is, which way leads there and what it takes.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::cli::failure::Failure;
use crate::cli::plan::{count, tell_concerns};
use crate::cli::{Context, open};
use crate::upgrade::{self, Check, ImageChange, Needs, Order, Stage};

pub(super) async fn run(context: &Context, order: &Order) -> Result<ExitCode, Failure> {
    let (loaded, note) = context.in_force()?;
    let mut check = upgrade::check(&context.host()?, &loaded, order).await?;
    check.notes.extend(note);
    if let Some(begun) = open::look(&context.root)?.left() {
        check.notes.push(format!("{begun}: {}", begun.remedy));
    }
    context.output.answer("upgrade_check", &check, || text(&check, context.output.verbose));
    Ok(ExitCode::from(match (check.refusals.is_empty(), check.path.is_empty()) {
        (false, _) => 3,
        (true, false) => 2,
        (true, true) => 0,
    }))
}

fn text(check: &Check, verbose: bool) -> String {
    let mut text = format!("Immich {} runs.", check.runs);
    if let (Some(newest), Some(published)) = (&check.newest, check.published) {
        let _ = write!(text, " The newest that is known is {newest} of {published}.");
    }
    text.push('\n');
    for refusal in &check.refusals {
        let _ = writeln!(text, "refused: {refusal}\n  next: {}", refusal.remedy);
    }
    if let Some(last) = check.path.last() {
        let _ = writeln!(text, "{} to do:", count(check.path.len(), "upgrade"));
        for (at, stage) in check.path.iter().enumerate() {
            let _ = writeln!(text, "{:>3}. {}\n       because: {}", at + 1, named(stage), stage.hop.because);
        }
        if check.path.len() > 1 {
            text.push_str("Each is made, watched and kept or undone by itself, with a snapshot of its own.\n");
        }
        text.push_str("Images then:\n");
        last.images.iter().for_each(|image| text.push_str(&of_image(image)));
    } else if check.refusals.is_empty() {
        text.push_str("Nothing to upgrade.\n");
    }
    if let Some(needs) = &check.space {
        tell_space(needs, &mut text);
    }
    tell_concerns(&check.concerns, &mut text);
    for note in &check.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for image in check.registry.there.iter().filter(|_| verbose) {
        let _ = writeln!(text, "registry: has {image}");
    }
    for image in &check.registry.missing {
        let _ = writeln!(text, "registry: has no {image}");
    }
    text
}

fn named(stage: &Stage) -> String {
    let published = stage.hop.published.map(|day| format!(" of {day}"));
    format!("{}{}", stage.hop.release, published.unwrap_or_default())
}

fn of_image(image: &ImageChange) -> String {
    let kept = if image.changes { "" } else { " (as now; its tag is asked for anew)" };
    format!("  {:<10}{}{kept}\n", image.service.component().key(), image.then)
}

fn tell_space(needs: &Needs, text: &mut String) {
    text.push_str("Space:\n");
    let free = |free: Option<crate::host::storage::Space>| free.map_or("unknown".to_owned(), |free| free.to_string());
    let folder = needs.image_folder.as_ref().map_or("Podman's store".into(), |folder| folder.display().to_string());
    let images = if needs.images == 0 { "all there".to_owned() } else { format!("about {}", size(needs.images)) };
    let _ = writeln!(text, "  images    {images} (an estimate), in {folder}: {}", free(needs.free_for_images));
    let Some(storage) = &needs.storage else { return };
    let database =
        needs.database.map_or("as much as the database takes".to_owned(), |bytes| format!("about {}", size(bytes)));
    let _ = writeln!(text, "  dump      {database}, in {storage}: {}", free(needs.free_for_data));
    let _ = writeln!(text, "  snapshot  nothing at first; {database} as the database is written anew");
}

fn size(bytes: u64) -> String {
    if bytes >= 1 << 30 {
        format!("{} GiB", bytes.div_ceil(1 << 30))
    } else {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    }
}
