//! The last words of a unit, for the person who must find out why it failed.

use crate::host::process;
use crate::model::UnitName;

/// The last `count` lines that `unit` and its container wrote to the journal; none if it cannot be read.
pub fn last_lines(unit: &UnitName, count: usize) -> Vec<String> {
    let count = count.to_string();
    let arguments = ["-q", "--no-pager", "-o", "cat", "-n", &count, "-u", unit.as_str()];
    let arguments: Vec<&std::ffi::OsStr> = arguments.iter().map(std::convert::AsRef::as_ref).collect();
    let output = process::run("journalctl", &arguments);
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
