//! The way from one release to another: fewest hops, over the newest stones.

use std::collections::BTreeMap;

use crate::catalogue::Entry;
use crate::model::Release;

use super::Because;

/// A release that may be stepped on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub release: Release,
    /// The oldest release from which it may be entered.
    pub from: Option<Release>,
}

impl Node {
    pub fn of(entry: &Entry) -> Self {
        Self { release: entry.release.clone(), from: entry.from.clone() }
    }
}

/// A hop, and why it is not left out. The last one's reason is the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub release: Release,
    pub because: Because,
}

/// The last release of each major.
type Lasts<'a> = BTreeMap<u64, &'a Release>;

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gap {
    /// `release` has to be entered from `from` on, and nothing that can be reached is as new.
    Gate { release: Release, from: Release },
    /// There is no release between two majors that are not neighbours.
    Majors { from: u64, to: u64 },
}

/// The way to `target` over `stones`, which are newer than `runs` and in rising order. One major at a time, the last release of
/// each; and no gate is jumped.
pub(super) fn path(runs: &Release, target: &Node, stones: &[Node]) -> Result<Vec<Step>, Gap> {
    let mut nodes: Vec<&Node> = stones.iter().filter(|stone| stone.release < target.release).collect();
    nodes.push(target);
    // The last of each major. The nodes are in rising order, so that it is the one that stays.
    let last: Lasts<'_> = nodes.iter().map(|node| (node.release.major(), &node.release)).collect();
    // Of each node: how many hops it takes, and over which one it is entered last (none: from what runs).
    let mut ways: Vec<Option<(usize, Option<usize>)>> = Vec::with_capacity(nodes.len());
    for node in &nodes {
        let direct = may_step(runs, node, &last).then_some((1, None));
        let before = ways.iter().zip(&nodes).enumerate().filter_map(|(at, (way, before))| {
            let (hops, _) = way.as_ref()?;
            may_step(&before.release, node, &last).then_some((hops + 1, Some(at)))
        });
        // Of those with as few hops the newest, which is the last.
        let best = direct.into_iter().chain(before).min_by_key(|(hops, over)| (*hops, std::cmp::Reverse(*over)));
        ways.push(best);
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut at = nodes.len().checked_sub(1);
    while let Some((node, way)) = at.and_then(|at| Some((nodes.get(at)?, ways.get(at)?))) {
        let Some((_, over)) = way else { return Err(gap(runs, &nodes, &ways)) };
        let because = because(&node.release, steps.last(), &nodes);
        steps.push(Step { release: node.release.clone(), because });
        at = *over;
    }
    steps.reverse();
    Ok(steps)
}

fn may_step(from: &Release, to: &Node, last: &Lasts<'_>) -> bool {
    if to.from.as_ref().is_some_and(|oldest| from < oldest) {
        return false;
    }
    let is_last = || last.get(&from.major()).is_none_or(|last| *last <= from);
    to.release.major() == from.major() || (to.release.major() == from.major() + 1 && is_last())
}

/// Why a stone is stepped on, by what comes after it.
fn because(stone: &Release, next: Option<&Step>, nodes: &[&Node]) -> Because {
    let next = next.and_then(|step| nodes.iter().find(|node| node.release == step.release));
    match next {
        Some(Node { release, from: Some(from) }) if release.major() == stone.major() => {
            Because::Gate { release: release.clone(), from: from.clone() }
        }
        _ => Because::LastOf { major: stone.major() },
    }
}

/// The first thing in the way of whoever has got as far as can be got.
fn gap(runs: &Release, nodes: &[&Node], ways: &[Option<(usize, Option<usize>)>]) -> Gap {
    let reached = nodes.iter().zip(ways).filter(|(_, way)| way.is_some()).map(|(node, _)| &node.release);
    let farthest = reached.max().unwrap_or(runs);
    let blocked = nodes.iter().zip(ways).filter(|(node, way)| way.is_none() && node.release > *farthest);
    let gates = blocked.clone().find_map(|(node, _)| {
        let from = node.from.clone().filter(|from| farthest < from && node.release.major() <= farthest.major() + 1)?;
        Some(Gap::Gate { release: node.release.clone(), from })
    });
    let to = blocked.map(|(node, _)| node.release.major()).next().unwrap_or_default();
    gates.unwrap_or(Gap::Majors { from: farthest.major(), to })
}
