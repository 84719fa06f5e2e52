//! Commands, for real on this machine.

use super::super::support::testing::{args, whole};
use super::*;
use crate::modules::Module;

fn run(module: &dyn Module, raw: Value) -> (bool, Outcome) {
    let (change, outcome) = whole(module, &args(module, raw)).expect("runs");
    (change.is_some(), outcome)
}

#[test]
fn commands_run_and_tell_what_they_said() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().to_str().expect("utf-8");
    std::fs::write(dir.path().join("a b.txt"), "").expect("file");
    let cases: &[(&dyn Module, Value, bool, Value, i64)] = &[
        (
            &COMMAND,
            json!({"_raw_params": "echo 'a  b' \"$HOME_NOT_SET\" $x"}),
            true,
            json!("a  b $HOME_NOT_SET $x"),
            0,
        ),
        (
            &COMMAND,
            json!({"_raw_params": "echo ${NOT_SET_AT_ALL}/x '*'"}),
            true,
            json!("${NOT_SET_AT_ALL}/x *"),
            0,
        ),
        (
            &COMMAND,
            json!({"cmd": "echo $HOME", "expand_argument_vars": false}),
            true,
            json!("$HOME"),
            0,
        ),
        (
            &COMMAND,
            json!({"argv": ["printf", "%s|", "a;b", "c'd"]}),
            true,
            json!("a;b|c'd|"),
            0,
        ),
        (
            &COMMAND,
            json!({"cmd": "cat", "stdin": "in"}),
            true,
            json!("in"),
            0,
        ),
        (
            &COMMAND,
            json!({"cmd": "pwd", "chdir": path}),
            true,
            json!(path),
            0,
        ),
        (&COMMAND, json!({"cmd": "false"}), true, json!(""), 1),
        (
            &COMMAND,
            json!({"cmd": "true", "creates": "/"}),
            false,
            json!("skipped, since / exists"),
            0,
        ),
        (
            &COMMAND,
            json!({"cmd": "true", "removes": "*.txt", "chdir": path}),
            true,
            json!(""),
            0,
        ),
        (
            &COMMAND,
            json!({"cmd": "true", "creates": format!("{path}/a b*")}),
            false,
            json!(format!("skipped, since {path}/a b* exists")),
            0,
        ),
        (
            &COMMAND,
            json!({"cmd": "true", "removes": "no-such"}),
            false,
            json!("skipped, since no-such does not exist"),
            0,
        ),
        (
            &SHELL,
            json!({"_raw_params": "echo a && echo b; exit 3"}),
            true,
            json!("a\nb"),
            3,
        ),
        (
            &SHELL,
            json!({"cmd": "echo $0 'x'; ((1))", "executable": "/bin/bash"}),
            true,
            json!("/bin/bash x"),
            0,
        ),
        (
            &RAW,
            json!({"_raw_params": "echo hi"}),
            true,
            json!("hi\n"),
            0,
        ),
    ];
    for (module, raw, changed, stdout, rc) in cases {
        let (did, outcome) = run(*module, raw.clone());
        assert_eq!(
            (did, &outcome["stdout"], outcome["rc"].as_i64()),
            (*changed, stdout, Some(*rc)),
            "{raw}"
        );
        assert_eq!(
            outcome.get("failed"),
            (*rc != 0).then_some(&Value::Bool(true)),
            "{raw}"
        );
    }
}

#[test]
fn a_command_that_is_not_there_changes_nothing() {
    let (_, outcome) = run(&COMMAND, json!({"cmd": "no-such-command x"}));
    let found = (&outcome["rc"], &outcome["changed"], &outcome["failed"]);
    assert_eq!(found, (&json!(2), &json!(false), &json!(true)));
}

#[test]
fn home_is_expanded_for_command() {
    let (_, outcome) = run(&COMMAND, json!({"cmd": "echo ~/x $HOME"}));
    let home = std::env::var("HOME").expect("HOME");
    assert_eq!(outcome["stdout"], json!(format!("{home}/x {home}")));
}

#[test]
fn a_script_is_run_with_its_arguments_and_leaves_nothing() {
    let mut args = args(&SCRIPT, json!({"_raw_params": "files/s.sh 'a b' c"}));
    args.content = Some(b"#!/bin/sh\necho \"$# $1 $(basename $0)\"; dirname $0; exit 4\n".to_vec());
    let (_, outcome) = whole(&SCRIPT, &args).expect("runs");
    let said: Vec<_> = outcome["stdout"].as_str().expect("text").lines().collect();
    assert_eq!((said[0], outcome["rc"].as_i64()), ("2 a b s.sh", Some(4)));
    assert!(!std::path::Path::new(said[1]).exists());
}

#[test]
fn faults_are_told() {
    for raw in [
        json!({}),
        json!({"_raw_params": "echo 'open"}),
        json!({"argv": []}),
    ] {
        assert!(
            COMMAND.diff(&args(&COMMAND, raw.clone()), &[]).is_err(),
            "{raw}"
        );
    }
}
