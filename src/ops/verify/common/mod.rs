//! What must hold on every host, whatever it is for.

mod machine;
mod operations;

pub use operations::{blocks, fenced, maintenance};

use super::check::{Check, Findings, Verdict, reason};
use super::component::{Component, View, ask_units, judge_units, list};
use super::observations::{Ask, Observations, last_words};
use super::parse;
use crate::base::quote::sh;
use crate::ops::hosts::{Host, Site};

/// The component.
pub struct Common;

/// The question that must come first, for the clock.
pub const CLOCK: &str = "common.clock";
/// The addresses of a host; others read them too.
pub const ADDRESSES: &str = "common.addresses";
/// The hardware addresses of a host.
pub const LINKS: &str = "common.links";

const SKEW: f64 = 1.0;
const DISK_WARN: u8 = 80;
const DISK_FULL: u8 = 92;
const UNITS: &[&str] = &["chrony.service", "systemd-journald.service"];

static REACHED: Check = Check::fail(
    "common.reached",
    "every host answers, and as root",
    "start the host or fix its network; hactl ssh HOST shows what ssh says",
);
static FAILED: Check = Check::fail(
    "common.failed-units",
    "no unit has failed",
    "journalctl -u UNIT says why; systemctl reset-failed UNIT once it is fixed",
);
static RUNNING: Check = Check::fail(
    "common.running",
    "time keeping and journal run",
    "systemctl enable --now chrony",
);
static DISK: Check = Check::fail(
    "common.disk-full",
    "no disk is nearly full",
    "make room now: a full disk stops the database",
);
static ROOM: Check = Check::warn(
    "common.disk-room",
    "every disk has room",
    "make room before it is full: journalctl --vacuum-size, old backups, stale replication slots",
);
static TIME: Check = Check::fail(
    "common.time",
    "the clocks agree within a second",
    "chronyc tracking on the host that is off; chronyc makestep sets it",
);
static NAMES: Check = Check::fail(
    "common.names",
    "the hosts find each other by name",
    "deploy again: it writes /etc/hosts",
);
static REBOOT: Check = Check::warn(
    "common.reboot",
    "no reboot is due",
    "reboot the host when the other one of its kind carries the service",
);

static CHECKS: &[&Check] = &[
    &REACHED,
    &FAILED,
    &RUNNING,
    &DISK,
    &ROOM,
    &TIME,
    &machine::SYNCHRONISED,
    &NAMES,
    &REBOOT,
    &machine::HELD,
    &machine::VERSIONS,
    &machine::MEMORY,
    &operations::OPERATION,
    &operations::FENCED,
    &operations::BLOCKED,
    &operations::CUT_OFF,
    &operations::MAINTENANCE,
    &operations::HANDLERS,
];

impl Component for Common {
    fn name(&self) -> &'static str {
        "common"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        &["cluster_address", "common_hosts_groups"]
    }

    fn applies(&self, _site: &Site) -> bool {
        true
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        let names = named(view, host);
        let names: Vec<String> = names.iter().map(|name| sh(name)).collect();
        let mut asks = vec![
            Ask::sh(CLOCK, "date +%s.%N"),
            Ask::sh("common.root", "id -u"),
            Ask::sh(
                "common.failed",
                "systemctl list-units --failed --plain --no-legend --no-pager",
            ),
            ask_units("common.units", UNITS),
            // A place that does not exist is passed over.
            Ask::sh(
                "common.disks",
                "df -P / /var/log /var/lib /srv 2>/dev/null; :",
            ),
            Ask::sh(
                "common.inodes",
                "df -Pi / /var/log /var/lib /srv 2>/dev/null; :",
            ),
            Ask::sh(ADDRESSES, "ip -o addr show"),
            Ask::sh(LINKS, "ip -o link show"),
            Ask::sh(
                "common.names",
                format!(
                    "for n in {}; do echo \"$n\" $(getent ahostsv4 \"$n\" | while read -r a r; do echo \"$a\"; done); done",
                    names.join(" ")
                ),
            ),
            Ask::sh(
                "common.reboot",
                "if [ -e /run/reboot-required ]; then cat /run/reboot-required.pkgs 2>/dev/null; echo due; fi",
            ),
            operations::ask(),
        ];
        asks.extend(machine::asks(host));
        asks
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let hosts: Vec<String> = view
            .site
            .hosts
            .iter()
            .map(|host| host.name.clone())
            .collect();
        for host in &hosts {
            let verdict = match (seen.lost(host), seen.reply(host, "common.root")) {
                (Some(error), _) => {
                    findings.add(&REACHED, host, Verdict::Unreached(host.clone()));
                    if let Some(last) = findings.last_mut() {
                        last.observed = crate::base::quote::for_terminal(&reason(error));
                        if let Some(help) = &error.help {
                            last.remedy.clone_from(help);
                        }
                    }
                    continue;
                }
                (None, Ok(reply)) => Verdict::of(
                    reply.out().trim() == "0",
                    "uid 0",
                    format!("uid {}", reply.out().trim()),
                )
                .advise("set ansible_become: true in the inventory"),
                (None, Err(verdict)) => verdict,
            };
            findings.add(&REACHED, host, verdict);
        }
        seen.judge_each(findings, &FAILED, &hosts, "common.failed", |_, reply| {
            if reply.code != 0 {
                return Verdict::Unknown(last_words(reply));
            }
            let text = reply.out();
            let units: Vec<&str> = text
                .lines()
                .filter_map(|line| {
                    line.trim_start_matches(['●', '*', ' '])
                        .split_whitespace()
                        .next()
                })
                .collect();
            Verdict::of(
                units.is_empty(),
                "no failed unit",
                if units.is_empty() {
                    "none".to_owned()
                } else {
                    list(units)
                },
            )
        });
        seen.judge_each(findings, &RUNNING, &hosts, "common.units", |_, reply| {
            judge_units(reply, UNITS)
        });
        for host in &hosts {
            for (check, limit) in [(&DISK, DISK_FULL), (&ROOM, DISK_WARN)] {
                findings.add(check, host, disks(seen, host, limit));
            }
        }
        time(seen, &hosts, findings);
        seen.judge_each(findings, &NAMES, &hosts, "common.names", |name, reply| {
            let wrong: Vec<String> = view.site.host(name).map_or_else(Vec::new, |host| {
                named(view, host)
                    .into_iter()
                    .filter_map(|wanted| wrong_name(view, &wanted, &reply.out()))
                    .collect()
            });
            Verdict::of(
                wrong.is_empty(),
                "each name leads to the host's cluster_address",
                if wrong.is_empty() {
                    "all names lead to the right address".to_owned()
                } else {
                    wrong.join("; ")
                },
            )
        });
        seen.judge_each(findings, &REBOOT, &hosts, "common.reboot", |_, reply| {
            let text = reply.out();
            Verdict::of(
                text.trim().is_empty(),
                "no reboot due",
                if text.trim().is_empty() {
                    "none due".to_owned()
                } else {
                    let packages: Vec<&str> = text.lines().filter(|line| *line != "due").collect();
                    format!("a reboot is due ({})", list(packages))
                },
            )
        });
        machine::judge(view, seen, &hosts, findings);
        operations::judge(seen, &hosts, findings);
    }
}

/// The hosts that must be found by name on a host.
fn named(view: &View<'_>, host: &Host) -> Vec<String> {
    let mut names = vec![host.name.clone()];
    let groups = host
        .variables
        .get("common_hosts_groups")
        .and_then(|value| value.as_array());
    for group in groups
        .into_iter()
        .flatten()
        .filter_map(|group| group.as_str())
    {
        names.extend(view.site.members(group).iter().cloned());
    }
    names.sort();
    names.dedup();
    names
}

fn wrong_name(view: &View<'_>, wanted: &str, text: &str) -> Option<String> {
    let address = view.address(wanted);
    let found = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(wanted)).then(|| words.collect::<Vec<_>>())
    });
    match found {
        Some(addresses) if addresses.contains(&address.as_str()) => None,
        Some(addresses) if !addresses.is_empty() => Some(format!(
            "{wanted} leads to {}, not {address}",
            addresses.first().copied().unwrap_or_default()
        )),
        _ => Some(format!("{wanted} is not known")),
    }
}

fn disks(seen: &Observations, host: &str, limit: u8) -> Verdict {
    let mut all = Vec::new();
    for (key, what) in [("common.disks", ""), ("common.inodes", " of the inodes")] {
        match seen.reply(host, key) {
            Ok(reply) => all.extend(parse::disks(&reply.out()).into_iter().map(|disk| {
                (
                    disk.percent,
                    format!("{} {} %{what}", disk.mount, disk.percent),
                )
            })),
            Err(verdict) => return verdict,
        }
    }
    let Some(fullest) = all.iter().max_by_key(|(percent, _)| *percent) else {
        return Verdict::Unknown("df shows no disk".to_owned());
    };
    let full: Vec<&str> = all
        .iter()
        .filter(|(percent, _)| *percent >= limit)
        .map(|(_, text)| text.as_str())
        .collect();
    if full.is_empty() {
        Verdict::Good(format!("fullest: {}", fullest.1))
    } else {
        Verdict::bad(format!("less than {limit} % used"), list(full))
    }
}

/// The clocks are compared by where each may stand at the earliest and at the latest.
fn time(seen: &Observations, hosts: &[String], findings: &mut Findings) {
    let mut known: Vec<(&str, f64, f64)> = Vec::new();
    for host in hosts {
        let read = seen
            .reply(host, CLOCK)
            .map(|reply| reply.out().trim().parse::<f64>());
        match (read, seen.moment(host, CLOCK)) {
            (Ok(Ok(clock)), Some((moment, doubt))) => known.push((host, clock - moment, doubt)),
            (Err(verdict), _) => findings.add(&TIME, host, verdict),
            _ => findings.add(
                &TIME,
                host,
                Verdict::Unknown("its clock cannot be read".to_owned()),
            ),
        }
    }
    let mut middle: Vec<f64> = known.iter().map(|(_, offset, _)| *offset).collect();
    middle.sort_by(f64::total_cmp);
    let Some(middle) = middle.get(middle.len() / 2).copied() else {
        return;
    };
    for (host, offset, doubt) in known {
        let apart = offset - middle;
        findings.add(
            &TIME,
            host,
            Verdict::of(
                apart.abs() - doubt <= SKEW,
                "within 1 s of the other hosts",
                format!("{apart:+.2} s from the others"),
            ),
        );
    }
}
