//! The sections of the screen: databases, virtual address, load balancers, application servers, operations.
//!
//! Every text of a host goes through the page's rows, which escape it.

use super::Page;
use crate::base::quote::for_terminal;
use crate::ops::status::databases::size;
use crate::ops::status::past::{ago, moment, operator, progress};
use crate::ops::status::status_report::{
    Application, Balancer, Database, Databases, Past, StatusReport, Unfinished, VirtualAddress,
};

impl Page {
    pub(super) fn databases(mut self, databases: &Databases) -> Self {
        self.title("PostgreSQL");
        let rows = databases.members.iter().map(database).collect();
        self.rows(
            &[
                "host",
                "role",
                "inventory",
                "timeline",
                "log",
                "lag",
                "details",
            ],
            rows,
        );
        if !databases.slots.is_empty() {
            let slots = databases
                .slots
                .iter()
                .map(|slot| {
                    vec![
                        format!("slot {} on {}", slot.name, slot.host),
                        if slot.active { "active" } else { "not used" }.to_owned(),
                        slot.kept_bytes.map_or_else(
                            || "keeps ?".to_owned(),
                            |bytes| format!("keeps {}", size(bytes)),
                        ),
                        slot.wal_status.clone().unwrap_or_default(),
                    ]
                })
                .collect();
            self.rows(&[], slots);
        }
        let when = databases.primary.as_ref().map_or_else(
            || "lost by a failover now".to_owned(),
            |primary| format!("lost if {primary} died now"),
        );
        let failover = &databases.failover;
        let who = failover.to.as_deref().unwrap_or("nobody");
        let possible = match (&failover.command, failover.possible) {
            (Some(command), true) => format!("to {who}, now: {command}"),
            _ if failover.to.is_some() => {
                format!("not now (to {who}): {}", failover.why_not.join("; "))
            }
            _ => format!("not possible: {}", failover.why_not.join("; ")),
        };
        let label = if databases.primary.is_some() {
            "takeover"
        } else {
            "failover"
        };
        self.rows(
            &[],
            vec![
                vec![when, databases.loss.sentence.clone()],
                vec![label.to_owned(), possible],
            ],
        );
        self
    }

    pub(super) fn address(mut self, address: &VirtualAddress) -> Self {
        self.title(&format!(
            "Virtual address {}",
            for_terminal(&address.address)
        ));
        let mut rows = vec![vec![
            "by its own word".to_owned(),
            match address.holders.as_slice() {
                [] => "on no host that was asked".to_owned(),
                holders => format!("on {}", holders.join(" AND ")),
            } + &match address.not_asked.as_slice() {
                [] => String::new(),
                lost => format!(" ({} could not be asked)", lost.join(", ")),
            },
        ]];
        // Those that see the same are one line.
        let mut views: Vec<(Vec<&str>, String)> = Vec::new();
        for view in &address.views {
            let at = match (&view.at, &view.hardware_address) {
                (Some(host), _) => format!("at {host}"),
                (None, Some(mac)) => format!("at {mac}, of no host that was asked"),
                (None, None) => "no neighbour entry".to_owned(),
            };
            let answer = match (&view.status, &view.why) {
                (Some(200), _) => "answers".to_owned(),
                (Some(status), _) => format!("answers with status {status}"),
                (None, Some(why)) => format!("does not answer: {why}"),
                (None, None) => "not tried".to_owned(),
            };
            let seen = format!("{at}, {answer}");
            match views.iter_mut().find(|(_, other)| *other == seen) {
                Some((from, _)) => from.push(&view.from),
                None => views.push((vec![&view.from], seen)),
            }
        }
        rows.extend(
            views
                .into_iter()
                .map(|(from, seen)| vec![format!("seen by {}", from.join(", ")), seen]),
        );
        self.rows(&[], rows);
        self
    }

    pub(super) fn balancers(
        mut self,
        balancers: &[Balancer],
        address: Option<&VirtualAddress>,
    ) -> Self {
        if balancers.is_empty() {
            return self;
        }
        self.title("Load balancers");
        let rows = balancers
            .iter()
            .map(|line| balancer(line, address))
            .collect();
        self.rows(
            &[
                "host",
                "haproxy",
                "keepalived",
                "address",
                "others get",
                "its servers",
            ],
            rows,
        );
        self
    }

    pub(super) fn applications(mut self, applications: &[Application]) -> Self {
        if applications.is_empty() {
            return self;
        }
        self.title("Application servers");
        let rows = applications
            .iter()
            .map(|line| {
                vec![
                    line.host.clone(),
                    line.service.clone().unwrap_or_else(|| "unknown".to_owned()),
                    match line.status {
                        Some(200) => "healthy".to_owned(),
                        Some(status) => format!("not healthy ({status})"),
                        None => "unknown".to_owned(),
                    },
                    line.database
                        .as_ref()
                        .map_or_else(String::new, |host| format!("uses {host}")),
                    match (&line.why, line.writable) {
                        (Some(why), _) => why.clone(),
                        (None, Some(false)) => "cannot write".to_owned(),
                        (None, _) => String::new(),
                    },
                ]
            })
            .collect();
        self.rows(&["host", "service", "health", "database", "details"], rows);
        self
    }

    pub(super) fn operations(mut self, report: &StatusReport) -> Self {
        self.title("Operations");
        let past = |past: &Option<Past>, none: &str| {
            past.as_ref()
                .map_or_else(|| none.to_owned(), |past| ended(past, report.now))
        };
        let mut rows = vec![
            vec![
                "unfinished".to_owned(),
                report
                    .unfinished
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |one| unfinished(one, report.now)),
            ],
            vec![
                "last change of primary".to_owned(),
                past(&report.last.change, "none"),
            ],
            vec![
                "last backup".to_owned(),
                past(&report.last.backup, "none configured"),
            ],
            vec!["last drill".to_owned(), past(&report.last.drill, "none")],
        ];
        for mark in &report.marks {
            let what = match (mark.kind, &mark.subject) {
                ("blocks", Some(subject)) => format!("{} blocks {subject}", mark.host),
                ("keepalived_flag", _) => format!("{}: keepalived's flag", mark.host),
                (kind, _) => format!("{}: {kind}", mark.host),
            };
            let text = if mark.text.is_empty() {
                "all traffic to it".to_owned()
            } else {
                mark.text.clone()
            };
            rows.push(vec![what, text]);
        }
        self.rows(&[], rows);
        self
    }
}

fn database(line: &Database) -> Vec<String> {
    let role = if line.seen_by.is_empty() {
        line.role.clone()
    } else {
        format!("{} (seen by {})", line.role, line.seen_by.join(", "))
    };
    let declared = match line.declared {
        "primary" => "first choice",
        other => other,
    };
    let lag = match (line.lag_bytes, line.lag_seconds) {
        (Some(0), _) => "0 B".to_owned(),
        (Some(bytes), Some(seconds)) => format!("{}, {seconds:.1} s", size(bytes)),
        (Some(bytes), None) => size(bytes),
        (None, _) if line.role == "replica" => "unknown".to_owned(),
        (None, _) => "-".to_owned(),
    };
    vec![
        line.host.clone(),
        role,
        declared.to_owned(),
        line.timeline
            .map_or_else(|| "-".to_owned(), |timeline| timeline.to_string()),
        line.position.clone().unwrap_or_else(|| "-".to_owned()),
        lag,
        line.note.clone(),
    ]
}

fn balancer(line: &Balancer, address: Option<&VirtualAddress>) -> Vec<String> {
    let unknown = || "unknown".to_owned();
    let reached = line.haproxy.is_some() || line.keepalived.is_some();
    let holds = match address {
        _ if !reached => unknown(),
        Some(address) if address.holders.contains(&line.host) => "holds it".to_owned(),
        _ if line.flag => "maintenance".to_owned(),
        Some(_) => "-".to_owned(),
        None => "-".to_owned(),
    };
    let servers: Vec<String> = line
        .servers
        .iter()
        .map(|server| format!("{} {}", server.name, server.status))
        .collect();
    vec![
        line.host.clone(),
        line.haproxy.clone().unwrap_or_else(unknown),
        line.keepalived.clone().unwrap_or_else(unknown),
        holds,
        match line.answers {
            Some(true) => "answers",
            Some(false) => "no answer",
            None => "unknown",
        }
        .to_owned(),
        if servers.is_empty() {
            line.why.clone().unwrap_or_else(|| "none".to_owned())
        } else {
            servers.join(", ")
        },
    ]
}

fn unfinished(one: &Unfinished, now: u64) -> String {
    if one.kind.is_empty() {
        return format!(
            "one whose journal cannot be read, on {}: {}",
            one.hosts.join(", "),
            one.command
        );
    }
    let reason = if one.reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", one.reason)
    };
    let running = one
        .running
        .as_ref()
        .map_or_else(String::new, |who| format!("; at work now: {who}"));
    format!(
        "{}, begun {} ago ({}) by {}{reason}; {}{running}: {}",
        one.kind,
        ago(now, one.started),
        moment(one.started),
        operator(&one.operator),
        progress(one),
        one.command
    )
}

fn ended(past: &Past, now: u64) -> String {
    let about = if past.about.is_empty() {
        String::new()
    } else {
        format!(" {}", past.about)
    };
    let message = if past.message.is_empty() {
        String::new()
    } else {
        format!(" ({})", past.message)
    };
    format!(
        "{}{about}, {}{message}, {} ago ({}), by {}",
        past.kind,
        past.result,
        ago(now, past.ended),
        moment(past.ended),
        operator(&past.operator)
    )
}
