//! The engine's promises: lookahead gives exactly what one task after the other gives, and what that is agrees with
//! Ansible.

use super::testing::{Memory, Rig, Told, Wish, random};
use proptest::prelude::*;

/// All passes over one playbook: a plan, a run, a second run, a plan again.
fn passes(rig: &Rig, files: &Memory, tags: &[String], one_by_one: bool) -> Vec<Told> {
    rig.reset();
    [true, false, false, true]
        .into_iter()
        .map(|check| {
            let wish = Wish { files: files.clone(), hosts: vec!["here".to_owned()], one_by_one, check, tags: tags.to_vec() };
            rig.run(&wish).unwrap_or_else(|errors| panic!("the playbook loads: {errors:#?}"))
        })
        .collect()
}

/// What differs, for people.
fn difference(ahead: &Told, plain: &Told) -> String {
    let mut text = String::new();
    for (name, left, right) in [
        ("events", format!("{:#?}", ahead.events), format!("{:#?}", plain.events)),
        ("registers", format!("{:#?}", ahead.set), format!("{:#?}", plain.set)),
        ("tree", format!("{:#?}", ahead.tree), format!("{:#?}", plain.tree)),
        ("ending", format!("{:?} {:?}", ahead.ending, ahead.owed), format!("{:?} {:?}", plain.ending, plain.owed)),
    ] {
        if left != right {
            let diff = similar::TextDiff::from_lines(&left, &right);
            text.push_str(&format!("{name} (- lookahead, + one by one):\n{}\n", diff.unified_diff().context_radius(4)));
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60), max_shrink_time: 60_000, ..ProptestConfig::default() })]

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
