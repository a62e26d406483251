//! Whether a picture has its end, told from the picture itself.
//!
//! icloudpd looks at no length: what came when a connection broke gets its final name, is reported as downloaded, and is "already
//! there" ever after. Formats say themselves how long they are, or how they end; of one that is not known here, nothing is said.

mod jpeg;

use std::io::{self, Read, Seek, SeekFrom};

use jpeg::jpeg;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has its end.
    Whole,
    /// It breaks off.
    Cut,
    /// Of a format that says nothing, or that is not known here.
    Unknown,
}

/// Parts of one file that are looked at, at most: none has so many, but who knows what was downloaded.
const PARTS: usize = 100_000;

/// Looks at a file of that many bytes.
pub fn judge(file: &mut (impl Read + Seek), length: u64) -> io::Result<Verdict> {
    let mut head = [0; 12];
    let read = read_up_to(file, 0, &mut head)?;
    let Some(head) = head.get(..read) else { return Ok(Verdict::Unknown) };
    match head {
        [] => Ok(Verdict::Cut),
        [0xff, 0xd8, ..] => jpeg(file, length),
        [0x89, b'P', b'N', b'G', ..] => Ok(whole(ends_with(file, length, b"IEND\xaeB`\x82")?)),
        [b'G', b'I', b'F', b'8', ..] => Ok(whole(ends_with(file, length, b";")?)),
        [b'R', b'I', b'F', b'F', a, b, c, d, ..] => {
            Ok(whole(length >= u64::from(u32::from_le_bytes([*a, *b, *c, *d])) + 8))
        }
        [b'I', b'I', 42, 0, ..] => tiff(file, length, u16::from_le_bytes, u32::from_le_bytes),
        [b'M', b'M', 0, 42, ..] => tiff(file, length, u16::from_be_bytes, u32::from_be_bytes),
        [_, _, _, _, b'f', b't', b'y', b'p', ..]
        | [_, _, _, _, b'w', b'i', b'd', b'e', ..]
        | [_, _, _, _, b'm', b'o' | b'd', b'o' | b'a', b'v' | b't', ..] => boxes(file, length),
        _ => Ok(Verdict::Unknown),
    }
}

fn whole(is: bool) -> Verdict {
    if is { Verdict::Whole } else { Verdict::Cut }
}

fn ends_with(file: &mut (impl Read + Seek), length: u64, end: &[u8]) -> io::Result<bool> {
    let Some(from) = length.checked_sub(end.len() as u64) else { return Ok(false) };
    let mut found = vec![0; end.len()];
    let read = read_up_to(file, from, &mut found)?;
    Ok(read == end.len() && found == end)
}

/// The boxes of HEIC, MOV and MP4 lie one behind the other and fill the file.
fn boxes(file: &mut (impl Read + Seek), length: u64) -> io::Result<Verdict> {
    let mut at = 0_u64;
    for _ in 0..PARTS {
        if at == length {
            return Ok(Verdict::Whole);
        }
        let mut head = [0; 16];
        let read = read_up_to(file, at, &mut head)?;
        let [a, b, c, d, _, _, _, _, long @ ..] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            _ if read < 8 => return Ok(Verdict::Cut),
            // To the end of the file, however long that is.
            0 => return Ok(Verdict::Unknown),
            1 if read == 16 => u64::from_be_bytes(long),
            1 => return Ok(Verdict::Cut),
            size => u64::from(size),
        };
        if size < 8 {
            return Ok(Verdict::Unknown);
        }
        match at.checked_add(size) {
            Some(next) if next <= length => at = next,
            _ => return Ok(Verdict::Cut),
        }
    }
    Ok(Verdict::Unknown)
}

/// Strips, tiles, and the directories within directories, in which a DNG has its RAW picture.
const OFFSETS: [u16; 2] = [273, 324];
const LENGTHS: [u16; 2] = [279, 325];
const DIRECTORIES: u16 = 330;

/// DNG and other TIFF: all pieces that its directories name lie within the file.
fn tiff(
    file: &mut (impl Read + Seek),
    length: u64,
    short: fn([u8; 2]) -> u16,
    long: fn([u8; 4]) -> u32,
) -> io::Result<Verdict> {
    let mut tiff = Tiff { file, short, long, left: PARTS };
    let reaches = tiff.reaches()?;
    // What was read to no end says nothing.
    Ok(if tiff.left == 0 { Verdict::Unknown } else { whole(reaches.is_some_and(|end| end <= length)) })
}

struct Tiff<'a, F> {
    file: &'a mut F,
    short: fn([u8; 2]) -> u16,
    long: fn([u8; 4]) -> u32,
    /// Numbers that may still be read: a directory that names itself has no end.
    left: usize,
}

impl<F: Read + Seek> Tiff<'_, F> {
    /// Where the last piece ends; none where a directory is not there as a whole.
    fn reaches(&mut self) -> io::Result<Option<u64>> {
        let mut waiting = vec![self.long_at(4)?];
        let mut end = 8_u64;
        while let Some(directory) = waiting.pop() {
            let Some(directory) = directory else { return Ok(None) };
            if directory == 0 {
                continue;
            }
            let Some(entries) = self.short_at(u64::from(directory))? else { return Ok(None) };
            let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
            for entry in 0..u64::from(entries) {
                let at = u64::from(directory) + 2 + 12 * entry;
                let Some(tag) = self.short_at(at)? else { return Ok(None) };
                if OFFSETS.contains(&tag) {
                    offsets.extend(self.values(at)?);
                } else if LENGTHS.contains(&tag) {
                    lengths.extend(self.values(at)?);
                } else if tag == DIRECTORIES {
                    waiting.extend(self.values(at)?);
                }
            }
            for (offset, length) in offsets.iter().zip(&lengths) {
                let (Some(offset), Some(length)) = (offset, length) else { return Ok(None) };
                end = end.max(u64::from(*offset) + u64::from(*length));
            }
            waiting.push(self.long_at(u64::from(directory) + 2 + 12 * u64::from(entries))?);
        }
        Ok(Some(end))
    }

    fn at<const N: usize>(&mut self, at: u64) -> io::Result<Option<[u8; N]>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let mut bytes = [0; N];
        Ok((read_up_to(self.file, at, &mut bytes)? == N).then_some(bytes))
    }

    fn short_at(&mut self, at: u64) -> io::Result<Option<u16>> {
        Ok(self.at(at)?.map(self.short))
    }

    fn long_at(&mut self, at: u64) -> io::Result<Option<u32>> {
        Ok(self.at(at)?.map(self.long))
    }

    /// The numbers of an entry: in it, or where it says. None for one that lies beyond the end.
    fn values(&mut self, entry: u64) -> io::Result<Vec<Option<u32>>> {
        let (kind, count) = (self.short_at(entry + 2)?, self.long_at(entry + 4)?);
        let (Some(kind), Some(count)) = (kind, count) else { return Ok(vec![None]) };
        let size = if kind == 3 { 2 } else { 4 };
        let from = if u64::from(count) * size <= 4 {
            entry + 8
        } else {
            match self.long_at(entry + 8)? {
                Some(from) => u64::from(from),
                None => return Ok(vec![None]),
            }
        };
        let mut values = Vec::new();
        for index in 0..u64::from(count).min(PARTS as u64) {
            let at = from + index * size;
            let value = if kind == 3 { self.short_at(at)?.map(u32::from) } else { self.long_at(at)? };
            let is_end = value.is_none();
            values.push(value);
            if is_end {
                break;
            }
        }
        Ok(values)
    }
}

fn read_up_to(file: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(at))?;
    let mut read = 0;
    while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn look(bytes: &[u8]) -> Verdict {
        judge(&mut Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    fn samples() -> Vec<(&'static str, Vec<u8>)> {
        let sized = |kind: &[u8; 4], body: usize| {
            let size = u32::try_from(body + 8).unwrap().to_be_bytes();
            [&size[..], kind, &vec![7; body]].concat()
        };
        let long = [&1_u32.to_be_bytes()[..], b"mdat", &(16_u64 + 50).to_be_bytes(), &[9; 50]].concat();
        let heic = [sized(b"ftyp", 16), sized(b"meta", 30), sized(b"mdat", 100)].concat();
        let mov = [sized(b"wide", 0), long, sized(b"moov", 20)].concat();
        let thumbnail = [0xff, 0xe1, 0, 8, 0xff, 0xd8, 1, 0xff, 0xd9, 0];
        let jpeg =
            [&[0xff, 0xd8][..], &thumbnail, &[0xff, 0xda, 0, 4, 1, 2], &[5; 99], &[0xff, 0, 3, 0xff, 0xd9]].concat();
        let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[1; 60], b"\0\0\0\0IEND\xaeB`\x82"].concat();
        let gif = [b"GIF89a".as_slice(), &[1; 60], b";"].concat();
        let webp = [b"RIFF".as_slice(), &44_u32.to_le_bytes(), b"WEBP", &[3; 40]].concat();
        vec![("heic", heic), ("mov", mov), ("jpeg", jpeg), ("png", png), ("gif", gif), ("webp", webp), ("dng", dng())]
    }

    /// One directory that names another, in which two strips are told of.
    fn dng() -> Vec<u8> {
        let entry = |tag: u16, kind: u16, count: u32, value: u32| {
            [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
        };
        let outer = [&1_u16.to_le_bytes()[..], &entry(330, 4, 1, 26), &0_u32.to_le_bytes()].concat();
        let inner =
            [&2_u16.to_le_bytes()[..], &entry(273, 4, 2, 56), &entry(279, 3, 2, 0x0014_000a), &0_u32.to_le_bytes()]
                .concat();
        let offsets = [64_u32.to_le_bytes(), 74_u32.to_le_bytes()].concat();
        [b"II*\0".as_slice(), &8_u32.to_le_bytes(), &outer, &inner, &offsets, &[6; 30]].concat()
    }

    #[test]
    fn what_has_its_end_is_whole_and_what_lost_any_part_of_it_is_not() {
        for (name, bytes) in samples() {
            assert_eq!(look(&bytes), Verdict::Whole, "{name}");
            for end in 12..bytes.len() {
                let verdict = look(&bytes[..end]);
                // Between two boxes nobody can tell; the last one is never complete.
                let may = name == "mov" || name == "heic";
                assert!(verdict == Verdict::Cut || may && verdict == Verdict::Whole, "{name} at {end}: {verdict:?}");
            }
            assert_eq!(look(&bytes[..bytes.len() - 1]), Verdict::Cut, "{name}");
            assert_eq!(look(&bytes[..bytes.len() / 2]), Verdict::Cut, "{name}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known_and_an_empty_file_is_no_picture() {
        assert_eq!(look(b""), Verdict::Cut);
        for unknown in [b"hello world!".as_slice(), &[0; 40], b"<?xpacket begin", b"\xff\xd8nonsense!"] {
            assert_eq!(look(unknown), Verdict::Unknown, "{unknown:?}");
        }
    }

    #[test]
    fn a_directory_that_names_itself_has_an_end() {
        let mut bytes = dng();
        bytes[26 + 2 + 24..26 + 2 + 28].copy_from_slice(&26_u32.to_le_bytes());
        assert_ne!(look(&bytes), Verdict::Cut);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(at in 0_usize..7, from in 0_usize..200, noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut bytes = samples()[at].1.clone();
            for (index, byte) in noise.iter().enumerate() {
                if let Some(place) = bytes.get_mut(from + index) {
                    *place = *byte;
                }
            }
            look(&bytes);
            look(&noise);
        }
    }
}
