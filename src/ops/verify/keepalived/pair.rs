//! What makes a pair of it: the same secret, scripts that keepalived will run, and a state that fits the address.

use super::super::check::{Check, Findings, Verdict};
use super::super::component::{View, list};
use super::super::observations::{Ask, Observations, last_words};
use crate::base::quote::sh;
use std::sync::OnceLock;

pub static SECRET: Check = Check::fail(
    "keepalived.same-secret",
    "the hosts have the same password for each other",
    "deploy again to all of them: with different passwords each takes the address for itself",
);
pub static OWNED: Check = Check::fail(
    "keepalived.scripts-safe",
    "its scripts can be changed by root only",
    "chown root:root and chmod go-w what is named: keepalived disables the script at its next start",
);
pub static JOURNAL: Check = Check::fail(
    "keepalived.scripts-run",
    "the running keepalived has disabled no script",
    "fix what its journal names, then systemctl restart keepalived (on the host without the address first)",
);
pub static NOTICES: Check = Check::fail(
    "keepalived.check-notices",
    "its check fails when HAProxy cannot be reached",
    "a check that always succeeds keeps the address on a dead load balancer: deploy writes the right one",
);
pub static STATE: Check = Check::warn(
    "keepalived.state",
    "who has the address calls itself master, and nobody else",
    "journalctl -u keepalived on both; a host in FAULT cannot take the address",
);

/// Differs in each run, so that the digests that travel say nothing about the password.
fn salt() -> &'static str {
    static SALT: OnceLock<String> = OnceLock::new();
    SALT.get_or_init(|| format!("{:032x}", rand::random::<u128>()))
}

/// The scripts that the configuration names, and each folder on the way to them.
const PATHS: &str = r#"sed -n 's/^[[:space:]]*\(script\|notify[a-z_]*\)[[:space:]]\{1,\}"\{0,1\}\(\/[^" ]*\).*/\2/p' /etc/keepalived/keepalived.conf |
while read -r p; do [ -e "$p" ] || echo "missing 0 $p"
while [ -n "$p" ]; do stat -c '%U %a %n' "$p"; p=${p%/*}; done; done 2>/dev/null | sort -u"#;

/// What the daemon said of scripts since it was started or reloaded last is what counts; those lines tell when that was.
const SAID: &str = r#"id=$(systemctl show -p InvocationID keepalived) || exit
journalctl -q --no-pager -o cat _SYSTEMD_INVOCATION_ID="${id#*=}" | grep -E 'Starting Keepalived|^Reloading|disabl|SECURITY|nsafe|not executable' | tail -n 50; :"#;

/// In a network of its own HAProxy is not there.
const FAULT: &str = r#"s=/etc/keepalived/scripts/check-haproxy
[ -x "$s" ] || { echo "$s cannot be run" >&2; exit 99; }
unshare -n true || exit 99
timeout 5 unshare -n "$s" >/dev/null 2>&1 && echo blind || echo noticed"#;

/// The questions to a host of the pair.
pub fn asks() -> Vec<Ask> {
    vec![
        Ask::sh(
            "keepalived.secret",
            format!(
                "{{ echo {}; sed -n 's/^[[:space:]]*auth_pass[[:space:]]*//p' /etc/keepalived/keepalived.conf || echo none; }} | sha256sum",
                sh(salt())
            ),
        ),
        Ask::sh("keepalived.paths", PATHS),
        Ask::sh("keepalived.journal", SAID),
        Ask::sh("keepalived.fault", FAULT),
        Ask::sh(
            "keepalived.transition",
            "tail -n 1 /var/log/keepalived_failover.log",
        ),
    ]
}

/// Judges the pair. `holders` are the hosts that have the address.
pub fn judge(
    view: &View<'_>,
    seen: &Observations,
    holders: &[(String, String)],
    findings: &mut Findings,
) {
    let members = view.site.members("keepalived");
    let first = members.iter().find_map(|host| {
        Some((
            host,
            seen.reply(host, "keepalived.secret")
                .ok()?
                .out()
                .into_owned(),
        ))
    });
    seen.judge_each(
        findings,
        &SECRET,
        members,
        "keepalived.secret",
        |_, reply| match &first {
            Some((other, digest)) if reply.code == 0 => Verdict::of(
                reply.out() == digest.as_str(),
                format!("the one of {other}"),
                if reply.out() == digest.as_str() {
                    "the same"
                } else {
                    "another one"
                },
            ),
            _ => Verdict::Unknown(last_words(reply)),
        },
    );
    seen.judge_each(findings, &OWNED, members, "keepalived.paths", |_, reply| {
        owned(&reply.out())
    });
    seen.judge_each(
        findings,
        &JOURNAL,
        members,
        "keepalived.journal",
        |_, reply| match (reply.code, complaint(&reply.out())) {
            (0, None) => Verdict::Good("none".to_owned()),
            (0, Some(line)) => Verdict::bad("no script disabled", line),
            _ => Verdict::Unknown(last_words(reply)),
        },
    );
    seen.judge_each(
        findings,
        &NOTICES,
        members,
        "keepalived.fault",
        |_, reply| match reply.out().trim() {
            "noticed" => Verdict::Good("it fails where HAProxy is not".to_owned()),
            "blind" => Verdict::bad("a failure where HAProxy is not", "it succeeds there too"),
            _ => Verdict::Unknown(last_words(reply)),
        },
    );
    seen.judge_each(
        findings,
        &STATE,
        members,
        "keepalived.transition",
        |host, reply| {
            let text = reply.out();
            let Some(state) = text.split_whitespace().nth(3) else {
                return Verdict::Unknown(last_words(reply));
            };
            let out = seen
                .reply(host, "keepalived.flag")
                .is_ok_and(|flag| !matches!(flag.out().trim(), "" | "0"));
            let expected = if holders.iter().any(|(holder, _)| holder == host) {
                "MASTER"
            } else if out {
                "FAULT"
            } else {
                "BACKUP"
            };
            Verdict::of(state == expected, expected, text.trim())
        },
    );
}

fn owned(text: &str) -> Verdict {
    let mut wrong = Vec::new();
    let mut known = 0;
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(user), Some(mode), Some(path)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        known += 1;
        if user == "missing" {
            wrong.push(format!("{path} is missing"));
            continue;
        }
        let open = u32::from_str_radix(mode, 8)
            .is_ok_and(|mode| [mode >> 3, mode].iter().any(|bits| bits & 2 != 0));
        if user != "root" || open {
            wrong.push(format!("{path} is {user}'s, {mode}"));
        }
    }
    match (known, wrong.is_empty()) {
        (0, _) => Verdict::Unknown("its configuration names no script".to_owned()),
        (_, true) => Verdict::Good("root's alone, with all folders on the way".to_owned()),
        (_, false) => Verdict::bad(
            "scripts and folders that only root can change",
            list(wrong.iter().map(String::as_str)),
        ),
    }
}

/// The last complaint since the last start or reload.
fn complaint(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let begun = lines
        .iter()
        .rposition(|line| line.starts_with("Reloading") || line.contains("Starting Keepalived"))
        .map_or(0, |at| at + 1);
    lines[begun..].last().map(|line| line.trim().to_owned())
}
