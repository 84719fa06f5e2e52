//! What is decided about users, case by case.

use super::super::support::testing::{args, changed, said, same};
use super::*;
use crate::modules::Module;

fn there(raw: &Value) -> Vec<Seen> {
    let split = |line: &str| Some(line.split(':').map(str::to_owned).collect::<Vec<_>>());
    let group = raw.get("group").and_then(Value::as_str).unwrap_or("app");
    let gid = if group == "app" { "990" } else { "33" };
    vec![
        Seen::Entry(split("app:x:990:990::/srv/app:/bin/sh")),
        Seen::Entry(split(&format!("{group}:x:{gid}:"))),
        Seen::Reply(said("app adm sudo\n")),
        Seen::Entry(split("app:$6$salt$hash:1:0:99999:7:::")),
    ]
}

#[test]
fn existing_users_are_changed_only_where_they_differ() {
    let cases: &[(Value, Option<&str>)] = &[
        (json!({"name": "app"}), None),
        (
            json!({"name": "app", "uid": 990, "group": "app", "shell": "/bin/sh", "home": "/srv/app"}),
            None,
        ),
        (
            json!({"name": "app", "shell": "/bin/bash", "comment": "the app"}),
            Some("usermod -c 'the app' -s /bin/bash -- app"),
        ),
        (
            json!({"name": "app", "groups": "sudo", "append": true}),
            None,
        ),
        (json!({"name": "app", "groups": ["adm", "sudo"]}), None),
        (
            json!({"name": "app", "groups": "sudo"}),
            Some("usermod -G sudo -- app"),
        ),
        (
            json!({"name": "app", "groups": ["ssl-cert"], "append": true}),
            Some("usermod -a -G ssl-cert -- app"),
        ),
        (
            json!({"name": "app", "group": "www-data"}),
            Some("usermod -g www-data -- app"),
        ),
        (json!({"name": "app", "password": "$6$salt$hash"}), None),
        (
            json!({"name": "app", "password": "$6$other", "update_password": "on_create"}),
            None,
        ),
        (
            json!({"name": "app", "password": "$6$other"}),
            Some("chpasswd -e"),
        ),
        (
            json!({"name": "app", "password_lock": true}),
            Some("usermod -L -- app"),
        ),
        (json!({"name": "app", "expires": -1}), None),
        (
            json!({"name": "app", "expires": 86400}),
            Some("usermod -e 1 -- app"),
        ),
        (
            json!({"name": "app", "state": "absent", "remove": true}),
            Some("userdel -r -- app"),
        ),
    ];
    for (raw, wanted) in cases {
        let decision = USER
            .diff(&args(&USER, raw.clone()), &there(raw))
            .expect("decides");
        match wanted {
            None => drop(same(decision)),
            Some(wanted) => assert_eq!(changed(decision).requests[0].script, *wanted, "{raw}"),
        }
    }
}

#[test]
fn a_new_user_is_made_without_its_hash_in_a_command_line() {
    let raw = json!({"name": "app", "system": true, "shell": "/usr/sbin/nologin", "create_home": false, "password": "$6$s$h"});
    let args = args(&USER, raw);
    let seen = [
        Seen::Entry(None),
        Seen::Entry(None),
        Seen::Reply(said("")),
        Seen::Entry(None),
    ];
    let change = changed(USER.diff(&args, &seen).expect("decides"));
    assert_eq!(
        change.requests[0].script,
        "useradd -s /usr/sbin/nologin -M -r -- app"
    );
    assert_eq!(change.requests[1].stdin, b"app:$6$s$h\n");
    assert!(
        change
            .requests
            .iter()
            .all(|request| !request.script.contains("$6$"))
    );
    let outcome = USER
        .finish(
            &args,
            &change,
            &[said("app:x:991:991::/home/app:/usr/sbin/nologin\n")],
        )
        .expect("fine");
    assert_eq!(
        (&outcome["uid"], &outcome["home"]),
        (&json!(991), &json!("/home/app"))
    );
}

#[test]
fn faults_are_told() {
    for raw in [
        json!({"name": "a:b"}),
        json!({"name": "-x"}),
        json!({"name": "app", "password": "secret word"}),
        json!({"name": "app", "append": true}),
    ] {
        assert!(USER.probe(&args(&USER, raw.clone())).is_err(), "{raw}");
    }
}

#[test]
fn keys_are_made_once_and_ages_are_set_where_they_differ() {
    let key = "/srv/app/.ssh/id_ed25519\n256 SHA256:x app (ED25519)\nssh-ed25519 AAAA app\n";
    let wish = json!({"name": "app", "generate_ssh_key": true, "ssh_key_type": "ed25519"});
    let decide = |raw: &Value, key: &str| {
        let mut seen = there(raw);
        seen.push(Seen::Reply(said(key)));
        USER.diff(&args(&USER, raw.clone()), &seen)
            .expect("decides")
    };
    let there = same(decide(&wish, key));
    assert_eq!(there["ssh_key_file"], json!("/srv/app/.ssh/id_ed25519"));
    assert_eq!(there["ssh_public_key"], json!("ssh-ed25519 AAAA app"));
    let change = changed(decide(&wish, ""));
    assert!(
        change.requests[0]
            .script
            .contains("ssh-keygen -q -t ed25519")
    );
    // A passphrase is in no argument.
    let secret = json!({"name": "app", "generate_ssh_key": true, "ssh_key_passphrase": "of-mine"});
    let change = changed(decide(&secret, ""));
    assert!(!change.requests[0].script.contains("of-mine"));
    assert!(change.requests[0].script.contains("SSH_ASKPASS"));

    for (raw, command) in [
        (json!({"name": "app", "password_expire_max": 99999}), None),
        (
            json!({"name": "app", "password_expire_max": 90}),
            Some("chage -M 90 -- app"),
        ),
        (json!({"name": "app", "password_expire_min": 0}), None),
        (
            json!({"name": "app", "password_expire_warn": 3}),
            Some("chage -W 3 -- app"),
        ),
    ] {
        match command {
            None => drop(same(decide(&raw, ""))),
            Some(command) => {
                assert_eq!(changed(decide(&raw, "")).requests[0].script, command);
            }
        }
    }
    let stray = args(&USER, json!({"name": "app", "ssh_key_bits": 2048}));
    assert!(USER.probe(&stray).is_err());
}
