//! Whether people reach the server, or are kept from it for no reason that is still there.

use super::Finding;
use crate::cli::open::{self, Open};
use crate::host::door::{self, DoorError};
use crate::model::Root;
use crate::observe::chain;

pub(super) fn doors(root: &Root) -> Finding {
    let Ok(open) = open::look(root) else { return Finding::unknown("the agent's records cannot be read") };
    judge(door::is_any_closed(root), &open)
}

fn judge(closed: Result<bool, DoorError>, open: &Open) -> Finding {
    match closed {
        Ok(false) => Finding::holds("open"),
        Ok(true) if open.operation.is_some() => Finding::holds("closed until the open operation is finished"),
        Ok(true) => Finding::fails(
            "closed, and no operation is open that they are closed for: nobody reaches the server",
            "photos-agent apply",
        ),
        Err(error) => Finding::unknown(chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::open::Begun;

    #[test]
    fn doors_are_closed_for_an_operation_and_for_nothing_else() {
        let open = |id: Option<u64>| Open { operation: id.map(|id| Begun { id, holds: true, remedy: "" }), busy: None };
        assert!(matches!(judge(Ok(false), &open(None)), Finding::Holds { .. }));
        assert!(matches!(judge(Ok(true), &open(Some(7))), Finding::Holds { .. }));
        assert!(
            matches!(judge(Ok(true), &open(None)), Finding::Fails { remedy, .. } if remedy.contains("photos-agent apply"))
        );
        assert!(matches!(judge(Err(DoorError::Gone), &open(None)), Finding::Unknown { .. }));
    }
}
