//! Paths that the agent, its units and its records agree on.

/// What the agent remembers: journal, history, generations.
pub const STATE: &str = "/var/lib/photos-agent";

/// The open operation. While it is there, no service starts, unless [`RESOLVING`] is there as well.
pub const PENDING: &str = "/var/lib/photos-agent/pending";

/// Whoever is at work on the open operation lets services start. Below /run: a boot closes the gate.
pub const RESOLVING: &str = "/run/photos-agent/resolving";

/// The rules that keep everybody from the server, as long as it is there: whoever loads the firewall's rules loads these
/// with them, so that no container starts without.
pub const DOORS: &str = "/var/lib/photos-agent/doors.nft";

/// The tables that they make, in the families inet and bridge.
pub const DOORS_TABLE: &str = "photos_agent_gate";

/// A mark for each subvolume whose first start has begun and not ended well: this and the subvolume's name.
/// The service's unit removes it.
pub const FIRST_START: &str = "/var/lib/photos-agent/first-start.";
