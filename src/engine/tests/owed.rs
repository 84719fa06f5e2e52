//! Handlers that a run owes: the next run of the same project takes them up, no other one, and they can be dropped.

use crate::engine::testing::{Memory, Rig, Told, Wish};

#[test]
fn handlers_of_a_failed_run_run_in_the_next() {
    let site = |fails: bool| {
        let tasks = serde_json::json!([
            {"name": "Finds out", "set_fact": {"found": "found"}},
            {"name": "Own", "copy": {"content": "x", "dest": "{{ dir }}/own"}, "notify": ["Own", "topic"]},
            {"name": "Role", "include_role": {"name": "r"}},
            {"name": "Says so", "debug": {"msg": "x"}, "changed_when": fails, "notify": "Told"},
            {"name": "Breaks", "fail": {"msg": "broken"}, "when": fails},
        ]);
        let handlers = serde_json::json!([
            {"name": "Own", "debug": {"msg": "own {{ found }}"}},
            {"debug": {"msg": "without a name"}, "listen": "topic"},
            {"name": "Told", "debug": {"msg": "told"}},
            {"name": "Never", "debug": {"msg": "never"}},
        ]);
        let play = serde_json::json!([{"name": "Play", "hosts": "all", "gather_facts": false, "pre_tasks": [{"name": "Before", "debug": {"msg": "before"}}], "tasks": tasks, "handlers": handlers}]);
        let mut files = Memory::default();
        files
            .0
            .insert("site.yml".into(), play.to_string().into_bytes());
        files.0.insert(
            "roles/r/tasks/main.yml".into(),
            "- {name: Role, copy: {content: x, dest: '{{ dir }}/role'}, notify: Role}".into(),
        );
        files.0.insert(
            "roles/r/handlers/main.yml".into(),
            "- {name: Role, debug: {msg: role}}".into(),
        );
        files
    };
    for one_by_one in [false, true] {
        let rig = Rig::new();
        rig.reset();
        let run = |fails: bool, check: bool| {
            let wish = Wish {
                files: site(fails),
                hosts: vec!["here".to_owned()],
                one_by_one,
                check,
                ..Wish::default()
            };
            rig.run(&wish).expect("it loads")
        };
        let handlers = |told: &Told| -> Vec<String> {
            told.events["here"]
                .iter()
                .filter(|line| line.contains("(handler)"))
                .cloned()
                .collect()
        };
        let failed = run(true, false);
        assert_eq!(
            (
                failed.ending[0].len(),
                handlers(&failed).len(),
                failed.owed.len()
            ),
            (1, 0, 1),
            "{failed:#?}"
        );
        let wished = [
            "Own: ok (handler): own found",
            "debug: ok (handler): without a name",
            "Told: ok (handler): told",
            "r : Role: ok (handler): role",
        ];
        // A plan shows them and leaves them owed.
        assert_eq!(handlers(&run(false, true)), wished);
        let second = run(false, false);
        assert_eq!(
            (handlers(&second), second.owed.len()),
            (wished.map(str::to_owned).to_vec(), 0),
            "{second:#?}"
        );
        assert!(handlers(&run(false, false)).is_empty());
    }
}

/// A play that changes something, fails when it is told to, and has a handler.
fn failing(fails: bool) -> Memory {
    let play = serde_json::json!([{"name": "Play", "hosts": "all", "gather_facts": false,
        "tasks": [
            {"name": "Own", "copy": {"content": "x", "dest": "{{ dir }}/own"}, "notify": "Own"},
            {"name": "Breaks", "fail": {"msg": "broken"}, "when": fails},
        ],
        "handlers": [{"name": "Own", "debug": {"msg": "own"}}]}]);
    let mut files = Memory::default();
    let site = play.to_string().into_bytes();
    files.0.insert("site.yml".into(), site);
    files
}

#[test]
fn handlers_of_another_project_are_neither_run_nor_lost() {
    let rig = Rig::new();
    rig.reset();
    let run = |fails: bool, wish: Wish| {
        let wish = Wish {
            files: failing(fails),
            hosts: vec!["here".to_owned()],
            ..wish
        };
        rig.run(&wish).expect("it loads")
    };
    let of = |project| Wish {
        project: Some(project),
        ..Wish::default()
    };
    let has = |told: &Told, text: &str| told.events["here"].iter().any(|line| line.contains(text));
    let owed = "one\tsite.yml\tPlay\tOwn\n";
    assert_eq!(run(true, of("one")).owed["here"], owed);
    // Names are the same; the project is not.
    let other = run(false, of("two"));
    assert!(!has(&other, "(handler)"), "{other:#?}");
    assert!(has(
        &other,
        "still owes: Own (one, play `Play`); deploy that project"
    ));
    assert_eq!(other.owed["here"], owed);
    let own = run(false, of("one"));
    assert!(
        has(&own, "Own: ok (handler)") && !has(&own, "note:"),
        "{own:#?}"
    );
    assert!(own.owed.is_empty());
}

#[test]
fn what_is_owed_can_be_dropped() {
    let rig = Rig::new();
    rig.reset();
    let run = |fails: bool, check: bool, forget_handlers: bool| {
        let wish = Wish {
            files: failing(fails),
            hosts: vec!["here".to_owned()],
            check,
            forget_handlers,
            ..Wish::default()
        };
        rig.run(&wish).expect("it loads")
    };
    let has = |told: &Told, text: &str| told.events["here"].iter().any(|line| line.contains(text));
    run(true, false, false);
    let plan = run(false, true, true);
    assert!(
        has(&plan, "would be dropped: Own") && !plan.owed.is_empty(),
        "{plan:#?}"
    );
    let dropped = run(false, false, true);
    assert!(
        has(&dropped, "is dropped: Own") && !has(&dropped, "(handler)"),
        "{dropped:#?}"
    );
    assert!(dropped.owed.is_empty());
}
