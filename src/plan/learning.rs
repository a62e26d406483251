//! What machine learning has missed: Immich forgets a job that it could not hand over (immich-app/immich#28289).

use crate::model::{ActiveState, UnitState};

/// A start beside the server's own is no outage, though one of the two is always first. In microseconds.
const SIDE_BY_SIDE: u64 = 60_000_000;

/// The start of immich-ml that ended an outage while the server ran, if it is another than `seen`. Both have to be up:
/// systemd calls immich-ml active when it is healthy.
pub fn came_back(learning: &UnitState, server: &UnitState, seen: u64) -> Option<u64> {
    let both_up = learning.active == ActiveState::Active && server.active == ActiveState::Active;
    let was_down = learning.inactive_since > 0 && learning.inactive_since < learning.active_since;
    let server_was_up = server.active_since < learning.inactive_since
        || learning.active_since.saturating_sub(server.active_since) > SIDE_BY_SIDE;
    let is_news = learning.active_since != seen;
    (both_up && was_down && server_was_up && is_news).then_some(learning.active_since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(active_since: u64, inactive_since: u64) -> UnitState {
        UnitState { active: ActiveState::Active, active_since, inactive_since, ..UnitState::default() }
    }

    #[test]
    fn only_an_outage_that_the_server_lived_through_is_one() {
        let minute = 60_000_000;
        for (learning, server, seen, found) in [
            // It went down and came back.
            (unit(20, 15), unit(10, 0), 0, Some(20)),
            // That was seen to already.
            (unit(20, 15), unit(10, 0), 20, None),
            (unit(40, 35), unit(10, 0), 20, Some(40)),
            // Both started at a boot.
            (unit(12, 0), unit(10, 0), 0, None),
            // Both were stopped and started again, immich-ml a little later.
            (unit(20, 5), unit(18, 5), 0, None),
            // The server was restarted while it was down, long before it came back.
            (unit(20 + 2 * minute, 5), unit(18, 6), 0, Some(20 + 2 * minute)),
        ] {
            assert_eq!(came_back(&learning, &server, seen), found, "{learning:?} {server:?}");
        }
        let down = UnitState { active: ActiveState::Activating, ..unit(20, 25) };
        assert_eq!(came_back(&down, &unit(10, 0), 0), None);
        let stopped = UnitState { active: ActiveState::Inactive, ..unit(10, 30) };
        assert_eq!(came_back(&unit(20, 15), &stopped, 0), None);
    }
}
