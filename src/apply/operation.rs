//! The journal of one operation: open before the first change, closed after the last.
//!
//! An operation that finds nothing to do leaves no trace. What must not meet a starting service is done
//! behind the closed gate, and one that fails there stays open: the next run, or the next boot, takes
//! it up before any service starts.

use std::time::Instant;

use jiff::Timestamp;

use crate::apply::gate;
use crate::model::{Restore, Root, Upgrade};
use crate::plan::{Gate, Step};
use crate::record::{Entry, History, Outcome, Pending, RecordError, StepRecord};

/// An operation under the lock.
#[derive(Debug)]
pub struct Operation<'a> {
    root: &'a Root,
    command: String,
    open: Option<Pending>,
    resumed: Option<u64>,
    stack_was_stopped: bool,
    /// Whether something is half-done that no service may meet, and whether it was before the last step.
    held: (bool, bool),
    /// What goes back, from the moment that it was begun until this operation ends.
    restore: Option<Restore>,
    /// From what to what it goes, from the moment that the stack was to stop for it until it is whole or undone.
    upgrade: Option<Upgrade>,
    /// Whether it is, or was, an upgrade.
    upgraded: bool,
}

impl<'a> Operation<'a> {
    /// Begins; an operation that was interrupted is entered into the history as such. A restore or an upgrade that was
    /// interrupted comes before anything else.
    pub fn begin(root: &'a Root, command: &str) -> Result<Self, RecordError> {
        match Pending::read(root)? {
            Some(Pending { id, upgrade: Some(_), .. }) => Err(RecordError::Upgrading(id)),
            Some(Pending { id, restore: Some(_), .. }) => Err(RecordError::Restoring(id)),
            _ => Self::take_up(root, command),
        }
    }

    /// The same, by whoever finishes it first.
    pub(super) fn take_up(root: &'a Root, command: &str) -> Result<Self, RecordError> {
        let before = Pending::read(root)?;
        let resumed = before.as_ref().map(|pending| pending.id);
        let stack_was_stopped = before.as_ref().is_some_and(|pending| pending.stack_was_stopped);
        let held = before.as_ref().is_some_and(|pending| pending.holds);
        let restore = before.as_ref().and_then(|pending| pending.restore.clone());
        let upgrade = before.as_ref().and_then(|pending| pending.upgrade.clone());
        if let Some(pending) = before {
            // First: services must not wait for what the history has to say.
            if !held {
                gate::open(root)?;
            }
            // Its journal stays until this one has its own: a fault in between must not make it forgotten.
            History::new(root).append(&entry(&pending, Outcome::Interrupted, None))?;
        }
        let command = command.to_owned();
        Ok(Self {
            root,
            command,
            open: None,
            resumed,
            stack_was_stopped,
            held: (held, held),
            restore,
            upgraded: upgrade.is_some(),
            upgrade,
        })
    }

    /// The interrupted operation that this one goes on from; told once.
    pub const fn take_resumed(&mut self) -> Option<u64> {
        self.resumed.take()
    }

    /// The command.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The operation's number, once it has one.
    pub fn id(&self) -> u64 {
        self.open.as_ref().map_or(0, |pending| pending.id)
    }

    /// Writes down that `step` begins, before anything is done for it, and opens or closes the gate.
    pub fn step(&mut self, step: &Step, reason: &str) -> Result<Instant, RecordError> {
        let stops = *step == Step::StopStack { resume: true };
        self.begin_step(step.to_string(), reason, step.gate(), stops)
    }

    /// The same for what is no step of a plan.
    pub fn begin_step(
        &mut self,
        step: String,
        reason: &str,
        gate: Gate,
        stops_stack: bool,
    ) -> Result<Instant, RecordError> {
        let held = match gate {
            Gate::Starts { .. } => false,
            Gate::Open => self.held.0,
            Gate::Closed => true,
        };
        let pending = match self.open.take() {
            Some(pending) => pending,
            None => self.number()?,
        };
        // It stays open although it cannot be written down: what was done before is not forgotten for that.
        let pending = self.open.insert(pending);
        pending.stack_was_stopped |= stops_stack;
        pending.holds = held || gate == Gate::Starts { first: true };
        pending.steps.push(StepRecord { step, reason: reason.to_owned(), took_ms: None });
        // Never a journal without the file that keeps the gate open: a service that dies meanwhile must come back.
        if !held {
            gate::open(self.root)?;
        }
        pending.write(self.root)?;
        if held {
            gate::close(self.root)?;
        }
        // Only now: of a step that could not be written down nothing was done.
        self.held = (held, self.held.0);
        Ok(Instant::now())
    }

    fn number(&self) -> Result<Pending, RecordError> {
        Ok(Pending {
            schema: 0,
            id: History::new(self.root).next_id()?,
            command: self.command.clone(),
            started: Timestamp::now(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            stack_was_stopped: self.stack_was_stopped,
            holds: self.held.0,
            restore: self.restore.clone(),
            upgrade: self.upgrade.clone(),
            steps: Vec::new(),
        })
    }

    /// The restore that this operation is, or that it took over from the one before.
    pub const fn restore(&self) -> Option<&Restore> {
        self.restore.as_ref()
    }

    /// It is a restore from its next step on: written down with that one. Trees that are replaced are kept under its number.
    pub fn begin_restore(&mut self, restore: Restore) -> Result<(), RecordError> {
        let mut pending = match self.open.take() {
            Some(pending) => pending,
            None => self.number()?,
        };
        let restore = Restore { operation: pending.id, ..restore };
        pending.restore = Some(restore.clone());
        self.open = Some(pending);
        self.restore = Some(restore);
        Ok(())
    }

    /// The upgrade that this operation is, or that it took over from the one before.
    pub const fn upgrade(&self) -> Option<&Upgrade> {
        self.upgrade.as_ref()
    }

    /// Whether it goes by a configuration of its own, whatever the files say.
    pub const fn is_of_its_own(&self) -> bool {
        self.restore.is_some() || self.upgraded
    }

    /// How far an upgrade is from its next step on: written down with that one. None: it is over.
    pub fn set_upgrade(&mut self, upgrade: Option<Upgrade>) -> Result<(), RecordError> {
        let pending = match self.open.take() {
            Some(pending) => pending,
            None => self.number()?,
        };
        let upgrade = upgrade.map(|upgrade| match upgrade.operation {
            0 => Upgrade { operation: pending.id, ..upgrade },
            _ => upgrade,
        });
        self.upgraded |= upgrade.is_some();
        self.open = Some(Pending { upgrade: upgrade.clone(), ..pending });
        self.upgrade = upgrade;
        Ok(())
    }

    /// Nothing is left of the restore: written down with the next step, until which it may be undone again.
    pub fn restore_undone(&mut self) {
        self.restore = None;
        if let Some(pending) = &mut self.open {
            pending.restore = None;
        }
    }

    /// Whether services may start now.
    pub const fn lets_services_start(&self) -> bool {
        !self.held.0
    }

    /// The last step ended. Written with the next one: until then it may run again, as every step may.
    pub fn step_done(&mut self, begun: Instant) {
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(last) = self.open.as_mut().and_then(|pending| pending.steps.last_mut()) {
            last.took_ms = Some(took);
        }
    }

    /// The last step failed and was undone: nothing of it is left that a service could meet.
    pub const fn step_undone(&mut self) {
        self.held.0 = self.held.1;
    }

    /// The host is as it should be, the stack with it, whatever becomes of the records of it.
    pub fn settled(&mut self) {
        self.held.0 = false;
        self.stack_was_stopped = false;
        if let Some(pending) = &mut self.open {
            pending.stack_was_stopped = false;
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

    fn stack_was_stopped(&self) -> bool {
        self.open.as_ref().map_or(self.stack_was_stopped, |pending| pending.stack_was_stopped)
    }

    /// Closes the journal, history first. Returns the number and the steps, none if nothing was done.
    pub fn finish(
        self,
        outcome: Outcome,
        generation: Option<u32>,
    ) -> Result<(Option<u64>, Vec<StepRecord>), RecordError> {
        let done = outcome == Outcome::Done;
        if let Some(pending) = &self.open {
            History::new(self.root).append(&entry(pending, outcome, generation))?;
        }
        // A stack that is still down by our hand would be taken for the operator's.
        if done || !(self.held.0 || self.stack_was_stopped() || self.upgrade.is_some()) {
            Pending::remove(self.root)?;
        }
        gate::close(self.root)?;
        Ok(self.open.map_or((None, Vec::new()), |pending| (Some(pending.id), pending.steps)))
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
    use crate::model::layout::{RESOLVING, STATE};

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        (folder, root)
    }

    fn start() -> Step {
        Step::Start { units: Vec::new(), first: Vec::new() }
    }

    const STOP: Step = Step::StopStack { resume: true };

    /// Whether a service could start now, by the conditions of its unit.
    fn lets(root: &Root) -> bool {
        Pending::read(root).unwrap().is_none() || root.join(RESOLVING).exists()
    }

    /// Whether it could after a boot.
    fn holds(root: &Root) -> bool {
        Pending::read(root).unwrap().is_some_and(|pending| pending.holds)
    }

    #[test]
    fn nothing_done_leaves_no_trace() {
        let (_folder, root) = root();
        Operation::begin(&root, "apply").unwrap().finish(Outcome::Done, Some(1)).unwrap();
        assert_eq!(Pending::read(&root).unwrap(), None);
        assert!(!root.join(RESOLVING).exists());
        assert_eq!(History::new(&root).entries().unwrap(), []);
    }

    #[test]
    fn an_interrupted_operation_is_told_until_another_is_open_and_entered_once() {
        let (_folder, root) = root();
        let mut first = Operation::begin(&root, "apply").unwrap();
        let begun = first.step(&Step::AllowForwarding, "missing").unwrap();
        first.step_done(begun);
        first.step(&Step::Reload, "missing").unwrap();
        drop(first);
        for resumed in [Some(1), Some(1)] {
            let mut next = Operation::begin(&root, "apply").unwrap();
            assert_eq!(next.take_resumed(), resumed);
            assert_eq!(next.take_resumed(), None);
        }
        let entries = History::new(&root).entries().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].outcome, Outcome::Interrupted);
        assert!(entries[0].steps[0].took_ms.is_some());
        assert!(entries[0].steps[1].took_ms.is_none());
        Operation::begin(&root, "apply").unwrap().finish(Outcome::Done, None).unwrap();
        assert_eq!(Operation::begin(&root, "apply").unwrap().take_resumed(), None);
    }

    #[test]
    fn a_stack_that_was_started_again_is_not_to_be_started_once_more() {
        let (_folder, root) = root();
        let mut operation = Operation::begin(&root, "apply").unwrap();
        operation.step(&STOP, "").unwrap();
        operation.step(&start(), "").unwrap();
        operation.stack_started().unwrap();
        assert!(!Pending::read(&root).unwrap().unwrap().stack_was_stopped);
        operation.finish(Outcome::Failed("later".to_owned()), None).unwrap();
        assert_eq!(Pending::read(&root).unwrap(), None);
    }

    #[test]
    fn a_stack_that_was_stopped_is_remembered_until_an_operation_succeeds() {
        let (_folder, root) = root();
        let mut first = Operation::begin(&root, "apply").unwrap();
        first.step(&STOP, "").unwrap();
        first.finish(Outcome::Failed("no".to_owned()), None).unwrap();
        assert!(Pending::read(&root).unwrap().unwrap().stack_was_stopped);
        let mut second = Operation::begin(&root, "apply").unwrap();
        second.step(&start(), "").unwrap();
        drop(second);
        assert!(Pending::read(&root).unwrap().unwrap().stack_was_stopped);
        Operation::begin(&root, "apply").unwrap().finish(Outcome::Done, None).unwrap();
        assert_eq!(Pending::read(&root).unwrap(), None);
    }

    #[test]
    fn a_stack_that_is_still_down_is_remembered_whatever_failed() {
        let (_folder, root) = root();
        let mut operation = Operation::begin(&root, "apply").unwrap();
        operation.step(&STOP, "").unwrap();
        operation.step(&Step::Restart { units: Vec::new() }, "").unwrap();
        operation.finish(Outcome::Failed("no".to_owned()), None).unwrap();
        assert!(Pending::read(&root).unwrap().unwrap().stack_was_stopped);
        Operation::begin(&root, "apply").unwrap().finish(Outcome::Failed("again".to_owned()), None).unwrap();
        assert!(Pending::read(&root).unwrap().is_some());
    }

    #[test]
    fn a_restore_that_failed_and_was_undone_whole_leaves_nothing_open() {
        for runs in [false, true] {
            let (_folder, root) = root();
            let mut operation = Operation::begin(&root, "photos-agent restore").unwrap();
            let snapshot = "20261121T144512Z".parse().unwrap();
            operation
                .begin_restore(Restore { snapshot, operation: 0, disks: Vec::new(), failed: false, stack: None })
                .unwrap();
            operation.begin_step("stop the stack".to_owned(), "", Gate::Closed, runs).unwrap();
            operation.begin_step("remove the clones".to_owned(), "", Gate::Closed, false).unwrap();
            operation.restore_undone();
            // No step follows where there is nothing to start.
            operation.settled();
            operation.finish(Outcome::Failed("no".to_owned()), None).unwrap();
            assert_eq!(Pending::read(&root).unwrap(), None, "the stack ran: {runs}");
            assert!(!root.join(RESOLVING).exists());
        }
    }

    #[test]
    fn a_stack_that_is_down_is_remembered_where_the_start_cannot_be_written_down() {
        let (_folder, root) = root();
        let mut operation = Operation::begin(&root, "apply").unwrap();
        operation.step(&STOP, "").unwrap();
        // Whatever the error is: here, the journal's folder is none.
        let (state, aside) = (root.join(STATE), root.join("/aside"));
        std::fs::rename(&state, &aside).unwrap();
        std::fs::write(&state, "").unwrap();
        operation.step(&start(), "").unwrap_err();
        std::fs::remove_file(&state).unwrap();
        std::fs::rename(&aside, &state).unwrap();
        operation.finish(Outcome::Failed("no".to_owned()), None).unwrap();
        assert!(Pending::read(&root).unwrap().unwrap().stack_was_stopped);
    }

    #[test]
    fn a_step_that_could_not_be_written_down_holds_nothing() {
        let (_folder, root) = root();
        let mut operation = Operation::begin(&root, "apply").unwrap();
        operation.step(&Step::Reload, "").unwrap();
        let (state, aside) = (root.join(STATE), root.join("/aside"));
        std::fs::rename(&state, &aside).unwrap();
        std::fs::write(&state, "").unwrap();
        operation.step(&Step::InstallFiles { files: Vec::new() }, "").unwrap_err();
        std::fs::remove_file(&state).unwrap();
        std::fs::rename(&aside, &state).unwrap();
        operation.finish(Outcome::Failed("no".to_owned()), None).unwrap();
        assert!(lets(&root), "a service that dies now comes back");
    }

    #[test]
    fn the_gate_is_closed_from_the_first_half_done_step_to_the_start() {
        let (_folder, root) = root();
        let mut operation = Operation::begin(&root, "apply").unwrap();
        operation.step(&Step::Reload, "").unwrap();
        assert!(lets(&root) && !holds(&root), "a service that dies meanwhile comes back");
        operation.step(&STOP, "").unwrap();
        assert!(!lets(&root) && holds(&root));
        operation.step(&Step::AllowForwarding, "").unwrap();
        assert!(!lets(&root) && holds(&root), "what came before it is still half-done");
        drop(operation);
        let mut next = Operation::begin(&root, "apply").unwrap();
        assert!(!next.lets_services_start());
        next.step(&Step::Reload, "").unwrap();
        assert!(!lets(&root) && holds(&root), "what the one before left is still half-done");
        next.step(&Step::Start { units: Vec::new(), first: vec![crate::model::Subvolume::Postgres] }, "").unwrap();
        assert!(lets(&root) && holds(&root), "a first start is not taken up by itself after a boot");
        next.step(&start(), "").unwrap();
        assert!(lets(&root) && !holds(&root));
        next.finish(Outcome::Done, None).unwrap();
        assert!(lets(&root) && !root.join(RESOLVING).exists());
    }

    #[test]
    fn a_restore_is_remembered_by_whoever_takes_it_up_until_it_is_whole_or_undone() {
        let (_folder, root) = root();
        let restore = Restore {
            snapshot: "20261121T144512Z".parse().unwrap(),
            operation: 0,
            disks: Vec::new(),
            failed: false,
            stack: None,
        };
        let mut first = Operation::begin(&root, "restore").unwrap();
        first.begin_restore(restore.clone()).unwrap();
        assert_eq!(Pending::read(&root).unwrap(), None, "not before its first step");
        first.step(&STOP, "").unwrap();
        drop(first);
        assert!(matches!(Operation::begin(&root, "another"), Err(RecordError::Restoring(1))));
        let mut second = Operation::take_up(&root, "apply").unwrap();
        assert_eq!(second.restore(), Some(&Restore { operation: 1, ..restore }));
        second.step(&Step::Reload, "").unwrap();
        let open = Pending::read(&root).unwrap().unwrap();
        assert_eq!((open.id, open.restore.map(|restore| restore.operation)), (2, Some(1)));
        assert!(open.holds && open.stack_was_stopped);
        second.finish(Outcome::Failed("no".to_owned()), None).unwrap();
        let mut third = Operation::take_up(&root, "apply").unwrap();
        assert!(third.restore().is_some());
        third.restore_undone();
        third.step(&start(), "").unwrap();
        assert_eq!(Pending::read(&root).unwrap().unwrap().restore, None);
    }

    #[test]
    fn a_journal_from_before_there_were_restores_is_read() {
        let (_folder, root) = root();
        Operation::begin(&root, "apply").unwrap().step(&Step::Reload, "").unwrap();
        let path = root.join(crate::model::layout::PENDING);
        assert!(!std::fs::read_to_string(&path).unwrap().contains("restore"));
        assert!(Pending::read(&root).unwrap().is_some());
    }

    #[test]
    fn a_harmless_interruption_lets_services_start_as_soon_as_it_is_taken_up() {
        let (_folder, root) = root();
        Operation::begin(&root, "apply").unwrap().step(&Step::Reload, "").unwrap();
        std::fs::remove_file(root.join(RESOLVING)).unwrap();
        assert!(!lets(&root), "after a boot");
        let next = Operation::begin(&root, "apply").unwrap();
        assert!(next.lets_services_start() && lets(&root));
        next.finish(Outcome::Failed("no".to_owned()), None).unwrap();
        assert!(lets(&root));
    }

    #[test]
    fn services_do_not_wait_for_the_history() {
        let (_folder, root) = root();
        Operation::begin(&root, "apply").unwrap().step(&Step::Reload, "").unwrap();
        std::fs::remove_file(root.join(RESOLVING)).unwrap();
        std::fs::create_dir(root.join(STATE).join("history.jsonl")).unwrap();
        Operation::begin(&root, "apply").unwrap_err();
        assert!(lets(&root));
    }

    #[test]
    fn what_failed_and_was_undone_holds_nothing() {
        let (_folder, root) = root();
        for undone in [true, false] {
            let mut operation = Operation::begin(&root, "apply").unwrap();
            operation.step(&Step::InstallFiles { files: Vec::new() }, "").unwrap();
            if undone {
                operation.step_undone();
            }
            operation.finish(Outcome::Failed("no".to_owned()), None).unwrap();
            assert_eq!(lets(&root), undone);
        }
    }
}
