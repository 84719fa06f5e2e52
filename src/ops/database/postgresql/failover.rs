//! Failover: a replica becomes the primary because the primary is dead.
//!
//! Nothing is promoted while another server may take writes: the old primary is proven dead from two viewpoints, or stopped
//! and fenced, or the operator says that it is (`--unfenced-ok`). Losing data is a consent of its own.

mod conditions;
mod loss;
mod steps;

pub use conditions::FLAP;
pub use loss::Loss;
pub use steps::{blocks, is_alone, steps};

use super::assignment::{Assignment, known, server, the_primary};
use super::failure_detection::{self, FailureVerdict, Proof};
use super::lsn::Lsn;
use super::node::{Live, PeerView};
use super::view::Cluster;
use crate::base::Diagnostic;
use crate::ops::hosts::Site;
use crate::ops::operation::condition::Conditions;

/// What the operator allows.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of its own on the command line: consents are never merged.
pub struct FailoverOptions {
    /// The host to promote; the best replica when none is named.
    pub promote: Option<String>,
    /// Data may be lost.
    pub allow_data_loss: bool,
    /// The old primary is dead although that cannot be proven.
    pub unfenced_ok: bool,
    /// A server that takes connections and does not answer is killed.
    pub kill_frozen: bool,
    /// A second failover within the hour.
    pub again: bool,
}

/// How the old primary is kept from taking writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// On its host: stopped, disabled, masked.
    Inside,
    /// By a command on this machine (hypervisor, IPMI, cloud), and blocked by all that serve clients.
    Command,
    /// Blocked by all that serve clients.
    Blocked,
}

impl Fence {
    /// Its word in journals.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Command => "command",
            Self::Blocked => "blocked",
        }
    }

    /// From a journal; what is not known is the weakest.
    pub fn from_word(word: &str) -> Self {
        match word {
            "inside" => Self::Inside,
            "command" => Self::Command,
            _ => Self::Blocked,
        }
    }
}

/// What was found out and decided.
#[derive(Debug)]
pub struct Assessment {
    /// Who takes over from whom.
    pub assignment: Assignment,
    /// Whether the old one is dead.
    pub proof: Proof,
    /// How it is fenced.
    pub fence: Fence,
    /// What may be lost.
    pub loss: Loss,
    /// What must hold.
    pub conditions: Conditions,
}

/// The primary that was: the host that the replicas follow, or the only one that is no replica.
///
/// # Errors
/// When it cannot be told.
pub fn old_primary(cluster: &Cluster) -> Result<String, Diagnostic> {
    if let [(host, _)] = cluster.primaries().as_slice() {
        return Ok((*host).to_owned());
    }
    if cluster.primaries().len() > 1 {
        return the_primary(cluster).map(str::to_owned);
    }
    let followed: Vec<&str> = cluster
        .standbys()
        .iter()
        .filter_map(|(_, node)| cluster.followed_by(node))
        .collect();
    let mut rest = cluster
        .members
        .iter()
        .map(|member| member.host.as_str())
        .filter(|host| cluster.node(host).is_none_or(|node| !node.is_standby()));
    let guess = followed
        .first()
        .copied()
        .filter(|host| cluster.node(host).is_none_or(|node| !node.is_standby()));
    match guess.or_else(|| rest.next()) {
        Some(host) => Ok(host.to_owned()),
        None => Err(Diagnostic::refused("it cannot be told who the primary was")
            .note("every database host answers as a replica")
            .help("hactl status; if an operation is unfinished: hactl resume")),
    }
}

/// Looks at everything. `outsiders` are the other hosts of the service and what they see of the old primary's port;
/// `log_end` is how far the old primary's log goes, when its host could be asked.
///
/// # Errors
/// When it cannot even be said who would take over from whom.
pub fn assess(
    site: &Site,
    cluster: &Cluster,
    old: &str,
    outsiders: &[(String, PeerView)],
    log_end: Option<Lsn>,
    options: &FailoverOptions,
) -> Result<Assessment, Vec<Diagnostic>> {
    let one = |error| vec![error];
    let proof = failure_detection::judge(cluster, old, outsiders);
    let candidate = match &options.promote {
        Some(host) if cluster.member(host).is_none() => {
            return Err(one(Diagnostic::new(format!(
                "`{host}` is no host of the group postgresql"
            ))
            .help(format!(
                "there are: {}; or `replica` for the best one",
                cluster.names()
            ))));
        }
        Some(host) if host == old && proof.verdict != FailureVerdict::Alive => {
            return Err(one(Diagnostic::refused(format!("{host} is the primary that is to be replaced"))
                .note(proof.to_string())
                .help(format!("to bring it back: hactl run -l {host} -- systemctl start postgresql; to replace it: hactl failover --promote replica"))));
        }
        Some(host) => host.clone(),
        None => best(cluster)
            .map_or_else(|| Err(one(no_replica(cluster))), |host| Ok(host.to_owned()))?,
    };
    if candidate == old {
        return Err(one(Diagnostic::refused(format!(
            "{old} is the primary, and it is alive"
        ))
        .help(
            "nothing is to be taken over; to make another host the primary: hactl switchover",
        )));
    }
    let assignment = Assignment {
        old: known(site, cluster, old).map_err(one)?,
        new: known(site, cluster, &candidate).map_err(one)?,
        others: cluster
            .standbys()
            .into_iter()
            .filter(|(host, _)| *host != candidate && *host != old)
            .filter_map(|(host, _)| server(site, cluster, host))
            .collect(),
    };
    let command = site
        .host(old)
        .is_some_and(|host| !host.text("postgresql_fence_command", "").is_empty());
    let fence = match proof.verdict {
        FailureVerdict::DeadInside | FailureVerdict::FrozenInside => Fence::Inside,
        _ if command => Fence::Command,
        _ => Fence::Blocked,
    };
    let loss = loss::estimate(site, cluster, &assignment, log_end);
    let mut list = Conditions::default();
    conditions::dead(&mut list, &assignment, &proof, fence, options);
    conditions::candidate_is_fit(&mut list, cluster, &assignment, &candidate);
    conditions::history(&mut list, cluster, &candidate, options);
    list.add(
        "data-loss",
        "no acknowledged write is lost",
        loss.bytes == Some(0),
        loss.said.clone(),
        if log_end.is_some() {
            format!("the data of {old} is intact: starting its server loses nothing (hactl run -l {old} -- systemctl start {})", assignment.old.unit)
        } else {
            format!("if {old} can be brought back, that loses nothing")
        },
    );
    list.unless("--allow-data-loss", options.allow_data_loss);
    Ok(Assessment {
        assignment,
        proof,
        fence,
        loss,
        conditions: list,
    })
}

fn best(cluster: &Cluster) -> Option<&str> {
    let (host, _) = cluster
        .standbys()
        .into_iter()
        .rev()
        .max_by_key(|(_, node)| {
            (
                node.maintenance.is_none(),
                node.timeline(),
                node.has_log_to(),
            )
        })?;
    Some(host)
}

fn no_replica(cluster: &Cluster) -> Diagnostic {
    let seen: Vec<String> = cluster
        .members
        .iter()
        .map(|member| match &member.seen {
            Err(error) => format!("{}: {}", member.host, error.message),
            Ok(node) => match &node.live {
                Live::Down(said) => format!("{}: {} ({said})", member.host, member.role()),
                _ => format!("{}: {}", member.host, member.role()),
            },
        })
        .collect();
    Diagnostic::refused("no replica answers, so none can be promoted")
        .note(format!("observed: {}", seen.join("; ")))
        .help("start the one that was the primary last (its data is the newest); a host whose server does not run: hactl run -l HOST -- systemctl start postgresql")
}
