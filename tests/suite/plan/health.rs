//! What is well, what may become so, and what has failed: a change of one look each, and any later restart.

use std::collections::{BTreeMap, BTreeSet};

use photos_agent::model::{ActiveState, ContainerRun, Service, UnitState};
use photos_agent::plan::door::Doors;
use photos_agent::plan::health::{Expected, Sample, ServiceSample, Verdict, baseline, judge};
use proptest::prelude::*;

fn expected() -> Expected {
    let doors = Doors { ways: Vec::new(), shared: false };
    Expected { release: "v3.2.2".parse().unwrap(), checksum_failures: 1, doors }
}

fn unit(sample: &mut ServiceSample) -> &mut UnitState {
    sample.unit.as_mut().unwrap()
}

fn run(sample: &mut ServiceSample) -> &mut ContainerRun {
    sample.run.as_mut().unwrap().as_mut().unwrap()
}

fn of(sample: &mut Sample, service: Service) -> &mut ServiceSample {
    sample.services.get_mut(&service).unwrap()
}

/// All is as it should be.
fn well() -> Sample {
    let service = |service: Service| {
        let unit = UnitState {
            active: ActiveState::Active,
            sub: "running".to_owned(),
            result: "success".to_owned(),
            restarts: 2,
            ..UnitState::default()
        };
        let run = ContainerRun {
            id: format!("c0ffee{}", service.stem()),
            pid: 7,
            started: "2026-11-21T21:00:00Z".to_owned(),
            health: Some("healthy".to_owned()),
            networks: BTreeSet::new(),
        };
        (service, ServiceSample { unit: Ok(unit), run: Ok(Some(run)) })
    };
    Sample {
        services: Service::ALL.into_iter().map(service).collect::<BTreeMap<_, _>>(),
        server: Ok("v3.2.2".parse().unwrap()),
        doors_closed: Ok(true),
        checksum_failures: None,
    }
}

/// What is said of a look that differs like this from a first one that was well.
fn changed(change: impl FnOnce(&mut Sample)) -> Verdict {
    let mut now = well();
    change(&mut now);
    judge(Some(&well()), &now, &expected())
}

/// The same of the first look.
fn at_first(change: impl FnOnce(&mut Sample)) -> Verdict {
    let mut now = well();
    change(&mut now);
    judge(None, &now, &expected())
}

fn said(verdict: &Verdict) -> (&'static str, String) {
    let join = |reasons: &[photos_agent::plan::health::Reason]| {
        reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    match verdict {
        Verdict::Well => ("well", String::new()),
        Verdict::NotYet(reasons) => ("not yet", join(reasons)),
        Verdict::Failed(reasons) => ("failed", join(reasons)),
    }
}

#[test]
fn what_is_as_it_should_be_is_well() {
    assert_eq!(at_first(|_| ()), Verdict::Well);
    assert_eq!(changed(|_| ()), Verdict::Well);
    assert_eq!(changed(|now| now.checksum_failures = Some(Ok(1))), Verdict::Well, "no more than before");
    // What is masked is not among those that are looked at.
    assert_eq!(changed(|now| drop(now.services.remove(&Service::Ml))), Verdict::Well);
}

#[test]
fn what_may_still_become_well_is_waited_for() {
    type Change = fn(&mut Sample);
    let cases: [(&str, Change); 9] = [
        ("immich-ml.service is not known to be up: no bus", |now| of(now, Service::Ml).unit = Err("no bus".to_owned())),
        ("immich-ml.service is still starting", |now| {
            unit(of(now, Service::Ml)).active = ActiveState::Activating;
        }),
        ("immich-ml.service is not up", |now| unit(of(now, Service::Ml)).active = ActiveState::Inactive),
        ("immich-ml.service has a container that Podman does not tell of: busy", |now| {
            of(now, Service::Ml).run = Err("busy".to_owned());
        }),
        ("immich-ml.service has no container that runs", |now| of(now, Service::Ml).run = Ok(None)),
        ("immich-ml.service is not healthy yet", |now| {
            run(of(now, Service::Ml)).health = Some("starting".to_owned());
        }),
        ("immich-ml.service has no health check", |now| run(of(now, Service::Ml)).health = None),
        ("immich-server.service does not answer: refused", |now| now.server = Err("refused".to_owned())),
        ("immich-postgres.service does not tell of its checksums: late", |now| {
            now.checksum_failures = Some(Err("late".to_owned()));
        }),
    ];
    for (why, change) in cases {
        assert_eq!(said(&at_first(change)), ("not yet", why.to_owned()));
    }
    // Also of what has been well: a machine may be busy, and doors can be closed again.
    let cases: [(&str, Change); 4] = [
        ("immich-server.service does not answer: late", |now| now.server = Err("late".to_owned())),
        ("immich-redis.service is not healthy yet", |now| {
            run(of(now, Service::Redis)).health = Some("starting".to_owned());
        }),
        ("a door to the server is open", |now| now.doors_closed = Ok(false)),
        ("it is not known whether the doors to the server are closed: no", |now| {
            now.doors_closed = Err("no".to_owned());
        }),
    ];
    for (why, change) in cases {
        assert_eq!(said(&changed(change)), ("not yet", why.to_owned()));
    }
}

#[test]
fn what_does_not_become_well_has_failed() {
    type Change = fn(&mut Sample);
    let always: [(&str, Change); 5] = [
        ("immich-server.service is v3.2.1, and v3.2.2 was to be started", |now| {
            now.server = Ok("v3.2.1".parse().unwrap());
        }),
        ("immich-postgres.service has 2 damaged pages, and 1 before", |now| now.checksum_failures = Some(Ok(2))),
        ("immich-ml.service failed (exit-code)", |now| {
            *unit(of(now, Service::Ml)) = UnitState {
                active: ActiveState::Failed,
                result: "exit-code".to_owned(),
                restarts: 2,
                ..UnitState::default()
            };
        }),
        ("immich-ml.service ended by itself (timeout)", |now| {
            let (active, sub) = (ActiveState::Activating, "auto-restart".to_owned());
            *unit(of(now, Service::Ml)) =
                UnitState { active, sub, result: "timeout".to_owned(), restarts: 2, ..UnitState::default() };
        }),
        ("immich-ml.service is unhealthy", |now| run(of(now, Service::Ml)).health = Some("unhealthy".to_owned())),
    ];
    for (why, change) in always {
        assert_eq!(said(&at_first(change)), ("failed", why.to_owned()));
        assert_eq!(said(&changed(change)), ("failed", why.to_owned()));
    }
    let later: [(&str, Change); 6] = [
        ("immich-ml.service was up and is started again (success)", |now| {
            unit(of(now, Service::Ml)).active = ActiveState::Activating;
        }),
        ("immich-ml.service was up and is stopped (success)", |now| {
            unit(of(now, Service::Ml)).active = ActiveState::Inactive;
        }),
        ("immich-ml.service was restarted by systemd (1 times, the last run ended with success)", |now| {
            unit(of(now, Service::Ml)).restarts = 3;
        }),
        ("immich-ml.service has lost its container", |now| of(now, Service::Ml).run = Ok(None)),
        ("immich-ml.service has another container than at first: it was restarted", |now| {
            run(of(now, Service::Ml)).id = "another".to_owned();
        }),
        ("immich-ml.service has another container than at first: it was restarted", |now| {
            run(of(now, Service::Ml)).started = "later".to_owned();
        }),
    ];
    for (why, change) in later {
        assert_eq!(said(&changed(change)), ("failed", why.to_owned()));
    }
    // What can be waited for is left out: it is not why.
    let both = changed(|now| {
        now.server = Err("refused".to_owned());
        unit(of(now, Service::Server)).restarts = 3;
    });
    assert!(matches!(both, Verdict::Failed(reasons) if reasons.len() == 1));
}

#[test]
fn what_was_unknown_at_first_is_held_against_later_looks_once_it_is_known() {
    let mut starting = well();
    of(&mut starting, Service::Server).run = Ok(None);
    unit(of(&mut starting, Service::Server)).active = ActiveState::Activating;
    of(&mut starting, Service::Redis).unit = Err("no bus".to_owned());
    let first = baseline(None, &starting);
    assert_eq!(judge(Some(&first), &well(), &expected()), Verdict::Well);
    let first = baseline(Some(first), &well());
    for service in [Service::Server, Service::Redis] {
        let mut now = well();
        run(of(&mut now, service)).id = "another".to_owned();
        unit(of(&mut now, service)).restarts = 3;
        // What was known before does not give way to it.
        let same = baseline(Some(first.clone()), &now);
        assert_eq!(same, first);
        let verdict = judge(Some(&same), &now, &expected());
        assert!(matches!(verdict, Verdict::Failed(ref reasons) if reasons.len() == 2), "{verdict:?}");
    }
}

proptest! {
    /// Well once, and restarted later in whatever way: failed, whatever else is the matter by then, at every look from there on.
    #[test]
    fn a_restart_after_a_look_that_was_well_is_a_failure(
        service in prop::sample::select(&Service::ALL[..]),
        way in 0..4_u8,
        active in prop::sample::select(vec![ActiveState::Active, ActiveState::Activating, ActiveState::Inactive]),
        health in prop::sample::select(vec!["healthy", "starting", "unhealthy"]),
        answers: bool,
        closed: bool,
        looks in 1..4_usize,
    ) {
        let first = baseline(None, &well());
        prop_assert_eq!(judge(Some(&first), &well(), &expected()), Verdict::Well);
        let mut now = well();
        let sample = of(&mut now, service);
        run(sample).health = Some(health.to_owned());
        match way {
            0 => unit(sample).restarts += 1,
            1 => "another".clone_into(&mut run(sample).id),
            2 => "later".clone_into(&mut run(sample).started),
            _ => sample.run = Ok(None),
        }
        unit(sample).active = active;
        if !answers {
            now.server = Err("refused".to_owned());
        }
        now.doors_closed = Ok(closed);
        let mut first = first;
        for _ in 0..looks {
            prop_assert!(matches!(judge(Some(&first), &now, &expected()), Verdict::Failed(_)));
            first = baseline(Some(first), &now);
        }
    }
}
