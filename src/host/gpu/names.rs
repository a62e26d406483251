//! What a card is called: pci.ids, where the host has it (package hwdata, or pci.ids).

use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::model::Root;
use crate::model::hardware::PciId;

const LISTS: [&str; 2] = ["/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids"];

/// The name in brackets, which is the one on the box, else the chip's; none where nobody knows it.
pub(super) fn of(root: &Root, id: PciId) -> Option<String> {
    let name = LISTS.iter().find_map(|list| search(&root.join(list), id))?;
    let on_the_box = name.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(name, _)| name);
    Some(on_the_box.unwrap_or(&name).to_owned())
}

/// A vendor's line begins with its number, its devices follow, each behind a tab.
fn search(list: &Path, id: PciId) -> Option<String> {
    let lines = BufReader::new(std::fs::File::open(list).ok()?).lines().map_while(Result::ok);
    let (vendor, device) = (format!("{:04x}  ", id.vendor), format!("\t{:04x}  ", id.device));
    let below = lines.skip_while(|line| !line.starts_with(&vendor)).skip(1);
    let mut devices = below.take_while(|line| line.starts_with(['\t', '#']) || line.is_empty());
    devices.find_map(|line| line.strip_prefix(&device).map(|name| name.trim().to_owned()))
}
