//! The journal of one operation: open before the first change, closed after the last.
//!
//! An operation that finds nothing to do leaves no trace. One that fails after it stopped the stack
//! stays open, so that the next run knows that it was not the operator who stopped it.

use std::time::Instant;

use jiff::Timestamp;

use crate::model::Root;
use crate::record::{Entry, History, Outcome, Pending, RecordError, StepRecord};

/// An operation under the lock.
#[derive(Debug)]
pub struct Operation<'a> {
    root: &'a Root,
    command: String,
    open: Option<Pending>,
    resumed: Option<u64>,
    stack_was_stopped: bool,
}

impl<'a> Operation<'a> {
    /// Begins; an operation that was interrupted is entered into the history as such.
    pub fn begin(root: &'a Root, command: &str) -> Result<Self, RecordError> {
        let before = Pending::read(root)?;
        let resumed = before.as_ref().map(|pending| pending.id);
        let stack_was_stopped = before.as_ref().is_some_and(|pending| pending.stack_was_stopped);
        if let Some(pending) = before {
            History::new(root).append(&entry(&pending, Outcome::Interrupted, None))?;
            if !stack_was_stopped {
                Pending::remove(root)?;
            }
        }
        Ok(Self { root, command: command.to_owned(), open: None, resumed, stack_was_stopped })
    }

    /// The interrupted operation that this one goes on from; told once.
    pub const fn take_resumed(&mut self) -> Option<u64> {
        self.resumed.take()
    }

    /// The operation's number, once it has one.
    pub fn id(&self) -> u64 {
        self.open.as_ref().map_or(0, |pending| pending.id)
    }

    /// Writes down that `step` begins, before anything is done for it.
    pub fn step(&mut self, step: &str, reason: &str, stops_stack: bool) -> Result<Instant, RecordError> {
        let mut pending = match self.open.take() {
            Some(pending) => pending,
            None => Pending {
                schema: 0,
                id: History::new(self.root).next_id()?,
                command: self.command.clone(),
                started: Timestamp::now(),
                agent: env!("CARGO_PKG_VERSION").to_owned(),
                stack_was_stopped: self.stack_was_stopped,
                steps: Vec::new(),
            },
        };
        pending.stack_was_stopped |= stops_stack;
        pending.steps.push(StepRecord { step: step.to_owned(), reason: reason.to_owned(), took_ms: None });
        pending.write(self.root)?;
        self.open = Some(pending);
        Ok(Instant::now())
    }

    /// The last step ended. Written with the next one: until then it may run again, as every step may.
    pub fn step_done(&mut self, begun: Instant) {
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(last) = self.open.as_mut().and_then(|pending| pending.steps.last_mut()) {
            last.took_ms = Some(took);
        }
    }

    /// The stack that this operation, or one before it, had stopped is up again.
    pub fn stack_started(&mut self) -> Result<(), RecordError> {
        self.stack_was_stopped = false;
        match self.open.as_mut().filter(|pending| pending.stack_was_stopped) {
            Some(pending) => {
                pending.stack_was_stopped = false;
                pending.write(self.root)
            }
            None => Ok(()),
        }
    }

    /// Closes the journal, history first. Returns the number and the steps, none if nothing was done.
    pub fn finish(
        self,
        outcome: Outcome,
        generation: Option<u32>,
    ) -> Result<(Option<u64>, Vec<StepRecord>), RecordError> {
        let done = outcome == Outcome::Done;
        let Some(pending) = self.open else {
            if done {
                Pending::remove(self.root)?;
            }
            return Ok((None, Vec::new()));
        };
        History::new(self.root).append(&entry(&pending, outcome, generation))?;
        if done || !pending.stack_was_stopped {
            Pending::remove(self.root)?;
        }
        Ok((Some(pending.id), pending.steps))
    }
}

fn entry(pending: &Pending, outcome: Outcome, generation: Option<u32>) -> Entry {
    Entry {
        schema: 0,
        id: pending.id,
        command: pending.command.clone(),
        started: pending.started,
        finished: Timestamp::now(),
        outcome,
        steps: pending.steps.clone(),
        generation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        (folder, root)
    }

    #[test]
    fn nothing_done_leaves_no_trace() {
        let (folder, root) = root();
        Operation::begin(&root, "apply").unwrap().finish(Outcome::Done, Some(1)).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_interrupted_operation_is_told_once_and_entered_once() {
        let (_folder, root) = root();
        let mut first = Operation::begin(&root, "apply").unwrap();
        let begun = first.step("make a", "missing", false).unwrap();
        first.step_done(begun);
        first.step("make b", "missing", false).unwrap();
        drop(first);
        for resumed in [Some(1), None] {
            let mut next = Operation::begin(&root, "apply").unwrap();
            assert_eq!(next.take_resumed(), resumed);
        }
        let entries = History::new(&root).entries().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].outcome, Outcome::Interrupted);
        assert!(entries[0].steps[0].took_ms.is_some());
        assert!(entries[0].steps[1].took_ms.is_none());
    }

    #[test]
    fn a_stack_that_was_started_again_is_not_to_be_started_once_more() {
        let (_folder, root) = root();
        let mut operation = Operation::begin(&root, "apply").unwrap();
        operation.step("stop the stack", "", true).unwrap();
        operation.step("start", "", false).unwrap();
        operation.stack_started().unwrap();
        assert!(!Pending::read(&root).unwrap().unwrap().stack_was_stopped);
        operation.finish(Outcome::Failed("later".to_owned()), None).unwrap();
        assert_eq!(Pending::read(&root).unwrap(), None);
    }

    #[test]
    fn a_stack_that_was_stopped_is_remembered_until_an_operation_succeeds() {
        let (_folder, root) = root();
        let mut first = Operation::begin(&root, "apply").unwrap();
        first.step("stop the stack", "", true).unwrap();
        first.finish(Outcome::Failed("no".to_owned()), None).unwrap();
        assert!(Pending::read(&root).unwrap().unwrap().stack_was_stopped);
        let mut second = Operation::begin(&root, "apply").unwrap();
        second.step("start", "", false).unwrap();
        drop(second);
        assert!(Pending::read(&root).unwrap().unwrap().stack_was_stopped);
        Operation::begin(&root, "apply").unwrap().finish(Outcome::Done, None).unwrap();
        assert_eq!(Pending::read(&root).unwrap(), None);
    }
}
