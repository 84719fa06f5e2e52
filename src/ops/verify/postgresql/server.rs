//! What is judged of each server by itself.

use super::super::check::{Check, Findings, Verdict};
use super::super::common::blocks;
use super::super::component::{View, list};
use super::super::observations::{Observations, last_words};
use super::{
    CERTIFICATE, CHECKSUMS, CONNECTIONS, FENCE, FILES, GUARD, LOADED, LOGINS, READ_ONLY, REPLAY,
    RESTART, REWIND, RUNNING, SCRAM, SIGNAL, STALE, ServerState, WRAP, ask, certificate, settings,
};
use crate::base::value::{Value, to_text};

/// Half of what is left to PostgreSQL before it stops taking writes.
const OLDEST_ROW: i64 = 1_000_000_000;
/// Seconds.
const OLDEST_TRANSACTION: i64 = 3600;
const CERTIFICATE_DAYS: i64 = 30;

/// Judges whether the servers run and will run again.
pub fn running(seen: &Observations, servers: &[(&str, ServerState)], findings: &mut Findings) {
    for (host, server) in servers {
        let verdict = match (server, seen.reply(host, ask::CLUSTERS)) {
            (ServerState::Unclear(verdict), _) => verdict.clone(),
            (_, Err(verdict)) => verdict,
            (ServerState::Down(why), _) => Verdict::bad("a server that answers", why.as_str()),
            (ServerState::Fenced(story), _) => {
                Verdict::bad("a server that answers", format!("it is fenced ({story})")).advise(
                    format!("hactl rejoin {host}: until then there is one standby less"),
                )
            }
            (ServerState::Up(_), Ok(clusters)) => starts(&clusters.out()),
        };
        findings.add(&RUNNING, *host, verdict);
    }
}

/// Judges whether fenced servers stay down, whatever happens to their hosts.
pub fn fences(seen: &Observations, servers: &[(&str, ServerState)], findings: &mut Findings) {
    for (host, server) in servers {
        let verdict = match (super::fenced(seen, host), seen.reply(host, ask::CLUSTERS)) {
            (_, Err(verdict)) => verdict,
            (None, _) => Verdict::Good("not fenced".to_owned()),
            (Some(story), Ok(clusters)) => {
                let text = clusters.out();
                let open: Vec<&str> = text
                    .lines()
                    .filter(|line| {
                        let words: Vec<&str> = line.split_whitespace().collect();
                        !matches!(words.as_slice(), [.., "masked", _] | [.., "disabled"])
                    })
                    .collect();
                let expected = "down, and start.conf disabled or the unit masked";
                match (server, open.is_empty()) {
                    (ServerState::Up(_), _) => {
                        Verdict::bad(expected, format!("it runs, although fenced ({story})"))
                    }
                    (ServerState::Unclear(verdict), _) => verdict.clone(),
                    (_, false) => Verdict::bad(
                        expected,
                        format!("it would start with the host: {}", list(open)),
                    )
                    .advise(
                        "write disabled into its start.conf and mask its unit; then hactl rejoin",
                    ),
                    (_, true) => Verdict::Good(format!("down and kept from starting ({story})")),
                }
            }
        };
        findings.add(&FENCE, *host, verdict);
    }
}

/// Judges whether a former primary would be kept from starting as one. A fenced one starts in no way.
pub fn guards(seen: &Observations, servers: &[(&str, ServerState)], findings: &mut Findings) {
    for (host, server) in servers {
        let verdict = match (server, seen.reply(host, ask::GUARD)) {
            (ServerState::Fenced(_), _) => continue,
            (_, Err(verdict)) => verdict,
            (_, Ok(reply)) if reply.code == 0 => Verdict::Good("asked at every start".to_owned()),
            (_, Ok(reply)) => Verdict::bad("a start guard", last_words(reply)),
        };
        findings.add(&GUARD, *host, verdict);
    }
}

fn starts(text: &str) -> Verdict {
    let expected = "one cluster, online, started with the host";
    let online: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| {
            words
                .get(3)
                .is_some_and(|status| status.starts_with("online"))
        })
        .collect();
    let [cluster] = online.as_slice() else {
        return Verdict::bad(expected, format!("{} clusters online", online.len())).advise(
            "pg_lsclusters names them; stop and disable the one that does not belong here",
        );
    };
    let [version, name, port, _, active, enabled, start] = cluster.as_slice() else {
        return Verdict::Unknown("the list of clusters cannot be read".to_owned());
    };
    let unit = format!("postgresql@{version}-{name}");
    if *active != "active" {
        return Verdict::bad(expected, format!("it runs, but {unit} is {active}"))
            .advise(format!("it was started by hand: pg_ctlcluster {version} {name} stop, then systemctl start {unit}"));
    }
    if *start != "auto" || *enabled != "enabled" {
        return Verdict::bad(expected, format!("it runs, but is {enabled} with start.conf {start}"))
            .advise(format!("write auto into /etc/postgresql/{version}/{name}/start.conf and run systemctl enable postgresql"));
    }
    Verdict::Good(format!("{version}/{name} on port {port}"))
}

/// Judges whether each server lets the others replicate from it.
pub fn logins(
    view: &View<'_>,
    seen: &Observations,
    servers: &[(&str, ServerState)],
    findings: &mut Findings,
) {
    for (host, _) in servers {
        for (peer, server) in servers {
            let blocked = blocks(seen, host, peer) || blocks(seen, peer, host);
            if peer == host || blocked || matches!(server, ServerState::Fenced(_)) {
                continue;
            }
            let verdict = match seen.reply(host, &format!("postgresql.login.{peer}")) {
                Ok(reply) if reply.code == 0 => Verdict::Good("accepted".to_owned()),
                Ok(_) if seen.lost(peer).is_some() => Verdict::Unreached((*peer).to_owned()),
                Ok(reply) => Verdict::bad(
                    format!("a replication login at {}", view.address(peer)),
                    last_words(reply),
                ),
                Err(verdict) => verdict,
            };
            findings.add(&LOGINS, format!("{host} at {peer}"), verdict);
        }
    }
}

/// Judges one server.
pub fn judge(seen: &Observations, host: &str, server: &ServerState, findings: &mut Findings) {
    const CHECKS: &[&Check] = &[
        &REWIND,
        &RESTART,
        &FILES,
        &SCRAM,
        &WRAP,
        &CHECKSUMS,
        &SIGNAL,
        &LOADED,
        &CONNECTIONS,
        &CERTIFICATE,
    ];
    let state = match server {
        ServerState::Fenced(_) => return,
        ServerState::Up(state) => state,
        ServerState::Down(_) => {
            for check in CHECKS {
                findings.add(check, host, Verdict::Unknown("it does not run".to_owned()));
            }
            return;
        }
        ServerState::Unclear(verdict) => {
            for check in CHECKS {
                findings.add(check, host, verdict.clone());
            }
            return;
        }
    };
    if state["in_recovery"] == true {
        findings.add(
            &REPLAY,
            host,
            Verdict::of(
                state["replay_paused"] != true,
                "replay goes on",
                if state["replay_paused"] == true {
                    "paused"
                } else {
                    "goes on"
                },
            ),
        );
        findings.add(&READ_ONLY, host, refused(seen, host));
        let stale = names(state, "slots", |slot| {
            (slot["active"] != true).then(|| to_text(&slot["name"]))
        });
        findings.add(&STALE, host, none(&stale, "no slot without a user"));
    }
    let setting = |name: &str| to_text(&state["settings"][name]);
    let ready = setting("wal_log_hints") == "on" || setting("data_checksums") == "on";
    let whole = setting("full_page_writes") == "on";
    findings.add(
        &REWIND,
        host,
        Verdict::of(
            ready && whole,
            "wal_log_hints or data checksums, and full_page_writes",
            format!(
                "wal_log_hints {}, data_checksums {}, full_page_writes {}",
                setting("wal_log_hints"),
                setting("data_checksums"),
                setting("full_page_writes")
            ),
        ),
    );
    findings.add(
        &RESTART,
        host,
        none(
            &names(state, "pending_restart", |name| Some(to_text(name))),
            "no setting that waits",
        ),
    );
    findings.add(
        &FILES,
        host,
        none(
            &names(state, "file_errors", |error| Some(to_text(error))),
            "no error",
        ),
    );
    findings.add(&SCRAM, host, scram(state, &setting("password_encryption")));
    let mut old = Vec::new();
    let number = |name: &str| state[name].as_i64().unwrap_or_default();
    if number("prepared") > 0 {
        old.push(format!(
            "{} prepared transactions older than 10 minutes",
            number("prepared")
        ));
    }
    if number("oldest_transaction") > OLDEST_TRANSACTION {
        old.push(format!(
            "a transaction is open for {} s",
            number("oldest_transaction")
        ));
    }
    if number("oldest_row") > OLDEST_ROW {
        old.push(format!(
            "the oldest row is {} transactions old",
            number("oldest_row")
        ));
    }
    findings.add(&WRAP, host, none(&old, "nothing old"));
    settings::checksums(state, host, findings);
    findings.add(&SIGNAL, host, signal(state));
    findings.add(
        &LOADED,
        host,
        none(
            &names(state, "not_loaded", |file| Some(to_text(file))),
            "no file changed since it was read",
        ),
    );
    let (used, most) = (
        state["connections"].as_i64().unwrap_or_default(),
        setting("max_connections")
            .parse::<i64>()
            .unwrap_or_default(),
    );
    findings.add(
        &CONNECTIONS,
        host,
        Verdict::of(
            used * 5 <= most * 4,
            "less than 80 % of max_connections",
            format!("{used} of {most}"),
        ),
    );
    findings.add(&CERTIFICATE, host, ends(state));
}

/// A restart makes of a server what the file says, not what it is now.
fn signal(state: &Value) -> Verdict {
    let (standby, file) = (
        state["in_recovery"] == true,
        state["standby_signal"] == true,
    );
    match (standby, file) {
        (true, true) => Verdict::Good("a standby with its file".to_owned()),
        (false, false) => Verdict::Good("a primary without the file".to_owned()),
        (true, false) => Verdict::bad("standby.signal in its data directory", "it is not there"),
        (false, true) => Verdict::bad(
            "no standby.signal in its data directory",
            "it is there: after a restart there is no primary",
        ),
    }
}

fn ends(state: &Value) -> Verdict {
    let certificate = &state["certificate"];
    if certificate.is_null() {
        return Verdict::Good("it uses none".to_owned());
    }
    let file = to_text(&certificate["file"]);
    let (Some(text), Some(now)) = (certificate["text"].as_str(), state["now"].as_i64()) else {
        return Verdict::bad(
            "a file that the server can read",
            format!("{file} is missing"),
        );
    };
    let Some(end) = certificate::end(text) else {
        return Verdict::Unknown(format!("what is in {file} cannot be read"));
    };
    let days = (end.as_second() - now).div_euclid(86_400);
    let observed = if days < 0 {
        format!("{file} ended {} days ago", -days)
    } else {
        format!("{file} ends in {days} days")
    };
    Verdict::of(
        days >= CERTIFICATE_DAYS,
        format!("{CERTIFICATE_DAYS} days at least"),
        observed,
    )
}

/// The standby's own answer to a write.
fn refused(seen: &Observations, host: &str) -> Verdict {
    match seen.reply(host, ask::WRITE) {
        Ok(reply) if reply.err().contains("25006") => Verdict::Good("refused (25006)".to_owned()),
        Ok(reply) if reply.out().contains("written") => Verdict::bad(
            "refused with 25006",
            "the write was accepted (and rolled back)",
        ),
        Ok(reply) => Verdict::Unknown(last_words(reply)),
        Err(verdict) => verdict,
    }
}

fn scram(state: &Value, encryption: &str) -> Verdict {
    let mut weak = Vec::new();
    if encryption != "scram-sha-256" {
        weak.push(format!("password_encryption is {encryption}"));
    }
    for role in names(state, "weak_passwords", |name| Some(to_text(name))) {
        weak.push(format!("the password of {role} is not kept as SCRAM"));
    }
    for method in names(state, "weak_methods", |name| Some(to_text(name))) {
        weak.push(format!("pg_hba.conf allows {method} for hosts"));
    }
    none(&weak, "SCRAM only")
}

/// The items of a list that are picked.
pub fn names(state: &Value, key: &str, pick: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    state[key]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(pick)
        .collect()
}

/// Good when there is none.
fn none(found: &[String], expected: &str) -> Verdict {
    if found.is_empty() {
        Verdict::Good(expected.to_owned())
    } else {
        Verdict::bad(expected, list(found.iter().map(String::as_str)))
    }
}
