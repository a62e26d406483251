//! Whether there is room for a snapshot, or for putting one back.
//!
//! Neither needs much by itself. But from then on whatever is overwritten needs new space, in a file without copy on
//! write too, and metadata for it; a database on a full disk stops, and where metadata is full, nothing can be
//! deleted either.

use crate::model::{HostPath, Refusal, Room};

/// Metadata that must be left: a chunk of it on a small filesystem, twice what a database of 5 GB takes when all its
/// pages are overwritten one by one.
const METADATA: u64 = 256 << 20;

/// Data that must be left where the database lies: its log, which is overwritten first, and time for a person to notice.
const DATA: u64 = 1 << 30;

/// The same on a small disk, as a part of it.
const METADATA_PART: u64 = 100;
const DATA_PART: u64 = 20;

/// So many times what is refused is little: time for a person to notice.
const WARNED: u64 = 4;

/// Says where little is left, long before it is refused.
pub fn tell_low(base: &HostPath, room: &Room, databases: bool) -> Option<String> {
    let metadata = WARNED * METADATA.min(room.total / METADATA_PART);
    let data = if databases { WARNED * DATA.min(room.total / DATA_PART) } else { 0 };
    let low = room.metadata < metadata || room.data < data;
    let (data, metadata) = (room.data >> 20, room.metadata >> 20);
    low.then(|| format!("the filesystem of {base} has {data} MiB left for data and {metadata} MiB for metadata"))
}

/// Refuses where too little is left. `databases`: whether the database lies there; what is only added to needs no more
/// room with a snapshot than without.
pub fn refuse_full(base: &HostPath, room: &Room, databases: bool) -> Option<Refusal> {
    let metadata = METADATA.min(room.total / METADATA_PART);
    let data = if databases { DATA.min(room.total / DATA_PART) } else { 0 };
    let short = |what: &str, has: u64, needs: u64| {
        (has < needs).then(|| format!("{} MiB of {what}, and {} MiB are needed", has >> 20, needs >> 20))
    };
    let short: Vec<String> =
        [short("metadata", room.metadata, metadata), short("data", room.data, data)].into_iter().flatten().collect();
    if short.is_empty() {
        return None;
    }
    let why = format!(
        "is too full for a snapshot, after which whatever is overwritten needs new space: left are {}",
        short.join("; ")
    );
    let remedy = format!(
        "photos-agent snapshot prune, or free space otherwise; then: btrfs balance start -dusage=20 '{base}' (gives \
         back what is set aside for data and hardly used)"
    );
    Some(Refusal::new(format!("the filesystem of {base}"), why, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn a_full_disk_is_refused_and_a_small_one_is_not() {
        let base: HostPath = "/srv/photos".parse().unwrap();
        // total, unallocated, metadata, data (the last two with the unallocated), with the database; what is short
        for (what, total, metadata, data, databases, short) in [
            ("a large one", 4096 * GIB, 20 * GIB, 900 * GIB, true, &[][..]),
            ("fresh and small", 2 * GIB, 900 * MIB, 1800 * MIB, true, &[]),
            ("smaller still", 512 * MIB, 24 * MIB, 300 * MIB, true, &[]),
            ("metadata is full", 4096 * GIB, 255 * MIB, 900 * GIB, true, &["255 MiB of metadata, and 256"]),
            ("data is full", 4096 * GIB, 3 * GIB, GIB - MIB, true, &["1023 MiB of data, and 1024"]),
            ("photographs have filled theirs", 4096 * GIB, 3 * GIB, 0, false, &[]),
            ("and metadata too", 4096 * GIB, 0, 0, false, &["0 MiB of metadata"]),
            (
                "small and full",
                10 * GIB,
                50 * MIB,
                100 * MIB,
                true,
                &["50 MiB of metadata", "100 MiB of data, and 512"],
            ),
            ("just enough", 4096 * GIB, 256 * MIB, GIB, true, &[]),
        ] {
            let room = Room { total, unallocated: 0, metadata, data };
            // What is refused was told before.
            assert!(short.is_empty() || tell_low(&base, &room, databases).is_some(), "{what}");
            let refusal = refuse_full(&base, &room, databases);
            assert_eq!(refusal.is_some(), !short.is_empty(), "{what}: {refusal:?}");
            let Some(refusal) = refusal else { continue };
            for part in short {
                assert!(refusal.to_string().contains(part), "{what}: {refusal}");
            }
            assert!(refusal.remedy.contains("snapshot prune") && refusal.remedy.contains("'/srv/photos'"));
        }
    }
}
