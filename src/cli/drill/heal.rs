//! What a killed drill left broken, healed by whoever comes next.
//!
//! What is run comes from the catalog; a host's file only says which drill it was, and on which host.

use super::super::{Global, Outcome};
use crate::base::{Diagnostic, exit};
use crate::modules::Request;
use crate::ops::connection_pool::ConnectionPool;
use crate::ops::database::postgresql::Cluster;
use crate::ops::database::postgresql::assignment::server;
use crate::ops::database::postgresql::node::{Node, PeerView};
use crate::ops::drill::faults::{self, Fault};
use crate::ops::hosts::Site;
use crate::report;
use serde_json::json;

/// Heals it; none when no drill was left. Not healed is what needs somebody at the power or the cables: it is said, and kept.
pub async fn heal(
    global: &Global,
    site: &Site,
    pool: &mut ConnectionPool,
    cluster: &Cluster,
) -> Option<Outcome> {
    let mut broken: Vec<Fault> = Vec::new();
    for fault in cluster.nodes().flat_map(|(_, node)| &node.faults) {
        if !broken.contains(fault) {
            broken.push(fault.clone());
        }
    }
    let first = broken.first()?.clone();
    let say = |line: &str| {
        if !global.json {
            report::say(line);
        }
    };
    say(&format!("the drill {} of {}", first.drill, first.operator));
    let (mut left, mut back) = (Vec::new(), Vec::new());
    for fault in &broken {
        let host = &fault.host;
        let Some(cure) = faults::cure(fault) else {
            left.push(
                Diagnostic::refused(format!("what heals the drill {} is not known", fault.drill))
                    .on(host)
                    .help(format!("the version that ran it knows; when it is healed: remove {} on every database host", faults::FILE)),
            );
            continue;
        };
        // What an operation fenced meanwhile stays down until it rejoins.
        let fenced = cluster.node(host).is_some_and(Node::is_fenced);
        for (text, script) in cure.scripts.iter().filter(|_| !fenced) {
            let text = ["{primary}", "{standby}", "{holder}"]
                .iter()
                .fold((*text).to_owned(), |text, word| text.replace(word, host));
            say(&format!("  {text}"));
            let known = server(site, cluster, host);
            let script = known.map_or_else(
                || (*script).to_owned(),
                |server| {
                    server.script(&format!(
                        "port={}; version={}\n{script}",
                        server.port, server.version
                    ))
                },
            );
            let mut request = Request::sh(script);
            request.timeout_seconds = Some(60);
            let answer = pool
                .round([(host.clone(), vec![request])].into())
                .await
                .remove(host);
            let why = match answer {
                Some(Ok(answer)) if answer.replies[0].code == 0 => continue,
                Some(Ok(answer)) => answer.replies[0].err().trim().to_owned(),
                Some(Err(error)) => error.message,
                None => "it could not be reached".to_owned(),
            };
            left.push(
                Diagnostic::with_code(exit::INCOMPLETE, format!("not done: {text}"))
                    .on(host)
                    .note(why),
            );
        }
        if let (Some(todo), true) = (cure.outside.first(), away(cluster, pool, host)) {
            left.push(
                Diagnostic::with_code(exit::INCOMPLETE, format!("the drill did: {}", fault.text))
                    .on(host)
                    .help(format!("{todo}; then hactl resume again")),
            );
        }
        let serves = cluster
            .node(host)
            .is_some_and(|node| node.is_standby() || node.is_primary());
        if cure.rejoin && !serves && !back.contains(host) {
            back.push(host.clone());
        }
    }
    if !left.is_empty() {
        return Some(Err(left));
    }
    let work = cluster
        .nodes()
        .map(|(host, _)| (host.to_owned(), vec![faults::forget()]))
        .collect();
    pool.round(work).await;
    if global.json {
        let document = json!({"result": "healed", "drill": first.drill, "rejoin": back});
        report::json::document("resume", &document);
    } else {
        report::out(&format!("what the drill {} broke is healed\n", first.drill));
        for host in back {
            report::out(&format!(
                "its database is still out: hactl rejoin {host} (hactl failover first, where no primary answers and it shall not be started again)\n"
            ));
        }
    }
    Some(Ok(exit::DONE))
}

/// Whether a host is without power or cut off, as far as that is seen from here and from the other databases.
fn away(cluster: &Cluster, pool: &ConnectionPool, host: &str) -> bool {
    pool.lost(host).is_some()
        || cluster
            .views_of(host)
            .any(|(_, view)| matches!(view, PeerView::Unreachable(_)))
}
