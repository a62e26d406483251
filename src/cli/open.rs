//! An operation that was begun and not ended, as `status`, `plan` and `doctor` tell of it.

use crate::apply;
use crate::host::lock;
use crate::model::Root;
use crate::record::{Pending, RecordError};

/// What finishes it.
pub(super) const REMEDY: &str = "photos-agent apply";

/// What is begun, and who is at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    /// Number of the open operation.
    pub(super) operation: Option<u64>,
    /// Who is changing the host right now.
    pub(super) busy: Option<String>,
}

impl Open {
    /// The operation that nobody is at work on. Services may be waiting for its end.
    pub(super) const fn left(&self) -> Option<u64> {
        if self.busy.is_some() { None } else { self.operation }
    }
}

pub(super) fn look(root: &Root) -> Result<Open, RecordError> {
    let read = || Pending::read(root).map(|open| open.map(|open| open.id));
    let operation = read()?;
    let busy = lock::holder(&root.join(apply::LOCK));
    // One that ended between the two looks was not left.
    let operation = if busy.is_none() && read()? != operation { None } else { operation };
    Ok(Open { operation, busy })
}

/// In words.
pub(super) fn why(operation: u64) -> String {
    format!("operation {operation} was begun and did not end; until it is finished, services may not start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_left_where_nobody_is_at_work() {
        let left = |operation, busy: Option<&str>| Open { operation, busy: busy.map(str::to_owned) }.left();
        assert_eq!(left(None, None), None);
        assert_eq!(left(Some(7), None), Some(7));
        assert_eq!(left(Some(7), Some("photos-agent apply")), None);
    }
}
