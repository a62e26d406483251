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
mod tests;
