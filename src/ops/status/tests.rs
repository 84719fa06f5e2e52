//! Scenes and what is said of them.

mod cases;

use super::certificates::Ending;
use super::status_report::{Amount, Severity, State, StatusReport};
use super::{Lines, Snapshot, observe, snapshots};
use crate::base::exit;
use crate::connection::Target;
use crate::ops::hosts::Site;
use cases::CASES;

fn said(report: &StatusReport) -> String {
    report
        .findings
        .iter()
        .map(|finding| {
            format!(
                "{:?}: {} → {}\n",
                finding.severity, finding.what, finding.remedy
            )
        })
        .collect()
}

#[test]
fn every_scene_has_its_verdict() {
    let mut wrong = String::new();
    for case in CASES {
        let site = snapshots::site();
        let mut snapshot = snapshots::healthy(&site);
        (case.change)(&mut snapshot);
        let report = snapshot.report();
        let said = said(&report);
        let missing: Vec<_> = case
            .says
            .iter()
            .filter(|text| !said.contains(**text))
            .collect();
        let code = match case.state {
            State::Healthy => exit::DONE,
            State::Unknown => exit::UNREACHABLE,
            _ => exit::FAULTS,
        };
        if report.state != case.state
            || !report.verdict.starts_with(case.begins)
            || !missing.is_empty()
            || report.exit_code() != code
        {
            wrong += &format!(
                "{}: {:?} {}\n  missing: {missing:?}\n{said}\n",
                case.name, report.state, report.verdict
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_would_be_lost_and_who_could_take_over() {
    let site = snapshots::site();
    let of = |snapshot: Snapshot<'_>| snapshot.report().databases.expect("databases");
    let healthy = of(snapshots::healthy(&site));
    assert_eq!(
        (healthy.loss.amount, healthy.loss.bytes),
        (Amount::Some, Some(0))
    );
    assert_eq!(
        healthy.failover.command.as_deref(),
        Some("hactl switchover --to db2")
    );

    let mut snapshot = snapshots::healthy(&site);
    snapshot.change_answer("db1", |answer| {
        answer.synchronous = "ANY 1 (*)".to_owned();
        answer.senders[0].sync_state = "quorum".to_owned();
    });
    let synchronous = of(snapshot);
    assert!(synchronous.synchronous);
    assert_eq!(synchronous.loss.amount, Amount::None);

    let mut snapshot = snapshots::healthy(&site);
    snapshot.change_answer("db1", |answer| {
        (answer.senders[0].unflushed, answer.senders[0].behind) = (Some(2048), Some(4096));
        (answer.senders[0].flush_delay, answer.senders[0].delay) = (Some(1.5), Some(9.0));
    });
    let behind = of(snapshot);
    assert_eq!(
        (behind.loss.amount, behind.loss.bytes, behind.loss.seconds),
        (Amount::Some, Some(2048), Some(1.5))
    );

    let dead = of(snapshots::primary_dead(&site));
    assert_eq!(dead.loss.amount, Amount::Unknown);
    assert_eq!(
        dead.failover.command.as_deref(),
        Some("hactl failover --promote db2 --allow-data-loss")
    );

    let paused = of(snapshots::replica_paused(&site));
    assert!(!paused.failover.possible);
    assert_eq!(paused.failover.why_not, ["replay is paused on db2"]);

    let split = of(snapshots::split_brain(&site));
    assert!(!split.failover.possible && split.primary.is_none());
    assert_eq!(split.loss.amount, Amount::Unknown);

    // Stopped in order, and the replica has the last byte: nothing would be lost.
    let stopped = of(snapshots::unfinished_switchover(&site));
    assert_eq!(stopped.loss.amount, Amount::None);
    assert_eq!(stopped.failover.command.as_deref(), Some("hactl resume"));

    let mut site = snapshots::site();
    let lonely = of(snapshots::lonely(&mut site));
    assert_eq!(lonely.loss.amount, Amount::SinceBackup);
    assert!(!lonely.failover.possible);
    assert_eq!(lonely.failover.why_not, ["no replica answers"]);
}

#[test]
fn what_nothing_can_stand_in_for() {
    let mut site = snapshots::site();
    assert_eq!(
        snapshots::lonely(&mut site).report().single_points,
        ["db1 is the only database that holds the data"]
    );
    let site = snapshots::site();
    assert_eq!(
        snapshots::primary_dead(&site).report().single_points,
        ["db2 is the only database that holds the data"]
    );
    let mut snapshot = snapshots::healthy(&site);
    snapshot.change("lb2", |seen| {
        drop(
            seen.units
                .insert("haproxy.service".to_owned(), "failed".to_owned()),
        )
    });
    snapshot.change("app1", |seen| {
        seen.health = Some(Err("connection refused".to_owned()))
    });
    assert_eq!(
        snapshot.report().single_points,
        [
            "lb1 is the only load balancer that answers",
            "app2 is the only application server that serves"
        ]
    );
    let mut site = snapshots::site();
    site.groups
        .insert("nfs_server".to_owned(), vec!["lb1".to_owned()]);
    let mut snapshot = snapshots::healthy(&site);
    assert_eq!(
        snapshot.report().single_points,
        ["lb1 is the only file server"]
    );
    assert!(snapshot.report().findings.is_empty());
    snapshot.change("lb1", |seen| {
        drop(
            seen.units
                .insert("nfs-server.service".to_owned(), "failed".to_owned()),
        )
    });
    assert_eq!(
        snapshot.report().findings[0].what,
        "the file server on lb1 is failed: images are neither stored nor shown"
    );
    let mut site = snapshots::site();
    let address = site.hosts[0].variables["cluster_address"].clone();
    site.hosts[1]
        .variables
        .insert("cluster_address".to_owned(), address);
    let points = snapshots::healthy(&site).report().single_points;
    assert!(
        points.contains(&"lb1 and lb2 are one machine (haproxy, 192.0.2.11)".to_owned()),
        "{points:?}"
    );
}

#[test]
fn the_worst_comes_first_and_decides() {
    let site = snapshots::site();
    let mut snapshot = snapshots::split_brain(&site);
    snapshot.lose("lb2");
    snapshot.change("app1", |seen| seen.health = None);
    let report = snapshot.report();
    let severities: Vec<Severity> = report
        .findings
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert!(severities.is_sorted(), "{}", said(&report));
    assert!(report.verdict.starts_with(
        "split brain: db1 (timeline 1, at 0/5000000) and db2 (timeline 2, at 0/5000200) take writes"
    ));
    assert_eq!(report.exit_code(), exit::FAULTS);
}

/// The real requests on this machine, which is no such service: everything is read, and nothing is taken for fine.
#[tokio::test]
async fn a_look_is_one_round_trip_a_host() {
    let mut site: Site = snapshots::site();
    for host in &mut site.hosts {
        host.target = Target {
            host: host.name.clone(),
            local: true,
            timeout_seconds: 3,
            ..Target::default()
        };
        host.variables
            .insert("cluster_address".to_owned(), "127.0.0.1".into());
        host.variables
            .insert("keepalived_vip".to_owned(), "127.0.0.3".into());
        host.variables
            .insert("postgresql_cluster".to_owned(), "no such cluster".into());
    }
    let mut lines = Lines::new(site.targets(), 6);
    for _ in 0..2 {
        let report = observe(&site, &mut lines).await.report();
        for host in &report.hosts {
            assert!(host.reached, "{:?}", host.why);
            assert_eq!(host.round_trips, 1, "{}", host.host);
        }
        assert_eq!(report.state, State::Down, "{}", said(&report));
    }
}

#[test]
fn a_certificate_is_named_before_it_ends_and_worse_after() {
    let site = snapshots::site();
    let mut snapshot = snapshots::healthy(&site);
    let ending = |ended| {
        Some(Ending {
            at: "Jan  1 00:00:00 2027 GMT".to_owned(),
            ended,
        })
    };
    snapshot.change("db1", |seen| seen.certificate = ending(false));
    snapshot.change("db2", |seen| seen.certificate = ending(false));
    let report = snapshot.report();
    assert_eq!(
        (&*report.findings[0].what, report.findings[0].severity),
        (
            "the backup certificate of db1, db2 ends soon (Jan  1 00:00:00 2027 GMT)",
            Severity::Note
        )
    );
    snapshot.change("db2", |seen| seen.certificate = ending(true));
    let report = snapshot.report();
    assert_eq!(
        report.findings[0].what,
        "the backup certificate of db2 has ended (Jan  1 00:00:00 2027 GMT); log is neither archived nor backed up"
    );
    assert_eq!(report.findings[0].severity, Severity::Degraded);
}
