//! Taking hosts out: all refusals first, then host by host, each undone when it does not come to its end.

use super::haproxy;
use super::snapshot::{Database, MaintenanceSnapshot};
use super::{Did, Done, MaintenanceOptions, Note, Scope, write};
use crate::base::{Diagnostic, Diagnostics, Refusal, Result, exit};
use crate::modules::Request;
use crate::ops::entrance::vip::{self, Ended};
use crate::ops::operation::context::{OperationContext, Work, pace};
use std::time::Instant;

fn refused(host: &str, message: impl Into<String>) -> Refusal {
    Diagnostic::refused(message).on(host)
}

/// Everything that stands against taking these hosts out, at once.
///
/// # Errors
/// That.
pub fn refusals(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
) -> Result<(), Vec<Diagnostic>> {
    let mut errors = Diagnostics::default();
    for (host, header) in &snapshot.operations {
        if header["kind"] != vip::KIND {
            let kind = header["kind"].as_str().unwrap_or("?");
            errors.push(
                refused(host, format!("an operation is unfinished here: {kind}"))
                    .help("hactl resume takes it up; hactl status tells how far it came"),
            );
        }
    }
    for host in &options.hosts {
        if let Some(error) = snapshot.lost.get(host) {
            let mut error = error
                .clone()
                .note("the note that it is out of service belongs on it");
            error.code = exit::UNREACHABLE;
            errors.push(error);
            continue;
        }
        if snapshot.notes.host(host).is_none() {
            balancer(snapshot, options, host, &mut errors);
            server(snapshot, options, host, &mut errors);
        }
        match snapshot.databases.get(host) {
            Some(Database::Primary) => errors.push(primary(snapshot, host)),
            Some(Database::Silent(why)) => errors.push(
                refused(host, "whether its database is the primary is not known")
                    .note(why.clone())
                    .help("hactl status; a primary must be switched over first"),
            ),
            Some(Database::Standby) | None => {}
        }
    }
    errors.finish(())
}

fn primary(snapshot: &MaintenanceSnapshot, host: &str) -> Diagnostic {
    let standby = snapshot
        .databases
        .iter()
        .find(|(_, database)| **database == Database::Standby)
        .map_or("HOST", |(name, _)| name.as_str());
    refused(host, "it is the primary database: all writes go there").help(format!(
        "hactl switchover --to {standby}, then hactl maintenance on {host}"
    ))
}

/// A load balancer: another one must be able to take the address.
fn balancer(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
    host: &str,
    errors: &mut Diagnostics,
) {
    let Some(look) = &snapshot.vip else { return };
    if look.balancer(host).is_none() {
        return;
    }
    let others = look
        .balancers
        .iter()
        .filter(|b| !options.hosts.contains(&b.host));
    let mut why = Vec::new();
    for other in others {
        let obstacles = other.obstacles();
        if obstacles.is_empty() {
            return;
        }
        why.extend(
            obstacles
                .into_iter()
                .map(|o| format!("{}: {o}", other.host)),
        );
    }
    if options.last_one {
        return;
    }
    let mut error = refused(
        host,
        format!("no other load balancer could take {}", look.address),
    )
    .help("bring another one back first; --last-one takes it out all the same, and the service is down then");
    error.notes = why;
    errors.push(error);
}

/// An application server: every load balancer must be there to be told, and have another one.
fn server(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
    host: &str,
    errors: &mut Diagnostics,
) {
    let places = snapshot.servers(host);
    if places.is_empty() {
        return;
    }
    for (balancer, proxy) in &snapshot.proxies {
        if let Err(why) = &proxy.rows {
            let mut error = refused(
                balancer,
                format!("it cannot be told to leave {host} out: HAProxy does not answer"),
            )
            .note(why.clone())
            .help("once it is back it would send requests there: fix it, or take it out of the inventory");
            if snapshot.lost.contains_key(balancer) {
                error.code = exit::UNREACHABLE;
            }
            errors.push(error);
        } else if !proxy.configured {
            errors.push(
                refused(
                    balancer,
                    format!(
                        "its HAProxy does not read {}: a reload would put {host} back",
                        haproxy::FILE
                    ),
                )
                .help("hactl deploy --tags haproxy, then retry"),
            );
        }
    }
    for (balancer, row) in places {
        if row.is_out() {
            errors.push(
                refused(host, format!("it is {} in {balancer} already, and not by hactl", row.status))
                    .help("what was done by hand must be undone by hand: set its state to ready at the socket, or ask who did it"),
            );
        }
        let another = snapshot
            .proxies
            .get(balancer)
            .and_then(|p| p.rows.as_ref().ok())
            .is_some_and(|rows| {
                rows.iter().any(|other| {
                    other.backend == row.backend
                        && !options.hosts.contains(&other.server)
                        && other.serves()
                })
            });
        if !another && !options.last_one {
            errors.push(
                refused(host, format!("it is the last one that serves {} in {balancer}", row.backend))
                    .help("bring another one back first; --last-one takes it out all the same, and the service is down then"),
            );
        }
    }
}

/// Takes them out.
///
/// # Errors
/// What went wrong with which host; it is in service again then, unless the error says otherwise. Those before it stay out.
pub async fn on(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
    context: &mut OperationContext<'_>,
) -> Result<Done, Vec<Diagnostic>> {
    refusals(snapshot, options)?;
    let mut done = Done::default();
    // One that has the address comes last, so that it does not go to one that is to leave, too.
    let mut hosts = options.hosts.clone();
    hosts.sort_by_key(|host| holds(snapshot, host));
    for host in &hosts {
        let there = snapshot.notes.host(host);
        let left_out = snapshot
            .entries()
            .iter()
            .any(|e| e.host == *host && e.wrong.is_empty());
        if let Some(note) = there.filter(|_| left_out) {
            done.said
                .push((host.clone(), format!("in maintenance already ({note})")));
            continue;
        }
        one(snapshot, options, host, context, &mut done)
            .await
            .map_err(|error| vec![error])?;
        done.changed.push(host.clone());
    }
    Ok(done)
}

fn holds(snapshot: &MaintenanceSnapshot, host: &str) -> bool {
    let look = snapshot.vip.as_ref();
    look.is_some_and(|look| look.holders().contains(&host))
}

async fn one(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
    host: &str,
    context: &mut OperationContext<'_>,
    done: &mut Done,
) -> Result<()> {
    let empty = Vec::new();
    let notes = snapshot.notes.of.get(host).unwrap_or(&empty);
    let mut note = snapshot
        .notes
        .host(host)
        .cloned()
        .unwrap_or_else(|| Note::of(Scope::Host, context, &options.who, &options.reason));
    note.done = false;
    note.did.servers = snapshot
        .servers(host)
        .iter()
        .map(|(balancer, row)| ((*balancer).to_owned(), row.backend.clone()))
        .collect();
    let look = snapshot.vip.as_ref();
    note.did.flag = look.is_some_and(|look| look.balancer(host).is_some());
    let mark = write(notes, Scope::Host, Some(&note));
    context
        .each("note who takes it out, and why", [host], &mark)
        .await?;
    let mut result = drain(options, host, &note.did, context).await;
    if result.is_ok() && !note.did.servers.is_empty() {
        result = keep_out(host, &note.did, context).await;
    }
    if result.is_ok() && note.did.flag {
        result = leave(snapshot, options, host, context, done).await;
    }
    if let Err(error) = result {
        return Err(undo(snapshot, host, &note.did, error, context).await);
    }
    note.done = true;
    let mark = write(notes, Scope::Host, Some(&note));
    context.each("note that it is out", [host], &mark).await?;
    if snapshot.databases.get(host) == Some(&Database::Standby) {
        done.said.push((
            host.to_owned(),
            "it goes on replicating; no failover is made to it while the note stands".to_owned(),
        ));
        let others = snapshot.databases.iter().filter(|(name, database)| {
            *name != host && **database == Database::Standby && snapshot.notes.host(name).is_none()
        });
        if others.count() == 0 {
            done.said.push((
                host.to_owned(),
                "no other standby is left that a failover could be made to".to_owned(),
            ));
        }
    }
    Ok(())
}

/// The same command about a server, in every load balancer.
fn everywhere(did: &Did, request: impl Fn(&str) -> Vec<Request>) -> Work {
    let mut work = Work::new();
    for (balancer, backend) in &did.servers {
        work.entry(balancer.clone())
            .or_default()
            .extend(request(backend));
    }
    work
}

/// No new requests; waits until the last session has ended.
async fn drain(
    options: &MaintenanceOptions,
    host: &str,
    did: &Did,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    if did.servers.is_empty() {
        return Ok(());
    }
    let work = everywhere(did, |backend| vec![haproxy::set(backend, host, "drain")]);
    context
        .step(&format!("send {host} no new requests"), work)
        .await?;
    let begun = Instant::now();
    loop {
        let work = everywhere(did, |_| vec![haproxy::command("show stat")]);
        let (mut left, mut unknown) = (0, None);
        for (balancer, answer) in context.ask(work).await {
            let rows = answer
                .ok()
                .and_then(|replies| haproxy::rows(&replies.first()?.out()));
            match rows {
                Some(rows) => {
                    left += rows
                        .iter()
                        .filter(|row| row.server == host)
                        .map(|row| row.sessions)
                        .sum::<u64>();
                }
                None => unknown = Some(balancer),
            }
        }
        if let Some(balancer) = unknown {
            return Err(Diagnostic::with_code(
                exit::FAILED,
                format!("HAProxy does not say any more whether {host} has sessions"),
            )
            .on(&balancer));
        }
        if left == 0 {
            return Ok(());
        }
        if context.stopped() {
            return Err(Diagnostic::with_code(exit::FAILED, "ended by the operator"));
        }
        if begun.elapsed() > options.limit {
            if !options.cut {
                return Err(Diagnostic::with_code(
                    exit::FAILED,
                    format!(
                        "after {} s it still has sessions: {left}",
                        options.limit.as_secs()
                    ),
                )
                .on(host)
                .help("--wait SECONDS gives them longer, --cut ends them"));
            }
            let work = everywhere(did, |backend| vec![haproxy::shutdown(backend, host)]);
            context
                .step(
                    &format!("end the sessions that {host} still has: {left}"),
                    work,
                )
                .await?;
            return Ok(());
        }
        pace().await;
    }
}

/// MAINT now, and after every reload.
async fn keep_out(host: &str, did: &Did, context: &mut OperationContext<'_>) -> Result<()> {
    let mut work = everywhere(did, |backend| vec![haproxy::set(backend, host, "maint")]);
    for requests in work.values_mut() {
        requests.push(haproxy::command("show servers state"));
        // As it is now: another host may have been taken out since the first look.
        requests.push(haproxy::read());
    }
    let replies = context
        .step(&format!("put {host} into MAINT"), work)
        .await?;
    let mut work = Work::new();
    for (balancer, replies) in &replies {
        let [.., state, file] = replies.as_slice() else {
            continue;
        };
        let mut file = file.out().into_owned();
        for (_, backend) in did.servers.iter().filter(|(one, _)| one == balancer) {
            file = haproxy::file(&file, &state.out(), backend, host, true);
        }
        work.insert(balancer.clone(), vec![haproxy::write(file)]);
    }
    context
        .step(
            &format!("keep {host} out across reloads and restarts"),
            work,
        )
        .await
        .map(drop)
}

/// The address leaves, and does not come back while the flag is set.
async fn leave(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
    host: &str,
    context: &mut OperationContext<'_>,
    done: &mut Done,
) -> Result<()> {
    let (Some(place), Some(look)) = (&snapshot.place, &snapshot.vip) else {
        return Ok(());
    };
    let able = look
        .balancers
        .iter()
        .any(|b| b.host != host && b.obstacles().is_empty());
    if look.holders() == [host] && able {
        let options = vip::MoveOptions {
            to: None,
            keep: true,
        };
        return match vip::run(place, &options, context).await {
            Ended::Done(moved) => {
                let gap = moved.gaps.iter().map(|gap| gap.milliseconds).max();
                let seen = gap.map_or_else(String::new, |gap| {
                    format!("; clients saw a gap of {gap} ms")
                });
                done.said.push((
                    host.to_owned(),
                    format!("{} moved to {}{seen}", place.address, moved.to),
                ));
                Ok(())
            }
            Ended::Nothing(_) | Ended::Finished(_) => flag(host, context).await,
            Ended::Failed(error) => Err(error),
            Ended::Refused(errors) => Err(errors.into_iter().next().unwrap_or_else(|| {
                refused(host, "the address cannot be moved")
                    .help("hactl vip status shows what keeps the others from it")
            })),
        };
    }
    if !able && options.last_one {
        done.said
            .push((host.to_owned(), format!("nobody has {} now", place.address)));
    }
    flag(host, context).await
}

async fn flag(host: &str, context: &mut OperationContext<'_>) -> Result<()> {
    // A move that was broken off here is taken up by this.
    let request = Request::sh(format!("printf '1\\n' >{} && {}", vip::FLAG, vip::forget()));
    context
        .each(
            "set its flag: it does not take the address",
            [host],
            &request,
        )
        .await
}

/// Puts everything back that was begun.
async fn undo(
    snapshot: &MaintenanceSnapshot,
    host: &str,
    did: &Did,
    mut error: Diagnostic,
    context: &mut OperationContext<'_>,
) -> Diagnostic {
    context.pool.reopen().await;
    match super::off::put_back(snapshot, host, did, context).await {
        Ok(()) => {
            error = error.note(format!("undone: {host} is in service"));
            if error.code == exit::REFUSED {
                error.code = exit::FAILED;
            }
        }
        Err(failed) => {
            error.code = exit::INCOMPLETE;
            error = error
                .note(format!("it could not be undone: {failed}"))
                .help(format!("hactl maintenance off {host}"));
        }
    }
    error
}

#[cfg(test)]
mod tests;
