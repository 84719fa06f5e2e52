//! Backups: there is a recent one elsewhere, the log arrives and has no gap, and a restore was tried not long ago.

use super::check::{Check, Findings, Verdict};
use super::component::{Component, View, ask_units, judge_units};
use super::observations::{Ask, Observations, last_words};
use super::parse;
use super::postgresql::psql;
use crate::base::quote::sh;
use crate::base::value::Value;
use crate::ops::backup::{Info, Repository, VARIABLES};
use crate::ops::hosts::Host;
use std::collections::BTreeSet;

/// The component.
pub struct Backup;

/// A backup a day, and two hours for it.
const AGE: i64 = 26 * 3600;
/// Files of the log that may wait for the repository.
const WAITING: i64 = 16;
const DAY: i64 = 86_400;

static NONE: Check = Check::warn(
    "backup.none",
    "there are backups",
    "put one host that holds no database into the group postgresql_backup, then: hactl deploy",
);
static RECENT: Check = Check::fail(
    "backup.recent",
    "the last good backup is less than 26 hours old",
    "hactl backup now; journalctl -u 'postgresql-backup@*' on the repository host says why the timer's failed",
);
static SIZE: Check = Check::warn(
    "backup.size",
    "the last backup is about as large as the others",
    "was much deleted or loaded, or is something missing? hactl backup verify",
);
static WHOLE: Check = Check::fail(
    "backup.whole",
    "pgBackRest finds the repository in order, and no damaged page was backed up",
    "hactl backup verify; a damaged page is damaged in the primary, too: check postgresql.checksums",
);
static ELSEWHERE: Check = Check::fail(
    "backup.elsewhere",
    "the backups are on a host that holds no database",
    "move the group postgresql_backup to another host",
);
static ARCHIVING: Check = Check::fail(
    "backup.archiving",
    "the log of the primary arrives in the repository",
    "the primary's log says why; hactl verify --only backup.reach; the log waits on the primary's disk up to postgresql_backup_queue_max, then it is dropped",
);
static GAPS: Check = Check::fail(
    "backup.gaps",
    "no file of the log is missing since the last backup began",
    "the times after the gap cannot be restored until there is a new backup: hactl backup now",
);
static REACH: Check = Check::fail(
    "backup.reach",
    "the databases reach the repository",
    "systemctl status pgbackrest on the repository host; is its port open to the databases?",
);
static SERVER: Check = Check::fail(
    "backup.server",
    "pgBackRest runs where it has to and starts with the host",
    "systemctl status pgbackrest; deploy again",
);
static TIMER: Check = Check::fail(
    "backup.timer",
    "the timers run on the repository host, and nowhere else",
    "deploy again; on any other host: systemctl disable --now postgresql-backup-full.timer postgresql-backup-incr.timer",
);
static RETENTION: Check = Check::warn(
    "backup.retention",
    "no more backups are kept than declared",
    "old ones are removed at the end of each backup: hactl backup now",
);
static TESTED: Check = Check::warn(
    "backup.tested",
    "a restore was tried not long ago",
    "hactl backup verify",
);
static CERTIFICATE: Check = Check::warn(
    "backup.certificate",
    "no certificate is due for renewal",
    "hactl deploy (it makes new ones, lets everybody trust them, and changes over)",
);

const INFO: &str = "backup.info";
const LOG: &str = "backup.log";
const TIMERS: &str = "backup.timers";
const UNITS: &str = "backup.units";
const PING: &str = "backup.ping";
const KEY: &str = "backup.key";
const ARCHIVER: &str = "backup.archiver";

const TIMER_UNITS: [&str; 2] = [
    "postgresql-backup-full.timer",
    "postgresql-backup-incr.timer",
];

/// Seconds since the last file was archived matter only when one waits.
const QUERY: &str = "SELECT json_build_object('standby', pg_is_in_recovery(), 'mode', current_setting('archive_mode'),
 'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
 'oldest', (SELECT round(extract(epoch FROM now() - min(modification)))::int FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
 'failing', coalesce(last_failed_time > last_archived_time OR last_archived_time IS NULL AND failed_count > 0, false),
 'last', last_archived_wal, 'failed', failed_count) FROM pg_stat_archiver;";

static CHECKS: &[&Check] = &[
    &NONE,
    &RECENT,
    &SIZE,
    &WHOLE,
    &ELSEWHERE,
    &ARCHIVING,
    &GAPS,
    &REACH,
    &SERVER,
    &TIMER,
    &RETENTION,
    &TESTED,
    &CERTIFICATE,
];

/// Judges what the repository says of its backups.
type Judge = fn(&Info, &Repository) -> Verdict;

impl Component for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn checks(&self) -> &'static [&'static Check] {
        CHECKS
    }

    fn variables(&self) -> &'static [&'static str] {
        VARIABLES
    }

    fn applies(&self, site: &crate::ops::hosts::Site) -> bool {
        !site.members("postgresql").is_empty()
    }

    fn asks(&self, view: &View<'_>, host: &Host) -> Vec<Ask> {
        let Some(repository) = Repository::of(view.site) else {
            return Vec::new();
        };
        let mut asks = vec![ask_units(TIMERS, &TIMER_UNITS)];
        let database = view.site.members("postgresql").contains(&host.name);
        let keeper = host.name == repository.host;
        if database || keeper {
            asks.push(ask_units(UNITS, &["pgbackrest.service"]));
            asks.push(Ask::sh(
                KEY,
                format!(
                    "exec openssl x509 -in {} -noout -enddate -checkend {}",
                    sh(&format!("{}/host.crt", repository.tls)),
                    repository.renew_days.saturating_mul(DAY.unsigned_abs())
                ),
            ));
        }
        if keeper {
            asks.push(Ask::new(INFO, repository.ask()));
            asks.push(Ask::sh(
                LOG,
                format!(
                    "find {}/archive/{}/ -type f -name '0*-*' -printf '%f\\n' | cut -c 1-24 | sort -u | tail -n 5000",
                    sh(&repository.path),
                    sh(&repository.stanza)
                ),
            ));
        }
        if database {
            asks.push(Ask::new(
                ARCHIVER,
                psql(&host.text("postgresql_cluster", "main"), "postgres", QUERY),
            ));
            asks.push(Ask::sh(
                PING,
                format!(
                    "exec timeout -k 1 4 runuser -u postgres -- pgbackrest server-ping --log-level-file=off --io-timeout=3 --tls-server-port={} {}",
                    repository.port,
                    sh(&repository.host)
                ),
            ));
        }
        asks
    }

    fn judge(&self, view: &View<'_>, seen: &Observations, findings: &mut Findings) {
        let Some(repository) = Repository::of(view.site) else {
            findings.add(
                &NONE,
                "",
                Verdict::bad(
                    "a repository",
                    "the inventory has no group postgresql_backup",
                ),
            );
            return;
        };
        let databases = view.site.members("postgresql");
        findings.add(&NONE, "", Verdict::Good(format!("on {}", repository.host)));
        findings.add(
            &ELSEWHERE,
            "",
            Verdict::of(
                !databases.contains(&repository.host),
                format!("a host that is not in {}", databases.join(", ")),
                repository.host.as_str(),
            ),
        );
        let info = match seen.reply(&repository.host, INFO) {
            Ok(reply) => view.site.host(&repository.host).map_or_else(
                || Err(Verdict::Unknown("it is not among the hosts".to_owned())),
                |host| {
                    Info::read(host, reply)
                        .map_err(|error| Verdict::Unknown(super::check::reason(&error)))
                },
            ),
            Err(verdict) => Err(verdict),
        };
        let judged: [(&'static Check, Judge); 5] = [
            (&RECENT, recent),
            (&SIZE, size),
            (&WHOLE, whole),
            (&RETENTION, retention),
            (&TESTED, tested),
        ];
        for (check, judge) in judged {
            let verdict = match &info {
                Ok(info) => judge(info, &repository),
                Err(verdict) => verdict.clone(),
            };
            findings.add(check, repository.host.as_str(), verdict);
        }
        let verdict = match (&info, seen.reply(&repository.host, LOG)) {
            (Err(verdict), _) => verdict.clone(),
            (_, Err(verdict)) => verdict,
            (Ok(info), Ok(reply)) => gaps(info, &reply.out()),
        };
        findings.add(&GAPS, repository.host.as_str(), verdict);
        archiving(seen, databases, findings);
        let members: Vec<String> = databases
            .iter()
            .chain([&repository.host])
            .cloned()
            .collect();
        seen.judge_each(findings, &REACH, databases, PING, |_, reply| {
            Verdict::of(
                reply.code == 0,
                format!("{} answers", repository.host),
                if reply.code == 0 {
                    "it answers".to_owned()
                } else {
                    last_words(reply)
                },
            )
        });
        seen.judge_each(findings, &SERVER, &members, UNITS, |_, reply| {
            judge_units(reply, &["pgbackrest.service"])
        });
        seen.judge_each(findings, &CERTIFICATE, &members, KEY, |_, reply| {
            let said = reply.out();
            let end = said
                .lines()
                .find_map(|line| line.strip_prefix("notAfter="))
                .unwrap_or("");
            match (reply.code, end) {
                (_, "") => Verdict::bad("a certificate", last_words(reply)),
                (code, end) => Verdict::of(
                    code == 0,
                    format!("{} days or more", repository.renew_days),
                    format!("until {end}"),
                ),
            }
        });
        let everybody: Vec<String> = view
            .site
            .hosts
            .iter()
            .map(|host| host.name.clone())
            .collect();
        seen.judge_each(findings, &TIMER, &everybody, TIMERS, |host, reply| {
            if host == repository.host {
                judge_units(reply, &TIMER_UNITS)
            } else {
                no_timers(&reply.out())
            }
        });
    }
}

fn recent(info: &Info, _: &Repository) -> Verdict {
    match (info.last(), info.age()) {
        (Some(last), Some(age)) => Verdict::of(
            age < AGE,
            "at most 26 h",
            format!(
                "{}, {}",
                last.label,
                if age < 7200 {
                    format!("{} min ago", age / 60)
                } else {
                    format!("{} h ago", age / 3600)
                }
            ),
        ),
        _ if info.running => Verdict::bad("a backup", "none yet; the first one is being made"),
        _ => Verdict::bad("a backup", "there is none"),
    }
}

fn size(info: &Info, _: &Repository) -> Verdict {
    let mut sizes: Vec<u64> = info.backups.iter().map(|backup| backup.size).collect();
    sizes.sort_unstable();
    let (Some(median), Some(last)) = (sizes.get(sizes.len() / 2).copied(), info.last()) else {
        return Verdict::Good("there is nothing to compare".to_owned());
    };
    let shown = format!("{} MiB, median {} MiB", last.size >> 20, median >> 20);
    Verdict::of(
        sizes.len() < 3 || (last.size >= median / 2 && last.size <= median + median / 2),
        "within 50 % of the median",
        shown,
    )
}

fn whole(info: &Info, _: &Repository) -> Verdict {
    let damaged: Vec<&str> = info
        .backups
        .iter()
        .filter(|backup| backup.damaged)
        .map(|backup| backup.label.as_str())
        .collect();
    if info.status.0 != 0 && !(info.backups.is_empty() && info.running) {
        return Verdict::bad("ok", info.status.1.as_str());
    }
    Verdict::of(
        damaged.is_empty(),
        "no damaged page",
        if damaged.is_empty() {
            "ok".to_owned()
        } else {
            format!("damaged pages in {}", damaged.join(", "))
        },
    )
}

fn retention(info: &Info, repository: &Repository) -> Verdict {
    Verdict::of(
        // While one is being made the oldest is still there.
        info.full() <= repository.keep_full + usize::from(info.running),
        format!("at most {} full backups", repository.keep_full),
        format!("{} full, {} in all", info.full(), info.backups.len()),
    )
}

fn tested(info: &Info, repository: &Repository) -> Verdict {
    let limit = i64::try_from(repository.test_days).unwrap_or(i64::MAX / DAY) * DAY;
    match info.tested {
        None => Verdict::bad(format!("within {} days", repository.test_days), "never"),
        Some(tested) => Verdict::of(
            info.now - tested < limit,
            format!("within {} days", repository.test_days),
            format!("{} days ago", (info.now - tested).max(0) / DAY),
        ),
    }
}

/// The number of a file of the log, whatever its timeline: 256 segments of 16 MiB a log.
fn number(file: &str) -> Option<u64> {
    let log = u64::from_str_radix(file.get(8..16)?, 16).ok()?;
    let segment = u64::from_str_radix(file.get(16..24)?, 16).ok()?;
    (segment < 256).then_some(log * 256 + segment)
}

fn gaps(info: &Info, files: &str) -> Verdict {
    let Some(start) = info.last().and_then(|backup| number(&backup.wal.0)) else {
        return Verdict::Good("there is no backup to go on from".to_owned());
    };
    let there: BTreeSet<u64> = files
        .lines()
        .filter_map(number)
        .filter(|number| *number >= start)
        .collect();
    let Some(end) = there.last().copied() else {
        return Verdict::bad("the log of the last backup", "no file of it");
    };
    // More than were listed: only what was listed is judged.
    let start = start.max(there.first().copied().unwrap_or(start)).min(end);
    let missing = (start..=end)
        .filter(|number| !there.contains(number))
        .count();
    let first_missing = (start..=end).find(|number| !there.contains(number));
    match first_missing {
        None => Verdict::Good(format!("{} files without a gap", there.len())),
        Some(number) => Verdict::bad(
            "every file of the log",
            format!(
                "{missing} are missing, the first is …{:08X}{:08X}",
                number / 256,
                number % 256
            ),
        ),
    }
}

/// Only whoever takes writes archives.
fn archiving(seen: &Observations, databases: &[String], findings: &mut Findings) {
    for host in databases {
        let reply = match seen.reply(host, ARCHIVER) {
            Ok(reply) => reply,
            Err(verdict) => {
                findings.add(&ARCHIVING, host, verdict);
                continue;
            }
        };
        let Ok(state) = serde_json::from_slice::<Value>(&reply.stdout) else {
            // A fenced server is to be down, and archives nothing.
            if super::common::fenced(seen, host).is_some() {
                continue;
            }
            findings.add(&ARCHIVING, host, Verdict::Unknown(last_words(reply)));
            continue;
        };
        if state["standby"] == true {
            continue;
        }
        let (waiting, oldest) = (
            state["waiting"].as_i64().unwrap_or(0),
            state["oldest"].as_i64().unwrap_or(0),
        );
        let last = state["last"].as_str().unwrap_or("nothing yet");
        let verdict = if state["mode"] == "off" {
            Verdict::bad("archive_mode on", "off").advise("deploy again")
        } else if state["failing"] == true && waiting > 0 {
            Verdict::bad(
                "every file arrives",
                format!(
                    "{waiting} wait, the oldest for {oldest} s; the last that arrived is {last}"
                ),
            )
        } else {
            Verdict::of(
                waiting <= WAITING,
                format!("at most {WAITING} files wait"),
                format!("{waiting} wait; the last that arrived is {last}"),
            )
        };
        findings.add(&ARCHIVING, host, verdict);
    }
}

fn no_timers(text: &str) -> Verdict {
    let units = parse::units(text);
    let wrong: Vec<&str> = TIMER_UNITS
        .into_iter()
        .filter(|name| {
            units.get(*name).is_some_and(|unit| {
                let get = |key: &str| unit.get(key).map_or("", String::as_str);
                get("ActiveState") == "active" || get("UnitFileState").starts_with("enabled")
            })
        })
        .collect();
    Verdict::of(
        wrong.is_empty(),
        "no timer of backups",
        if wrong.is_empty() {
            "none".to_owned()
        } else {
            wrong.join(", ")
        },
    )
}

#[cfg(test)]
mod tests;
