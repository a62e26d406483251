//! What is open, held and written down after which steps.

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
