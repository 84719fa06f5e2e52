//! The plain way: look, deploy, look again, verify, break, notice, repair.

use crate::Case;
use crate::bench::{Bench, HOSTS, eventually};
use crate::command::Run;
use serde_json::Value;

pub const CASES: &[Case] = &[
    Case {
        name: "fresh_hosts_get_a_full_plan",
        run: fresh_hosts_get_a_full_plan,
    },
    Case {
        name: "a_plan_without_hosts",
        run: a_plan_without_hosts,
    },
    Case {
        name: "deploy_from_scratch",
        run: deploy_from_scratch,
    },
    Case {
        name: "a_second_deploy_changes_nothing",
        run: a_second_deploy_changes_nothing,
    },
    Case {
        name: "a_check_finds_nothing",
        run: a_check_finds_nothing,
    },
    Case {
        name: "hosts_without_python",
        run: hosts_without_python,
    },
    Case {
        name: "verify_is_green",
        run: verify_is_green,
    },
    Case {
        name: "verify_names_what_is_broken",
        run: verify_names_what_is_broken,
    },
];

/// How many tasks of a host ended so.
#[track_caller]
pub fn count(document: &Value, host: &str, status: &str) -> u64 {
    assert!(
        document["hosts"][host].is_object(),
        "no host {host} in {document:#}"
    );
    document["hosts"][host]["counts"][status]
        .as_u64()
        .unwrap_or(0)
}

/// What is expected of a plan for empty hosts.
fn is_a_full_plan(run: &Run) {
    run.ends(0);
    let document = run.json();
    for host in HOSTS {
        assert_eq!(count(&document, host, "failed"), 0, "{host} failed");
        assert!(
            count(&document, host, "changed") + count(&document, host, "unknown") >= 10,
            "{host}: a plan with too little in it: {}",
            document["hosts"][host]
        );
        assert_eq!(document["hosts"][host]["failed"], false);
    }
    let tasks = document["tasks"].as_array().expect("tasks");
    let planned = |host: &str, part: &str| {
        tasks.iter().any(|task| {
            task["host"] == host
                && matches!(task["status"].as_str(), Some("changed" | "unknown"))
                && task["task"]
                    .as_str()
                    .is_some_and(|name| name.contains(part))
        })
    };
    for (host, task) in [
        ("lb1", "Install HAProxy"),
        ("lb1", "Configure HAProxy"),
        ("lb2", "Configure keepalived"),
        ("app1", "welcome_app"),
        ("app2", "welcome_app"),
        ("db1", "Install PostgreSQL"),
        ("db2", "Install PostgreSQL"),
    ] {
        assert!(
            planned(host, task),
            "the plan for {host} lacks `{task}`:\n{}",
            tasks
                .iter()
                .filter(|task| task["host"] == host)
                .map(|task| format!("{} {}\n", task["status"], task["task"]))
                .collect::<String>()
        );
    }
    // What cannot be known is named as that, with its place in the file.
    for task in tasks.iter().filter(|task| task["status"] == "unknown") {
        let reason = task["error"]["message"].as_str().unwrap_or_default();
        assert!(!reason.is_empty(), "unknown without a reason: {task:#}");
        assert!(
            task["at"].as_str().is_some_and(|at| at.contains(".yml:")),
            "unknown without a place: {task:#}"
        );
    }
}

fn fresh_hosts_get_a_full_plan(bench: &Bench) {
    let before = bench.on(
        "db1",
        "dpkg-query -l | md5sum; find /etc -newer /etc/machine-id -type f | md5sum",
    );
    let run = bench.hactl(&["deploy", "--check", "--json"]);
    is_a_full_plan(&run);
    let people = bench.hactl(&["deploy", "--check", "--detailed-exitcode"]);
    people
        .ends(10)
        .says(&["Configure HAProxy  would change", "would change"])
        .hides(&["✖"]);
    assert!(
        people.stderr.contains("on 6 hosts"),
        "no last line\n{}",
        people.told()
    );
    let after = bench.on(
        "db1",
        "dpkg-query -l | md5sum; find /etc -newer /etc/machine-id -type f | md5sum",
    );
    assert_eq!(before, after, "--check changed something");
    bench.on("db1", "test ! -e /var/lib/hactl/journal");
}

fn a_plan_without_hosts(bench: &Bench) {
    let run = bench.hactl(&["deploy", "--check", "--offline", "--json"]);
    is_a_full_plan(&run);
    for host in HOSTS {
        let trips = run.json()["hosts"][host]["cost"]["round_trips"].as_u64();
        assert!(
            matches!(trips, None | Some(0)),
            "{host} was asked: {trips:?}"
        );
    }
}

fn deploy_from_scratch(bench: &Bench) {
    let run = &bench.first().run;
    run.ends(0).hides(&["✖"]).says(&["on 6 hosts in"]);
    eprintln!("lab:   from scratch in {:.1} s", run.seconds);
    let last = run.stderr.lines().last().unwrap_or_default();
    assert!(
        !last.contains("failed") && last.contains(" changed on 6 hosts"),
        "{}",
        run.told()
    );
}

/// Nothing changed, on all hosts, in at most four round trips each.
fn is_idle(run: &Run) {
    run.ends(0);
    let document = run.json();
    assert_eq!(
        document["hosts"].as_object().map(serde_json::Map::len),
        Some(6)
    );
    let busy: Vec<String> = document["tasks"]
        .as_array()
        .expect("tasks")
        .iter()
        .filter(|task| !matches!(task["status"].as_str(), Some("ok" | "skipped")))
        .map(|task| format!("{} {} {}", task["host"], task["task"], task["status"]))
        .collect();
    assert!(busy.is_empty(), "not idle: {busy:#?}");
    for host in HOSTS {
        assert!(
            count(&document, host, "ok") > 5,
            "{host}: nothing was looked at"
        );
        for status in ["changed", "failed", "unknown"] {
            assert_eq!(count(&document, host, status), 0, "{host}: {status}");
        }
        let trips = document["hosts"][host]["cost"]["round_trips"]
            .as_u64()
            .expect("a number");
        assert!(
            (1..=4).contains(&trips),
            "{host} took {trips} round trips, not at most 4"
        );
    }
    eprintln!("lab:   nothing to do, found in {:.1} s", run.seconds);
}

fn a_second_deploy_changes_nothing(bench: &Bench) {
    bench.deployed();
    is_idle(&bench.hactl(&["deploy", "--json"]));
    bench
        .hactl(&["deploy"])
        .ends(0)
        .says(&["0 changed on 6 hosts"]);
}

fn a_check_finds_nothing(bench: &Bench) {
    bench.deployed();
    is_idle(&bench.hactl(&["deploy", "--check", "--detailed-exitcode", "--json"]));
    // The same flag says when there is something.
    bench.on("app1", "chmod 0600 /etc/hosts");
    bench
        .hactl(&["deploy", "--check", "--detailed-exitcode"])
        .ends(10)
        .block("app1: ", &["Name the hosts", "would change"])
        .says(&["1 would change on 6 hosts"]);
    bench
        .hactl(&["deploy"])
        .ends(0)
        .says(&["1 changed on 6 hosts"]);
    assert_eq!(bench.on("app1", "stat -c %a /etc/hosts"), "644");
}

fn hosts_without_python(bench: &Bench) {
    bench.deployed();
    for host in ["lb1", "lb2", "db1", "db2"] {
        let run = bench.try_on(host, "command -v python3 python");
        assert!(run.code != 0, "{host} has a Python\n{}", run.told());
    }
    // The application's own.
    bench.on("app1", "command -v python3");
}

fn verify_is_green(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let report = bench.room.join("verify.xml");
    let run = bench.hactl(&["verify", "--json", "--junit", &report.to_string_lossy()]);
    run.ends(0);
    let document = run.json();
    let text = document.to_string();
    assert!(
        document["schema"]
            .as_str()
            .is_some_and(|schema| schema.starts_with("hactl.verify/")),
        "{text}"
    );
    for id in ["haproxy.", "keepalived.", "postgresql.", "welcome_app."] {
        assert!(text.contains(id), "no check of {id}: {text}");
    }
    let junit = std::fs::read_to_string(&report).expect("a JUnit report");
    assert!(
        junit.contains("<testsuite") && junit.contains("<testcase") && !junit.contains("<failure"),
        "{junit}"
    );
}

fn verify_names_what_is_broken(bench: &Bench) {
    bench.deployed();
    bench.whole();
    bench.on("app1", "systemctl stop welcome_app");
    bench
        .hactl(&["verify"])
        .ends(6)
        .says(&["welcome_app.", "app1"]);
    let holder = if bench
        .on("lb1", "ip -brief address")
        .contains("192.168.104.10/")
    {
        "lb1"
    } else {
        "lb2"
    };
    bench.on(holder, "systemctl stop haproxy");
    let report = bench.room.join("broken.xml");
    bench
        .hactl(&["verify", "--junit", &report.to_string_lossy()])
        .ends(6)
        .says(&["haproxy.", holder, "app1"]);
    let junit = std::fs::read_to_string(&report).expect("a JUnit report");
    assert!(junit.contains("<failure"), "{junit}");
    // Deploying repairs what a deploy is for: what is stopped runs again, and nothing else is touched.
    let run = bench.hactl(&["deploy", "--json"]);
    run.ends(0);
    let document = run.json();
    for host in HOSTS {
        let expected = u64::from(host == "app1" || host == holder);
        assert_eq!(
            count(&document, host, "changed"),
            expected,
            "{host}\n{}",
            run.told()
        );
    }
    bench.whole();
    eventually("the service answers", 10, || {
        bench.get(crate::bench::VIP, 80, "/").0 == 200
    });
}
