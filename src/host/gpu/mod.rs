//! Graphics cards, as the kernel, the drivers and the Container Device Interface tell of them.
//!
//! Reads only, below the root that it is given, so that the recorded tree of another machine can be read, too. What is used
//! of all this is decided elsewhere.

mod drm;
mod kfd;
mod names;
mod nodes;
mod nvidia;

use std::path::Path;

use crate::host::files::{self, FileError};
use crate::model::Root;
use crate::model::hardware::{Gpu, Hardware};

pub use nodes::are_there;

/// Looks at all of it. What cannot be looked at is said, and taken as not there.
pub fn observe(root: &Root) -> Hardware {
    let mut unseen = Unseen::default();
    let kfd = unseen.of(nodes::look(root, Path::new(kfd::NODE)));
    let nvidia = unseen.of(nvidia::driver(root));
    let cdi = nvidia::specifications(root, &mut unseen);
    let computing = unseen.of(kfd::topology(root));
    let mut gpus = drm::render_nodes(root, &mut unseen);
    for gpu in &mut gpus {
        gpu.kfd = computing.iter().find(|(minor, _)| Some(*minor) == gpu.render).map(|(_, kfd)| kfd.clone());
    }
    for card in nvidia.iter().flat_map(|driver| &driver.cards) {
        match gpus.iter_mut().find(|gpu| gpu.address.as_ref() == Some(&card.address)) {
            Some(gpu) => gpu.name = card.model.clone().or_else(|| gpu.name.take()),
            None => gpus.push(Gpu::of_nvidia(card)),
        }
    }
    Hardware { gpus, kfd, nvidia, cdi, unseen: unseen.0 }
}

/// What could not be looked at.
#[derive(Default)]
struct Unseen(Vec<String>);

impl Unseen {
    fn of<T: Default>(&mut self, looked: Result<T, FileError>) -> T {
        looked.unwrap_or_else(|error| {
            self.0.push(format!("{error}: {}", error.source));
            T::default()
        })
    }
}

/// The text of a file of the kernel's, without the line's end.
fn line(path: &Path) -> Result<Option<String>, FileError> {
    Ok(files::read(path)?.map(|text| text.trim().to_owned()))
}
