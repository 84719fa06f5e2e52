//! `status`: what it says of a service that works, of one that was broken, and of one that somebody left half way.

use crate::Case;
use crate::bench::{Bench, HOSTS, VIP, eventually};
use crate::cluster::{forget_failovers, roles, sound};
use crate::command::{Run, run};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    Case {
        name: "status_of_a_whole_service",
        run: whole,
    },
    Case {
        name: "status_watches",
        run: watches,
    },
    Case {
        name: "status_when_the_primary_is_dead",
        run: dead_primary,
    },
    Case {
        name: "status_when_a_balancer_is_frozen",
        run: frozen_balancer,
    },
    Case {
        name: "status_when_applications_do_not_reach_the_primary",
        run: cut_off,
    },
    Case {
        name: "status_of_a_member_that_others_block",
        run: blocked,
    },
    Case {
        name: "status_long_in_the_middle_of_a_switchover",
        run: half_way,
    },
    Case {
        name: "status_of_a_fenced_primary",
        run: fenced,
    },
];

/// The document, and that it agrees with the exit code and the screen's first line.
#[track_caller]
fn document(bench: &Bench) -> (Run, Value) {
    let run = bench.hactl(&["status", "--json"]);
    let document = run.json();
    assert_eq!(document["schema"], "hactl.status/1");
    assert_eq!(document["exit_code"], run.code, "{}", run.told());
    for host in document["hosts"].as_array().expect("hosts") {
        let trips = host["round_trips"].as_u64().expect("a number");
        assert!(trips <= 2, "{host}");
    }
    (run, document)
}

/// What it says in its first line.
fn verdict(run: &Run) -> &str {
    run.stdout.lines().next().unwrap_or_default()
}

/// Waits until `status` has nothing to say, and gives what it said then.
#[track_caller]
fn healthy(bench: &Bench) -> Value {
    let mut last = Value::Null;
    eventually("status says healthy", 60, || {
        last = document(bench).1;
        last["state"] == "healthy"
    });
    assert_eq!(last["exit_code"], 0);
    last
}

/// A look, and how long it took.
fn timed(bench: &Bench) -> (Run, Duration) {
    let began = Instant::now();
    let run = bench.hactl(&["status"]);
    (run, began.elapsed())
}

fn whole(bench: &Bench) {
    bench.deployed();
    forget_failovers(bench);
    let (primary, replica) = sound(bench);
    let document = healthy(bench);
    assert_eq!(document["databases"]["primary"], primary);
    let member = |host: &str| {
        let members = document["databases"]["members"]
            .as_array()
            .expect("members");
        members
            .iter()
            .find(|member| member["host"] == host)
            .cloned()
            .expect("a database")
    };
    assert_eq!(
        (&member(primary)["role"], &member(replica)["role"]),
        (&"primary".into(), &"replica".into())
    );
    assert_eq!(member(replica)["streaming"], true);
    assert_eq!(member(replica)["follows"], primary);
    assert_eq!(
        document["databases"]["failover"]["command"],
        format!("hactl switchover --to {replica}")
    );
    let holder = document["virtual_address"]["holders"][0]
        .as_str()
        .expect("a holder");
    bench.on(holder, &format!("ip -o addr show | grep -q ' {VIP}/'"));
    let views = document["virtual_address"]["views"]
        .as_array()
        .expect("views");
    assert!(views.len() >= 2, "two viewpoints: {views:?}");
    for view in views {
        assert_eq!(
            (&view["at"], &view["status"]),
            (&holder.into(), &200.into()),
            "{view}"
        );
    }
    for balancer in document["balancers"].as_array().expect("balancers") {
        let servers = balancer["servers"].as_array().expect("servers");
        assert!(
            servers.len() == 2 && servers.iter().all(|server| server["up"] == true),
            "{balancer}"
        );
    }
    for application in document["applications"].as_array().expect("applications") {
        assert_eq!(application["database"], primary, "{application}");
    }
    // Looking leaves no trace and needs no lock.
    for host in HOSTS {
        assert_eq!(
            bench.on(
                host,
                "test ! -e /var/lib/hactl/operation; ls /var/lib/hactl | grep -c fenced || true"
            ),
            "0"
        );
    }
    bench.hactl(&["status", "--limit", "db1"]).ends(1);
}

fn watches(bench: &Bench) {
    bench.deployed();
    healthy(bench);
    // This harness has blocked the signal, and a child would inherit that.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.thread_unblock().expect("unblocked");
    let running = bench.start(&["status", "--watch", "1"]);
    signals.thread_block().expect("blocked");
    // Its connections stay open: one log-in a host, however often it looks.
    let logins =
        "journalctl -u ssh -u sshd --no-pager -o cat | grep -c 'Accepted publickey' || true";
    let before: u32 = bench.on("app1", logins).parse().unwrap_or(0);
    eventually("three looks were shown", 60, || {
        verdicts(&running.stdout_so_far()).len() >= 3
    });
    let after: u32 = bench.on("app1", logins).parse().unwrap_or(0);
    assert!(after - before <= 1, "{before} log-ins, then {after}");
    kill(
        Pid::from_raw(i32::try_from(running.id()).expect("a pid")),
        Signal::SIGINT,
    )
    .expect("interrupted");
    // Counted from its start.
    let run = running.wait_within(Duration::from_secs(120));
    let verdicts = verdicts(&run.stdout);
    // On a busy machine a look may find that somebody was slow; the last one decides.
    let last = run
        .stdout
        .rsplit("\n\n")
        .find_map(|block| verdicts.iter().find(|line| block.starts_with(**line)));
    let fine = last.expect("a block").starts_with("healthy: ");
    run.ends(if fine { 0 } else { 6 });
    assert!(
        !run.stdout.contains('\u{1b}'),
        "no terminal, no control sequences\n{}",
        run.told()
    );
}

/// The first lines of the blocks of `status --watch`.
fn verdicts(stdout: &str) -> Vec<&str> {
    ["healthy: ", "degraded: ", "down: ", "unknown: "]
        .into_iter()
        .flat_map(|word| stdout.lines().filter(move |line| line.starts_with(word)))
        .collect()
}

fn dead_primary(bench: &Bench) {
    bench.deployed();
    forget_failovers(bench);
    let (old, new) = sound(bench);
    bench.lab(&["kill", old]);
    let (run, took) = timed(bench);
    run.ends(6).says(&[
        &format!("{old} could not be asked"),
        &format!("hactl failover --promote {new}"),
    ]);
    assert!(
        verdict(&run).starts_with("down: no primary takes writes"),
        "{}",
        run.told()
    );
    assert!(
        took < Duration::from_secs(20),
        "a dead host kept it waiting: {took:?}"
    );
    let (_, document) = document(bench);
    assert_eq!(document["databases"]["primary"], Value::Null);
    assert_eq!(document["databases"]["failover"]["to"], new);
    assert_ne!(
        document["databases"]["loss"]["amount"], "none",
        "nothing proves that nothing is lost"
    );
    bench.lab(&["up", "pg-ha"]);
    healthy(bench);
    assert_eq!(roles(bench), (old, new));
}

fn frozen_balancer(bench: &Bench) {
    bench.deployed();
    let before = healthy(bench);
    let holder = before["virtual_address"]["holders"][0]
        .as_str()
        .expect("a holder")
        .to_owned();
    let other = if holder == "lb1" { "lb2" } else { "lb1" };
    bench.lab(&["freeze", &holder]);
    let mut last = None;
    eventually(
        "the address moved away from the frozen host, and status says so",
        40,
        || {
            let (run, document) = document(bench);
            let moved = document["virtual_address"]["holders"][0] == other
                && document["state"] == "degraded";
            last = Some((run, document));
            moved
        },
    );
    let (run, document) = last.expect("it looked");
    run.ends(6);
    let findings = document["findings"].to_string();
    assert!(
        findings.contains(&format!(
            "the load balancer {holder} answers nobody and could not be asked"
        )),
        "{findings}"
    );
    assert_eq!(document["virtual_address"]["not_asked"][0], holder.as_str());
    let points = document["single_points"].to_string();
    assert!(
        points.contains(&format!("{other} is the only load balancer that answers")),
        "{points}"
    );
    bench.lab(&["thaw", &holder]);
    healthy(bench);
}

/// Every host answers and every database is as it should be, but nobody can write.
fn cut_off(bench: &Bench) {
    bench.deployed();
    let (primary, _) = sound(bench);
    healthy(bench);
    bench.lab(&["cut", "app1", primary]);
    eventually("status says that one cannot write", 30, || {
        let (run, one) = document(bench);
        run.code == 6 && one["state"] == "degraded"
    });
    bench.lab(&["cut", "app2", primary]);
    // Seen once: the second application still reached the primary right after its cable was cut. Why is not known.
    eventually("status says that nobody can write", 30, || {
        let (run, both) = document(bench);
        run.ends(6);
        both["state"] == "down"
    });
    let screen = bench.hactl(&["status"]);
    screen.ends(6);
    assert!(
        verdict(&screen).starts_with("down: no application server can write"),
        "{}",
        screen.told()
    );
    bench.lab(&["heal"]);
    healthy(bench);
    // By its own word, once it has found the primary.
    eventually("the applications say that they can write", 30, || {
        // By turns from both of them.
        (0..4).all(|_| {
            let (_, body) = bench.get(VIP, 80, "/api/health");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            body["writable"] == true
        })
    });
}

/// A block that outlived its reason: its host was away when the others took theirs back.
fn blocked(bench: &Bench) {
    bench.deployed();
    let (primary, replica) = sound(bench);
    for (host, subject) in [("app1", primary), ("app2", replica)] {
        let address = bench.on(subject, "hostname -I | cut -d ' ' -f 1");
        bench.on(
            host,
            &format!(
                "mkdir -p /var/lib/hactl/blocked; echo {address} >/var/lib/hactl/blocked/{subject}; ip route replace unreachable {address}"
            ),
        );
    }
    bench.hactl(&["status"]).ends(6).says(&[
        &format!("app1 blocks all traffic to {primary}"),
        &format!("app2 blocks all traffic to {replica}"),
        &format!("hactl rejoin {primary} takes the blocks away"),
    ]);
    bench
        .hactl(&["verify", "--only", "common.cut-off"])
        .ends(6)
        .says(&["common.cut-off"]);
    for subject in [primary, replica] {
        bench.hactl(&["rejoin", subject]).ends(0);
    }
    for host in ["app1", "app2"] {
        bench.on(
            host,
            "! ip route | grep unreachable; ! ls /var/lib/hactl/blocked/* 2>/dev/null",
        );
    }
    healthy(bench);
    assert_eq!(sound(bench), (primary, replica));
}

fn half_way(bench: &Bench) {
    bench.deployed();
    // The step after which it dies, and what the service is then.
    for (step, state) in [
        ("prepare", "degraded"),
        ("stop", "down"),
        ("last-byte", "down"),
        ("promote", "degraded"),
    ] {
        let (old, new) = sound(bench);
        let died = run(bench
            .command(&["switchover", "--reason", "to be killed"])
            .env("HACTL_TEST_DIE_AFTER", step));
        assert_eq!(died.code, 137, "{}", died.told());
        let (run, document) = document(bench);
        run.ends(6);
        assert_eq!(document["state"], state, "after {step}\n{}", run.told());
        let unfinished = &document["unfinished"];
        assert_eq!(
            (&unfinished["kind"], &unfinished["step"]),
            (&"switchover".into(), &step.into()),
            "{unfinished}"
        );
        assert_eq!(
            (&unfinished["command"], &unfinished["running"]),
            (&"hactl resume".into(), &Value::Null),
            "{unfinished}"
        );
        let primary = match step {
            "prepare" => Value::from(old),
            "promote" => Value::from(new),
            _ => Value::Null,
        };
        assert_eq!(
            document["databases"]["primary"],
            primary,
            "after {step}\n{}",
            run.told()
        );
        bench
            .hactl(&["status"])
            .ends(6)
            .says(&["switchover, begun", "hactl resume"]);
        assert_eq!(unfinished["reason"], "to be killed");
        bench.hactl(&["resume"]).ends(0);
        assert_eq!(healthy(bench)["last"]["change"]["kind"], "switchover");
    }
}

fn fenced(bench: &Bench) {
    bench.deployed();
    let (old, new) = sound(bench);
    bench.on(
        old,
        "systemctl kill -s KILL 'postgresql@*'; systemctl stop 'postgresql@*'",
    );
    bench
        .hactl(&["failover", "--promote", new, "--allow-data-loss", "--again"])
        .ends(0);
    let (run, document) = document(bench);
    run.ends(6);
    assert_eq!(document["databases"]["primary"], new);
    let fenced = document["marks"]
        .as_array()
        .expect("marks")
        .iter()
        .find(|mark| mark["kind"] == "fenced");
    assert_eq!(fenced.expect("a mark")["host"], old);
    assert_eq!(document["last"]["change"]["kind"], "failover");
    let screen = bench.hactl(&["status"]);
    screen.ends(6).says(&[
        &format!("{old} is fenced"),
        "since 20",
        &format!("hactl rejoin {old}"),
    ]);
    assert!(
        verdict(&screen).starts_with("degraded: "),
        "{}",
        screen.told()
    );
    eventually("the old primary follows again", 90, || {
        bench.hactl(&["rejoin", old, "--discard-diverged"]).code == 0
    });
    healthy(bench);
    bench.hactl(&["switchover", "--to", old]).ends(0);
    healthy(bench);
}
