//! Scenes and what is said of them.

mod cases;

use super::board::{Amount, Board, Severity, State};
use super::certificates::Ending;
use super::{Lines, Scene, look, scenes};
use crate::base::exit;
use crate::connection::Target;
use crate::ops::hosts::Site;
use cases::CASES;

fn said(board: &Board) -> String {
    board
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
        let site = scenes::site();
        let mut scene = scenes::healthy(&site);
        (case.change)(&mut scene);
        let board = scene.board();
        let said = said(&board);
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
        if board.state != case.state
            || !board.verdict.starts_with(case.begins)
            || !missing.is_empty()
            || board.exit_code() != code
        {
            wrong += &format!(
                "{}: {:?} {}\n  missing: {missing:?}\n{said}\n",
                case.name, board.state, board.verdict
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_would_be_lost_and_who_could_take_over() {
    let site = scenes::site();
    let of = |scene: Scene<'_>| scene.board().databases.expect("databases");
    let healthy = of(scenes::healthy(&site));
    assert_eq!(
        (healthy.loss.amount, healthy.loss.bytes),
        (Amount::Some, Some(0))
    );
    assert_eq!(
        healthy.failover.command.as_deref(),
        Some("hactl switchover --to db2")
    );

    let mut scene = scenes::healthy(&site);
    scene.change_answer("db1", |answer| {
        answer.synchronous = "ANY 1 (*)".to_owned();
        answer.senders[0].sync_state = "quorum".to_owned();
    });
    let synchronous = of(scene);
    assert!(synchronous.synchronous);
    assert_eq!(synchronous.loss.amount, Amount::None);

    let mut scene = scenes::healthy(&site);
    scene.change_answer("db1", |answer| {
        (answer.senders[0].unflushed, answer.senders[0].behind) = (Some(2048), Some(4096));
        (answer.senders[0].flush_delay, answer.senders[0].delay) = (Some(1.5), Some(9.0));
    });
    let behind = of(scene);
    assert_eq!(
        (behind.loss.amount, behind.loss.bytes, behind.loss.seconds),
        (Amount::Some, Some(2048), Some(1.5))
    );

    let dead = of(scenes::primary_dead(&site));
    assert_eq!(dead.loss.amount, Amount::Unknown);
    assert_eq!(
        dead.failover.command.as_deref(),
        Some("hactl failover --promote db2 --allow-data-loss")
    );

    let paused = of(scenes::replica_paused(&site));
    assert!(!paused.failover.possible);
    assert_eq!(paused.failover.why_not, ["replay is paused on db2"]);

    let split = of(scenes::split_brain(&site));
    assert!(!split.failover.possible && split.primary.is_none());
    assert_eq!(split.loss.amount, Amount::Unknown);

    // Stopped in order, and the replica has the last byte: nothing would be lost.
    let stopped = of(scenes::unfinished_switchover(&site));
    assert_eq!(stopped.loss.amount, Amount::None);
    assert_eq!(stopped.failover.command.as_deref(), Some("hactl resume"));

    let mut site = scenes::site();
    let lonely = of(scenes::lonely(&mut site));
    assert_eq!(lonely.loss.amount, Amount::SinceBackup);
    assert!(!lonely.failover.possible);
    assert_eq!(lonely.failover.why_not, ["no replica answers"]);
}

#[test]
fn what_nothing_can_stand_in_for() {
    let mut site = scenes::site();
    assert_eq!(
        scenes::lonely(&mut site).board().single_points,
        ["db1 is the only database that holds the data"]
    );
    let site = scenes::site();
    assert_eq!(
        scenes::primary_dead(&site).board().single_points,
        ["db2 is the only database that holds the data"]
    );
    let mut scene = scenes::healthy(&site);
    scene.change("lb2", |seen| {
        drop(
            seen.units
                .insert("haproxy.service".to_owned(), "failed".to_owned()),
        )
    });
    scene.change("app1", |seen| {
        seen.health = Some(Err("connection refused".to_owned()))
    });
    assert_eq!(
        scene.board().single_points,
        [
            "lb1 is the only load balancer that answers",
            "app2 is the only application server that serves"
        ]
    );
    let mut site = scenes::site();
    site.groups
        .insert("nfs_server".to_owned(), vec!["lb1".to_owned()]);
    let mut scene = scenes::healthy(&site);
    assert_eq!(scene.board().single_points, ["lb1 is the only file server"]);
    assert!(scene.board().findings.is_empty());
    scene.change("lb1", |seen| {
        drop(
            seen.units
                .insert("nfs-server.service".to_owned(), "failed".to_owned()),
        )
    });
    assert_eq!(
        scene.board().findings[0].what,
        "the file server on lb1 is failed: images are neither stored nor shown"
    );
    let mut site = scenes::site();
    let address = site.hosts[0].variables["cluster_address"].clone();
    site.hosts[1]
        .variables
        .insert("cluster_address".to_owned(), address);
    let points = scenes::healthy(&site).board().single_points;
    assert!(
        points.contains(&"lb1 and lb2 are one machine (haproxy, 192.0.2.11)".to_owned()),
        "{points:?}"
    );
}

#[test]
fn the_worst_comes_first_and_decides() {
    let site = scenes::site();
    let mut scene = scenes::split_brain(&site);
    scene.lose("lb2");
    scene.change("app1", |seen| seen.health = None);
    let board = scene.board();
    let severities: Vec<Severity> = board
        .findings
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert!(severities.is_sorted(), "{}", said(&board));
    assert!(board.verdict.starts_with(
        "split brain: db1 (timeline 1, at 0/5000000) and db2 (timeline 2, at 0/5000200) take writes"
    ));
    assert_eq!(board.exit_code(), exit::FAULTS);
}

/// The real requests on this machine, which is no such service: everything is read, and nothing is taken for fine.
#[tokio::test]
async fn a_look_is_one_round_trip_a_host() {
    let mut site: Site = scenes::site();
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
        let board = look(&site, &mut lines).await.board();
        for host in &board.hosts {
            assert!(host.reached, "{:?}", host.why);
            assert_eq!(host.round_trips, 1, "{}", host.host);
        }
        assert_eq!(board.state, State::Down, "{}", said(&board));
    }
}

#[test]
fn a_certificate_is_named_before_it_ends_and_worse_after() {
    let site = scenes::site();
    let mut scene = scenes::healthy(&site);
    let ending = |ended| {
        Some(Ending {
            at: "Jan  1 00:00:00 2027 GMT".to_owned(),
            ended,
        })
    };
    scene.change("db1", |seen| seen.certificate = ending(false));
    scene.change("db2", |seen| seen.certificate = ending(false));
    let board = scene.board();
    assert_eq!(
        (&*board.findings[0].what, board.findings[0].severity),
        (
            "the backup certificate of db1, db2 ends soon (Jan  1 00:00:00 2027 GMT)",
            Severity::Note
        )
    );
    scene.change("db2", |seen| seen.certificate = ending(true));
    let board = scene.board();
    assert_eq!(
        board.findings[0].what,
        "the backup certificate of db2 has ended (Jan  1 00:00:00 2027 GMT); log is neither archived nor backed up"
    );
    assert_eq!(board.findings[0].severity, Severity::Degraded);
}
