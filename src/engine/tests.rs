//! The engine's promises: lookahead gives exactly what one task after the other gives, and what that is agrees with
//! Ansible.

mod mechanics;
mod owed;
mod vaulted;

use super::testing::{Memory, Rig, Told, Wish, random};
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
        for (pass, (ahead, plain)) in ahead.iter().zip(&plain).enumerate() {
            prop_assert!(ahead == plain, "pass {pass}:\n{}", difference(ahead, plain));
        }
    }
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
            if told.events != case.expected
                || owed != case.owed
                || case
                    .hides
                    .as_ref()
                    .is_some_and(|hidden| shown.contains(hidden))
            {
                let _ = wrong.write_fmt(format_args!(
                    "--- {} (one by one: {one_by_one}, owed: {owed:?})\n{shown}\n",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
