//! Hosts are taken out of service and put back, while somebody reads through the virtual address all the time.

use crate::Case;
use crate::bench::{Bench, VIP, eventually};
use crate::command::Running;
use crate::vip::{Reader, holder, json, quoted};
use serde_json::Value;

pub const CASES: &[Case] = &[
    Case {
        name: "maintenance_application",
        run: application,
    },
    Case {
        name: "maintenance_sessions_are_waited_for",
        run: sessions,
    },
    Case {
        name: "maintenance_balancer",
        run: balancer,
    },
    Case {
        name: "maintenance_refusals",
        run: refusals,
    },
    Case {
        name: "maintenance_broken_off",
        run: broken_off,
    },
    Case {
        name: "maintenance_service",
        run: service,
    },
];

/// The clock of the host that reads, in seconds.
fn now(bench: &Bench) -> f64 {
    bench.on("db2", "date +%s.%N").parse().expect("a moment")
}

fn application(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let reader = Reader::begin(bench, 10);
    bench
        .hactl(&["maintenance", "on", "app1", "--reason", "a new disk"])
        .ends(0)
        .says(&["app1: in maintenance"]);
    let out = now(bench);
    bench.hactl(&["maintenance", "status"]).ends(0).says(&[
        "app1: ",
        "a new disk",
        "MAINT in lb1, MAINT in lb2",
    ]);
    let told = json(&bench.hactl(&["maintenance", "status", "--json"]));
    assert_eq!(told["hosts"]["app1"]["state"], "out");
    assert_eq!(told["hosts"]["app1"]["note"]["reason"], "a new disk");
    // A deploy that reloads HAProxy, a restart of it, and a deploy that changes nothing.
    bench
        .hactl(&["deploy", "-e", "haproxy_maxconn=3999"])
        .ends(0)
        .says(&["Reload HAProxy"]);
    let (_, spare) = holder(bench);
    bench.on(spare, "systemctl restart haproxy");
    bench.hactl(&["deploy"]).ends(0);
    bench
        .hactl(&["maintenance", "on", "app1"])
        .ends(0)
        .says(&["in maintenance already", "nothing to do"]);
    bench
        .hactl(&["maintenance", "status"])
        .ends(0)
        .says(&["MAINT in lb1, MAINT in lb2"])
        .hides(&["✖"]);
    // What is not healthy does not come back.
    bench.on("app1", "systemctl stop welcome_app");
    bench
        .hactl(&["maintenance", "off", "app1", "--wait", "1"])
        .ends(2)
        .says(&["it is not healthy as lb", "connection refused"]);
    bench.on("app1", "systemctl start welcome_app");
    let back = now(bench);
    bench
        .hactl(&["maintenance", "off", "app1"])
        .ends(0)
        .says(&["app1: in service"]);
    bench
        .hactl(&["maintenance", "status"])
        .ends(0)
        .says(&["nothing is in maintenance"]);
    let lines = reader.end();
    let failed: Vec<_> = lines.iter().filter(|line| line.1 != "200").collect();
    assert!(failed.is_empty(), "{failed:?}");
    let meanwhile: Vec<_> = lines
        .iter()
        .filter(|line| line.0 > out + 0.5 && line.0 < back)
        .collect();
    assert!(meanwhile.len() > 20, "{}", meanwhile.len());
    let other = meanwhile.iter().find(|line| line.2 != "app2");
    assert!(other.is_none(), "{other:?}");
    eprintln!(
        "lab:   {} requests while app1 went and came: none failed, {} of them while it was out, all served by app2",
        lines.len(),
        meanwhile.len()
    );
    for host in ["lb1", "lb2"] {
        bench.on(host, "! grep -q app1 /etc/haproxy/maintenance.state");
    }
    bench.on("app1", "test ! -e /var/lib/hactl/maintenance");
    bench.whole();
}

/// Where slow clients leave their process numbers, on db2.
const SLOW: &str = "/run/hactl-slow-clients";

/// Uploads that do not come to their end, so many that each server has some, whoever else asks in between.
fn slow(bench: &Bench) -> Vec<Running> {
    let script = format!(
        "echo $$ >>{SLOW}; exec 3<>/dev/tcp/{VIP}/80; printf 'POST /api/quotes HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 9\\r\\n\\r\\n12' >&3; exec timeout 100 cat <&3"
    );
    (0..6)
        .map(|_| bench.start_on("db2", &format!("exec bash -c {}", quoted(&script))))
        .collect()
}

/// Ends them at once, rather than when HAProxy has had enough of them.
fn hang_up(bench: &Bench, clients: Vec<Running>) {
    bench.on("db2", &format!("kill $(cat {SLOW}) 2>/dev/null; rm {SLOW}"));
    drop(clients);
}

/// The sessions that the holder's HAProxy has on a server.
fn sessions_of(bench: &Bench, server: &str) -> u64 {
    let (holder, _) = holder(bench);
    let stat = bench.on(
        holder,
        "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; print $s \"show stat\\n\"; $s->flush; print while <$s>' /run/haproxy/admin.sock",
    );
    stat.lines()
        .find(|line| line.starts_with(&format!("welcome_app,{server},")))
        .and_then(|line| line.split(',').nth(4)?.parse().ok())
        .unwrap_or(0)
}

fn sessions(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let clients = slow(bench);
    eventually("app1 has a session", 30, || sessions_of(bench, "app1") > 0);
    let run = bench.hactl(&["maintenance", "on", "app1", "--wait", "2"]);
    run.ends(3).says(&[
        "app1: after 2 s it still has sessions: ",
        "undone: app1 is in service",
        "--cut ends them",
    ]);
    bench
        .hactl(&["maintenance", "status"])
        .ends(0)
        .says(&["nothing is in maintenance"]);
    assert!(sessions_of(bench, "app1") > 0, "it was cut all the same");
    hang_up(bench, clients);
    let clients = slow(bench);
    eventually("app1 has a session", 30, || sessions_of(bench, "app1") > 0);
    bench
        .hactl(&["maintenance", "on", "app1", "--wait", "1", "--cut"])
        .ends(0)
        .says(&["end the sessions that app1 still has: "]);
    assert_eq!(sessions_of(bench, "app1"), 0);
    hang_up(bench, clients);
    bench.hactl(&["maintenance", "off", "app1"]).ends(0);
    bench.whole();
}

fn balancer(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let (from, to) = holder(bench);
    let run = bench.hactl(&["maintenance", "on", from, "--reason", "a new kernel"]);
    run.ends(0).says(&[
        &format!("{from}: {VIP} moved to {to}; clients saw a gap of "),
        &format!("{from}: in maintenance"),
    ]);
    assert_eq!(holder(bench).0, to);
    bench.hactl(&["maintenance", "on", to]).ends(2).says(&[
        &format!("{to}: no other load balancer could take {VIP}"),
        "a new kernel",
    ]);
    bench.hactl(&["vip", "move"]).ends(2).says(&[
        "it is in maintenance",
        &format!("hactl maintenance off {from}"),
    ]);
    bench.hactl(&["deploy"]).ends(0);
    bench.on(from, "test \"$(cat /etc/keepalived/maintenance)\" = 1");
    bench.hactl(&["maintenance", "off", from]).ends(0);
    // It stays where it is.
    assert_eq!(holder(bench).0, to);
    bench.hactl(&["vip", "move"]).ends(0);
    assert_eq!(holder(bench).0, from);
    // The one that has not the address gives nothing up.
    let run = bench.hactl(&["maintenance", "on", to]);
    run.ends(0).hides(&["moved to"]);
    assert_eq!(holder(bench).0, from);
    bench.hactl(&["maintenance", "off", to]).ends(0);
    bench.whole();
}

fn refusals(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let primary = ["db1", "db2"]
        .into_iter()
        .find(|host| {
            bench.on(
                host,
                "runuser -u postgres -- psql -XAtc 'SELECT pg_is_in_recovery()'",
            ) == "f"
        })
        .expect("a primary");
    let standby = if primary == "db1" { "db2" } else { "db1" };
    for (words, says) in [
        (
            &["on", primary][..],
            vec![
                format!("{primary}: it is the primary database"),
                format!("hactl switchover --to {standby}, then hactl maintenance on {primary}"),
            ],
        ),
        (
            &["on", "app1", "app2"],
            vec![
                "app1: it is the last one that serves welcome_app in lb1".to_owned(),
                "app2: it is the last one".to_owned(),
                "--last-one".to_owned(),
            ],
        ),
        (
            &["on", "haproxy"],
            vec![
                format!("lb1: no other load balancer could take {VIP}"),
                format!("lb2: no other load balancer could take {VIP}"),
            ],
        ),
    ] {
        let run = bench.hactl(&[&["maintenance"], words].concat());
        run.ends(2)
            .says(&says.iter().map(String::as_str).collect::<Vec<_>>());
    }
    bench.hactl(&["maintenance", "on", "nobody"]).ends(1);
    bench
        .hactl(&["maintenance", "off", "app1"])
        .ends(0)
        .says(&["it is not in maintenance", "nothing to do"]);
    // A standby is only marked.
    bench
        .hactl(&["maintenance", "on", standby, "--reason", "a reboot"])
        .ends(0)
        .says(&[
            "no failover is made to it while the note stands",
            "no other standby is left",
        ]);
    bench.hactl(&["maintenance", "off", standby]).ends(0);
    // With a load balancer that cannot be told, nobody is taken out.
    let (_, spare) = holder(bench);
    bench.on(spare, "systemctl stop haproxy");
    bench
        .hactl(&["maintenance", "on", "app1"])
        .ends(2)
        .says(&[&format!(
            "{spare}: it cannot be told to leave app1 out: HAProxy does not answer"
        )]);
    bench.on(spare, "systemctl start haproxy");
    // The last one, on purpose.
    bench
        .hactl(&["maintenance", "on", "app1", "app2", "--last-one"])
        .ends(0);
    for host in ["lb1", "lb2"] {
        let kept = bench.on(host, "grep -c 'app[12]' /etc/haproxy/maintenance.state");
        assert_eq!(kept, "2", "one has pushed the other out");
    }
    let down = bench.get(VIP, 80, "/api/health").0;
    assert_eq!(down, 503);
    bench.hactl(&["maintenance", "off", "app1", "app2"]).ends(0);
    for host in ["lb1", "lb2", "app1", "app2", "db1", "db2"] {
        bench.on(host, "test ! -e /var/lib/hactl/maintenance");
    }
    bench.whole();
}

fn broken_off(bench: &Bench) {
    bench.deployed();
    bench.whole();
    // Killed while it waits for a session: the note tells, `off` repairs, and so does `on` again.
    for repair in ["off", "on"] {
        let clients = slow(bench);
        eventually("app1 has a session", 30, || sessions_of(bench, "app1") > 0);
        let running = bench.start(&["maintenance", "on", "app1"]);
        eventually("it is being drained", 10, || {
            bench
                .try_on("app1", "test -e /var/lib/hactl/maintenance")
                .code
                == 0
                && !bench
                    .hactl(&["maintenance", "status"])
                    .says(&["app1"])
                    .stdout
                    .contains("UP in")
        });
        running.kill_alone();
        hang_up(bench, clients);
        let status = json(&bench.hactl(&["maintenance", "status", "--json"]));
        assert_eq!(status["hosts"]["app1"]["state"], "unfinished", "{status:#}");
        bench.hactl(&["maintenance", repair, "app1"]).ends(0);
        if repair == "on" {
            let status = json(&bench.hactl(&["maintenance", "status", "--json"]));
            assert_eq!(status["hosts"]["app1"]["state"], "out", "{status:#}");
            bench.hactl(&["maintenance", "off", "app1"]).ends(0);
        }
        bench
            .hactl(&["maintenance", "status"])
            .ends(0)
            .says(&["nothing is in maintenance"]);
    }
    // A host that was installed anew in the meantime has no note; the load balancers still know.
    bench.hactl(&["maintenance", "on", "app1"]).ends(0);
    bench.on("app1", "rm /var/lib/hactl/maintenance");
    bench
        .hactl(&["maintenance", "status"])
        .ends(0)
        .says(&["there is no note on it, but it is kept out"]);
    bench.hactl(&["maintenance", "off", "app1"]).ends(0);
    bench.whole();
}

fn service(bench: &Bench) {
    bench.deployed();
    bench
        .hactl(&["maintenance", "on", "--reason", "an audit"])
        .ends(0)
        .says(&["the service is in maintenance"]);
    bench
        .hactl(&["maintenance", "status"])
        .ends(0)
        .says(&["the service is in maintenance: ", "an audit"]);
    for host in ["lb1", "app2", "db2"] {
        let note: Value = serde_json::from_str(&bench.on(host, "cat /var/lib/hactl/maintenance"))
            .expect("a line of JSON");
        assert_eq!(
            (&note["scope"], &note["reason"]),
            (&"service".into(), &"an audit".into())
        );
    }
    bench
        .hactl(&["drill", "crash"])
        .ends(2)
        .says(&["no drill now: the service is in maintenance", "an audit"]);
    // Both kinds of notes stand beside each other.
    bench.hactl(&["maintenance", "on", "app1"]).ends(0);
    bench
        .hactl(&["maintenance", "off"])
        .ends(0)
        .says(&["no longer in maintenance"]);
    bench
        .hactl(&["maintenance", "status"])
        .ends(0)
        .says(&["app1: "])
        .hides(&["the service is in maintenance"]);
    bench.hactl(&["maintenance", "off", "app1"]).ends(0);
    for host in ["lb1", "app1", "db2"] {
        bench.on(host, "test ! -e /var/lib/hactl/maintenance");
    }
}
