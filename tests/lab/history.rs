//! What was done is found on the hosts, whoever did it.

use crate::Case;
use crate::bench::Bench;
use crate::vip::{holder, json};

pub const CASES: &[Case] = &[Case {
    name: "history_is_gathered_from_the_hosts",
    run: gathered,
}];

fn gathered(bench: &Bench) {
    bench.deployed();
    bench.whole();
    let (_, to) = holder(bench);
    bench
        .hactl(&["vip", "move", "--reason", "to be remembered"])
        .ends(0);
    let told = json(&bench.hactl(&["history", "--json", "--limit", "1"]));
    let last = &told["operations"][0];
    assert_eq!(told["operations"].as_array().map(Vec::len), Some(1));
    assert_eq!(last["kind"], "vip-move");
    assert_eq!(last["result"], "done");
    assert_eq!(last["reason"], "to be remembered");
    assert_eq!(last["details"]["to"], to);
    assert_eq!(last["hosts"], serde_json::json!(["lb1", "lb2"]));
    bench
        .hactl(&["history", "--limit", "1", "-v"])
        .ends(0)
        .says(&["keepalived gives 192.168.104.10 up", "kept on  lb1, lb2"]);
    // One host's file is garbled, another one has an operation under way: named, and shown first.
    bench.on(
        "app1",
        "mkdir -p /var/lib/hactl/history && echo '{garbled' >/var/lib/hactl/history/x.jsonl",
    );
    bench.on(
        "db1",
        "echo '{\"id\":\"1-drill\",\"kind\":\"drill\",\"operator\":\"ann@desk\",\"started\":5}' >/var/lib/hactl/operation",
    );
    let run = bench.hactl(&["history"]);
    bench.on("app1", "rm /var/lib/hactl/history/x.jsonl");
    bench.on("db1", "rm /var/lib/hactl/operation");
    run.ends(0).says(&[
        "1-drill is unfinished on db1: hactl resume",
        "in /var/lib/hactl/history/x.jsonl",
        "to be remembered",
    ]);
    let first = run.stdout.lines().nth(1).unwrap_or_default();
    assert!(first.contains("drill"), "{}", run.told());
}
