//! Many small files, one in each of many folders: read side by side, with as few system calls as there can be.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::read;

use crate::host::files::FileError;

/// So few are read faster than a thread is made.
const FEW: usize = 64;

/// More threads than this wait for each other in the kernel.
const THREADS: usize = 8;

/// First room for a file's content; it grows.
const ROOM: usize = 16 * 1024;

/// What `understand` makes of each of `names`, paths below `folder`, in their order; it gets the bytes of the file, or why
/// they could not be read. The file itself is no link. An error where `folder` cannot be opened.
pub fn read_each<T: Send>(
    folder: &Path,
    names: &[String],
    understand: impl Fn(&str, io::Result<&[u8]>) -> T + Sync,
) -> Result<Vec<T>, FileError> {
    let failed = |source| FileError { doing: "open", path: folder.to_owned(), source };
    let opened = File::open(folder).map_err(failed)?;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
    let share = if names.len() <= FEW { names.len() } else { names.len().div_ceil(threads) };
    let (opened, understand) = (&opened, &understand);
    let work = move |names: &[String]| -> Vec<T> {
        let mut room = vec![0; ROOM];
        names.iter().map(|name| understand(name, content(opened, name, &mut room))).collect()
    };
    if share == names.len() {
        return Ok(work(names));
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = names.chunks(share.max(1)).map(|names| scope.spawn(move || work(names))).collect();
        let results =
            running.into_iter().map(|thread| thread.join().map_err(|_| failed(io::Error::other("a thread died"))));
        results.collect::<Result<Vec<_>, _>>().map(|parts| parts.into_iter().flatten().collect())
    })
}

fn content<'a>(folder: &File, name: &str, room: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = openat(folder, name, flags, Mode::empty())?;
    let mut length = 0;
    loop {
        if length == room.len() {
            room.resize(room.len() * 2, 0);
        }
        let free = room.get_mut(length..).unwrap_or_default();
        let wanted = free.len();
        match read(&file, free)? {
            0 => return Ok(room.get(..length).unwrap_or_default()),
            // Of a file, less than there is room for is all of it.
            more if more < wanted => return Ok(room.get(..length + more).unwrap_or_default()),
            more => length += more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_in_its_order_and_what_cannot_be_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..200).map(|number| format!("{number}/text")).collect();
        for (number, name) in names.iter().enumerate().filter(|(number, _)| number % 7 != 0) {
            std::fs::create_dir(folder.path().join(number.to_string())).unwrap();
            // Some do not fit into the first room.
            std::fs::write(folder.path().join(name), "x".repeat(number * 200)).unwrap();
        }
        for count in [0, 1, 3, 200] {
            let all = read_each(folder.path(), &names[..count], |name, bytes| {
                (name.to_owned(), bytes.map(<[u8]>::len).map_err(|error| error.kind()))
            });
            for (number, (name, read)) in all.unwrap().into_iter().enumerate() {
                assert_eq!(name, names[number]);
                let wanted = if number % 7 == 0 { Err(io::ErrorKind::NotFound) } else { Ok(number * 200) };
                assert_eq!(read, wanted, "{name}");
            }
        }
        assert!(read_each(&folder.path().join("none"), &names, |_, _| ()).is_err());
    }
}
