//! A whole stack as the hosts describe it, one fault after the other put into it, and what the checks make of each.

mod backup;
mod boot;
mod common;
mod haproxy;
mod keepalived;
mod nfs;
mod ports;
mod postgresql;
mod stack;
mod welcome_app;

use stack::{ASKED, CSV, HOSTS, Roles, Stack, refused, server, site, turns};
pub(super) use stack::{said, web};

use super::check::{Check, Findings, Status};
use super::component::View;
use super::{COMPONENTS, Outcome, VerifyOptions};
use crate::base::exit;
use serde_json::json;

fn bad(findings: &Findings) -> Vec<String> {
    findings
        .all()
        .iter()
        .filter(|finding| finding.status != Status::Pass)
        .map(|finding| {
            let lost = if finding.lost.is_some() {
                "unreachable"
            } else {
                finding.status.word()
            };
            format!("{lost} {} {}", finding.check.id, finding.place)
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn code(findings: Findings, strict: bool) -> u8 {
    Outcome {
        findings,
        hosts: 6,
        looks: 1,
        seconds: 0.0,
        stopped: false,
    }
    .exit_code(strict)
}

#[test]
fn a_whole_stack_is_whole_and_every_check_was_made() {
    let findings = Stack::whole().judge();
    assert_eq!(bad(&findings), [""; 0]);
    // These are made by the trial.
    let tried = [
        "postgresql.marker",
        "welcome_app.upload",
        "welcome_app.images",
        "welcome_app.removed",
    ];
    let all: Vec<&Check> = COMPONENTS
        .iter()
        .flat_map(|component| component.checks())
        .copied()
        .collect();
    for check in &all {
        assert_eq!(
            findings.of(check.id).is_empty(),
            tried.contains(&check.id),
            "{}",
            check.id
        );
        assert_eq!(
            all.iter().filter(|other| other.id == check.id).count(),
            1,
            "{}",
            check.id
        );
        assert!(
            COMPONENTS
                .iter()
                .any(|component| component.name() == check.component()),
            "{}",
            check.id
        );
    }
    assert_eq!(code(findings, true), exit::DONE);
}

/// What is broken, how, and which checks say so.
type Case = (&'static str, fn(&mut Stack), &'static [&'static str]);

#[test]
fn every_fault_is_named() {
    let cases = [
        common::CASES,
        postgresql::CASES,
        welcome_app::CASES,
        haproxy::CASES,
        keepalived::CASES,
        ports::CASES,
        backup::CASES,
        nfs::CASES,
        boot::CASES,
    ];
    let mut wrong = Vec::new();
    for (name, fault, expected) in cases.into_iter().flatten() {
        let mut stack = Stack::whole();
        fault(&mut stack);
        let findings = stack.judge();
        if bad(&findings) != *expected {
            wrong.push(format!("{name}: {:#?}, not {expected:#?}", bad(&findings)));
            continue;
        }
        for finding in findings
            .all()
            .iter()
            .filter(|finding| finding.status != Status::Pass)
        {
            assert!(
                !finding.expected.is_empty()
                    && !finding.observed.is_empty()
                    && !finding.remedy.is_empty(),
                "{name}: {finding:?}"
            );
        }
        let warnings = expected.iter().all(|line| line.starts_with("warn"));
        assert_eq!(
            code(findings.clone(), false),
            if warnings { exit::DONE } else { exit::FAULTS },
            "{name}"
        );
        assert_eq!(
            code(findings, true),
            if expected.is_empty() {
                exit::DONE
            } else {
                exit::FAULTS
            },
            "{name}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_unreachable_host_never_passes() {
    for (host, _, groups) in HOSTS {
        let mut stack = Stack::whole();
        stack.lose(host);
        let findings = stack.judge();
        let on_it = findings
            .all()
            .iter()
            .filter(|finding| finding.place == *host);
        assert!(on_it.clone().count() > 8, "{host}");
        for finding in on_it {
            assert_eq!(
                (finding.status, finding.lost.as_deref()),
                (Status::Unknown, Some(*host)),
                "{}",
                finding.check.id
            );
        }
        // Each component of the host alone says so too.
        for component in groups.iter().chain(&["common"]) {
            // Components that are not named as their groups.
            let component = match *component {
                "nfs_server" | "nfs_client" => "nfs",
                other => other.strip_prefix("postgresql_").unwrap_or(other),
            };
            let options = VerifyOptions {
                only: vec![component.to_owned()],
                ..VerifyOptions::default()
            };
            let mut only = findings.clone();
            only.retain(|check| options.wants(check));
            assert_ne!(code(only, false), exit::DONE, "{host} {component}");
        }
    }
    // With all others whole, it is only unreachable.
    let mut stack = Stack::whole();
    stack.lose("app2");
    let findings = stack.judge();
    let known: Vec<String> = bad(&findings)
        .into_iter()
        .filter(|line| !line.starts_with("unreachable"))
        .collect();
    assert_eq!(known, [""; 0]);
    assert_eq!(code(findings, false), exit::UNREACHABLE);
}

#[test]
fn what_was_ended_early_is_never_whole() {
    let ended = |findings| {
        Outcome {
            findings,
            hosts: 6,
            looks: 1,
            seconds: 0.0,
            stopped: true,
        }
        .exit_code(false)
    };
    assert_eq!(ended(Stack::whole().judge()), exit::INCOMPLETE);
    let mut stack = Stack::whole();
    stack.state("db2", "/timeline", json!(2));
    assert_eq!(ended(stack.judge()), exit::FAULTS);
}

#[test]
fn of_two_primaries_the_later_one_is_the_measure() {
    let mut stack = Stack::whole();
    stack.out("db2", "postgresql.state", &server(false).to_string());
    stack.state("db2", "/timeline", json!(2));
    let findings = stack.judge();
    assert_eq!(
        findings.of("postgresql.timeline"),
        [("db1", Status::Fail), ("db2", Status::Pass)]
    );
    let one = findings
        .all()
        .iter()
        .find(|finding| finding.check.id == "postgresql.one-primary");
    assert!(
        one.expect("judged")
            .remedy
            .contains("db2 has the latest timeline")
    );
}

#[test]
fn what_is_seen_counts_after_roles_were_swapped() {
    let mut stack = Stack::with(Roles {
        primary: "db2",
        standby: "db1",
        holder: "lb2",
    });
    let findings = stack.judge();
    assert_eq!(bad(&findings), [""; 0]);
    assert_eq!(findings.of("postgresql.lag"), [("db1", Status::Pass)]);
    assert_eq!(findings.of("postgresql.slots"), [("db2", Status::Pass)]);
    // And then a failover, with the old primary fenced.
    stack.set(
        "db1",
        "postgresql.state",
        said(2, "", "psql: error: Connection refused\n"),
    );
    stack.out(
        "db1",
        "postgresql.clusters",
        "15 main 5432 down inactive masked disabled\n",
    );
    stack.mark("db1", "fenced", "");
    stack.state("db2", "/slots", json!([]));
    assert_eq!(
        bad(&stack.judge()),
        ["warn common.fenced db1", "fail postgresql.running db1"]
    );
}

#[test]
fn usual_passwords_are_named_and_not_shown() {
    let mut stack = Stack::whole();
    for host in &mut stack.site.hosts {
        host.variables
            .insert("haproxy_stats_password".into(), json!("Changeme"));
    }
    let findings = stack.judge();
    assert_eq!(bad(&findings), ["fail security.default-passwords"]);
    let found = findings
        .all()
        .iter()
        .find(|finding| finding.check.id == "security.default-passwords")
        .expect("judged");
    assert!(
        found.observed.contains("haproxy_stats_password")
            && !format!("{found:?}").contains("hangeme"),
        "{found:?}"
    );
}

#[test]
fn a_lost_standby_may_be_a_second_primary() {
    let mut stack = Stack::whole();
    stack.lose("db2");
    assert_eq!(
        stack.judge().of("postgresql.one-primary"),
        [("", Status::Unknown)]
    );
    stack.lose("db1");
    assert_eq!(
        stack.judge().of("postgresql.one-primary"),
        [("", Status::Fail)]
    );
}

#[test]
fn those_who_look_are_two_that_cannot_hold_the_address() {
    let site = site();
    for (reached, viewers) in [
        (
            vec!["lb1", "lb2", "app1", "app2", "db1", "db2"],
            vec!["app1", "db1"],
        ),
        (vec!["lb1", "app1", "app2"], vec!["app1", "app2"]),
        (vec!["lb1", "lb2", "db2"], vec!["db2", "lb1"]),
        (vec!["lb2"], vec!["lb2"]),
        (vec![], vec![]),
    ] {
        assert_eq!(View::new(&site, &reached).viewers, viewers, "{reached:?}");
    }
}

#[test]
fn wishes_name_checks_or_components() {
    let options = |only: &str| VerifyOptions {
        only: vec![only.to_owned()],
        ..VerifyOptions::default()
    };
    for (only, known) in [
        ("haproxy", true),
        ("postgresql.slots", true),
        ("postgresql.slot", false),
        ("nginx", false),
        ("", false),
    ] {
        assert_eq!(options(only).known().is_ok(), known, "{only}");
    }
    let error = options("postgresql.slot").known().expect_err("unknown");
    assert!(error.help.expect("help").contains("postgresql.slots"));
}
