//! What apt decides, case by case.

use super::super::support::testing::{args, changed, said, same};
use super::*;
use crate::modules::{Module, Reply};
use serde_json::Value;

fn packages(all: &[(&str, &str, &str)]) -> Seen {
    let package = |(name, status, version): &(&str, &str, &str)| {
        let package = Package {
            status: (*status).into(),
            version: (*version).into(),
            want: "install".into(),
        };
        ((*name).to_owned(), package)
    };
    Seen::Packages(all.iter().map(package).collect())
}

fn policy(candidate: &str) -> Seen {
    Seen::Reply(said(&format!(
        "a:\n  Installed: 1\n  Candidate: {candidate}\n  Version table:\n"
    )))
}

/// The apt-get lines of a change.
fn lines(change: &Change) -> Vec<String> {
    let body = |request: &Request| {
        request
            .script
            .split_once("dpkg_state() {")
            .map(|(_, body)| body.to_owned())
    };
    let all = change.requests.iter().filter_map(body).collect::<String>();
    let apt = |line: &str| {
        line.split_once("apt ")
            .map(|(_, rest)| rest.split(" ||").next().unwrap_or("").to_owned())
    };
    all.lines()
        .filter(|line| !line.contains("apt/lists"))
        .filter_map(apt)
        .collect()
}

#[test]
fn the_state_of_dpkg_decides() {
    let force = "-o 'Dpkg::Options::=--force-confdef' -o 'Dpkg::Options::=--force-confold'";
    let installed = packages(&[("a", "installed", "1.2-3")]);
    let cases: Vec<(Value, Vec<Seen>, Option<&str>)> = vec![
        (json!({"name": "a"}), vec![installed.clone()], None),
        (
            json!({"pkg": ["a", "b"], "state": "present"}),
            vec![installed.clone()],
            Some("install -- \"$@\""),
        ),
        (
            json!({"name": "a"}),
            vec![packages(&[("a", "config-files", "1")])],
            Some("install -- \"$@\""),
        ),
        (
            json!({"name": "a"}),
            vec![packages(&[("a", "half-configured", "1")])],
            Some("install -- \"$@\""),
        ),
        (
            json!({"name": "a"}),
            vec![packages(&[("a", "provided", "")])],
            None,
        ),
        (json!({"name": "a=1.2*"}), vec![installed.clone()], None),
        (
            json!({"name": "a=1.3"}),
            vec![installed.clone()],
            Some("install -- \"$@\""),
        ),
        (json!({"name": "a>=1.1"}), vec![installed.clone()], None),
        (
            json!({"name": "a>=1.10"}),
            vec![installed.clone()],
            Some("install -- \"$@\""),
        ),
        (
            json!({"name": "a", "state": "absent"}),
            vec![packages(&[])],
            None,
        ),
        (
            json!({"name": "a", "state": "absent"}),
            vec![packages(&[("a", "config-files", "1")])],
            None,
        ),
        (
            json!({"name": "a", "state": "absent", "purge": true}),
            vec![packages(&[("a", "config-files", "1")])],
            Some("--purge remove -- a"),
        ),
        (
            json!({"name": "a", "state": "absent", "autoremove": true}),
            vec![installed.clone()],
            Some("--auto-remove remove -- a"),
        ),
        (
            json!({"name": "a", "state": "latest"}),
            vec![installed.clone(), policy("1.2-3")],
            None,
        ),
        (
            json!({"name": "a", "state": "latest"}),
            vec![installed.clone(), policy("1.2-4")],
            Some("install -- \"$@\""),
        ),
        (
            json!({"name": "b", "only_upgrade": true}),
            vec![installed.clone()],
            None,
        ),
        (
            json!({"name": "a:i386"}),
            vec![Seen::Reply(said("a amd64 installed 1\n"))],
            Some("install -- \"$@\""),
        ),
        (
            json!({"name": "a*", "state": "absent"}),
            vec![Seen::Reply(said("ab amd64 installed 1\n"))],
            Some("remove -- 'a*'"),
        ),
        (
            json!({"upgrade": "dist"}),
            vec![Seen::Reply(said(""))],
            None,
        ),
        (
            json!({"upgrade": "dist"}),
            vec![Seen::Reply(said("Inst a [1] (2 Debian:12 [amd64])\n"))],
            Some("dist-upgrade"),
        ),
    ];
    for (raw, seen, wanted) in cases {
        let decision = APT.diff(&args(&APT, raw.clone()), &seen).expect("decides");
        match wanted {
            None => drop(same(decision)),
            Some(wanted) => assert_eq!(
                lines(&changed(decision)),
                [format!("{force} {wanted}")],
                "{raw}"
            ),
        }
    }
}

#[test]
fn lists_are_fetched_only_when_they_are_old() {
    let raw = json!({"name": "a", "cache_valid_time": 3600});
    let installed = packages(&[("a", "installed", "1")]);
    for (clock, updates) in [
        ("10000\n9000\n", false),
        ("10000\n6000\n9999\n", false),
        ("10000\n6000\n", true),
        ("10000\n", true),
    ] {
        let seen = [installed.clone(), Seen::Reply(said(clock))];
        let decision = APT.diff(&args(&APT, raw.clone()), &seen).expect("decides");
        assert_eq!(
            matches!(decision, Decision::Change(_)),
            updates,
            "{clock:?}"
        );
        let mut args = args(&APT, raw.clone());
        args.check = true;
        assert!(matches!(
            APT.diff(&args, &seen).expect("decides"),
            Decision::Same(_)
        ));
    }
}

#[test]
fn an_update_that_installs_nothing_is_no_change() {
    let args = args(&APT, json!({"name": "a", "update_cache": true}));
    let change = changed(
        APT.diff(&args, &[packages(&[("a", "installed", "1")])])
            .expect("decides"),
    );
    let outcome = APT
        .finish(
            &args,
            &change,
            &[said("Hit:1\n@hactl updated yes\n@hactl time 77\n")],
        )
        .expect("fine");
    assert_eq!(
        (
            &outcome["changed"],
            &outcome["cache_updated"],
            &outcome["cache_update_time"],
            &outcome["stdout"]
        ),
        (&json!(false), &json!(true), &json!(77), &json!("Hit:1\n"))
    );
}

#[test]
fn the_plan_names_packages() {
    let args = args(&APT, json!({"name": ["haproxy", "keepalived=1:2.2"]}));
    let seen = packages(&[("keepalived", "installed", "1:2.1")]);
    let change = changed(APT.diff(&args, &[seen]).expect("decides"));
    let shown = [
        diff("package haproxy", "absent", "present"),
        diff("package keepalived", "1:2.1", "1:2.2"),
    ];
    assert_eq!(change.diffs, shown);
}

#[test]
fn errors_of_apt_are_explained() {
    let cases = [
        (
            "E: Unable to locate package nosuch\nhactl: no package lists\n",
            "no package `nosuch`",
            "never been fetched",
        ),
        (
            "E: Unable to locate package nosuch\n",
            "no package `nosuch`",
            "update_cache",
        ),
        (
            "E: Version '9' for 'bash' was not found\n",
            "no package `bash`",
            "update_cache",
        ),
        (
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 77 (unattended-upgr)\n",
            "77 (unattended-upgr)",
            "lock_timeout",
        ),
    ];
    let args = args(&APT, json!({"name": "nosuch"}));
    for (stderr, message, help) in cases {
        let reply = Reply {
            code: 100,
            stderr: stderr.into(),
            ..Reply::default()
        };
        let error = APT
            .finish(&args, &Change::default(), &[reply])
            .expect_err("failed");
        assert!(error.message.contains(message), "{error:?}");
        assert!(
            error.help.as_ref().is_some_and(|text| text.contains(help)),
            "{error:?}"
        );
    }
}

#[test]
fn who_was_waited_for_is_said() {
    let args = args(&APT, json!({"name": "a"}));
    let waited =
        "Waiting for cache lock: Could not get lock /x. It is held by process 77 (other (x))...\n";
    for (stderr, message) in [("", None), (waited, Some("process 77 (other (x)"))] {
        let reply = Reply {
            stdout: b"@hactl changed yes\n".to_vec(),
            stderr: stderr.into(),
            ..Reply::default()
        };
        let outcome = APT.finish(&args, &Change::default(), &[reply]).unwrap();
        let said = outcome.get(crate::modules::MESSAGE).map(Value::to_string);
        assert_eq!(said.is_some(), message.is_some(), "{said:?}");
        assert!(
            said.as_deref()
                .unwrap_or_default()
                .contains(message.unwrap_or_default()),
            "{said:?}"
        );
    }
}

#[test]
fn what_is_not_a_name_is_refused() {
    for name in ["-oX=y", "a;b", "a b", "A$(x)", "=1"] {
        assert!(
            APT.probe(&args(&APT, json!({"name": [name]}))).is_err(),
            "{name}"
        );
    }
}

#[test]
fn scripts_are_valid_sh() {
    let args = args(
        &APT,
        json!({"name": ["a", "b"], "policy_rc_d": 101, "lock_timeout": 5}),
    );
    for request in [
        update(&args),
        install(&args, "install", &["a".into()]),
        remove(&args, &["a".into()]),
    ] {
        let check = std::process::Command::new("sh")
            .args(["-n", "-c", &request.script])
            .output()
            .expect("sh");
        assert!(
            check.status.success(),
            "{}",
            String::from_utf8_lossy(&check.stderr)
        );
    }
}
