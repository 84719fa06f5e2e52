//! What can happen to a service, one change at a time, and what is to be said of it.

use crate::base::{Diagnostic, exit};
use crate::ops::database::postgresql::node::{Disk, Live, PeerView};
use crate::ops::operation::journal::{OPERATION, StepState};
use crate::ops::status::Snapshot;
use crate::ops::status::snapshots::{self, NOW};
use crate::ops::status::status_report::State;

/// A snapshot that began well: what is changed, the word, what the first line begins with, and what must be among the findings.
pub struct Case {
    pub name: &'static str,
    pub change: fn(&mut Snapshot<'_>),
    pub state: State,
    pub begins: &'static str,
    pub says: &'static [&'static str],
}

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "nothing",
        change: |_| {},
        state: State::Healthy,
        begins: "healthy: db1 takes writes, 1 replica follows, 2 application servers, 2 load balancers",
        says: &[],
    },
    Case {
        name: "a load balancer cannot be asked and answers others",
        change: |snapshot| snapshot.lose("lb2"),
        state: State::Unknown,
        begins: "unknown: lb2 could not be asked",
        says: &[],
    },
    Case {
        name: "a load balancer is frozen",
        change: |snapshot| {
            snapshot.lose("lb2");
            for host in ["app1", "app2", "db1", "db2"] {
                snapshot.change(host, |seen| {
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
        change: |snapshot| snapshot.lose("db1"),
        state: State::Unknown,
        begins: "unknown: db1 takes writes as db2 sees it, and could not be asked itself",
        says: &[],
    },
    Case {
        name: "the replica cannot be asked, and the primary sends to it",
        change: |snapshot| snapshot.lose("db2"),
        state: State::Unknown,
        begins: "unknown: db2 could not be asked",
        says: &[],
    },
    Case {
        name: "the replica is gone",
        change: |snapshot| {
            snapshot.lose("db2");
            snapshot.change_answer("db1", |answer| answer.senders.clear());
        },
        state: State::Degraded,
        begins: "degraded: the replica db2 is missing",
        says: &[],
    },
    Case {
        name: "no database can be asked, and the application works",
        change: |snapshot| {
            snapshot.lose("db1");
            snapshot.lose("db2");
        },
        state: State::Unknown,
        begins: "unknown: it cannot be seen who takes writes",
        says: &["db1 could not be asked", "db2 could not be asked"],
    },
    Case {
        name: "the primary cannot be asked, and does not answer the replica, but an outsider gets no further",
        change: |snapshot| {
            snapshot.lose("db1");
            snapshot.change_node("db2", |node| {
                drop(node.peers.insert("db1".to_owned(), PeerView::Silent))
            });
            snapshot.change_answer("db2", |answer| {
                answer.receiver.as_mut().expect("a receiver").silent = Some(20.0)
            });
        },
        state: State::Down,
        begins: "down: no primary takes writes (db1 is unreachable, db2 is a replica)",
        says: &["a failover would be refused: db1 is dead"],
    },
    Case {
        name: "the primary is frozen",
        change: |snapshot| {
            snapshot.change_node("db1", |node| node.live = Live::Silent);
            snapshot.change_node("db2", |node| {
                drop(node.peers.insert("db1".to_owned(), PeerView::Silent))
            });
        },
        state: State::Down,
        begins: "down: no primary takes writes (db1 is frozen, db2 is a replica)",
        says: &["--kill-frozen"],
    },
    Case {
        name: "a second primary is seen by its peer only",
        change: |snapshot| {
            snapshot.lose("db2");
            snapshot.change_node("db1", |node| {
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
        change: |snapshot| {
            snapshot.change_node("db2", |node| {
                node.live = Live::Down("no server".to_owned());
                node.place.standby_signal = false;
            });
            snapshot.change_answer("db1", |answer| answer.senders.clear());
        },
        state: State::Degraded,
        begins: "degraded: the server on db2 is down, and would start as a second primary",
        says: &["do not start it; hactl rejoin db2"],
    },
    Case {
        name: "a server that is down, on a host too slow to say what it holds",
        change: |snapshot| {
            snapshot.change_node("db2", |node| {
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
        change: |snapshot| {
            snapshot.change_answer("db2", |answer| {
                answer.conninfo = "host=198.51.100.1".to_owned()
            });
            snapshot.change_answer("db1", |answer| answer.senders.clear());
        },
        state: State::Degraded,
        begins: "degraded: the replica db2 follows nobody of this inventory, not db1",
        says: &[],
    },
    Case {
        name: "another timeline",
        change: |snapshot| snapshot.change_answer("db2", |answer| answer.timeline = 3),
        state: State::Degraded,
        begins: "degraded: db2 is on timeline 3, db1 on 1",
        says: &[],
    },
    Case {
        name: "the primary was set back: the replica has the only copy",
        change: |snapshot| {
            snapshot.change_answer("db1", |answer| answer.senders.clear());
            snapshot.change_answer("db2", |answer| {
                answer.receiver = None;
                answer.replayed = Some("0/5000100".parse().expect("a position"));
            });
        },
        state: State::Degraded,
        begins: "degraded: db2 has data that the primary db1 has not (0/5000100 > 0/5000000, both on timeline 1)",
        says: &[],
    },
    Case {
        name: "another cluster",
        change: |snapshot| snapshot.change_answer("db2", |answer| answer.system = "8".to_owned()),
        state: State::Degraded,
        begins: "degraded: db1 and db2 hold different clusters",
        says: &[],
    },
    Case {
        name: "commits wait for a replica that is not there",
        change: |snapshot| {
            snapshot.change_answer("db1", |answer| {
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
        change: |snapshot| {
            snapshot.change_answer("db1", |answer| {
                answer.slots[0].wal_status = Some("lost".to_owned())
            });
        },
        state: State::Degraded,
        begins: "degraded: slot db2 on db1 is lost and keeps 0 B",
        says: &[],
    },
    Case {
        name: "the virtual address is nowhere",
        change: |snapshot| {
            snapshot.change("lb1", |seen| drop(seen.addresses.pop()));
            for host in ["app1", "app2", "db1", "db2"] {
                snapshot.change(host, |seen| {
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
        change: |snapshot| {
            snapshot.change("lb2", |seen| {
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
        change: |snapshot| {
            snapshot.change("app2", |seen| {
                seen.neighbour = Some("02:00:00:00:00:01".to_owned())
            })
        },
        state: State::Degraded,
        begins: "degraded: app2 sends what is for 192.0.2.10 to lb2, while lb1 holds it",
        says: &[],
    },
    Case {
        name: "the holder cannot be asked, and the service answers",
        change: |snapshot| snapshot.lose("lb1"),
        state: State::Unknown,
        begins: "unknown: lb1 could not be asked",
        says: &[],
    },
    Case {
        name: "keepalived is told to stay away",
        change: |snapshot| snapshot.change("lb2", |seen| seen.flag = Some("1".to_owned())),
        state: State::Degraded,
        begins: "degraded: lb2 is in maintenance: it leaves the virtual address to others",
        says: &[],
    },
    Case {
        name: "an application server stopped",
        change: |snapshot| {
            snapshot.change("app2", |seen| {
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
        change: |snapshot| {
            snapshot.change("app1", |seen| {
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
        change: |snapshot| {
            for app in ["app1", "app2"] {
                snapshot.change(app, |seen| {
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
        change: |snapshot| {
            snapshot.write(
                OPERATION,
                &Ok(snapshots::record(
                    "switchover",
                    NOW - 2,
                    &[("stop", StepState::Begun)],
                    None,
                )),
            );
            snapshot.change("db1", |seen| {
                seen.busy = Some("ann@desk, `hactl switchover`, pid 7".to_owned())
            });
        },
        state: State::Degraded,
        begins: "degraded: a switchover is under way, begun 2 s ago by ann@desk, `hactl switchover`, pid 7",
        says: &["wait for its end"],
    },
    Case {
        name: "a journal that cannot be read",
        change: |snapshot| {
            snapshot.write(
                OPERATION,
                &Err(Diagnostic::with_code(
                    exit::FAILED,
                    "the header cannot be read",
                )),
            )
        },
        state: State::Degraded,
        begins: "degraded: an operation was begun, and its journal on db1 cannot be read: the header cannot be read",
        says: &["check /var/lib/hactl/operation on db1"],
    },
    Case {
        name: "maintenance is no fault",
        change: |snapshot| {
            snapshot.change("app1", |seen| {
                seen.maintenance = Some(
                    r#"{"operator":"ann@desk","since":"2026-01-02","reason":"disk"}"#.to_owned(),
                )
            });
        },
        state: State::Healthy,
        begins: "healthy: ",
        says: &["app1 is in maintenance (since 2026-01-02, by ann@desk, disk)"],
    },
    Case {
        name: "members that others block",
        change: |snapshot| {
            snapshot.change("app1", |seen| seen.blocks = vec!["db1".to_owned()]);
            for host in ["app2", "lb1"] {
                snapshot.change(host, |seen| seen.blocks = vec!["db2".to_owned()]);
            }
        },
        state: State::Degraded,
        begins: "degraded: app1 blocks all traffic to db1, and its server takes part",
        says: &[
            "lb1 and app2 block all traffic to db2",
            "hactl rejoin db1 takes the blocks away",
            "hactl rejoin db2 takes the blocks away",
        ],
    },
    Case {
        name: "an application server does not reach the primary",
        change: |snapshot| {
            snapshot.change("app1", |seen| {
                let view = PeerView::Unreachable("nothing comes back".to_owned());
                drop(seen.databases.insert("db1".to_owned(), view));
                let health = seen.health.as_mut().expect("asked").as_mut().expect("said");
                health.database = Some("192.0.2.32".to_owned());
                health.writable = Some(false);
            });
        },
        state: State::Degraded,
        begins: "degraded: app1 cannot write: the primary db1 is not reached: nothing comes back",
        says: &["between app1 and db1"],
    },
    Case {
        name: "no application server reaches the primary",
        change: |snapshot| {
            for host in ["app1", "app2"] {
                snapshot.change(host, |seen| {
                    let view = PeerView::Closed("connection refused".to_owned());
                    drop(seen.databases.insert("db1".to_owned(), view));
                    seen.health
                        .as_mut()
                        .expect("asked")
                        .as_mut()
                        .expect("said")
                        .writable = None;
                });
            }
        },
        state: State::Down,
        begins: "down: no application server can write (app1 and app2: the primary db1 is not reached",
        says: &[],
    },
    Case {
        name: "one application server does not reach the primary, the other cannot be asked",
        change: |snapshot| {
            snapshot.lose("app2");
            snapshot.change("app1", |seen| {
                let view = PeerView::Closed("connection refused".to_owned());
                drop(seen.databases.insert("db1".to_owned(), view));
            });
        },
        state: State::Degraded,
        begins: "degraded: app1 cannot write: the primary db1 is not reached: connection refused",
        says: &["app2 could not be asked"],
    },
    Case {
        name: "the applications find no database that takes writes",
        change: |snapshot| {
            for host in ["app1", "app2"] {
                snapshot.change(host, |seen| {
                    seen.health
                        .as_mut()
                        .expect("asked")
                        .as_mut()
                        .expect("said")
                        .writable = Some(false);
                });
            }
        },
        state: State::Down,
        begins: "down: no application server can write (app1 and app2: the application finds no",
        says: &[],
    },
    Case {
        name: "an application that does not say whether it can write",
        change: |snapshot| {
            snapshot.change("app1", |seen| {
                seen.health
                    .as_mut()
                    .expect("asked")
                    .as_mut()
                    .expect("said")
                    .writable = None;
            });
        },
        state: State::Healthy,
        begins: "healthy: ",
        says: &[],
    },
    Case {
        name: "the disk of the primary is nearly full",
        change: |snapshot| {
            snapshot.change_node("db1", |node| node.place.disks = vec![disk(1 << 30)])
        },
        state: State::Degraded,
        begins: "degraded: the disk of db1 is nearly full (1.0 GB of 100.0 GB free on /)",
        says: &["make room on db1"],
    },
    Case {
        name: "the disk of the primary is full",
        change: |snapshot| snapshot.change_node("db1", |node| node.place.disks = vec![disk(0)]),
        state: State::Down,
        begins: "down: the disk of the primary db1 is full: it takes no writes",
        says: &[],
    },
    Case {
        name: "the disk of the replica is full",
        change: |snapshot| snapshot.change_node("db2", |node| node.place.disks = vec![disk(0)]),
        state: State::Degraded,
        begins: "degraded: the disk of db2 is full: its server can write nothing",
        says: &[],
    },
];

fn disk(free: u64) -> Disk {
    Disk {
        mount: "/".to_owned(),
        size: 100 << 30,
        free,
        inodes: 100,
        inodes_free: 50,
    }
}
