//! An operation that was begun and not ended, as `status`, `plan` and `doctor` tell of it.

use std::fmt;

use serde::Serialize;

use crate::apply;
use crate::host::lock;
use crate::model::Root;
use crate::record::{Generations, Pending, RecordError};

/// What is begun, and who is at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    /// The open operation.
    pub(super) operation: Option<Begun>,
    /// Who is changing the host right now.
    pub(super) busy: Option<String>,
}

/// An operation that was begun and not ended: to programs its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Begun {
    /// Its number.
    pub(super) id: u64,
    /// Whether services wait for its end.
    #[serde(skip)]
    pub(super) holds: bool,
    /// The command that finishes it.
    #[serde(skip)]
    pub(super) remedy: &'static str,
}

/// In words.
impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {} was begun and did not end", self.id)?;
        if self.holds { f.write_str("; until it is finished, services may not start") } else { Ok(()) }
    }
}

impl Open {
    /// The operation that nobody is at work on.
    pub(super) const fn left(&self) -> Option<Begun> {
        if self.busy.is_some() { None } else { self.operation }
    }
}

pub(super) fn look(root: &Root) -> Result<Open, RecordError> {
    // Without the generation nothing is known of a restore; what is wrong with it is told elsewhere.
    let last = Generations::new(root).last().unwrap_or_default();
    let begun = |open: Pending| Begun { id: open.id, holds: open.holds, remedy: open.remedy(last.as_ref()) };
    let read = || Pending::read(root).map(|open| open.map(begun));
    let operation = read()?;
    let busy = lock::holder(&root.join(apply::LOCK));
    // One that ended between the two looks was not left.
    let operation = if busy.is_none() && read()? != operation { None } else { operation };
    Ok(Open { operation, busy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_left_where_nobody_is_at_work() {
        let left = |operation, busy: Option<&str>| Open { operation, busy: busy.map(str::to_owned) }.left();
        let begun = Begun { id: 7, holds: true, remedy: "" };
        assert_eq!(left(None, None), None);
        assert_eq!(left(Some(begun), None), Some(begun));
        assert_eq!(left(Some(begun), Some("photos-agent apply")), None);
    }

    #[test]
    fn services_are_said_to_wait_only_where_they_do() {
        let says = |holds| Begun { id: 7, holds, remedy: "" }.to_string().contains("may not start");
        assert!(says(true) && !says(false));
    }
}
