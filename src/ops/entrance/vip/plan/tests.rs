//! What stands against a move, and which steps it has.

use super::super::probe::Viewer;
use super::*;
use serde_json::json;

fn ready(host: &str, priority: u8) -> Balancer {
    Balancer {
        host: host.to_owned(),
        flag: "0".to_owned(),
        keepalived: "active".to_owned(),
        haproxy: "active".to_owned(),
        check: Some(0),
        priority: Some(priority),
        state: Some("BACKUP".to_owned()),
        ..Balancer::default()
    }
}

/// lb1 has it, lb2 and lb3 could, and two others see that.
fn whole() -> VipSnapshot {
    let mut one = ready("lb1", 254);
    one.holds = true;
    one.mac = Some("5a:01".to_owned());
    let viewer = |host: &str| Viewer {
        host: host.to_owned(),
        mac: Some("5a:01".to_owned()),
        answer: Ok(200),
    };
    VipSnapshot {
        address: "192.0.2.10".to_owned(),
        balancers: vec![one, ready("lb2", 244), ready("lb3", 234)],
        strays: Vec::new(),
        viewers: vec![viewer("app1"), viewer("db1")],
        operations: Vec::new(),
        lost: Vec::new(),
    }
}

fn to(host: &str) -> MoveOptions {
    MoveOptions {
        to: Some(host.to_owned()),
        keep: false,
    }
}

#[test]
fn the_next_one_is_the_ready_one_of_the_highest_priority() {
    let moving = |plan| match plan {
        Ok(MovePlan::Move(moving)) => moving,
        other => panic!("{other:?}"),
    };
    let mut seen = whole();
    assert_eq!(seen.objection("lb1"), None);
    let found = moving(plan(&seen, &MoveOptions::default()));
    assert_eq!(
        (found.to.as_str(), &found.aside[..]),
        ("lb2", &["lb3".to_owned()][..])
    );
    seen.balancers[1].check = Some(1);
    assert_eq!(moving(plan(&seen, &MoveOptions::default())).to, "lb3");
    let found = moving(plan(&whole(), &to("lb3")));
    assert_eq!(
        (found.to.as_str(), &found.aside[..]),
        ("lb3", &["lb2".to_owned()][..])
    );
    assert_eq!(
        plan(&whole(), &to("lb1")),
        Ok(MovePlan::Nothing("lb1".to_owned()))
    );
}

#[test]
fn everything_that_stands_against_it_is_said_at_once() {
    type Change = fn(&mut VipSnapshot);
    let cases: &[(&str, Change, &[&str])] = &[
        (
            "keepalived",
            |l| l.balancers[1].keepalived = "inactive".into(),
            &["lb2: it cannot take 192.0.2.10: keepalived does not run there (inactive)"],
        ),
        (
            "haproxy and check",
            |l| {
                l.balancers[1].haproxy = "failed".into();
                l.balancers[1].check = Some(1);
            },
            &[
                "lb2: it cannot take 192.0.2.10: HAProxy does not run there (failed)",
                "lb2: it cannot take 192.0.2.10: keepalived's check of HAProxy fails there (exit code 1)",
            ],
        ),
        (
            "flag",
            |l| l.balancers[1].flag = "1".into(),
            &["lb2: it cannot take 192.0.2.10: its flag /etc/keepalived/maintenance is 1, not 0"],
        ),
        (
            "fault",
            |l| l.balancers[1].state = Some("FAULT".into()),
            &["lb2: it cannot take 192.0.2.10: keepalived noted a fault there and no end of it"],
        ),
        (
            "two",
            |l| l.balancers[2].holds = true,
            &["192.0.2.10 is on lb1 and lb3: one holder is needed"],
        ),
        (
            "none",
            |l| l.balancers[0].holds = false,
            &["no host has 192.0.2.10: there is nothing to move"],
        ),
        (
            "stray",
            |l| {
                l.balancers[0].holds = false;
                l.strays.push("db1".into());
            },
            &["192.0.2.10 is on db1, which is no load balancer"],
        ),
        (
            "answer",
            |l| l.viewers[1].answer = Err("connection refused".into()),
            &["db1: 192.0.2.10 gives no answer there: connection refused"],
        ),
        (
            "neighbour",
            |l| l.viewers[0].mac = Some("5a:99".into()),
            &["app1: 192.0.2.10 is found at 5a:99 there, while lb1 has it"],
        ),
        (
            "operation",
            |l| {
                l.operations.push((
                    "db1".into(),
                    json!({"kind": "failover", "operator": "ann@desk, since now"}),
                ))
            },
            &["db1: an operation is unfinished here: failover (ann@desk, since now)"],
        ),
        (
            "unheeded",
            |l| l.balancers[0].flag = "1".into(),
            &["lb1: its flag /etc/keepalived/maintenance is 1, and still it has 192.0.2.10"],
        ),
        (
            "dead holder",
            |l| l.balancers[0].keepalived = "inactive".into(),
            &[
                "lb1: it has 192.0.2.10 but keepalived does not run there (inactive): the flag would move nothing",
            ],
        ),
    ];
    for (name, change, expected) in cases {
        let mut seen = whole();
        change(&mut seen);
        let errors = plan(&seen, &to("lb2")).expect_err(name);
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        for text in *expected {
            assert!(said.iter().any(|line| line == text), "{name}: {said:#?}");
        }
        assert!(errors.iter().all(|e| e.code == exit::REFUSED), "{name}");
    }
    let mut seen = whole();
    let together = [
        "keepalived",
        "haproxy and check",
        "flag",
        "answer",
        "neighbour",
        "operation",
    ];
    for (_, change, _) in cases.iter().filter(|(name, ..)| together.contains(name)) {
        change(&mut seen);
    }
    assert_eq!(plan(&seen, &to("lb2")).expect_err("much").len(), 7);
    let mut seen = whole();
    seen.balancers[1].lost = Some("no route".to_owned());
    seen.lost
        .push(("lb2".to_owned(), Diagnostic::new("no route")));
    for options in [to("lb2"), to("lb3"), MoveOptions::default()] {
        let errors = plan(&seen, &options).expect_err("unreachable");
        assert!(
            errors.iter().any(|e| e.code == exit::UNREACHABLE),
            "{errors:?}"
        );
    }
    assert_eq!(
        plan(&whole(), &to("db1")).expect_err("unknown")[0].code,
        exit::USAGE
    );
}

#[test]
fn a_move_that_was_broken_off_is_told_from_other_operations() {
    let mut seen = whole();
    assert_eq!(seen.interrupted(), None);
    seen.operations.push((
        "lb1".to_owned(),
        json!({"kind": KIND, "details": {"to": "lb2"}, "operator": "ann@desk, since then"}),
    ));
    let found = seen.interrupted().expect("one");
    assert_eq!(found.hosts, ["lb1"]);
    assert_eq!(found.to.as_deref(), Some("lb2"));
    assert_eq!(found.by, "ann@desk, since then");
    assert!(plan(&seen, &to("lb2")).is_ok());
}

#[test]
fn the_plan_names_every_command() {
    let Ok(MovePlan::Move(moving)) = plan(&whole(), &to("lb2")) else {
        panic!("a move");
    };
    let steps = moving.steps("192.0.2.10", false);
    let commands: Vec<(&str, &str)> = steps
        .iter()
        .map(|s| (s.host.as_str(), s.command.as_str()))
        .collect();
    assert_eq!(
        commands,
        [
            ("lb3", "echo 1 >/etc/keepalived/maintenance"),
            ("lb1", "echo 1 >/etc/keepalived/maintenance"),
            ("lb2", ""),
            ("lb3", "echo 0 >/etc/keepalived/maintenance"),
            ("lb1", "echo 0 >/etc/keepalived/maintenance"),
            ("lb2", "")
        ]
    );
    assert_eq!(moving.steps("192.0.2.10", true).len(), 5);
}
