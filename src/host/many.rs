//! Many small files, one in each of many folders: read side by side, with as few system calls as there can be.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::read;

use crate::host::files::FileError;

/// So many are read at a time, and fewer faster than a thread is made.
const SHARE: usize = 64;

/// More threads than this wait for each other in the kernel.
const THREADS: usize = 8;

/// First room for a file's content; it grows.
const ROOM: usize = 16 * 1024;

/// What `understand` makes of `file` in each of the folders `names` below `folder`, in their order; it gets the bytes of the
/// file, or why they could not be read, and what it has kept of others. The file itself is no link. An error where
/// `folder` cannot be opened.
pub fn read_each<T: Send, Kept: Default>(
    folder: &Path,
    names: &[impl AsRef<str> + Sync],
    file: &str,
    understand: impl Fn(&mut Kept, io::Result<&[u8]>) -> T + Sync,
) -> Result<Vec<T>, FileError> {
    let failed = |source| FileError { doing: "open", path: folder.to_owned(), source };
    let opened = File::open(folder).map_err(failed)?;
    // Whoever is done takes the next ones: a processor that has other things to do takes fewer.
    let shares = Mutex::new(names.chunks(SHARE).enumerate());
    let next = || shares.lock().ok().and_then(|mut shares| shares.next());
    let work = || {
        let (mut kept, mut room, mut path, mut done) = (Kept::default(), vec![0; ROOM], String::new(), Vec::new());
        while let Some((number, share)) = next() {
            let read = share.iter().map(|name| {
                path.clear();
                path.extend([name.as_ref(), "/", file]);
                understand(&mut kept, content(&opened, &path, &mut room))
            });
            done.push((number, read.collect::<Vec<T>>()));
        }
        done
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS).min(names.len().div_ceil(SHARE));
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().map_err(|_| failed(io::Error::other("a thread died")))?);
        }
        Ok(done)
    })?;
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().flat_map(|(_, read)| read).collect())
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
        let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        for (number, name) in names.iter().enumerate().filter(|(number, _)| number % 7 != 0) {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            // Some do not fit into the first room.
            std::fs::write(folder.path().join(name).join("text"), "x".repeat(number * 200)).unwrap();
        }
        for count in [0, 1, 3, SHARE, SHARE + 1, 200] {
            let length = |(): &mut (), bytes: io::Result<&[u8]>| bytes.map(<[u8]>::len).map_err(|error| error.kind());
            let all = read_each(folder.path(), &names[..count], "text", length).unwrap();
            assert_eq!(all.len(), count);
            for (number, read) in all.into_iter().enumerate() {
                let wanted = if number % 7 == 0 { Err(io::ErrorKind::NotFound) } else { Ok(number * 200) };
                assert_eq!(read, wanted, "{number}");
            }
        }
        assert!(read_each(&folder.path().join("none"), &names, "text", |(): &mut (), _| ()).is_err());
    }
}
