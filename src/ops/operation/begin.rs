//! How an operation gets its epoch and its journal: begun, taken up by another operator, or settled because it is over.
//!
//! Nothing here makes a step. What is left on a host here is what keeps an older operator from making one.

use crate::base::{Diagnostic, Result, exit};
use crate::modules::Request;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::operation::journal::{self, End, Header, OVERTAKEN, Record, Token, UNFINISHED};
use std::collections::BTreeMap;

/// How often a higher epoch is tried, when a host that is no database had a higher one.
const TRIES: usize = 3;

/// Writes an operation down on its keepers before anything is done, and its epoch on all other hosts that are to make steps.
/// The epoch grows where a host has had a higher one.
///
/// # Errors
/// When another one is unfinished, or no keeper can write.
pub async fn begin(
    pool: &mut ConnectionPool,
    header: &mut Header,
    keepers: &[String],
    hosts: &[String],
) -> Result<()> {
    let mut tries = 1;
    loop {
        match try_to_begin(pool, header, keepers, hosts).await {
            Ok(()) => return Ok(()),
            Err(Failed {
                found: Some(found), ..
            }) if tries < TRIES => {
                header.epoch = found + 1;
                tries += 1;
            }
            Err(failed) => return Err(failed.error),
        }
    }
}

/// Why it was not begun, and the epoch that was in the way.
struct Failed {
    error: Diagnostic,
    found: Option<u64>,
}

async fn try_to_begin(
    pool: &mut ConnectionPool,
    header: &Header,
    keepers: &[String],
    hosts: &[String],
) -> Result<(), Failed> {
    let token = token(header);
    let mut work: BTreeMap<String, Vec<Request>> = hosts
        .iter()
        .map(|host| (host.clone(), vec![journal::claim(&token, None)]))
        .collect();
    for host in keepers {
        work.insert(host.clone(), vec![journal::begin(header)]);
    }
    let mut written = Vec::new();
    let mut failed: Option<Failed> = None;
    for (host, answer) in pool.round(work).await {
        let mut found = None;
        let error = match answer.map(|answer| answer.replies[0].clone()) {
            Ok(reply) if reply.code == 0 => {
                written.push(host);
                continue;
            }
            Ok(reply) if reply.code == UNFINISHED => {
                let what = Record::parse(&reply.out()).map_or_else(
                    |_| "a journal that cannot be read".to_owned(),
                    |record| format!("{} of {}", record.header.kind, record.header.operator),
                );
                Diagnostic::refused("an operation is unfinished on this host")
                    .on(&host)
                    .note(what)
                    .help("hactl status shows how things are; hactl resume takes it up")
            }
            Ok(reply) if reply.code == OVERTAKEN => {
                found = Token::parse(&reply.out()).map(|(token, _)| token.epoch);
                Diagnostic::refused("another operation was begun on this host meanwhile",
                )
                .on(&host)
                .note(reply.out().trim().to_owned())
                .help("hactl history shows it; then run this command again")
            }
            Ok(reply) => {
                Diagnostic::with_code(exit::FAILED, "the journal cannot be written")
                    .on(&host)
                    .note(reply.err().trim().to_owned())
                    .help(format!(
                        "nothing was changed. If the disk is full, make room first (df -h / on {host}; journalctl --vacuum-size=50M, apt-get clean)"
                    ))
            }
            Err(lost) => lost.on(&host),
        };
        // What only needs a higher epoch is tried again; anything else is not.
        if failed.as_ref().is_none_or(|failed| failed.found.is_some()) {
            failed = Some(Failed { error, found });
        }
    }
    let Some(failed) = failed else {
        return Ok(());
    };
    let end = End {
        result: "refused".to_owned(),
        ended: journal::seconds(),
        message: failed.error.to_string(),
    };
    let work = written
        .into_iter()
        .map(|host| (host, vec![journal::finish(&token, &end)]))
        .collect();
    pool.round(work).await;
    Err(failed)
}

/// Takes an operation up under a higher epoch: whoever had it before can make no further step on these hosts. The journal that
/// came furthest is written on all keepers.
///
/// # Errors
/// When one of the `arbiters` does not confirm: without them an older operator could still make the step that counts.
pub async fn claim(
    pool: &mut ConnectionPool,
    record: &mut Record,
    keepers: &[String],
    hosts: &[String],
    arbiters: &[String],
) -> Result<()> {
    let mut tries = 0;
    'higher: loop {
        tries += 1;
        let token = token(&record.header);
        let mut work: BTreeMap<String, Vec<Request>> = hosts
            .iter()
            .map(|host| (host.clone(), vec![journal::claim(&token, None)]))
            .collect();
        for host in keepers {
            work.insert(host.clone(), vec![journal::claim(&token, Some(record))]);
        }
        let answers = pool.round(work).await;
        for answer in answers.values() {
            let Some(reply) = answer.as_ref().ok().and_then(|it| it.replies.first()) else {
                continue;
            };
            if reply.code == OVERTAKEN
                && tries < TRIES
                && let Some((found, _)) = Token::parse(&reply.out())
            {
                record.header.epoch = record.header.epoch.max(found.epoch) + 1;
                continue 'higher;
            }
        }
        for host in arbiters {
            let why = match answers.get(host) {
                Some(Ok(answer)) if answer.replies[0].code == 0 => continue,
                Some(Ok(answer)) => answer.replies[0].err().trim().to_owned(),
                Some(Err(error)) => error.message.clone(),
                None => pool.lost(host).map_or_else(
                    || "the host was not asked".to_owned(),
                    |error| error.message,
                ),
            };
            return Err(Diagnostic::refused(
                "this operation cannot be taken from the operator who began it without this host",
            )
            .on(host)
            .note(why)
            .help(format!("bring {host} back so that it can be asked, then run this command again; hactl status names who began it")));
        }
        return Ok(());
    }
}

/// Ends an operation that nobody goes on with, under a higher epoch: whoever began it can go on no more.
///
/// # Errors
/// When no keeper could note it.
pub async fn close(
    pool: &mut ConnectionPool,
    mut record: Record,
    keepers: &[String],
    result: &str,
    message: &str,
) -> Result<()> {
    claim(pool, &mut record, keepers, &[], &[]).await?;
    let end = End {
        result: result.to_owned(),
        ended: journal::seconds(),
        message: message.to_owned(),
    };
    let token = token(&record.header);
    let work = keepers
        .iter()
        .map(|host| (host.clone(), vec![journal::finish(&token, &end)]))
        .collect();
    let answers = pool.round(work).await;
    let noted = answers
        .values()
        .any(|answer| matches!(answer, Ok(answer) if answer.replies[0].code == 0));
    if noted {
        return Ok(());
    }
    Err(Diagnostic::with_code(
        exit::FAILED,
        format!(
            "the end of the unfinished {} could not be noted on any host",
            record.header.kind
        ),
    )
    .help("is the disk full? Make room on the database hosts, then run this command again"))
}

fn token(header: &Header) -> Token {
    Token {
        epoch: header.epoch,
        id: header.id.clone(),
    }
}

/// Puts the journals of operations that are over into the history of the hosts that missed their end. Which ones those are
/// follows from what all hosts together know; `stale` has each with the host that missed it. Gives a sentence for each.
pub async fn settle(pool: &mut ConnectionPool, stale: Vec<(String, Record)>) -> Vec<String> {
    let mut work: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    for (host, ended) in &stale {
        let request = journal::settle(&ended.header.id, ended);
        work.entry(host.clone()).or_default().push(request);
    }
    let answers = pool.round(work).await;
    stale
        .into_iter()
        .map(|(host, ended)| {
            let settled = matches!(answers.get(&host), Some(Ok(answer)) if answer.replies.iter().all(|reply| reply.code == 0));
            let result = ended.end.map_or_else(String::new, |end| end.result);
            let kind = ended.header.kind;
            if settled {
                format!("{host}: the {kind} in its journal is over ({result}); noted there too")
            } else {
                format!("{host}: the {kind} in its journal is over ({result}); that could not be noted there")
            }
        })
        .collect()
}
