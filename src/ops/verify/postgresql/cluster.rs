//! What can be judged only of all servers together: primary, identity, timeline, replication.

use super::super::check::{Findings, Verdict};
use super::super::component::{View, list};
use super::{
    ARCHIVER, LAG, ONE, SETTINGS, SLOTS, STREAMING, SYNC, SYSTEM, ServerState, TIMELINE, WRITES,
};
use crate::base::value::{Value, to_bool, to_text};

/// Bytes that a standby may be behind at any moment.
const BEHIND: i64 = 16 * 1024 * 1024;
/// Seconds that what is written may take until it can be read on a standby.
const LATE: f64 = 10.0;
/// Files of WAL that may wait for the archiver at any moment.
const WAITING: i64 = 4;

/// The settings that must not be lower on a standby.
const LIMITS: &[&str] = &[
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

/// Judges the cluster.
pub fn judge(view: &View<'_>, servers: &[(&str, ServerState)], findings: &mut Findings) {
    let primaries: Vec<&str> = servers
        .iter()
        .filter(|(_, server)| {
            server
                .up()
                .is_some_and(|state| state["in_recovery"] == false)
        })
        .map(|(host, _)| *host)
        .collect();
    let unclear = servers.iter().find_map(|(host, server)| match server {
        ServerState::Unclear(verdict) => Some((*host, verdict.clone())),
        _ => None,
    });
    findings.add(&ONE, "", match (primaries.as_slice(), &unclear) {
        ([one], None) => Verdict::Good(format!("{one} is the primary")),
        // It may be a second one.
        ([one], Some((host, verdict))) => match verdict {
            Verdict::Unreached(_) => Verdict::Unreached((*host).to_owned()),
            _ => Verdict::Unknown(format!("{one} is a primary, and what {host} is cannot be told")),
        },
        ([], Some((host, _))) => Verdict::bad("one primary", format!("none that answers takes writes, and what {host} is cannot be told"))
            .advise(format!("find out about {host} first: if it is a primary that comes back, promoting another makes two")),
        ([], None) => Verdict::bad("one primary", "none takes writes").advise("start the primary if it only stopped; promote the standby that has the most if it is lost"),
        (many, _) => {
            let latest = latest(servers, many);
            Verdict::bad("one primary", format!("{} all take writes", list(many.iter().copied()))).advise(format!(
                "stop the wrong one at once, before clients write to both; {latest} has the latest timeline, which speaks for it. \
                 The other one must rejoin"
            ))
        }
    });
    alike(servers, &primaries, findings);

    // With two primaries there is nobody to follow, and with none neither.
    let primary = match primaries.as_slice() {
        [one] => servers
            .iter()
            .find(|(host, _)| host == one)
            .and_then(|(host, server)| Some((*host, server.up()?))),
        _ => None,
    };
    for (host, server) in servers {
        if primary.is_some_and(|(primary, _)| primary == *host) {
            continue;
        }
        let verdicts = match (server, primary) {
            // It must not follow anybody until it rejoins; see postgresql.running.
            (ServerState::Fenced(_), _) => continue,
            (ServerState::Unclear(verdict), _) => {
                [verdict.clone(), verdict.clone(), verdict.clone()]
            }
            (ServerState::Down(why), _) => {
                let down = Verdict::bad(
                    "a standby that follows the primary",
                    format!("it does not run: {why}"),
                )
                .advise("start it; see postgresql.running");
                [
                    down.clone(),
                    Verdict::Unknown("it does not run".to_owned()),
                    Verdict::Unknown("it does not run".to_owned()),
                ]
            }
            (ServerState::Up(state), Some(primary)) if state["in_recovery"] == true => [
                streaming(view, host, state, primary),
                lag(view, host, primary),
                limits(state, primary),
            ],
            (ServerState::Up(state), _) if state["in_recovery"] == false => {
                let second = Verdict::bad("a standby", "it is a primary itself")
                    .advise("see postgresql.one-primary");
                [second.clone(), second.clone(), second]
            }
            (ServerState::Up(_), _) => {
                let nobody = Verdict::bad("a primary to follow", "there is not exactly one")
                    .advise("see postgresql.one-primary");
                [
                    nobody.clone(),
                    Verdict::Unknown("there is no primary to compare with".to_owned()),
                    Verdict::Unknown("there is no primary to compare with".to_owned()),
                ]
            }
        };
        for (check, verdict) in [&STREAMING, &LAG, &SETTINGS].into_iter().zip(verdicts) {
            findings.add(check, *host, verdict);
        }
    }
    match primary {
        Some((host, state)) => {
            let wanted = servers
                .iter()
                .filter(|(_, server)| !matches!(server, ServerState::Fenced(_)))
                .count();
            findings.add(&SLOTS, host, slots(state, wanted.saturating_sub(1)));
            findings.add(&SYNC, host, synchronous(view, host, state));
            let closed = to_text(&state["read_only"]) == "on";
            let observed = if closed {
                "default_transaction_read_only is on"
            } else {
                "it does"
            };
            findings.add(
                &WRITES,
                host,
                Verdict::of(!closed, "writes are taken", observed),
            );
            findings.add(&ARCHIVER, host, archiver(&state["archiver"]));
        }
        None => {
            for check in [&SLOTS, &SYNC, &WRITES, &ARCHIVER] {
                findings.add(
                    check,
                    "",
                    Verdict::Unknown("there is not exactly one primary to ask".to_owned()),
                );
            }
        }
    }
}

/// Of these servers (of all that answer, when there are none) the one that was promoted last, as far as timelines tell.
fn latest<'a>(servers: &[(&'a str, ServerState)], among: &[&str]) -> &'a str {
    servers
        .iter()
        .filter(|(host, _)| among.is_empty() || among.contains(host))
        .filter_map(|(host, server)| Some((*host, server.up()?["timeline"].as_i64())))
        // Of equal ones the first.
        .rev()
        .max_by_key(|(_, timeline)| *timeline)
        .map_or("", |(host, _)| host)
}

/// Same cluster, same timeline: compared with the primary, or with the server that was promoted last.
fn alike(servers: &[(&str, ServerState)], primaries: &[&str], findings: &mut Findings) {
    let model = latest(servers, primaries);
    let first = servers
        .iter()
        .find(|(host, _)| *host == model)
        .and_then(|(host, server)| Some((*host, server.up()?)));
    for (check, key, what) in [
        (&SYSTEM, "system", "system identifier"),
        (&TIMELINE, "timeline", "timeline"),
    ] {
        for (host, server) in servers {
            let verdict = match (server, first) {
                (ServerState::Fenced(_), _) => continue,
                (ServerState::Unclear(verdict), _) => verdict.clone(),
                (ServerState::Down(_), _) | (_, None) => {
                    Verdict::Unknown("it does not run".to_owned())
                }
                (ServerState::Up(state), Some((first, model))) => {
                    let (own, wanted) = (to_text(&state[key]), to_text(&model[key]));
                    Verdict::of(
                        own == wanted,
                        format!("{what} {wanted} as on {first}"),
                        format!("{what} {own}"),
                    )
                }
            };
            findings.add(check, *host, verdict);
        }
    }
}

/// The primary's sender for a standby.
fn sender<'a>(view: &View<'_>, host: &str, primary: &'a Value) -> Option<&'a Value> {
    let address = view.address(host);
    primary["senders"]
        .as_array()?
        .iter()
        .find(|sender| sender["address"] == address.as_str() || sender["application_name"] == host)
}

fn streaming(
    view: &View<'_>,
    host: &str,
    state: &Value,
    (primary, model): (&str, &Value),
) -> Verdict {
    let expected = format!("streaming from {primary}, as both sides say");
    let receiver = &state["receiver"];
    if receiver["status"] != "streaming" {
        let status = receiver["status"].as_str().unwrap_or("no WAL receiver");
        return Verdict::bad(expected, format!("{host} says: {status}"));
    }
    let from = receiver["sender_host"].as_str().unwrap_or_default();
    if from != view.address(primary) && from != primary {
        return Verdict::bad(
            expected,
            format!(
                "{host} follows {from}, not {primary} ({})",
                view.address(primary)
            ),
        );
    }
    match sender(view, host, model) {
        Some(sender) if sender["state"] == "streaming" => Verdict::Good(format!("from {primary}")),
        Some(sender) => Verdict::bad(
            expected,
            format!("{primary} says: {}", to_text(&sender["state"])),
        ),
        None => Verdict::bad(expected, format!("{primary} knows nothing of it")),
    }
}

fn lag(view: &View<'_>, host: &str, (primary, model): (&str, &Value)) -> Verdict {
    let expected = format!("at most {BEHIND} bytes and {LATE} s behind {primary}");
    let Some(sender) = sender(view, host, model) else {
        return Verdict::bad(expected, format!("{primary} sends it nothing"));
    };
    // The time is not known while nothing is written.
    let late = sender["late"].as_f64().unwrap_or_default();
    match sender["behind"].as_i64() {
        Some(behind) => Verdict::of(
            behind <= BEHIND && late <= LATE,
            expected,
            format!("{} bytes and {late:.1} s behind", behind.max(0)),
        ),
        None => Verdict::Unknown(format!("{primary} does not say how far it is")),
    }
}

/// Only the primary archives, and only if it is told to.
fn archiver(state: &Value) -> Verdict {
    let mode = to_text(&state["mode"]);
    if mode == "off" {
        return Verdict::Good("archive_mode is off".to_owned());
    }
    let waiting = state["waiting"].as_i64().unwrap_or_default();
    let expected = format!("no failure, and at most {WAITING} files that wait");
    if state["failing"] == true {
        let observed = format!(
            "{} was refused; {waiting} files wait",
            to_text(&state["failed"])
        );
        return Verdict::bad(expected, observed);
    }
    let last = match &state["archived"] {
        Value::Null => "nothing yet".to_owned(),
        name => format!("last {}", to_text(name)),
    };
    Verdict::of(
        waiting <= WAITING,
        expected,
        format!("{last}; {waiting} files wait"),
    )
}

fn limits(state: &Value, (primary, model): (&str, &Value)) -> Verdict {
    let number = |state: &Value, name: &str| to_text(&state["settings"][name]).parse::<i64>().ok();
    let mut lower = Vec::new();
    for name in LIMITS {
        let (Some(own), Some(wanted)) = (number(state, name), number(model, name)) else {
            return Verdict::Unknown(format!("{name} cannot be read"));
        };
        if own < wanted {
            lower.push(format!("{name} is {own}, on {primary} {wanted}"));
        }
    }
    let observed = if lower.is_empty() {
        "as on the primary or higher".to_owned()
    } else {
        lower.join("; ")
    };
    Verdict::of(
        lower.is_empty(),
        format!("at least the limits of {primary}"),
        observed,
    )
}

fn slots(state: &Value, standbys: usize) -> Verdict {
    let slots = state["slots"].as_array().map_or(&[][..], Vec::as_slice);
    let mut wrong = Vec::new();
    for slot in slots {
        let name = to_text(&slot["name"]);
        let status = slot["wal_status"].as_str().unwrap_or("unknown");
        if slot["active"] != true {
            wrong.push(format!("{name} is not in use"));
        } else if !matches!(status, "reserved" | "extended") {
            wrong.push(format!("{name} has lost WAL ({status})"));
        }
    }
    if slots.len() < standbys {
        wrong.push(format!("{} slots for {standbys} standbys", slots.len()));
    }
    let expected = format!("{standbys} slots, each in use");
    let observed = if wrong.is_empty() {
        format!("{} in use", slots.len())
    } else {
        wrong.join("; ")
    };
    Verdict::of(wrong.is_empty(), expected, observed)
}

fn synchronous(view: &View<'_>, host: &str, state: &Value) -> Verdict {
    let wanted = view
        .site
        .host(host)
        .and_then(|host| host.variables.get("postgresql_synchronous"))
        .and_then(to_bool)
        .unwrap_or(false);
    let names = to_text(&state["settings"]["synchronous_standby_names"]);
    let waits = state["senders"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|sender| matches!(sender["sync_state"].as_str(), Some("sync" | "quorum")));
    match (wanted, names.is_empty(), waits) {
        (false, true, _) => Verdict::Good("asynchronous, as declared".to_owned()),
        (true, false, true) => Verdict::Good("synchronous, as declared".to_owned()),
        (true, false, false) => {
            Verdict::bad("a synchronous standby", "no standby confirms: commits wait")
                .advise("bring the standby back, or set postgresql_synchronous: false and deploy")
        }
        (true, true, _) => Verdict::bad(
            "synchronous commits (postgresql_synchronous: true)",
            "asynchronous",
        )
        .advise("hactl deploy makes it what is declared once a standby streams; for a host that is out: hactl rejoin HOST"),
        (false, false, _) => Verdict::bad(
            "asynchronous commits (postgresql_synchronous: false)",
            format!("commits wait for {names}"),
        ),
    }
}
