//! Rejoin: a host that is out becomes a replica again. What is done follows from evidence: identity, timeline, where the
//! histories part, and how far the host's own log goes. What it has and the primary has not is kept before it is given up.

mod evidence;
mod method;
mod steps;
#[cfg(test)]
mod tests;

pub use crate::ops::operation::notes;
pub use evidence::{
    Committed, Evidence, ask, ask_boot, ask_committed, ask_rows, fork_of, read_committed,
};
pub use method::Method;
pub use steps::steps;

use super::assignment::known;
use super::lsn::Lsn;
use super::node::Live;
use super::scripts::Server;
use super::view::Cluster;
use crate::base::Diagnostic;
use crate::ops::hosts::Site;
use crate::ops::operation::condition::Conditions;
use method::decide;

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub struct RejoinOptions {
    /// What only this host has may be given up; a copy is kept.
    pub discard_diverged: bool,
    /// A new copy of the primary, whatever the evidence says.
    pub clone: bool,
    /// Of what is given up only the log is kept, not the whole directory.
    pub keep_log_only: bool,
}

/// What is to be done, and why.
#[derive(Debug)]
pub struct Assessment {
    /// The host.
    pub server: Server,
    /// Whom it is to follow.
    pub primary: Server,
    /// How.
    pub method: Method,
    /// Why, in words.
    pub why: String,
    /// What must hold.
    pub conditions: Conditions,
    /// What is only on this host and is given up: bytes of log from the fork on.
    pub diverged: Option<(Lsn, Lsn)>,
    /// Hosts that block it.
    pub blockers: Vec<String>,
    /// Something overrides on the primary how commits are declared to wait.
    pub waits_otherwise: bool,
    /// The copy that is kept, when something is given up.
    pub kept: Option<String>,
    keep_log_only: bool,
}

/// Who is to follow, and whom.
///
/// # Errors
/// When there is no primary to follow, or the host is none that could follow it.
pub fn who(site: &Site, cluster: &Cluster, host: &str) -> Result<(Server, Server), Diagnostic> {
    let Some(member) = cluster.member(host) else {
        return Err(
            Diagnostic::new(format!("`{host}` is no host of the group postgresql"))
                .help(format!("there are: {}", cluster.names())),
        );
    };
    let node = member
        .seen
        .as_ref()
        .map_err(|error| error.clone().on(host))?;
    let others: Vec<&str> = cluster
        .primaries()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| *name != host)
        .collect();
    let primary = match others.as_slice() {
        [primary] => *primary,
        [] if node.is_primary() => {
            return Err(Diagnostic::refused(format!("{host} is the primary")).help(
                "there is nothing to rejoin; to make another host the primary: hactl switchover",
            ));
        }
        [] => {
            return Err(Diagnostic::refused("no primary answers that it could follow",
            )
            .help(
                "hactl status; if this host has the newest data, start it: it is the primary then",
            ));
        }
        _ => {
            return Err(Diagnostic::refused(format!(
                "split brain: {} take writes",
                others.join(" and ")
            ))
            .help("decide whose data stays; stop the other one (hactl ssh HOST, systemctl stop postgresql), then hactl rejoin it"));
        }
    };
    if matches!(node.live, Live::None) && node.place.version.is_empty() {
        return Err(Diagnostic::refused("there is no cluster on this host")
            .on(host)
            .help("hactl deploy makes one, as a replica of the primary that is seen"));
    }
    Ok((known(site, cluster, host)?, known(site, cluster, primary)?))
}

/// Decides how, and what must hold for it.
pub fn assess(
    cluster: &Cluster,
    server: Server,
    primary: Server,
    evidence: &Evidence,
    options: &RejoinOptions,
) -> Option<Assessment> {
    let node = cluster.node(&server.host)?;
    let leader = cluster.node(&primary.host)?;
    let blockers: Vec<String> = cluster
        .nodes()
        .filter(|(_, node)| node.blocks.contains(&server.host))
        .map(|(name, _)| name.to_owned())
        .collect();
    let streams = leader.answer().is_some_and(|answer| {
        answer.senders.iter().any(|sender| {
            sender.state == "streaming"
                && (sender.name == server.host
                    || sender.address.as_deref() == Some(server.address.as_str()))
        })
    });
    let follows = node.is_standby() && streams && !options.clone;
    let (mut method, mut why, diverged) = decide(evidence, node, options);
    if follows {
        (method, why) = (
            Method::Nothing,
            format!("it streams from {} already", primary.host),
        );
    } else if options.clone && method == Method::Start {
        (method, why) = (Method::Clone, "a new copy is wished".to_owned());
    }
    let mut conditions = Conditions::default();
    let same = node.system() == leader.system();
    conditions.add(
        "same-cluster",
        format!("{} and {} hold the same cluster", server.host, primary.host),
        same,
        format!("system identifiers {} and {}", node.system().unwrap_or("unknown"), leader.system().unwrap_or("unknown")),
        format!("the data in {} belongs to something else. If nothing in it is needed, move it away yourself and deploy", server.data),
    );
    conditions.add(
        "newer",
        format!("{} is on no newer timeline than the primary", server.host),
        evidence.timeline <= evidence.primary_timeline,
        format!(
            "{} {}, {} {}",
            server.host, evidence.timeline, primary.host, evidence.primary_timeline
        ),
        format!(
            "{} was promoted later than {}: find out which of them has the data that counts",
            server.host, primary.host
        ),
    );
    conditions.unless("--clone", options.clone);
    // Checkpoints and what was never committed are no loss; what could not be read is not known to be none.
    let empty = matches!(evidence.committed, Committed::Counted(0, _));
    if (diverged.is_some() && !empty) || (method == Method::Clone && !options.clone && !empty) {
        let lost = match &evidence.committed {
            Committed::Counted(count, between) => {
                format!("; {count} transactions were committed, between {between}")
            }
            Committed::Gone(why) | Committed::Unreadable(why) => {
                format!("; how many transactions were committed in them is not known: {why}")
            }
            Committed::NotRead => String::new(),
        };
        conditions.add(
            "diverged",
            format!("nothing that is only on {} is given up", server.host),
            false,
            format!("{why}{lost}"),
            "what is given up is kept beside it; check it first if it may matter",
        );
        conditions.unless("--discard-diverged", options.discard_diverged);
    } else if diverged.is_some() {
        why.push_str(", but no transaction was committed in them");
    }
    let needed = match method {
        Method::Nothing | Method::Start => 0,
        Method::Rewind if options.keep_log_only => 0,
        Method::Rewind | Method::Clone => evidence.size + evidence.size / 10,
    };
    if needed > 0 {
        conditions.add(
            "space",
            format!("{} has room for {} MiB more", server.host, needed >> 20),
            node.place.free > needed,
            format!("{} MiB are free", node.place.free >> 20),
            "make room, or keep only the log of what is given up: --keep-log-only",
        );
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let kept = match method {
        Method::Rewind => Some(format!("{}.diverged-{stamp}", server.data)),
        Method::Clone => Some(format!("{}.replaced-{stamp}", server.data)),
        Method::Nothing | Method::Start => None,
    };
    Some(Assessment {
        server,
        primary,
        method,
        why,
        conditions,
        diverged,
        blockers,
        waits_otherwise: leader.answer().is_some_and(|answer| {
            answer
                .overridden
                .iter()
                .any(|setting| setting.name == super::settings::NAMES)
        }),
        kept,
        keep_log_only: options.keep_log_only,
    })
}
