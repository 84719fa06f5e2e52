//! What a switchover tries out before it stops anything: the way that a write takes to the candidate, and the clients' way to it.
//!
//! What a look says can be minutes old, or true of the connection and not of what goes through it. Changes nothing but for a
//! marker in the log, and not even that in a dry run.

use super::SwitchoverOptions;
use crate::base::Result;
use crate::modules::{Reply, Request};
use crate::ops::connection_pool::{Answer, ConnectionPool};
use crate::ops::database::postgresql::assignment::Assignment;
use crate::ops::database::postgresql::node::PeerView;
use crate::ops::database::postgresql::probe::{ask_port, port_view};
use crate::ops::database::postgresql::replay::MARKER;
use crate::ops::hosts::Site;
use crate::ops::operation::condition::Conditions;
use crate::ops::operation::notes;

/// What was seen.
#[derive(Debug)]
pub struct Trial {
    /// How far the log went that the candidate was to replay, or why it has not replayed it.
    pub replayed: Result<String, String>,
    /// How each client sees the candidate's port, or why it could not be asked.
    pub clients: Vec<(String, Result<PeerView, String>)>,
    /// Nothing was written for it.
    pub dry: bool,
}

/// The hosts that are clients of the databases.
pub fn clients<'a>(site: &'a Site, candidate: &'a str) -> impl Iterator<Item = &'a str> {
    let names = site.members("welcome_app").iter().map(String::as_str);
    names.filter(move |host| *host != candidate)
}

/// How many seconds the candidate may take to replay a marker, when writes may wait for `gap`: the stop and the promotion need
/// the rest.
pub fn seconds(gap: u64) -> u64 {
    (gap / 5).max(1)
}

/// Tries it out: two rounds. `clients` has connections to [`clients`]; whoever is missing there counts as lost.
pub async fn run(
    site: &Site,
    assignment: &Assignment,
    databases: &mut ConnectionPool,
    clients: &mut ConnectionPool,
    options: &SwitchoverOptions,
    dry: bool,
) -> Trial {
    let ask = ask_port(
        &assignment.new.address,
        assignment.new.port,
        site.patience(),
    );
    let asked: Vec<String> = self::clients(site, &assignment.new.host)
        .map(str::to_owned)
        .collect();
    let work = asked
        .iter()
        .map(|host| (host.clone(), vec![ask.clone()]))
        .collect();
    let (replayed, mut answers) = tokio::join!(
        replay(assignment, databases, options.gap, dry),
        clients.round(work)
    );
    let seen = asked.into_iter().map(|host| {
        let view = match answers.remove(&host) {
            Some(Ok(answer)) => answer.replies.first().map(port_view),
            Some(Err(error)) => return (host, Err(error.message)),
            None => None,
        };
        (
            host,
            view.ok_or_else(|| "the host was not asked".to_owned()),
        )
    });
    Trial {
        replayed,
        clients: seen.collect(),
        dry,
    }
}

async fn replay(
    assignment: &Assignment,
    pool: &mut ConnectionPool,
    gap: u64,
    dry: bool,
) -> Result<String, String> {
    let mark = if dry {
        assignment.old.position()
    } else {
        assignment.old.mark()
    };
    let mut mark = Request::sh(mark);
    mark.timeout_seconds = Some(5);
    let marked = one(pool, &assignment.old.host, mark).await?;
    let Some(marker) = notes(&marked).remove(MARKER).filter(|_| marked.code == 0) else {
        return Err(format!(
            "{} could not write a marker: {}",
            assignment.old.host,
            why(&marked)
        ));
    };
    let mut wait = Request::sh(assignment.new.has_replayed(&marker, seconds(gap)));
    wait.timeout_seconds = Some(seconds(gap) + 3);
    let replayed = one(pool, &assignment.new.host, wait).await?;
    if replayed.code == 0 {
        Ok(marker)
    } else {
        Err(why(&replayed))
    }
}

async fn one(pool: &mut ConnectionPool, host: &str, request: Request) -> Result<Reply, String> {
    let mut answers = pool.round([(host.to_owned(), vec![request])].into()).await;
    let first = |answer: Answer| answer.replies.into_iter().next();
    match answers.remove(host).map(|answer| answer.map(first)) {
        Some(Ok(Some(reply))) => Ok(reply),
        Some(Err(error)) => Err(format!("{host}: {}", error.message)),
        _ => Err(format!("{host} was not asked")),
    }
}

fn why(reply: &Reply) -> String {
    let said = reply.err();
    match said.trim() {
        "" if matches!(reply.code, 124 | 137) => "no answer in time".to_owned(),
        "" => format!("exit code {}", reply.code),
        said => said.to_owned(),
    }
}

/// Adds what was found out.
pub fn judge(
    list: &mut Conditions,
    assignment: &Assignment,
    options: &SwitchoverOptions,
    trial: &Trial,
) {
    let (old, new) = (&assignment.old.host, &assignment.new.host);
    let dry = if trial.dry {
        " (a dry run writes no marker)"
    } else {
        ""
    };
    list.add(
        "replays",
        format!(
            "{new} replays what {old} writes, within {} s",
            seconds(options.gap)
        ),
        trial.replayed.is_ok(),
        match &trial.replayed {
            Ok(marker) => format!("replayed up to {marker}{dry}"),
            Err(why) => why.clone(),
        },
        format!("end what it waits for: a query on {new} with SELECT pg_terminate_backend(PID) there; a receiver that hears nothing: the network, and the log of {new}"),
    );
    if trial.clients.is_empty() {
        return;
    }
    let away: Vec<String> = trial.clients.iter().filter_map(cannot_reach).collect();
    let names: Vec<&str> = trial.clients.iter().map(|(host, _)| &**host).collect();
    list.add(
        "clients-reach",
        format!("every application server reaches {new}, port {}", assignment.new.port),
        away.is_empty(),
        if away.is_empty() {
            format!("{} do", names.join(", "))
        } else {
            away.join("; ")
        },
        "repair the network or firewall between them: their writes would stop with the switchover; a server that is away for long leaves the inventory",
    );
    list.unless("--unreached-clients-ok", options.unreached_clients_ok);
}

/// What is wrong with a client's way to the candidate.
fn cannot_reach((host, view): &(String, Result<PeerView, String>)) -> Option<String> {
    match view {
        Ok(PeerView::Closed(said) | PeerView::Unreachable(said)) => Some(format!("{host}: {said}")),
        Ok(_) => None,
        Err(why) => Some(format!("{host} could not be asked: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::database::postgresql::node::Place;
    use crate::ops::database::postgresql::scripts::Server;
    use crate::ops::hosts::Host;

    fn assignment() -> Assignment {
        let server = |name: &str| {
            let host = Host {
                name: name.to_owned(),
                groups: Vec::new(),
                target: crate::connection::Target::default(),
                variables: crate::base::value::Map::new(),
            };
            Server::new(&host, "192.0.2.1", &Place::default())
        };
        Assignment {
            old: server("db1"),
            new: server("db2"),
            others: Vec::new(),
        }
    }

    fn options(unreached_clients_ok: bool) -> SwitchoverOptions {
        SwitchoverOptions {
            to: None,
            max_lag: 0,
            max_transaction: 60,
            long_transactions_ok: false,
            gap: 5,
            unreached_clients_ok,
        }
    }

    type Case = (
        Result<String, String>,
        Vec<(String, Result<PeerView, String>)>,
        &'static [(&'static str, &'static str)],
    );

    #[test]
    fn what_was_tried_in_vain_refuses_and_says_why() {
        let open = || ("app1".to_owned(), Ok(PeerView::Silent));
        let closed = || PeerView::Closed("connection refused".to_owned());
        let cut = || PeerView::Unreachable("no route to host".to_owned());
        let waits = "it waits for pid 7".to_owned();
        let cases: Vec<Case> = vec![
            (Ok("0/9".to_owned()), vec![open()], &[]),
            (Ok("0/9".to_owned()), vec![], &[]),
            (
                Err(waits),
                vec![open()],
                &[("replays", "it waits for pid 7")],
            ),
            (
                Ok("0/9".to_owned()),
                vec![open(), ("app2".to_owned(), Ok(closed()))],
                &[("clients-reach", "app2: connection refused")],
            ),
            (
                Ok("0/9".to_owned()),
                vec![
                    ("app1".to_owned(), Ok(cut())),
                    ("app2".to_owned(), Err("cannot connect".to_owned())),
                ],
                &[(
                    "clients-reach",
                    "app1: no route to host; app2 could not be asked: cannot connect",
                )],
            ),
        ];
        for (replayed, clients, refused) in cases {
            let trial = Trial {
                replayed,
                clients,
                dry: false,
            };
            let mut list = Conditions::default();
            judge(&mut list, &assignment(), &options(false), &trial);
            let failed: Vec<(&str, &str)> = list
                .failed()
                .iter()
                .map(|condition| (condition.id, condition.observed.as_str()))
                .collect();
            assert_eq!(failed, refused);
            let mut waived = Conditions::default();
            judge(&mut waived, &assignment(), &options(true), &trial);
            assert!(
                waived
                    .failed()
                    .iter()
                    .all(|condition| condition.id == "replays"),
                "consent covers one question"
            );
        }
    }

    #[test]
    fn most_of_the_gap_is_left_for_the_stop_and_the_promotion() {
        assert_eq!([1, 5, 10, 60].map(seconds), [1, 1, 2, 12]);
    }
}
