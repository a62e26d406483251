//! Room on a BTRFS filesystem: what its devices have, what is set aside for data and for metadata, and what that leaves.

/// How many copies of what a filesystem writes, and on how many devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// One, on one device or on several in turn.
    Single,
    /// Two, on one device.
    Dup,
    /// So many, each on a device of its own (RAID1, RAID1C3, RAID1C4, RAID10).
    Mirrored(u64),
    /// One, and so many devices' worth of parity (RAID5, RAID6).
    Parity(u64),
}

impl Profile {
    /// Whether a device that has missed writes can be read instead of one that has not.
    pub const fn is_redundant(self) -> bool {
        matches!(self, Self::Mirrored(_) | Self::Parity(_))
    }
}

/// A device of a filesystem, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// What it has.
    pub total: u64,
    /// What is set aside for nothing yet.
    pub unallocated: u64,
}

/// What is set aside for one kind of content, in bytes of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// How it is laid out.
    pub profile: Profile,
    /// Set aside.
    pub total: u64,
    /// Of that, used.
    pub used: u64,
}

/// What a filesystem says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocation {
    /// Its devices.
    pub devices: Vec<Device>,
    /// For data. More than one while it is converted.
    pub data: Vec<Group>,
    /// For metadata.
    pub metadata: Vec<Group>,
    /// Of the metadata, what the kernel keeps for itself.
    pub reserve: u64,
}

/// What can still be written, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Room {
    /// On all devices.
    pub total: u64,
    /// Set aside for nothing yet; both of the others count it.
    pub unallocated: u64,
    /// Metadata, the unallocated set aside for it.
    pub metadata: u64,
    /// Data, the unallocated set aside for it.
    pub data: u64,
}

impl std::fmt::Display for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MiB unallocated, room for {} MiB of metadata", self.unallocated >> 20, self.metadata >> 20)
    }
}

impl Allocation {
    /// What can still be written.
    pub fn room(&self) -> Room {
        let free = |groups: &[Group]| groups.iter().map(|group| group.total.saturating_sub(group.used)).sum::<u64>();
        let profile = |groups: &[Group]| groups.iter().max_by_key(|group| group.total).map(|group| group.profile);
        let more = |groups: &[Group]| self.usable(profile(groups).unwrap_or(Profile::Single));
        Room {
            total: self.devices.iter().map(|device| device.total).sum(),
            unallocated: self.devices.iter().map(|device| device.unallocated).sum(),
            metadata: free(&self.metadata).saturating_sub(self.reserve) + more(&self.metadata),
            data: free(&self.data) + more(&self.data),
        }
    }

    /// How much content of this profile the unallocated space takes, nearly.
    fn usable(&self, profile: Profile) -> u64 {
        let free = || self.devices.iter().map(|device| device.unallocated);
        let (all, largest) = (free().sum::<u64>(), free().max().unwrap_or(0));
        let devices = free().count() as u64;
        match profile {
            Profile::Single => all,
            Profile::Dup => all / 2,
            Profile::Mirrored(copies) => {
                let others = (all - largest) / copies.saturating_sub(1).max(1);
                (all / copies.max(1)).min(others)
            }
            Profile::Parity(parity) => all / devices.max(1) * devices.saturating_sub(parity),
        }
    }

    /// Whether a file without copy on write may be read from a device that missed writes to it: there is more than one
    /// device, more than one copy, and no checksum that tells which is right.
    pub fn may_read_stale(&self) -> bool {
        self.devices.len() > 1 && self.data.iter().any(|group| group.profile.is_redundant())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn filesystem(unallocated: &[u64], profile: Profile) -> Allocation {
        let device = |unallocated: &u64| Device { total: 100 * GIB, unallocated: *unallocated };
        let group = Group { profile, total: 4 * GIB, used: 3 * GIB };
        let devices = unallocated.iter().map(device).collect();
        Allocation { devices, data: vec![group], metadata: vec![group], reserve: GIB / 2 }
    }

    #[test]
    fn what_is_not_allocated_counts_as_it_would_be_laid_out() {
        for (unallocated, profile, more) in [
            (vec![10], Profile::Single, 10),
            (vec![10], Profile::Dup, 5),
            (vec![10, 4], Profile::Single, 14),
            // The second copy has to lie on the other device.
            (vec![10, 4], Profile::Mirrored(2), 4),
            (vec![10, 0], Profile::Mirrored(2), 0),
            (vec![10, 10, 10], Profile::Mirrored(2), 15),
            (vec![9, 9, 9], Profile::Mirrored(3), 9),
            (vec![9, 9, 9], Profile::Parity(1), 18),
            (vec![9, 9, 9], Profile::Parity(2), 9),
            (vec![], Profile::Dup, 0),
        ] {
            let bytes: Vec<u64> = unallocated.iter().map(|gib| gib * GIB).collect();
            let room = filesystem(&bytes, profile).room();
            assert_eq!(room.data, (1 + more) * GIB, "{unallocated:?} {profile:?}");
            assert_eq!(room.metadata, GIB / 2 + more * GIB, "{unallocated:?} {profile:?}");
            assert_eq!(room.unallocated, bytes.iter().sum::<u64>());
        }
    }

    #[test]
    fn a_reserve_that_is_larger_than_what_is_free_leaves_nothing() {
        let full = Allocation { reserve: 2 * GIB, ..filesystem(&[0], Profile::Dup) };
        assert_eq!(full.room().metadata, 0);
    }

    #[test]
    fn a_stale_copy_takes_two_devices_and_two_copies() {
        for (devices, profile, stale) in [
            (1, Profile::Single, false),
            (1, Profile::Dup, false),
            (2, Profile::Single, false),
            (2, Profile::Mirrored(2), true),
            (3, Profile::Parity(1), true),
        ] {
            let found = filesystem(&vec![GIB; devices], profile);
            assert_eq!(found.may_read_stale(), stale, "{devices} {profile:?}");
        }
    }
}
