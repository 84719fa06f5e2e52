//! Putting hosts back: exactly what `on` did is undone, and it ends only when the host serves again.

use super::haproxy;
use super::snapshot::MaintenanceSnapshot;
use super::{Did, Done, MaintenanceOptions, Scope, write};
use crate::base::{Diagnostic, Diagnostics, Result, exit};
use crate::modules::Request;
use crate::ops::entrance::vip;
use crate::ops::http::{self, Call};
use crate::ops::operation::context::{OperationContext, Work, pace};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// So long undoing may wait for a server that was up a moment ago.
const UNDO: Duration = Duration::from_secs(30);

/// Puts them back.
///
/// # Errors
/// Hosts that are not out, at once and before anything is changed; then what went wrong with which host. Those before it are
/// back.
pub async fn off(
    snapshot: &MaintenanceSnapshot,
    options: &MaintenanceOptions,
    context: &mut OperationContext<'_>,
) -> Result<Done, Vec<Diagnostic>> {
    let mut errors = Diagnostics::default();
    let mut plans = Vec::new();
    let mut done = Done::default();
    for host in &options.hosts {
        match what(snapshot, host) {
            Ok(Some(did)) => plans.push((host, did)),
            Ok(None) => done
                .said
                .push((host.clone(), "it is not in maintenance".to_owned())),
            Err(error) => errors.push(error),
        }
    }
    errors.finish(())?;
    for (host, did) in plans {
        back(snapshot, host, &did, options.limit, context)
            .await
            .map_err(|error| vec![error])?;
        done.changed.push(host.clone());
    }
    Ok(done)
}

/// What is to be undone on a host: by its note, or by what is seen when there is none. Nothing when it is in service.
fn what(snapshot: &MaintenanceSnapshot, host: &str) -> Result<Option<Did>> {
    if let Some(error) = snapshot.lost.get(host) {
        let mut error = error.clone();
        error.code = exit::UNREACHABLE;
        return Err(error);
    }
    let balancer = snapshot.vip.as_ref().and_then(|look| look.balancer(host));
    let flagged = balancer.is_some_and(vip::Balancer::is_flagged);
    let left = snapshot
        .operations
        .iter()
        .any(|(one, header)| one == host && header["kind"] == vip::KIND);
    let unreadable = matches!(snapshot.notes.unclear.get(host), Some(Some(_)));
    let did = match snapshot.notes.host(host) {
        Some(note) => {
            let mut did = note.did.clone();
            // The file is evidence as good as the note.
            for place in snapshot.kept(host) {
                if !did.servers.contains(&place) {
                    did.servers.push(place);
                }
            }
            did.flag |= left;
            did
        }
        None => Did {
            servers: snapshot.kept(host),
            flag: flagged || left,
        },
    };
    let nothing = snapshot.notes.host(host).is_none() && !unreadable && did == Did::default();
    if nothing {
        let by_hand: Vec<&str> = snapshot
            .servers(host)
            .into_iter()
            .filter(|(_, row)| row.is_out())
            .map(|(balancer, _)| balancer)
            .collect();
        if !by_hand.is_empty() {
            return Err(Diagnostic::refused(format!(
                    "it was taken out by hand in {}, not by hactl",
                    by_hand.join(", ")
                ),
            )
            .on(host)
            .help("`hactl maintenance on` would refuse it, too: set its state to ready at the socket, or reload HAProxy"));
        }
        return Ok(None);
    }
    for (balancer, _) in &did.servers {
        let proxy = snapshot.proxies.get(balancer);
        if let Some(Err(why)) = proxy.map(|proxy| &proxy.rows) {
            let code = if snapshot.lost.contains_key(balancer) {
                exit::UNREACHABLE
            } else {
                exit::REFUSED
            };
            return Err(Diagnostic::with_code(
                code,
                format!(
                    "it keeps {host} out and cannot be told otherwise: HAProxy does not answer"
                ),
            )
            .on(balancer)
            .note(why.clone())
            .help("fix it and retry: nothing was changed"));
        }
    }
    Ok(Some(did))
}

async fn back(
    snapshot: &MaintenanceSnapshot,
    host: &str,
    did: &Did,
    limit: Duration,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    healthy(snapshot, host, did, limit, context).await?;
    restore(snapshot, host, did, limit, context).await
}

/// Undoes an `on` that did not come to its end; a server that was up before need not prove it.
pub(super) async fn put_back(
    snapshot: &MaintenanceSnapshot,
    host: &str,
    did: &Did,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    restore(snapshot, host, did, UNDO, context).await
}

/// Every load balancer must get a good answer from it before it is sent requests: HAProxy takes a server that leaves
/// maintenance for healthy until its first check fails.
async fn healthy(
    snapshot: &MaintenanceSnapshot,
    host: &str,
    did: &Did,
    limit: Duration,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    let mut calls = Work::new();
    for (balancer, backend) in &did.servers {
        let Some(proxy) = snapshot.proxies.get(balancer) else {
            continue;
        };
        if let Some((address, port)) = haproxy::address(&proxy.state, backend, host) {
            let call = Call::get(&address, port, &proxy.path).request();
            calls.entry(balancer.clone()).or_default().push(call);
        }
    }
    if calls.is_empty() {
        return Ok(());
    }
    (context.say)(&format!(
        "{host}: wait until it is healthy, as the load balancers see it"
    ));
    context.log.step(&[host], "wait until it is healthy");
    let begun = Instant::now();
    loop {
        let mut bad = None;
        for (balancer, answer) in context.ask(calls.clone()).await {
            for reply in answer? {
                match http::response(&reply) {
                    Ok(response) if response.status == 200 => {}
                    Ok(response) => bad = Some((balancer.clone(), response.summary())),
                    Err(why) => bad = Some((balancer.clone(), why)),
                }
            }
        }
        let Some((balancer, why)) = bad else {
            return Ok(());
        };
        if begun.elapsed() > limit || context.stopped() {
            return Err(Diagnostic::refused(format!(
                "it is not healthy as {balancer} sees it, so it stays out of service"
            ))
            .on(host)
            .note(why)
            .help("fix it and retry: nothing was changed"));
        }
        pace().await;
    }
}

async fn restore(
    snapshot: &MaintenanceSnapshot,
    host: &str,
    did: &Did,
    limit: Duration,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    if !did.servers.is_empty() {
        ready(host, did, context).await?;
        up(host, did, limit, context).await?;
    }
    if did.flag {
        unflag(snapshot, host, context).await?;
    }
    let empty = Vec::new();
    let notes = snapshot.notes.of.get(host).unwrap_or(&empty);
    let request = write(notes, Scope::Host, None);
    context.each("take the note away", [host], &request).await
}

/// Out of the file first: if this is broken off in between, the note still stands and `off` is made again.
async fn ready(host: &str, did: &Did, context: &mut OperationContext<'_>) -> Result<()> {
    let balancers: BTreeSet<&String> = did.servers.iter().map(|(balancer, _)| balancer).collect();
    let read: Work = balancers
        .iter()
        .map(|balancer| ((*balancer).clone(), vec![haproxy::read()]))
        .collect();
    let mut work = Work::new();
    for (balancer, answer) in context.ask(read).await {
        let mut file = answer?
            .first()
            .map_or_else(String::new, |reply| reply.out().into_owned());
        let mut set = Vec::new();
        for (_, backend) in did.servers.iter().filter(|(one, _)| *one == balancer) {
            file = haproxy::file(&file, "", backend, host, false);
            set.push(haproxy::set(backend, host, "ready"));
        }
        set.insert(0, haproxy::write(file));
        work.insert(balancer, set);
    }
    context
        .step(&format!("put {host} back"), work)
        .await
        .map(drop)
}

async fn up(
    host: &str,
    did: &Did,
    limit: Duration,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    (context.say)(&format!(
        "{host}: wait until it is up in every load balancer"
    ));
    context
        .log
        .step(&[host], "wait until it is up in every load balancer");
    let begun = Instant::now();
    loop {
        let work = did
            .servers
            .iter()
            .map(|(balancer, _)| (balancer.clone(), vec![haproxy::command("show stat")]))
            .collect();
        let mut waiting = None;
        for (balancer, answer) in context.ask(work).await {
            let replies = answer?;
            let rows = replies
                .first()
                .and_then(|reply| haproxy::rows(&reply.out()))
                .unwrap_or_default();
            match rows.iter().find(|row| row.server == host) {
                Some(row) if row.is_up() => {}
                Some(row) => waiting = Some(format!("{} in {balancer}", row.status)),
                None => waiting = Some(format!("unknown to {balancer}")),
            }
        }
        let Some(why) = waiting else { return Ok(()) };
        if begun.elapsed() > limit {
            return Err(Diagnostic::with_code(
                exit::INCOMPLETE,
                format!(
                    "it was put back, but after {} s it is {why}",
                    limit.as_secs()
                ),
            )
            .on(host)
            .help("check its health; `hactl maintenance off` again waits for it"));
        }
        pace().await;
    }
}

/// Lets it take the address again, and waits until keepalived has left the fault. The address does not come back.
async fn unflag(
    snapshot: &MaintenanceSnapshot,
    host: &str,
    context: &mut OperationContext<'_>,
) -> Result<()> {
    let Some(place) = &snapshot.place else {
        return Ok(());
    };
    let request = Request::sh(format!("printf '0\\n' >{} && {}", vip::FLAG, vip::forget()));
    context.each("clear its flag", [host], &request).await?;
    let begun = Instant::now();
    loop {
        let now = vip::glance(place, context.pool).await;
        let held = now.iter().any(|balancer| balancer.holds);
        let able = now
            .iter()
            .any(|balancer| balancer.host == host && balancer.state.as_deref() != Some("FAULT"));
        if held && able {
            return Ok(());
        }
        if begun.elapsed() > UNDO {
            return Err(Diagnostic::with_code(
                exit::INCOMPLETE,
                if able {
                    format!("its flag is cleared, but nobody has {}", place.address)
                } else {
                    "its flag is cleared, but keepalived has not left its fault".to_owned()
                },
            )
            .on(host)
            .help("hactl vip status; journalctl -u keepalived"));
        }
        pace().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::{noted, put, whole};
    use super::*;

    #[test]
    fn what_is_undone_is_what_was_done() {
        let servers = |names: &[&str]| Did {
            servers: names
                .iter()
                .map(|name| ((*name).to_owned(), "web".to_owned()))
                .collect(),
            flag: false,
        };
        assert_eq!(what(&whole(), "app1"), Ok(None));
        let mut snapshot = whole();
        noted(&mut snapshot, "app1", true, servers(&["lb1"]));
        assert_eq!(what(&snapshot, "app1"), Ok(Some(servers(&["lb1"]))));
        // A load balancer that remembers it is told, too; so it is when the note was lost with the host.
        snapshot.proxies.get_mut("lb2").expect("lb2").file = snapshot.proxies["lb2"].state.clone();
        assert_eq!(what(&snapshot, "app1"), Ok(Some(servers(&["lb1", "lb2"]))));
        snapshot.notes.add("app1", Some(""));
        assert_eq!(what(&snapshot, "app1"), Ok(Some(servers(&["lb2"]))));
        snapshot.proxies.get_mut("lb2").expect("lb2").rows = Err("no socket".to_owned());
        assert_eq!(what(&snapshot, "app2"), Ok(None));

        let mut snapshot = whole();
        put(&mut snapshot, "lb1", "app1", "MAINT");
        let refused = what(&snapshot, "app1").expect_err("by hand");
        assert_eq!(refused.code, exit::REFUSED);
        let mut snapshot = whole();
        snapshot.vip.as_mut().expect("an address").balancers[1].flag = "1".to_owned();
        let flag = Did {
            flag: true,
            ..Did::default()
        };
        assert_eq!(what(&snapshot, "lb2"), Ok(Some(flag)));
        assert_eq!(what(&snapshot, "lb1"), Ok(None));
    }
}
