//! The engine's promises: lookahead gives exactly what one task after the other gives, and what that is agrees with
//! Ansible.

mod firewall;
mod mechanics;
mod owed;
mod vaulted;

use super::testing::{Memory, Rig, Told, Wish, between, random};
use crate::base::value::Value;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// All passes over one playbook: a plan, a run, a second run.
fn passes(rig: &Rig, files: &Memory, tags: &[String], one_by_one: bool) -> Vec<Told> {
    rig.reset();
    [true, false, false]
        .into_iter()
        .map(|check| {
            let wish = Wish {
                files: files.clone(),
                hosts: vec!["here".to_owned()],
                one_by_one,
                check,
                tags: tags.to_vec(),
                ..Wish::default()
            };
            rig.run(&wish)
                .unwrap_or_else(|errors| panic!("the playbook loads: {errors:#?}"))
        })
        .collect()
}

/// What differs, for people.
fn difference(ahead: &Told, plain: &Told) -> String {
    let mut text = String::new();
    for (name, left, right) in [
        (
            "events",
            format!("{:#?}", ahead.events),
            format!("{:#?}", plain.events),
        ),
        (
            "registers",
            format!("{:#?}", ahead.set),
            format!("{:#?}", plain.set),
        ),
        (
            "tree",
            format!("{:#?}", ahead.tree),
            format!("{:#?}", plain.tree),
        ),
        (
            "ending",
            format!("{:?} {:?}", ahead.ending, ahead.owed),
            format!("{:?} {:?}", plain.ending, plain.owed),
        ),
    ] {
        if left != right {
            let diff = similar::TextDiff::from_lines(&left, &right);
            let _ = text.write_fmt(format_args!(
                "{name} (- lookahead, + one by one):\n{}\n",
                diff.unified_diff().context_radius(4)
            ));
        }
    }
    text
}

/// CI sees the same playbooks every time, so that a red run is one's own; `PROPTEST_CASES=500 PROPTEST_RNG_SEED=N` looks for more.
fn configuration() -> ProptestConfig {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let cases = number("PROPTEST_CASES")
        .and_then(|cases| u32::try_from(cases).ok())
        .unwrap_or(40);
    ProptestConfig {
        cases,
        max_shrink_time: 60_000,
        rng_seed: RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(20_261_121)),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn lookahead_equals_one_task_after_the_other((files, tags) in random::playbook()) {
        let rig = Rig::new();
        let ahead = passes(&rig, &files, &tags, false);
        let plain = passes(&rig, &files, &tags, true);
        for (pass, (ahead, plain)) in ahead.into_iter().zip(plain).enumerate() {
            let (ahead, plain) = (ahead.outcome(), plain.outcome());
            prop_assert!(ahead == plain, "pass {pass}:\n{}", difference(&ahead, &plain));
        }
    }
}

proptest! {
    // Three hosts, and three processes for each task.
    #![proptest_config(ProptestConfig { cases: configuration().cases.div_ceil(4), ..configuration() })]

    #[test]
    fn hosts_that_keep_step_look_ahead_without_being_seen(files in between::playbook()) {
        let rig = Rig::new();
        let passes = |one_by_one: bool| -> Vec<Told> {
            rig.reset_for(&between::HOSTS);
            let pass = |check: bool| {
                let wish = Wish {
                    files: files.clone(),
                    hosts: between::HOSTS.map(str::to_owned).to_vec(),
                    one_by_one,
                    check,
                    ..Wish::default()
                };
                rig.run(&wish).unwrap_or_else(|errors| panic!("the playbook loads: {errors:#?}"))
            };
            [true, false, false].map(pass).to_vec()
        };
        let serial = String::from_utf8_lossy(&files.0[Path::new("site.yml")]).contains("\"serial\"");
        let (ahead, plain) = (passes(false), passes(true));
        for (pass, (ahead, plain)) in ahead.into_iter().zip(plain).enumerate() {
            for told in [&ahead, &plain] {
                // With `serial` each batch has its own turn.
                if let Some(task) = out_of_step(told).filter(|_| !serial) {
                    prop_assert!(false, "pass {pass}: {task} was done again after another task\n{:#?}", told.sequence);
                }
            }
            let (ahead, plain) = (ahead.outcome(), plain.outcome());
            prop_assert!(ahead == plain, "pass {pass}:\n{}", difference(&ahead, &plain));
        }
    }
}

/// A task that did something on a host after another host had already done something in a later one.
fn out_of_step(told: &Told) -> Option<&str> {
    let works = |line: &str| {
        let did = ["changed", "failed", "rescued"];
        did.iter().any(|status| line.contains(&format!(": {status}")))
            // Handlers and included tasks may have several turns.
            && line.starts_with("task")
            && !line.contains("(handler)")
    };
    let mut runs: Vec<&str> = Vec::new();
    for (_, line) in told.sequence.iter().filter(|(_, line)| works(line)) {
        let name = line.split([':', ' ']).next().unwrap_or_default();
        if runs.last() != Some(&name) {
            if runs.contains(&name) {
                return Some(name);
            }
            runs.push(name);
        }
    }
    None
}

/// A case of `tests/data/engine`: what is told of each host, which is what Ansible tells.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    hosts: Vec<String>,
    #[serde(default)]
    files: BTreeMap<String, Value>,
    playbook: Value,
    /// Handlers that are owed at the end.
    #[serde(default)]
    owed: String,
    /// What no event may hold.
    hides: Option<String>,
    /// Hosts that failed, and those that others stopped.
    failed: Option<Vec<String>>,
    #[serde(default)]
    stopped: Vec<String>,
    /// How often which task did something, in the order over all hosts: `3 Stop`.
    in_step: Option<Vec<String>>,
    #[serde(default)]
    expected: BTreeMap<String, Vec<String>>,
}

#[test]
fn plays_run_as_in_ansible() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/engine");
    let mut paths: Vec<_> = fs_err::read_dir(folder)
        .expect("cases")
        .map(|entry| entry.expect("a case").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "yml"));
    paths.sort();
    assert!(paths.len() >= 12, "the cases are there");
    let mut wrong = String::new();
    for path in paths {
        let text = fs_err::read_to_string(&path).expect("a case");
        let case: Case = serde_yaml::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut files = Memory::default();
        for (name, content) in case
            .files
            .iter()
            .chain([(&"site.yml".to_owned(), &case.playbook)])
        {
            let bytes = match content {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            files.0.insert(name.into(), bytes.into_bytes());
        }
        for one_by_one in [false, true] {
            let rig = Rig::new();
            rig.reset();
            let wish = Wish {
                files: files.clone(),
                hosts: case.hosts.clone(),
                one_by_one,
                ..Wish::default()
            };
            let told = rig
                .run(&wish)
                .unwrap_or_else(|errors| panic!("{}: {errors:#?}", path.display()));
            let owed: String = told.owed.values().cloned().collect();
            let shown = serde_yaml::to_string(&told.events).expect("YAML");
            let ended = (&told.ending[0], &told.ending[3]);
            let order = steps(&told);
            if told.events != case.expected
                || owed != case.owed
                || case
                    .failed
                    .as_ref()
                    .is_some_and(|failed| ended != (failed, &case.stopped))
                || case.in_step.as_ref().is_some_and(|steps| *steps != order)
                || case
                    .hides
                    .as_ref()
                    .is_some_and(|hidden| shown.contains(hidden))
            {
                let _ = wrong.write_fmt(format_args!(
                    "--- {} (one by one: {one_by_one}, owed: {owed:?}, failed and stopped: {ended:?}, order: {order:?})\n{shown}\n",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The tasks that did something, in the order over all hosts, with the number of times.
fn steps(told: &Told) -> Vec<String> {
    let did = |line: &&str| line.contains(": changed") || line.contains(": failed");
    let lines = told.sequence.iter().map(|(_, line)| line.as_str());
    let mut steps: Vec<(&str, usize)> = Vec::new();
    for line in lines.filter(did) {
        let name = line.split(':').next().unwrap_or_default();
        match steps.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => steps.push((name, 1)),
        }
    }
    let shown = |(name, count)| format!("{count} {name}");
    steps.into_iter().map(shown).collect()
}

#[test]
fn hosts_that_keep_step_and_change_nothing_cost_no_round_trip_more() {
    let task = |number: usize| match number % 4 {
        0 => {
            serde_json::json!({"name": "Writes", "copy": {"dest": format!("{{{{ dir }}}}/{{{{ inventory_hostname }}}}-{number}"), "content": "{{ groups['all'] | map('extract', hostvars) | map(attribute='ansible_facts.os_family') | join(' ') }}"}})
        }
        1 => {
            serde_json::json!({"name": "Looks", "stat": {"path": "{{ dir }}/f0"}, "register": "seen"})
        }
        2 => {
            serde_json::json!({"name": "Other's", "copy": {"dest": format!("{{{{ dir }}}}/{{{{ inventory_hostname }}}}-{number}"), "content": "{{ hostvars[groups['all'][0]].dir }} {{ ansible_play_hosts | length }}"}, "notify": "Handler"})
        }
        _ => {
            serde_json::json!({"name": "Makes", "file": {"path": format!("{{{{ dir }}}}/made-{{{{ inventory_hostname }}}}-{number}"), "state": "directory"}, "when": "inventory_hostname != 'c'"})
        }
    };
    let tasks: Vec<Value> = (0..40).map(task).collect();
    let handlers = serde_json::json!([{"name": "Handler", "command": "true"}]);
    for strategy in ["linear", "free"] {
        let play = serde_json::json!([{"name": "Play", "hosts": "all", "gather_facts": false, "strategy": strategy, "tasks": tasks, "handlers": handlers}]);
        let mut wish = Wish {
            hosts: ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec(),
            ..Wish::default()
        };
        let text = play.to_string().into_bytes();
        wish.files.0.insert("site.yml".into(), text);
        let rig = Rig::new();
        rig.reset();
        rig.run(&wish).expect("it loads");
        let second = rig.run(&wish).expect("it loads");
        // The greeting, and one look at everything.
        let trips: Vec<u64> = second.trips.values().copied().collect();
        assert_eq!(trips, [2; 6], "{strategy}");
        assert!(steps(&second).is_empty(), "{second:#?}");
    }
}
