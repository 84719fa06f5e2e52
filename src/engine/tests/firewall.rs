//! A firewall that is switched on before the task that lets SSH in: never where no such task comes, and never so that nobody
//! gets in meanwhile. The firewall is a stand-in: nothing of this machine's own is touched.

use crate::engine::testing::{Memory, Rig, Told, Wish};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

const UFW: &str = r#"#!/bin/sh
d=${0%/*}
case "$*" in
"status verbose") [ ! -e "$d/on" ] || echo "Status: active" ;;
"show added") cat "$d/added" 2>/dev/null ;;
"--dry-run "*) printf '*filter\n### tuple ### x\n' ;;
"--force enable") echo "ufw $*" >>"$d/log"; : >"$d/on" ;;
"--force "*) echo "ufw $*" >>"$d/log" ;;
*) echo "ufw $*" >>"$d/log"; echo "ufw $*" >>"$d/added" ;;
esac
"#;
const IPTABLES: &str = "#!/bin/sh\necho \"${0##*/} $2 $3 $4\" >>\"${0%/*}/log\"\n";

fn stand_in(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs_err::write(&path, text).expect("written");
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("closed");
}

/// Switches it on, together with a rule for something else, and then what is given.
fn run(later: &serde_json::Value) -> (Told, Vec<String>) {
    let rig = Rig::new();
    rig.reset();
    let bin = rig.dir().join("bin");
    fs_err::create_dir_all(&bin).expect("made");
    stand_in(&bin, "ufw", UFW);
    stand_in(&bin, "iptables", IPTABLES);
    stand_in(&bin, "ip6tables", IPTABLES);
    let mut tasks = vec![serde_json::json!(
        {"name": "On", "ufw": {"rule": "allow", "port": "80", "from_ip": "10.22.0.1", "state": "enabled"}}
    )];
    tasks.extend(later.as_array().expect("tasks").iter().cloned());
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let play = serde_json::json!([{
        "name": "Play", "hosts": "all", "gather_facts": false, "tasks": tasks,
        "environment": {"PATH": path, "SSH_CONNECTION": "192.0.2.1 999 192.0.2.2 22"},
    }]);
    let mut files = Memory::default();
    files
        .0
        .insert("site.yml".into(), play.to_string().into_bytes());
    files.0.insert(
        "ssh.yml".into(),
        "- {name: Opens, ufw: {rule: limit, name: OpenSSH}}".into(),
    );
    let told = rig
        .run(&Wish {
            files,
            hosts: vec!["here".to_owned()],
            ..Wish::default()
        })
        .expect("it loads");
    let log = || -> Vec<String> {
        let text = std::fs::read_to_string(bin.join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    // What holds the port open is taken away by the host itself.
    let begun = Instant::now();
    while log().iter().any(|line| line.contains("-I"))
        && !log().iter().any(|line| line.starts_with("ip6tables -D"))
        && begun.elapsed() < Duration::from_secs(20)
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    (told, log())
}

#[test]
fn it_is_switched_on_before_the_rule_for_ssh_only_when_that_comes() {
    let cases = serde_json::json!([
        [[{"name": "Opens", "ufw": {"rule": "allow", "port": "22", "proto": "tcp"}}], true],
        [[{"name": "Opens", "ufw": {"rule": "allow", "port": "{{ item }}"}, "loop": ["443", "22"]}], true],
        [[{"name": "Within", "block": [{"name": "Opens", "include_tasks": "ssh.yml"}]}], true],
        [[], false],
        [[{"name": "Other", "ufw": {"rule": "allow", "port": "2222"}}], false],
        [[{"name": "Not TCP", "ufw": {"rule": "allow", "port": "22", "proto": "udp"}}], false],
        [[{"name": "Takes away", "ufw": {"rule": "allow", "port": "22", "delete": true}}], false],
        [[{"name": "Goes out", "ufw": {"rule": "allow", "port": "22", "direction": "out"}}], false],
        [[{"name": "Shuts", "ufw": {"rule": "deny", "port": "22"}}], false],
        [[{"name": "Never", "ufw": {"rule": "allow", "port": "22"}, "when": "x is defined"}], false],
        [[{"name": "Ends", "meta": "end_play", "when": "x is defined"}, {"name": "Late", "ufw": {"rule": "allow", "port": "22"}}], false],
        [[{"name": "Elsewhere", "ufw": {"rule": "allow", "port": "22"}, "delegate_to": "localhost"}], false],
    ]);
    for case in cases.as_array().expect("cases") {
        let (told, log) = run(&case[0]);
        let at = |text: &str| log.iter().position(|line| line.starts_with(text));
        if case[1] == true {
            assert_eq!(
                told.ending,
                <[Vec<String>; 4]>::default(),
                "{case}: {told:#?}"
            );
            let steps = [
                at("iptables -I INPUT"),
                at("ufw --force enable"),
                log.iter()
                    .rposition(|line| line.contains("22") || line.contains("OpenSSH")),
                at("iptables -D INPUT"),
            ];
            assert!(steps.is_sorted() && steps[0].is_some(), "{case}: {log:#?}");
            assert_eq!(at("ufw --force disable"), None, "{case}: {log:#?}");
        } else {
            assert!(
                told.events["here"]
                    .iter()
                    .any(|line| line.starts_with("On: failed")),
                "{case}: {told:#?}"
            );
            assert_eq!(at("ufw --force enable"), None, "{case}: {log:#?}");
        }
    }
}

#[test]
fn it_is_switched_off_again_where_the_play_ends_before_the_rule() {
    let later = serde_json::json!([
        {"name": "Breaks", "fail": {"msg": "broken"}},
        {"name": "Opens", "ufw": {"rule": "allow", "port": "22"}},
    ]);
    let (_, log) = run(&later);
    let at = |text: &str| log.iter().position(|line| line.starts_with(text));
    let (on, off) = (at("ufw --force enable"), at("ufw --force disable"));
    assert!(
        on.is_some() && on < off && off < at("iptables -D"),
        "{log:#?}"
    );
}
