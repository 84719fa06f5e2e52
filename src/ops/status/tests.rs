//! Scenes and what is said of them.

use super::board::{Amount, Board, Severity, State};
use super::scenes::{self, NOW};
use super::{Lines, Scene, look};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use crate::ops::cluster::node::{Live, PeerView};
use crate::ops::hosts::Site;
use crate::ops::journal::{OPERATION, StepState};

/// A scene that began well: what is changed, the word, what the first line begins with, and what must be among the findings.
struct Case {
    name: &'static str,
    change: fn(&mut Scene<'_>),
    state: State,
    begins: &'static str,
    says: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "nothing",
        change: |_| {},
        state: State::Healthy,
        begins: "healthy: db1 takes writes, 1 replica follows, 2 application servers, 2 load balancers",
        says: &[],
    },
    Case {
        name: "a load balancer cannot be asked and answers others",
        change: |scene| scene.lose("lb2"),
        state: State::Unknown,
        begins: "unknown: lb2 could not be asked",
        says: &[],
    },
    Case {
        name: "a load balancer is frozen",
        change: |scene| {
            scene.lose("lb2");
            for host in ["app1", "app2", "db1", "db2"] {
                scene.change(host, |seen| {
                    drop(
                        seen.balancers
                            .insert("lb2".to_owned(), Err("no answer within 2 s".to_owned())),
                    )
                });
            }
        },
        state: State::Degraded,
        begins: "degraded: the load balancer lb2 answers nobody and could not be asked (and 1 more)",
        says: &["lb2 could not be asked"],
    },
    Case {
        name: "the primary cannot be asked, and a replica sees it take writes",
        change: |scene| scene.lose("db1"),
        state: State::Unknown,
        begins: "unknown: db1 takes writes as db2 sees it, and could not be asked itself",
        says: &[],
    },
    Case {
        name: "the replica cannot be asked, and the primary sends to it",
        change: |scene| scene.lose("db2"),
        state: State::Unknown,
        begins: "unknown: db2 could not be asked",
        says: &[],
    },
    Case {
        name: "the replica is gone",
        change: |scene| {
            scene.lose("db2");
            scene.change_answer("db1", |answer| answer.senders.clear());
        },
        state: State::Degraded,
        begins: "degraded: the replica db2 is missing",
        says: &[],
    },
    Case {
        name: "no database can be asked, and the application works",
        change: |scene| {
            scene.lose("db1");
            scene.lose("db2");
        },
        state: State::Unknown,
        begins: "unknown: it cannot be seen who takes writes",
        says: &["db1 could not be asked", "db2 could not be asked"],
    },
    Case {
        name: "the primary cannot be asked, and does not answer the replica, but an outsider gets no further",
        change: |scene| {
            scene.lose("db1");
            scene.change_node("db2", |node| {
                drop(node.peers.insert("db1".to_owned(), PeerView::Silent))
            });
            scene.change_answer("db2", |answer| {
                answer.receiver.as_mut().expect("a receiver").silent = Some(20.0)
            });
        },
        state: State::Down,
        begins: "down: no primary takes writes (db1 is not to be reached, db2 is a replica)",
        says: &["a failover would be refused: db1 is dead"],
    },
    Case {
        name: "the primary is frozen",
        change: |scene| {
            scene.change_node("db1", |node| node.live = Live::Silent);
            scene.change_node("db2", |node| {
                drop(node.peers.insert("db1".to_owned(), PeerView::Silent))
            });
        },
        state: State::Down,
        begins: "down: no primary takes writes (db1 is frozen, db2 is a replica)",
        says: &["--kill-frozen"],
    },
    Case {
        name: "a second primary is seen by its peer only",
        change: |scene| {
            scene.lose("db2");
            scene.change_node("db1", |node| {
                node.peers.insert(
                    "db2".to_owned(),
                    PeerView::Answers {
                        in_recovery: false,
                        replication: Ok(()),
                    },
                );
            });
        },
        state: State::SplitBrain,
        begins: "split brain: db1 (timeline 1, at 0/5000000) and db2 (as db1 sees it) take writes",
        says: &[],
    },
    Case {
        name: "a stopped server that would start as a second primary",
        change: |scene| {
            scene.change_node("db2", |node| {
                node.live = Live::Down("no server".to_owned());
                node.place.standby_signal = false;
            });
            scene.change_answer("db1", |answer| answer.senders.clear());
        },
        state: State::Degraded,
        begins: "degraded: the server on db2 is down, and would start as a second primary",
        says: &["do not start it; hactl rejoin db2"],
    },
    Case {
        name: "a server that is down, on a host too slow to say what it holds",
        change: |scene| {
            scene.change_node("db2", |node| {
                node.live = Live::Down("no server".to_owned());
                (node.place, node.control) = Default::default();
            });
        },
        state: State::Unknown,
        begins: "unknown: the server on db2 does not run, and what it holds could not be seen",
        says: &[],
    },
    Case {
        name: "the replica follows somebody else",
        change: |scene| {
            scene.change_answer("db2", |answer| {
                answer.conninfo = "host=198.51.100.1".to_owned()
            });
            scene.change_answer("db1", |answer| answer.senders.clear());
        },
        state: State::Degraded,
        begins: "degraded: the replica db2 follows nobody of this inventory, not db1",
        says: &[],
    },
    Case {
        name: "another timeline",
        change: |scene| scene.change_answer("db2", |answer| answer.timeline = 3),
        state: State::Degraded,
        begins: "degraded: db2 is on timeline 3, db1 on 1",
        says: &[],
    },
    Case {
        name: "another cluster",
        change: |scene| scene.change_answer("db2", |answer| answer.system = "8".to_owned()),
        state: State::Degraded,
        begins: "degraded: db1 and db2 hold different clusters",
        says: &[],
    },
    Case {
        name: "commits wait for a replica that is not there",
        change: |scene| {
            scene.change_answer("db1", |answer| {
                answer.synchronous = "ANY 1 (*)".to_owned();
                answer.senders.clear();
            });
        },
        state: State::Down,
        begins: "down: every commit on db1 waits for a synchronous replica",
        says: &["the replica db2 does not stream from db1"],
    },
    Case {
        name: "a slot lost its log",
        change: |scene| {
            scene.change_answer("db1", |answer| {
                answer.slots[0].wal_status = Some("lost".to_owned())
            });
        },
        state: State::Degraded,
        begins: "degraded: slot db2 on db1 is lost and keeps 0 B",
        says: &[],
    },
    Case {
        name: "the virtual address is nowhere",
        change: |scene| {
            scene.change("lb1", |seen| drop(seen.addresses.pop()));
            for host in ["app1", "app2", "db1", "db2"] {
                scene.change(host, |seen| {
                    (seen.entrance, seen.neighbour) = (Some(Err("no route to it".to_owned())), None)
                });
            }
        },
        state: State::Down,
        begins: "down: the virtual address 192.0.2.10 is on no host",
        says: &[],
    },
    Case {
        name: "the virtual address is in two places",
        change: |scene| {
            scene.change("lb2", |seen| {
                seen.addresses
                    .push(("eth0".to_owned(), "192.0.2.10".to_owned()))
            })
        },
        state: State::Degraded,
        begins: "degraded: the virtual address 192.0.2.10 is on lb1 and lb2 at once",
        says: &[],
    },
    Case {
        name: "a neighbour sends to the wrong host",
        change: |scene| {
            scene.change("app2", |seen| {
                seen.neighbour = Some("02:00:00:00:00:01".to_owned())
            })
        },
        state: State::Degraded,
        begins: "degraded: app2 sends what is for 192.0.2.10 to lb2, while lb1 holds it",
        says: &[],
    },
    Case {
        name: "the holder cannot be asked, and the service answers",
        change: |scene| scene.lose("lb1"),
        state: State::Unknown,
        begins: "unknown: lb1 could not be asked",
        says: &[],
    },
    Case {
        name: "keepalived is told to stay away",
        change: |scene| scene.change("lb2", |seen| seen.flag = Some("1".to_owned())),
        state: State::Degraded,
        begins: "degraded: lb2 is in maintenance: it leaves the virtual address to others",
        says: &[],
    },
    Case {
        name: "an application server stopped",
        change: |scene| {
            scene.change("app2", |seen| {
                seen.units
                    .insert("welcome_app.service".to_owned(), "failed".to_owned());
                seen.health = Some(Err("connection refused".to_owned()));
            });
        },
        state: State::Degraded,
        begins: "degraded: the application on app2 is failed",
        says: &[],
    },
    Case {
        name: "an application uses a replica",
        change: |scene| {
            scene.change("app1", |seen| {
                if let Some(Ok(health)) = &mut seen.health {
                    health.database = Some("192.0.2.32".to_owned());
                }
            });
        },
        state: State::Healthy,
        begins: "healthy: ",
        says: &["the application on app1 reads from db2, which is not the primary"],
    },
    Case {
        name: "nobody serves",
        change: |scene| {
            for app in ["app1", "app2"] {
                scene.change(app, |seen| {
                    seen.health = Some(Err("connection refused".to_owned()))
                });
            }
        },
        state: State::Down,
        begins: "down: no application server is healthy",
        says: &["the applications on app1 and app2 give no answer: connection refused"],
    },
    Case {
        name: "an operation that goes on",
        change: |scene| {
            scene.write(
                OPERATION,
                &Ok(scenes::record(
                    "switchover",
                    NOW - 2,
                    &[("stop", StepState::Begun)],
                    None,
                )),
            );
            scene.change("db1", |seen| {
                seen.busy = Some("ann@desk, `hactl switchover`, pid 7".to_owned())
            });
        },
        state: State::Degraded,
        begins: "degraded: a switchover is under way, begun 2 s ago by ann@desk, `hactl switchover`, pid 7",
        says: &["wait for its end"],
    },
    Case {
        name: "a journal that cannot be read",
        change: |scene| {
            scene.write(
                OPERATION,
                &Err(Diagnostic::with_code(
                    exit::FAILED,
                    "the header cannot be read",
                )),
            )
        },
        state: State::Degraded,
        begins: "degraded: an operation was begun, and its journal on db1 cannot be read: the header cannot be read",
        says: &["look at /var/lib/hactl/operation on db1"],
    },
    Case {
        name: "maintenance is no fault",
        change: |scene| {
            scene.change("app1", |seen| {
                seen.maintenance = Some(
                    r#"{"operator":"ann@desk","since":"2026-01-02","reason":"disk"}"#.to_owned(),
                )
            });
        },
        state: State::Healthy,
        begins: "healthy: ",
        says: &["app1 is in maintenance (since 2026-01-02, by ann@desk, disk)"],
    },
];

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
