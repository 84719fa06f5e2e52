//! A database host that returns from the dead: it takes no write unless it is certain that nobody else does. And what a
//! deploy makes of roles that are no longer those of the inventory, of fenced hosts, of operations that were not finished.

use crate::Case;
use crate::bench::{Bench, HOSTS, eventually};
use crate::command::Run;
use crate::deploy::count;

pub const CASES: &[Case] = &[
    Case {
        name: "guard_a_former_primary_takes_no_write",
        run: a_former_primary_takes_no_write,
    },
    Case {
        name: "guard_of_two_former_primaries_the_newer_one_starts",
        run: of_two_former_primaries_the_newer_one_starts,
    },
    Case {
        name: "guard_after_a_total_power_loss_all_come_back",
        run: after_a_total_power_loss_all_come_back,
    },
    Case {
        name: "guard_a_host_alone",
        run: a_host_alone,
    },
    Case {
        name: "deploy_keeps_the_roles_of_a_switchover",
        run: keeps_the_roles_of_a_switchover,
    },
    Case {
        name: "deploy_leaves_a_fenced_host_alone",
        run: leaves_a_fenced_host_alone,
    },
    Case {
        name: "deploy_into_an_unfinished_operation_is_refused",
        run: into_an_unfinished_operation_is_refused,
    },
];

/// Shell that every line about PostgreSQL begins with.
const SHELL: &str = "version=$(ls /etc/postgresql); unit=postgresql@$version-main; data=/var/lib/postgresql/$version/main
sql() { runuser -u postgres -- psql -XAtqw -v ON_ERROR_STOP=1 -d postgres; }
";

pub fn sh(bench: &Bench, host: &str, line: &str) -> String {
    bench.on(host, &format!("{SHELL}{line}"))
}

/// What a server is: `f` a primary, `t` a standby, nothing when it does not run.
pub fn in_recovery(bench: &Bench, host: &str) -> String {
    let run = bench.try_on(
        host,
        &format!("{SHELL}echo 'SELECT pg_is_in_recovery()' | sql 2>/dev/null"),
    );
    run.stdout.trim().to_owned()
}

pub fn state(bench: &Bench, host: &str) -> String {
    sh(bench, host, "systemctl is-active \"$unit\" || :")
}

pub fn journal(bench: &Bench, host: &str) -> String {
    sh(
        bench,
        host,
        "journalctl -b -u \"$unit\" -o cat --no-pager | grep ^guard:",
    )
}

/// db1 is the primary, db2 follows it, all is well.
pub fn home(bench: &Bench) {
    bench.deployed();
    for host in ["db1", "db2"] {
        // A case that failed may have left its tries going.
        bench.try_on(host, "rm -f /run/postgresql/knock*");
    }
    if in_recovery(bench, "db1") != "f" {
        bench
            .hactl(&["rejoin", "db1", "--discard-diverged"])
            .ends(0);
        bench.hactl(&["switchover", "--to", "db1"]).ends(0);
    }
    bench.whole();
}

pub fn promote(bench: &Bench, host: &str) {
    sh(
        bench,
        host,
        "pg_ctlcluster \"$version\" main promote && echo CHECKPOINT | sql",
    );
    eventually("it is promoted", 30, || in_recovery(bench, host) == "f");
}

#[track_caller]
pub fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

pub const DB1: &str = "192.168.104.31";

/// Tries to write to a server from another host, every 20 ms, two at once; each try leaves a line.
const KNOCK: &str = "cat >/run/postgresql/knock <<'END'
while [ -e /run/postgresql/knock ]; do
    psql -XAtqw \"host=$1 user=replicator dbname=postgres connect_timeout=2\" \\
        -c \"INSERT INTO knock VALUES (now()) RETURNING 'accepted'\" 2>&1 | tail -n 1
    sleep 0.02
done >>/run/postgresql/knock.log.$2
END
for i in 1 2; do
    systemd-run -q --uid=postgres -E PGPASSFILE=/var/lib/postgresql/.pgpass sh /run/postgresql/knock ADDRESS $i
done";

fn knock(bench: &Bench, from: &str, address: &str) {
    bench.on(from, "rm -f /run/postgresql/knock*");
    bench.on(from, &KNOCK.replace("ADDRESS", address));
}

/// How many tries found a host there, and how many of them wrote.
fn knocked(bench: &Bench, from: &str) -> (usize, usize) {
    let log = bench.on(
        from,
        "cat /run/postgresql/knock.log.* | sort | uniq -c | sort -n",
    );
    let sum = |wanted: &dyn Fn(&str) -> bool| {
        log.lines()
            .filter(|line| wanted(line))
            .filter_map(|line| line.split_whitespace().next()?.parse::<usize>().ok())
            .sum()
    };
    let met = sum(&|line| {
        ["accepted", "running on that host", "starting up", "refused"]
            .iter()
            .any(|word| line.contains(word))
    });
    (met, sum(&|line| line.ends_with(" accepted")))
}

const TABLE: &str = "echo 'CREATE TABLE IF NOT EXISTS knock (at timestamptz); GRANT INSERT, SELECT ON knock TO replicator' | sql";
const NO_TABLE: &str = "echo 'DROP TABLE IF EXISTS knock' | sql; rm -f /run/postgresql/knock*";

fn a_former_primary_takes_no_write(bench: &Bench) {
    home(bench);
    sh(bench, "db1", TABLE);
    knock(bench, "db2", DB1);
    // Otherwise it would be no news that no try succeeds.
    eventually("the tries succeed while db1 is the primary", 20, || {
        knocked(bench, "db2").1 > 5
    });
    bench.lab(&["kill", "db1"]);
    promote(bench, "db2");
    bench.on("db2", "rm -f /run/postgresql/knock*");
    knock(bench, "db2", DB1);
    bench.lab(&["start", "db1"]);
    eventually("the unit has failed", 40, || {
        state(bench, "db1") == "failed"
    });
    eventually("it was tried often enough", 20, || {
        knocked(bench, "db2").0 > 50
    });
    // By hand it is the same.
    let run = bench.try_on("db1", &format!("{SHELL}systemctl start \"$unit\""));
    assert!(run.code != 0, "it starts by hand\n{}", run.told());
    let (met, accepted) = knocked(bench, "db2");
    eprintln!(
        "lab:   {met} tries to write to the former primary since it was back, {accepted} accepted"
    );
    sh(bench, "db2", NO_TABLE);
    assert_eq!(accepted, 0, "of {met} tries");
    assert_eq!(
        sh(
            bench,
            "db1",
            "find \"$data/global/pg_control\" \"$data/pg_wal\" -newer /run/systemd/private"
        ),
        "",
        "its data was touched"
    );
    contains(
        &journal(bench, "db1"),
        &[
            "not started as a primary: db2 is the primary, on timeline",
            "hactl rejoin db1",
        ],
    );
    // A deploy leaves it so, and the new primary as well.
    let run = bench.hactl(&["deploy"]);
    run.ends(3)
        .block("✖ db1: ", &["Refuse a former primary", "hactl rejoin db1"]);
    says_once(
        &run,
        "db2 is the primary; the inventory's first choice is db1",
    );
    assert_eq!(in_recovery(bench, "db2"), "f");
    assert_eq!(state(bench, "db1"), "failed");
    home(bench);
}

fn of_two_former_primaries_the_newer_one_starts(bench: &Bench) {
    home(bench);
    bench.lab(&["kill", "db1"]);
    promote(bench, "db2");
    bench.lab(&["kill", "db2"]);
    bench.lab(&["start", "db1", "db2"]);
    eventually("the newer one takes writes", 60, || {
        in_recovery(bench, "db2") == "f"
    });
    eventually("the older one has failed", 60, || {
        state(bench, "db1") == "failed"
    });
    contains(&journal(bench, "db1"), &["not started as a primary: db2"]);
    contains(&journal(bench, "db2"), &["started as a primary"]);
    home(bench);
}

fn after_a_total_power_loss_all_come_back(bench: &Bench) {
    home(bench);
    bench.lab(&["kill", "db1", "db2"]);
    let started = std::time::Instant::now();
    bench.lab(&["start", "db1", "db2"]);
    eventually("db1 is the primary again", 45, || {
        in_recovery(bench, "db1") == "f"
    });
    eprintln!(
        "lab:   the primary is back {:.1} s after power",
        started.elapsed().as_secs_f64()
    );
    eventually("db2 follows it", 30, || in_recovery(bench, "db2") == "t");
    contains(
        &journal(bench, "db1"),
        &["started as a primary on timeline"],
    );
    bench.whole();
}

fn a_host_alone(bench: &Bench) {
    home(bench);
    let quick = ["deploy", "-e", "postgresql_guard_wait=4"];
    bench.hactl(&quick).ends(0).says(&["2 changed on 6 hosts"]);
    bench.lab(&["kill", "db1", "db2"]);
    bench.lab(&["start", "db1"]);
    eventually("it serves alone", 40, || in_recovery(bench, "db1") == "f");
    contains(
        &journal(bench, "db1"),
        &[
            "started as a primary",
            "without an answer from db2",
            "4 answer",
        ],
    );
    // Cut off from the hosts that serve clients, or blocked by them, it is no better than dead.
    for host in ["lb1", "lb2", "app1"] {
        bench.lab(&["cut", "db1", host]);
    }
    let restart = format!("{SHELL}systemctl restart \"$unit\"");
    let run = bench.try_on("db1", &restart);
    assert!(run.code != 0, "it starts\n{}", run.told());
    contains(
        &journal(bench, "db1"),
        &[
            "no answer from db2",
            "1 answer: app2",
            "touch /run/postgresql-start-alone",
        ],
    );
    let word = format!("touch /run/postgresql-start-alone; {restart}");
    bench.on("db1", &word);
    eventually("a person can start it", 30, || {
        in_recovery(bench, "db1") == "f"
    });
    // That counts once.
    bench.on("db1", "test ! -e /run/postgresql-start-alone");
    bench.lab(&["heal"]);
    // Whoever prefers to wait for a person gets that; a pair without other hosts waits, too.
    for (setting, said) in [
        ("postgresql_guard_unreachable=refuse", "is refuse"),
        (
            "{\"postgresql_guard_witnesses\": []}",
            "there is no host that is no database",
        ),
    ] {
        bench
            .hactl(&["deploy", "--limit", "db1", "-e", setting])
            .ends(0);
        let run = bench.try_on("db1", &restart);
        assert!(run.code != 0, "{setting}: it starts\n{}", run.told());
        contains(&journal(bench, "db1"), &[said]);
        bench.on("db1", &word);
    }
    bench.lab(&["start", "db2"]);
    bench.whole();
    bench.hactl(&["deploy"]).ends(0);
    // With the standby up, a restart is nothing special.
    bench.on("db1", &restart);
    eventually("it is restarted", 20, || in_recovery(bench, "db1") == "f");
    contains(&journal(bench, "db1"), &["db2 is a standby on timeline"]);
    bench.whole();
}

#[track_caller]
fn says_once(run: &Run, sentence: &str) {
    let times = run.stdout.matches(sentence).count() + run.stderr.matches(sentence).count();
    assert_eq!(times, 1, "`{sentence}`\n{}", run.told());
}

fn keeps_the_roles_of_a_switchover(bench: &Bench) {
    home(bench);
    let sentence = "db2 is the primary; the inventory's first choice is db1: db2 is kept. To make it the first choice: `postgresql_initial_primary: db2`";
    bench
        .hactl(&["deploy"])
        .ends(0)
        .hides(&["the inventory's first choice"]);
    bench.hactl(&["switchover", "--to", "db2"]).ends(0);
    let rows = || {
        sh(
            bench,
            "db2",
            "echo 'SELECT timeline_id, system_identifier FROM pg_control_checkpoint(), pg_control_system()' | sql",
        )
    };
    let before = rows();
    let run = bench.hactl(&["deploy"]);
    run.ends(0).says(&["0 changed on 6 hosts"]);
    says_once(&run, sentence);
    assert_eq!(rows(), before);
    assert_eq!(in_recovery(bench, "db1"), "t");
    // The line does what the sentence says.
    bench
        .hactl(&["deploy", "-e", "postgresql_initial_primary=db2"])
        .ends(0)
        .says(&["0 changed on 6 hosts"])
        .hides(&["the inventory's first choice"]);
    home(bench);
}

fn leaves_a_fenced_host_alone(bench: &Bench) {
    home(bench);
    sh(
        bench,
        "db1",
        "systemctl stop \"$unit\"; mkdir -p /var/lib/hactl; touch /var/lib/hactl/fenced",
    );
    promote(bench, "db2");
    bench.hactl(&["deploy"]).ends(0);
    bench.on("app1", "chmod 0600 /etc/hosts");
    let run = bench.hactl(&["deploy"]);
    run.ends(0)
        .says(&["1 changed on 6 hosts", "hactl rejoin db1"]);
    says_once(&run, "db1 is fenced, as after a failover");
    assert_eq!(state(bench, "db1"), "inactive");
    // Not even when nobody answers who would object.
    sh(bench, "db2", "systemctl stop \"$unit\"");
    let start = bench.try_on("db1", &format!("{SHELL}systemctl start \"$unit\""));
    assert!(start.code != 0, "it starts\n{}", start.told());
    contains(&journal(bench, "db1"), &["this host was fenced"]);
    sh(bench, "db2", "systemctl start \"$unit\"");
    // Fenced and running is another matter.
    sh(
        bench,
        "db1",
        "install -o postgres -m 0600 /dev/null \"$data/standby.signal\"; systemctl start \"$unit\"; rm \"$data/standby.signal\"",
    );
    bench
        .hactl(&["deploy"])
        .ends(3)
        .block("✖ db1: ", &["was fenced", "runs on it all the same"]);
    sh(bench, "db1", "systemctl stop \"$unit\"");
    home(bench);
    bench.on("db1", "test ! -e /var/lib/hactl/fenced");
}

fn into_an_unfinished_operation_is_refused(bench: &Bench) {
    home(bench);
    bench.on("app1", "chmod 0600 /etc/hosts");
    bench.on(
        "db2",
        "mkdir -p -m 0700 /var/lib/hactl; echo '{\"id\":\"x\",\"kind\":\"switchover\",\"operator\":\"eve@desk\",\"started\":1}' >/var/lib/hactl/operation",
    );
    for more in [&[][..], &["--check"]] {
        let run = bench.hactl(&[&["deploy"], more].concat());
        run.ends(2).says(&[
            "error: db2: an unfinished switchover is on this host",
            "begun by eve@desk",
            "hactl resume",
        ]);
    }
    assert_eq!(bench.on("app1", "stat -c %a /etc/hosts"), "600");
    // Where the operation is not, a deploy may be.
    bench
        .hactl(&["deploy", "--limit", "app1"])
        .ends(0)
        .says(&["1 changed"]);
    bench.on("db2", "rm /var/lib/hactl/operation");
    let run = bench.hactl(&["deploy", "--json"]);
    run.ends(0);
    for host in HOSTS {
        assert_eq!(count(&run.json(), host, "changed"), 0, "{host}");
    }
}
