//! Making a backup and asking what there is.

use super::{Info, Repository, failed, scripts};
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{Reply, Request};
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::hosts::{Host, Site};
use crate::ops::operation::journal::{self, End, Header, Notes, Record};
use std::collections::BTreeMap;

/// Sends one host one request.
///
/// # Errors
/// When it was not reached.
pub async fn one(pool: &mut ConnectionPool, host: &str, request: Request) -> Result<Reply> {
    let mut answers = pool.round([(host.to_owned(), vec![request])].into()).await;
    let answer = answers
        .remove(host)
        .unwrap_or_else(|| Err(lost(host, "it gave no answer")))?;
    answer
        .replies
        .into_iter()
        .next()
        .ok_or_else(|| lost(host, "it gave no answer"))
}

fn lost(host: &str, why: &str) -> Diagnostic {
    Diagnostic::with_code(exit::UNREACHABLE, why.to_owned()).on(host)
}

/// The host of the site by that name.
///
/// # Errors
/// When there is none.
pub fn host<'a>(site: &'a Site, name: &str) -> Result<&'a Host> {
    site.host(name)
        .ok_or_else(|| Diagnostic::new(format!("the inventory has no host `{name}`")))
}

/// What is in the repository.
///
/// # Errors
/// When its host was not reached, with what that means for the databases; when pgBackRest failed.
pub async fn info(site: &Site, repository: &Repository, pool: &mut ConnectionPool) -> Result<Info> {
    let reply = one(pool, &repository.host, repository.ask())
        .await
        .map_err(|error| unreachable(repository, error))?;
    Info::read(host(site, &repository.host)?, &reply)
}

fn unreachable(repository: &Repository, error: Diagnostic) -> Diagnostic {
    error
        .note(format!("`{}` keeps the backups", repository.host))
        .note("the databases go on without it; the primary keeps the log for it, up to postgresql_backup_queue_max")
        .help(format!("bring {} back; nothing else has to be done afterwards", repository.host))
}

/// What came of a backup.
#[derive(Debug, Clone)]
pub struct Made {
    /// The repository afterwards.
    pub info: Info,
    /// What pgBackRest warned of.
    pub warnings: Vec<String>,
}

/// Makes a backup, full or incremental. The primary is found by pgBackRest.
///
/// # Errors
/// When the repository is not reached, or the backup failed.
pub async fn run(
    site: &Site,
    repository: &Repository,
    pool: &mut ConnectionPool,
    full: bool,
) -> Result<Made> {
    let before = info(site, repository, pool).await?;
    let kind = if full { "full" } else { "incr" };
    let reached: Vec<String> = pool.reached().map(str::to_owned).collect();
    let settle = site
        .members("postgresql")
        .iter()
        .filter(|name| reached.contains(name))
        .filter_map(|name| {
            let cluster = site.host(name)?.text("postgresql_cluster", "main");
            Some((name.clone(), vec![scripts::checkpoint(&cluster)]))
        })
        .collect();
    pool.round(settle).await;
    let mut request = Request::sh(scripts::make(kind));
    request.timeout_seconds = Some(scripts::LONG);
    let reply = one(pool, &repository.host, request)
        .await
        .map_err(|error| {
            Diagnostic::with_code(exit::INCOMPLETE, "whether the backup was made is not known")
                .on(&repository.host)
                .note(error.message)
                .help("it goes on there by itself: hactl backup list")
        })?;
    let on = host(site, &repository.host)?;
    if reply.code != 0 {
        return Err(failed(on, "the backup failed", &reply));
    }
    let info = info(site, repository, pool).await?;
    if info.last().map(|backup| &backup.label) == before.last().map(|backup| &backup.label) {
        return Err(failed(on, "no new backup is in the repository", &reply));
    }
    let warnings = reply
        .err()
        .lines()
        .filter(|line| line.contains("WARN"))
        .map(|line| line.trim().to_owned())
        .collect();
    Ok(Made { info, warnings })
}

/// Writes into the history of every database host that was reached what was done.
pub async fn record(
    site: &Site,
    pool: &mut ConnectionPool,
    header: Header,
    result: &str,
    message: &str,
    details: Notes,
) {
    let reached: Vec<String> = pool.reached().map(str::to_owned).collect();
    let keepers: Vec<String> = site
        .members("postgresql")
        .iter()
        .filter(|host| reached.contains(host))
        .cloned()
        .collect();
    let record = Record {
        header: Header {
            hosts: keepers.clone(),
            details,
            ..header
        },
        steps: Vec::new(),
        end: Some(End {
            result: result.to_owned(),
            ended: journal::seconds(),
            message: message.to_owned(),
        }),
    };
    let work: BTreeMap<String, Vec<Request>> = keepers
        .into_iter()
        .map(|host| (host, vec![journal::record(&record)]))
        .collect();
    pool.round(work).await;
}
