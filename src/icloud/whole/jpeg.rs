//! JPEG: one picture, or several one behind the other (MPF, by which telephones add a gain map or a preview), or one and a tail of
//! the camera's.

use std::io::{self, Read, Seek};

use super::{PARTS, Verdict, ends_with, read_up_to, whole};

/// The end mark.
const END: [u8; 2] = [0xff, 0xd9];

/// What the segment of an index of several pictures begins with (CIPA DC-007).
const INDEX: &[u8; 4] = b"MPF\0";

/// The entry of that index that says where each picture lies: 16 bytes for each.
const PICTURES: u16 = 0xb002;

/// Behind the head of its last segment, a JPEG has its end mark, which is nowhere in the picture itself. Where more follows, only an
/// index says how much: of another tail (a film, a camera's padding) nothing is known.
pub(super) fn jpeg(file: &mut (impl Read + Seek), length: u64) -> io::Result<Verdict> {
    let (mut at, mut index) = (2_u64, None);
    for _ in 0..PARTS {
        let mut head = [0; 8];
        let read = read_up_to(file, at, &mut head)?;
        let [mark, kind, a, b, name @ ..] = head;
        match (mark, kind) {
            // Filling before a mark.
            (0xff, 0xff) if read >= 4 => at += 1,
            (0xff, 0xd9) if read >= 2 => return behind(file, at + 2, length, index),
            _ if read < 4 => return Ok(Verdict::Cut),
            (0xff, 0xda) => {
                return match scan(file, at, length)? {
                    Some(end) => behind(file, end, length, index),
                    None => Ok(Verdict::Cut),
                };
            }
            (0xff, _) => {
                if kind == 0xe2 && name == *INDEX {
                    index = Some(at + 8);
                }
                at += 2 + u64::from(u16::from_be_bytes([a, b]));
            }
            _ => return Ok(Verdict::Unknown),
        }
    }
    Ok(Verdict::Unknown)
}

/// What is behind the first picture's end. `index`: where the index of several begins, if there is one.
fn behind(file: &mut (impl Read + Seek), end: u64, length: u64, index: Option<u64>) -> io::Result<Verdict> {
    if end == length {
        // With an index, the others were never there: an editor keeps it and writes one picture. Or the file was cut just here.
        return Ok(if index.is_some() && reach(file, index)?.is_some_and(|reach| reach > length) {
            Verdict::Unknown
        } else {
            Verdict::Whole
        });
    }
    if index.is_none() {
        return Ok(Verdict::Unknown);
    }
    let is_there = reach(file, index)?.is_some_and(|reach| reach <= length);
    // An index that somebody did not write anew says nothing, and the last picture has an end mark, too.
    Ok(whole(is_there || ends_with(file, length, &END)?))
}

/// Where the end mark behind this ends.
fn scan(file: &mut (impl Read + Seek), from: u64, length: u64) -> io::Result<Option<u64>> {
    let mut piece = vec![0; 64 * 1024];
    let (mut at, mut last) = (from, 0);
    while at < length {
        let read = read_up_to(file, at, &mut piece)?;
        for (byte, position) in piece.iter().take(read).zip(at..) {
            if [last, *byte] == END {
                return Ok(Some(position + 1));
            }
            last = *byte;
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    Ok(None)
}

/// Where the last picture of the index ends; none where it cannot be read.
fn reach(file: &mut (impl Read + Seek), index: Option<u64>) -> io::Result<Option<u64>> {
    let Some(base) = index else { return Ok(None) };
    let mut head = [0; 4];
    read_up_to(file, base, &mut head)?;
    let is_little = match &head {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return Ok(None),
    };
    let mut index = Index { file, is_little };
    let Some(directory) = index.long(base + 4)?.map(|offset| base + u64::from(offset)) else { return Ok(None) };
    for entry in 0..u64::from(index.short(directory)?.unwrap_or(0)) {
        let at = directory + 2 + 12 * entry;
        if index.short(at)? != Some(PICTURES) {
            continue;
        }
        let (Some(size), Some(from)) = (index.long(at + 4)?, index.long(at + 8)?) else { return Ok(None) };
        return index.last(base, base + u64::from(from), u64::from(size / 16).min(PARTS as u64));
    }
    Ok(None)
}

struct Index<'a, F> {
    file: &'a mut F,
    is_little: bool,
}

impl<F: Read + Seek> Index<'_, F> {
    /// The end of the last of `count` pictures, told at `from`.
    fn last(&mut self, base: u64, from: u64, count: u64) -> io::Result<Option<u64>> {
        let mut end = None;
        for picture in 0..count {
            let at = from + 16 * picture;
            let (Some(size), Some(offset)) = (self.long(at + 4)?, self.long(at + 8)?) else { return Ok(None) };
            // The first one lies at the begin of the file, whatever the others count from.
            let begin = if offset == 0 { 0 } else { base + u64::from(offset) };
            end = end.max(Some(begin + u64::from(size)));
        }
        Ok(end)
    }

    fn short(&mut self, at: u64) -> io::Result<Option<u16>> {
        let number = if self.is_little { u16::from_le_bytes } else { u16::from_be_bytes };
        let mut bytes = [0; 2];
        Ok((read_up_to(self.file, at, &mut bytes)? == bytes.len()).then(|| number(bytes)))
    }

    fn long(&mut self, at: u64) -> io::Result<Option<u32>> {
        let number = if self.is_little { u32::from_le_bytes } else { u32::from_be_bytes };
        let mut bytes = [0; 4];
        Ok((read_up_to(self.file, at, &mut bytes)? == bytes.len()).then(|| number(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn look(bytes: &[u8]) -> Verdict {
        jpeg(&mut Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    const SCAN: [u8; 14] = [0xff, 0xda, 0, 4, 1, 2, 5, 5, 0xff, 0, 5, 5, 0xff, 0xd9];

    /// Where the index begins in [`several`].
    const BASE: u32 = 10;

    /// Two pictures, and the index of both.
    fn several(little: bool) -> Vec<u8> {
        let long = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
        let short = |number: u16| if little { number.to_le_bytes() } else { number.to_be_bytes() };
        let second = [&[0xff, 0xd8][..], &SCAN].concat();
        let second_long = u32::try_from(second.len()).unwrap();
        let first_long = 2 + 4 + 4 + (8 + 2 + 12 + 4 + 32) + u32::try_from(SCAN.len()).unwrap();
        let index = [
            if little { *b"II*\0" } else { *b"MM\0*" }.as_slice(),
            &long(8),
            &short(1),
            &[short(PICTURES), short(7)].concat(),
            &[long(32), long(26), long(0)].concat(),
            &[long(0), long(first_long), long(0), [0; 4]].concat(),
            &[long(0), long(second_long), long(first_long - BASE), [0; 4]].concat(),
        ]
        .concat();
        let size = u16::try_from(2 + INDEX.len() + index.len()).unwrap().to_be_bytes();
        let first = [&[0xff, 0xd8, 0xff, 0xe2][..], &size, INDEX, &index, &SCAN].concat();
        assert_eq!(first.len(), first_long as usize);
        [first, second].concat()
    }

    #[test]
    fn what_was_cut_behind_its_first_picture_is_not_whole() {
        for little in [true, false] {
            let bytes = several(little);
            assert_eq!(look(&bytes), Verdict::Whole);
            let first = bytes.len() - 16;
            for end in 4..bytes.len() {
                let expected = if end == first { Verdict::Unknown } else { Verdict::Cut };
                assert_eq!(look(&bytes[..end]), expected, "at {end}");
            }
            // A camera's padding behind all that the index tells.
            assert_eq!(look(&[bytes.clone(), vec![0; 100]].concat()), Verdict::Whole);
        }
    }

    #[test]
    fn an_index_that_is_wrong_condemns_no_picture_that_has_its_end() {
        let mut bytes = several(true);
        // The second one is said to be longer.
        let at = BASE as usize + 26 + 16 + 4;
        bytes[at..at + 4].copy_from_slice(&1000_u32.to_le_bytes());
        assert_eq!(look(&bytes), Verdict::Whole);
        assert_eq!(look(&bytes[..bytes.len() - 1]), Verdict::Cut);
        // No index at all, by its name.
        bytes[BASE as usize] = b'X';
        assert_eq!(look(&bytes), Verdict::Whole);
    }

    #[test]
    fn nothing_is_said_of_another_tail() {
        let plain = [&[0xff, 0xd8][..], &SCAN].concat();
        assert_eq!(look(&plain), Verdict::Whole);
        for tail in [vec![0; 64], b"\0\0\0\x18ftypmp42 half a film".to_vec(), plain.clone(), vec![0xff]] {
            assert_eq!(look(&[plain.clone(), tail].concat()), Verdict::Unknown);
        }
    }
}
