//! What a look leads to. Pure: the plan has said what differs, here is only whether it is for the agent to mend now.

use std::collections::BTreeMap;

use crate::model::{ActiveState, UnitName, UnitState};
use crate::plan::{Plan, Planned, Step};

/// How long systemd is left alone with a unit that went down: the target upholds its services, and each waits a
/// little before it is started again.
const UPHELD_WITHIN: u64 = 30_000_000;

/// The step of taking up an operation that nobody works on any more.
const FINISH: &str = "finish the open operation";

/// What to do about a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing differs.
    Settled,
    /// Only units that systemd starts by itself, or will.
    Leave(Vec<UnitName>),
    /// A person must decide.
    Refused,
    /// These steps.
    Mend(Vec<String>),
}

/// What is known besides the plan.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// The states of the units.
    pub units: &'a BTreeMap<UnitName, UnitState>,
    /// What has to be up before each unit is started.
    pub needs: &'a BTreeMap<UnitName, Vec<UnitName>>,
    /// Whether an operation was begun and not ended.
    pub open: bool,
    /// Microseconds since 1970.
    pub now: u64,
}

/// Judges a plan.
pub(super) fn judge(plan: &Plan, moment: &Moment<'_>) -> Verdict {
    if !plan.refusals.is_empty() {
        return Verdict::Refused;
    }
    let mut steps = steps(plan);
    if moment.open {
        steps.push(FINISH.to_owned());
        return Verdict::Mend(steps);
    }
    if steps.is_empty() {
        return Verdict::Settled;
    }
    let left = plan.steps.iter().map(|planned| left_to_systemd(planned, moment)).collect::<Option<Vec<_>>>();
    left.map_or(Verdict::Mend(steps), |units| Verdict::Leave(units.concat()))
}

/// The steps in words that tell one repair from another: each file and each unit for itself, so that what is left
/// of a repair that failed half-way is known as a part of it.
pub(super) fn steps(plan: &Plan) -> Vec<String> {
    let each = |verb: &str, units: &[UnitName]| units.iter().map(|unit| format!("{verb} {unit}")).collect();
    let words = |planned: &Planned| match &planned.step {
        Step::InstallFiles { files } => files.iter().map(|file| format!("write {}", file.path)).collect(),
        Step::Start { units, .. } => each("start", units),
        Step::Restart { units } => each("restart", units),
        step => vec![step.to_string()],
    };
    plan.steps.iter().flat_map(words).collect()
}

fn left_to_systemd(planned: &Planned, moment: &Moment<'_>) -> Option<Vec<UnitName>> {
    let Step::Start { units, .. } = &planned.step else { return None };
    units.iter().all(|unit| is_systemds(unit, moment)).then(|| units.clone())
}

fn is_systemds(unit: &UnitName, moment: &Moment<'_>) -> bool {
    let Some(state) = moment.units.get(unit) else { return false };
    if state.job {
        return true;
    }
    match state.active {
        ActiveState::Active | ActiveState::Activating | ActiveState::Deactivating => true,
        ActiveState::Inactive | ActiveState::Failed => {
            let fresh = state.inactive_since > 0 && moment.now.saturating_sub(state.inactive_since) < UPHELD_WITHIN;
            fresh || waits(unit, moment)
        }
    }
}

/// Whether it is down because what it needs is: it comes back with that.
fn waits(unit: &UnitName, moment: &Moment<'_>) -> bool {
    let is_down = |need: &UnitName| moment.units.get(need).is_some_and(|state| state.active != ActiveState::Active);
    moment.needs.get(unit).is_some_and(|needs| needs.iter().any(|need| is_down(need) && is_systemds(need, moment)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Refusal;

    const NOW: u64 = 1_000_000_000;

    fn name(text: &str) -> UnitName {
        text.parse().unwrap()
    }

    fn start(units: &[&str]) -> Planned {
        Planned {
            step: Step::Start { units: units.iter().map(|unit| name(unit)).collect(), first: Vec::new() },
            reason: String::new(),
        }
    }

    fn unit(active: ActiveState, since: u64) -> UnitState {
        UnitState { active, inactive_since: since, ..UnitState::default() }
    }

    fn judged(steps: Vec<Planned>, units: &[(&str, UnitState)]) -> Verdict {
        let units = units.iter().map(|(unit, state)| (name(unit), state.clone())).collect();
        let needs = BTreeMap::from([(name("b.service"), vec![name("a.service")])]);
        let plan = Plan { steps, ..Plan::default() };
        judge(&plan, &Moment { units: &units, needs: &needs, open: false, now: NOW })
    }

    #[test]
    fn what_systemd_starts_by_itself_is_left_to_it() {
        use ActiveState::{Activating, Active, Deactivating, Failed, Inactive};
        let job = UnitState { job: true, ..unit(Inactive, 0) };
        let (just, long_ago) = (NOW - 5_000_000, NOW - 60_000_000);
        for (state, left) in [
            (unit(Activating, long_ago), true),
            (unit(Deactivating, long_ago), true),
            (unit(Active, long_ago), true),
            (job, true),
            (unit(Inactive, just), true),
            (unit(Failed, just), true),
            (unit(Inactive, long_ago), false),
            (unit(Failed, long_ago), false),
            (unit(Inactive, 0), false),
        ] {
            let units = [("a.service", state.clone())];
            let verdict = judged(vec![start(&["a.service"])], &units);
            let wanted = if left {
                Verdict::Leave(vec![name("a.service")])
            } else {
                Verdict::Mend(vec!["start a.service".into()])
            };
            assert_eq!(verdict, wanted, "{state:?}");
            // Something else to do, and it is all the agent's.
            let more = vec![Planned { step: Step::Reload, reason: String::new() }, start(&["a.service"])];
            assert_eq!(judged(more, &units), Verdict::Mend(vec!["reload systemd".into(), "start a.service".into()]));
        }
        assert!(matches!(judged(vec![start(&["unknown.service"])], &[]), Verdict::Mend(_)));
    }

    #[test]
    fn what_waits_for_another_comes_back_with_it() {
        use ActiveState::{Activating, Active, Inactive};
        for (database, left) in [(unit(Activating, 1), true), (unit(Active, 1), false), (unit(Inactive, 1), false)] {
            let units = [("a.service", database), ("b.service", unit(Inactive, 1))];
            let verdict = judged(vec![start(&["b.service"])], &units);
            assert_eq!(matches!(verdict, Verdict::Leave(_)), left, "{verdict:?}");
        }
    }

    #[test]
    fn a_refusal_stops_all_and_an_open_operation_is_finished() {
        let (units, needs) = (BTreeMap::new(), BTreeMap::new());
        let mut plan = Plan::default();
        let moment = |open| Moment { units: &units, needs: &needs, open, now: NOW };
        assert_eq!(judge(&plan, &moment(false)), Verdict::Settled);
        assert_eq!(judge(&plan, &moment(true)), Verdict::Mend(vec![FINISH.to_owned()]));
        plan.refusals.push(Refusal::new("a", "b", "c"));
        assert_eq!(judge(&plan, &moment(true)), Verdict::Refused);
    }
}
