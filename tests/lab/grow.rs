//! One line more in the inventory: a third application server, and nothing else is disturbed.

use crate::Case;
use crate::bench::{Bench, VIP, eventually, program};
use crate::command::run;
use crate::deploy::count;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub const CASES: &[Case] = &[Case {
    name: "a_third_application_server",
    run: a_third_application_server,
}];

/// What must not be restarted, by host.
const UNITS: [(&str, &str); 8] = [
    ("lb1", "haproxy"),
    ("lb1", "keepalived"),
    ("lb2", "haproxy"),
    ("lb2", "keepalived"),
    ("app1", "welcome_app"),
    ("app2", "welcome_app"),
    ("db1", "postgresql@15-main"),
    ("db2", "postgresql@15-main"),
];

fn lives(bench: &Bench) -> Vec<String> {
    UNITS
        .iter()
        .map(|(host, unit)| {
            let life = bench.on(
                host,
                &format!(
                    "systemctl show -p MainPID,ActiveEnterTimestampMonotonic,NRestarts {unit}"
                ),
            );
            assert!(!life.contains("MainPID=0"), "{unit} on {host} does not run");
            format!("{host} {unit} {}", life.replace('\n', " "))
        })
        .collect()
}

fn workers(bench: &Bench, host: &str) -> String {
    bench.on(host, "pgrep -P \"$(systemctl show -P MainPID haproxy)\"")
}

fn a_third_application_server(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let file = bench.project().join("inventories/pg-ha/hosts.yml");
    let before = std::fs::read_to_string(&file).expect("the inventory");
    let line = "        app2: {ansible_host: 192.168.104.22}\n";
    let more = "        app3: {ansible_host: 192.168.104.23}\n";
    assert!(before.contains(line), "{before}");
    std::fs::write(&file, before.replace(line, &format!("{line}{more}"))).expect("the inventory");
    let grown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| grow(bench)));
    // Back to six hosts, whatever came of it.
    std::fs::write(&file, before).expect("the inventory");
    bench.hactl(&["deploy"]).ends(0);
    if let Err(panic) = grown {
        std::panic::resume_unwind(panic);
    }
    bench.whole();
    bench.lab(&["kill", "app3"]);
}

fn grow(bench: &Bench) {
    run(program()
        .args(["lab", "up", "-n", &bench.lab, "-C"])
        .arg(bench.project())
        .args(["-i", "inventories/pg-ha"]))
    .ends(0);
    let fragment = bench.lab_file("inventory.yml");
    let hactl = |arguments: &[&str]| {
        run(program()
            .arg("-C")
            .arg(bench.project())
            .args(["-i", "inventories/pg-ha", "-i"])
            .arg(&fragment)
            .args(arguments))
    };
    let (lived, worked) = (lives(bench), workers(bench, "lb1"));
    let deployed = hactl(&["deploy", "--json"]);
    deployed.ends(0);
    let document = deployed.json();
    assert!(
        count(&document, "app3", "changed") > 10,
        "{}",
        document["hosts"]["app3"]
    );
    let mut changed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for task in document["tasks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        let text = |name: &str| task[name].as_str().unwrap_or_default();
        if task["status"] == "changed" && task["host"] != "app3" {
            changed
                .entry(text("host"))
                .or_default()
                .insert(text("task"));
        }
    }
    let lb = BTreeSet::from(["haproxy : Configure HAProxy", "haproxy : Reload HAProxy"]);
    // The new host looks at them with `verify`, and as a client.
    let app = BTreeSet::from([
        "firewall : Look whether the rules change",
        "guarded : Keep the old files, and go back to them unless they are confirmed",
        "firewall : Write the rules",
        "guarded : Apply it",
        "guarded : Keep it",
    ]);
    let db = app
        .iter()
        .copied()
        .chain([
            "postgresql : Write who may connect",
            "postgresql : Apply the settings of PostgreSQL",
            // The new host is one more that shows whether a database host is cut off.
            "postgresql : Write the start guard",
        ])
        .collect::<BTreeSet<_>>();
    let expected = BTreeMap::from([
        ("lb1", lb.clone()),
        ("lb2", lb),
        ("app1", app.clone()),
        ("app2", app),
        ("db1", db.clone()),
        ("db2", db),
    ]);
    assert_eq!(changed, expected, "{}", deployed.told());
    // Reloaded, not restarted: the same processes since the same moment, but new workers.
    assert_eq!(lives(bench), lived);
    eventually("haproxy on lb1 has new workers", 10, || {
        workers(bench, "lb1") != worked
    });
    for (host, path, what) in [
        ("lb1", "/etc/haproxy/haproxy.cfg", "192.168.104.23:5000"),
        ("lb2", "/etc/haproxy/haproxy.cfg", "192.168.104.23:5000"),
        (
            "db1",
            "/etc/postgresql/15/main/pg_hba.conf",
            "192.168.104.23/32",
        ),
        (
            "db2",
            "/etc/postgresql/15/main/pg_hba.conf",
            "192.168.104.23/32",
        ),
    ] {
        bench.on(host, &format!("grep -qF {what} {path}"));
    }
    hactl(&["verify", "--wait", "160"]).ends(0).says(&["app3"]);
    let mut served = BTreeSet::new();
    eventually("all three answer behind the virtual address", 20, || {
        let (status, body) = bench.get(VIP, 80, "/api/health");
        let health: Value = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!(status, 200, "{body}");
        served.extend(health["hostname"].as_str().map(str::to_owned));
        served.len() == 3
    });
    assert!(served.contains("app3"), "{served:?}");
}
