//! What is decided about units, case by case.

use super::super::support::testing::{args, changed, same};
use super::*;
use crate::modules::Module;

fn seen(load: &str, active: &str, file: &str) -> Vec<Seen> {
    let all = [
        ("LoadState", load),
        ("ActiveState", active),
        ("UnitFileState", file),
        ("NeedDaemonReload", "no"),
    ];
    vec![Seen::Properties(
        all.into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    )]
}

/// The `systemctl` lines of a script, without the guard.
fn steps(change: &Change) -> Vec<String> {
    let lines = change.requests[0]
        .script
        .lines()
        .filter_map(|line| line.split_once(" || failed"));
    lines
        .map(|(step, _)| step.trim_start_matches("systemctl ").to_owned())
        .collect()
}

#[test]
fn units_are_acted_on_only_when_needed() {
    let cases: &[(Value, [&str; 3], &[&str])] = &[
        (
            json!({"name": "x", "state": "started"}),
            ["loaded", "active", "enabled"],
            &[],
        ),
        (
            json!({"name": "x", "state": "started"}),
            ["loaded", "activating", "enabled"],
            &[],
        ),
        (
            json!({"name": "x", "state": "started"}),
            ["loaded", "failed", "enabled"],
            &["start x.service"],
        ),
        (
            json!({"name": "x@1", "state": "stopped"}),
            ["loaded", "active", ""],
            &["stop x@1.service"],
        ),
        (
            json!({"name": "x", "state": "stopped"}),
            ["loaded", "inactive", ""],
            &[],
        ),
        (
            json!({"name": "x.timer", "state": "restarted"}),
            ["loaded", "inactive", ""],
            &["restart x.timer"],
        ),
        (
            json!({"name": "x", "state": "reloaded"}),
            ["loaded", "active", ""],
            &["reload x.service"],
        ),
        (
            json!({"name": "x", "state": "reloaded"}),
            ["loaded", "inactive", ""],
            &["start x.service"],
        ),
        (
            json!({"name": "x", "enabled": true}),
            ["loaded", "inactive", "disabled"],
            &["enable x.service"],
        ),
        (
            json!({"name": "x", "enabled": true}),
            ["loaded", "inactive", "static"],
            &[],
        ),
        (
            json!({"name": "x", "enabled": true}),
            ["loaded", "inactive", "alias"],
            &["enable x.service"],
        ),
        (
            json!({"name": "x", "enabled": true}),
            ["loaded", "active", "enabled-runtime"],
            &["enable x.service"],
        ),
        (
            json!({"name": "x", "enabled": false}),
            ["loaded", "active", "enabled-runtime"],
            &[],
        ),
        (
            json!({"name": "x", "enabled": false}),
            ["loaded", "active", "generated"],
            &["disable x.service"],
        ),
        (
            json!({"name": "x", "masked": true}),
            ["loaded", "active", "enabled"],
            &["mask x.service"],
        ),
        (
            json!({"name": "x", "masked": false, "enabled": true, "state": "started", "daemon_reload": true}),
            ["masked", "inactive", "masked"],
            &[
                "--no-reload unmask x.service",
                "--no-reload enable x.service",
                "daemon-reload",
                "start x.service",
            ],
        ),
        (
            json!({"name": "x", "masked": true, "state": "stopped", "enabled": false}),
            ["masked", "inactive", "masked"],
            &[],
        ),
        (
            json!({"name": "x", "state": "started", "daemon_reload": true}),
            ["loaded", "active", ""],
            &[],
        ),
        (
            json!({"name": "x.automount", "state": "restarted", "daemon_reload": true}),
            ["not-found", "inactive", ""],
            &[
                "daemon-reload",
                "cat -- x.automount >/dev/null",
                "restart x.automount",
            ],
        ),
        (
            json!({"name": "x", "state": "started", "no_block": true}),
            ["loaded", "inactive", ""],
            &["--no-block start x.service"],
        ),
    ];
    for (raw, [load, active, file], wanted) in cases {
        let args = args(&SYSTEMD, raw.clone());
        let decision = SYSTEMD
            .diff(&args, &seen(load, active, file))
            .expect("decides");
        let found = if wanted.is_empty() {
            same(decision);
            Vec::new()
        } else {
            steps(&changed(decision))
        };
        assert_eq!(found, *wanted, "{raw}");
    }
}

#[test]
fn a_unit_that_is_not_there_is_an_error_only_when_applied() {
    let mut args = args(&SERVICE, json!({"name": "haproxy", "state": "started"}));
    let error = SERVICE
        .diff(&args, &seen("not-found", "inactive", ""))
        .expect_err("unknown");
    assert!(error.message.contains("haproxy.service"));
    args.check = true;
    let change = changed(
        SERVICE
            .diff(&args, &seen("not-found", "inactive", ""))
            .expect("planned"),
    );
    assert_eq!(
        change.diffs,
        [diff("unit haproxy.service", "not there yet", "started")]
    );
}

#[test]
fn a_reload_alone_is_no_change_but_runs() {
    let change = changed(
        SYSTEMD
            .diff(&args(&SYSTEMD, json!({"daemon_reload": true})), &[])
            .expect("decides"),
    );
    assert_eq!(
        (steps(&change), &change.outcome["changed"]),
        (vec!["daemon-reload".to_owned()], &json!(false))
    );
}

#[test]
fn a_masked_unit_cannot_be_started() {
    let args = args(&SYSTEMD, json!({"name": "x", "state": "started"}));
    assert!(
        SYSTEMD
            .diff(&args, &seen("masked", "inactive", "masked"))
            .expect_err("masked")
            .message
            .contains("masked")
    );
}

#[test]
fn a_failed_start_tells_the_journal() {
    let args = args(&SYSTEMD, json!({"name": "x", "state": "started"}));
    let change = changed(
        SYSTEMD
            .diff(&args, &seen("loaded", "inactive", ""))
            .expect("decides"),
    );
    let stderr = "Job for x.service failed\nhactl: failed step: systemctl start x.service\nResult=exit-code\nbind: in use\n";
    let reply = Reply {
        code: 1,
        stderr: stderr.into(),
        ..Reply::default()
    };
    let error = SYSTEMD
        .finish(&args, &change, &[reply])
        .expect_err("failed");
    assert_eq!(error.message, "`x.service` did not start");
    assert!(
        error.notes.iter().any(|note| note.contains("bind: in use")),
        "{error:?}"
    );
}
