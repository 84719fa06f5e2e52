//! What only the next boot would show: fstab, the units that hactl wrote, a change that nobody confirmed; and who may come in
//! at all, by firewall and by sshd.

use super::check::{Check, Findings, Verdict};
use super::component::{Component, View, ask_units, judge_units};
use super::observations::{Ask, Observations, last_words};
use crate::base::value::to_bool;
use crate::modules::{Reply, Request};
use crate::ops::hosts::{Host, Site};

/// The component.
pub struct Boot;

static FSTAB: Check = Check::fail(
    "boot.fstab",
    "fstab is sound",
    "findmnt --verify says which line is wrong: fix it before the host is restarted",
);
static UNITS: Check = Check::fail(
    "boot.units",
    "systemd finds no mistake in the units that hactl wrote",
    "systemd-analyze verify UNIT says what is wrong; deploy again",
);
static UNCONFIRMED: Check = Check::fail(
    "boot.confirmed",
    "no change of network, firewall or sshd waits for its confirmation",
    "the host goes back by itself within a minute or so; deploy again then",
);
static FIREWALL: Check = Check::fail(
    "boot.firewall",
    "the firewall is in force and comes up with the host",
    "systemctl enable --now hactl-firewall; deploy again",
);
static SSHD: Check = Check::fail(
    "boot.sshd",
    "ssh takes keys only, and no password of root",
    "deploy again: /etc/ssh/sshd_config.d/00-hactl.conf must be included by /etc/ssh/sshd_config",
);

static CHECKS: &[&Check] = &[&FSTAB, &UNITS, &UNCONFIRMED, &FIREWALL, &SSHD];

const FIREWALL_UNIT: &[&str] = &["hactl-firewall.service"];

/// Only what hactl wrote: what a distribution's own units lack is not the operator's business. systemd-analyze names the units
/// that others pull in as well.
const VERIFY: &str = "cd /etc/systemd/system || exit
set --
for f in welcome_app.service hactl-*.service pgbackrest.service postgresql-backup*.service postgresql-backup*.timer; do
[ -f \"$f\" ] && [ ! -L \"$f\" ] || continue
case $f in *@.*) f=${f%@*}@verify.${f##*.} ;; esac
set -- \"$@\" \"$f\"
done
[ $# -gt 0 ] || exit 0
echo $#
SYSTEMD_LOG_LEVEL=notice timeout 30 systemd-analyze verify --man=no --recursive-errors=no \"$@\" 2>&1 | grep -F /etc/systemd/system/ ; :";

impl Component for Boot {
    fn name(&self) -> &'static str {
        "boot"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        &["firewall_manage", "sshd_manage"]
    }

    fn applies(&self, _site: &Site) -> bool {
        true
    }

    fn asks(&self, _view: &View<'_>, host: &Host) -> Vec<Ask> {
        let mut units = Request::sh(VERIFY);
        units.timeout_seconds = Some(40);
        let mut asks = vec![
            Ask::sh(
                "boot.fstab",
                "[ ! -s /etc/fstab ] || timeout 10 findmnt --verify --tab-file /etc/fstab",
            ),
            Ask::new("boot.units", units),
            Ask::sh(
                "boot.armed",
                "cd /var/lib/hactl/guarded 2>/dev/null || exit 0; for f in */armed; do [ ! -e \"$f\" ] || echo \"${f%/armed}\"; done",
            ),
        ];
        if managed(host, "firewall_manage") {
            asks.push(ask_units("boot.firewall", FIREWALL_UNIT));
            asks.push(Ask::sh(
                "boot.rules",
                "nft list chain inet hactl input | grep -c 'policy drop'",
            ));
        }
        if managed(host, "sshd_manage") {
            asks.push(Ask::sh("boot.sshd", "sshd -T"));
        }
        asks
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let all: Vec<&String> = view.site.hosts.iter().map(|host| &host.name).collect();
        let with = |name: &'static str| {
            view.site
                .hosts
                .iter()
                .filter(move |host| managed(host, name))
                .map(|host| &host.name)
        };
        seen.judge_each(findings, &FSTAB, all.clone(), "boot.fstab", |_, reply| {
            fstab(reply)
        });
        seen.judge_each(findings, &UNITS, all.clone(), "boot.units", |_, reply| {
            units(reply)
        });
        seen.judge_each(findings, &UNCONFIRMED, all, "boot.armed", |_, reply| {
            let text = reply.out();
            let names: Vec<&str> = text.lines().collect();
            if reply.code != 0 {
                return Verdict::Unknown(last_words(reply));
            }
            Verdict::of(
                names.is_empty(),
                "none",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                },
            )
        });
        for name in with("firewall_manage") {
            let verdict = match (
                seen.reply(name, "boot.firewall"),
                seen.reply(name, "boot.rules"),
            ) {
                (Ok(unit), Ok(rules)) if rules.code == 0 => judge_units(unit, FIREWALL_UNIT),
                (Ok(_), Ok(rules)) => {
                    Verdict::bad("what is not declared is dropped", last_words(rules))
                }
                (Err(verdict), _) | (_, Err(verdict)) => verdict,
            };
            findings.add(&FIREWALL, name, verdict);
        }
        seen.judge_each(
            findings,
            &SSHD,
            with("sshd_manage"),
            "boot.sshd",
            |_, reply| sshd(reply),
        );
    }
}

fn managed(host: &Host, name: &str) -> bool {
    host.variables
        .get(name)
        .is_none_or(|value| to_bool(value) != Some(false))
}

/// findmnt tells every line that it doubts; a share that is not mounted now is no mistake of fstab.
fn fstab(reply: &Reply) -> Verdict {
    let text = reply.out();
    let errors = text
        .lines()
        .filter(|line| line.trim_start().starts_with("[E]"))
        .map(str::trim)
        .collect::<Vec<_>>();
    match (reply.code, errors.as_slice()) {
        (0, _) => Verdict::Good("sound".to_owned()),
        (_, []) => Verdict::bad("sound", last_words(reply)),
        (_, errors) => Verdict::bad("sound", errors.join("; ")),
    }
}

fn units(reply: &Reply) -> Verdict {
    let text = reply.out();
    let mut lines = text.lines();
    let count = lines.next().unwrap_or("0");
    let wrong: Vec<&str> = lines.collect();
    if reply.code != 0 {
        Verdict::Unknown(last_words(reply))
    } else if wrong.is_empty() {
        Verdict::Good(format!("{count} units"))
    } else {
        Verdict::bad("no mistake", wrong.join("; "))
    }
}

const WANTED: &[(&str, &[&str])] = &[
    ("passwordauthentication", &["no"]),
    ("kbdinteractiveauthentication", &["no"]),
    ("permitemptypasswords", &["no"]),
    (
        "permitrootlogin",
        &[
            "no",
            "without-password",
            "prohibit-password",
            "forced-commands-only",
        ],
    ),
];

fn sshd(reply: &Reply) -> Verdict {
    if reply.code != 0 {
        return Verdict::Unknown(last_words(reply));
    }
    let text = reply.out();
    let wrong: Vec<String> = WANTED
        .iter()
        .filter_map(|(name, wanted)| {
            let line = text.lines().find(|line| {
                line.split_once(' ')
                    .is_some_and(|(setting, _)| setting == *name)
            });
            let value = line
                .and_then(|line| line.split_once(' '))
                .map(|(_, value)| value);
            value
                .is_none_or(|value| !wanted.contains(&value))
                .then(|| format!("{name} {}", value.unwrap_or("is not known")))
        })
        .collect();
    if wrong.is_empty() {
        Verdict::Good("keys only".to_owned())
    } else {
        Verdict::bad("keys only", wrong.join("; "))
    }
}
