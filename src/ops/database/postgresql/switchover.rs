//! Switchover: the primary hands over to a standby, in order, and nothing is lost.
//!
//! The order is the one of repmgr's `standby switchover` and Patroni's graceful demotion: clean stop, proof that the
//! candidate has the last byte, only then promotion. From the moment in which the old primary is stopped it can only come
//! back as a standby, whoever starts it and whenever: so there is never a second primary, not even when this process dies.

mod conditions;
mod steps;
pub mod trial;

pub use steps::{GAP, GAP_DETAIL, after_promotion, gap, promotion, steps};

use super::assignment::{Assignment, known, server, the_primary};
use super::view::Cluster;
use crate::base::Diagnostic;
use crate::ops::hosts::Site;
use crate::ops::operation::condition::Conditions;

/// What the operator allows.
#[derive(Debug, Clone)]
pub struct SwitchoverOptions {
    /// The host that is to be the primary; any replica that can when none is named.
    pub to: Option<String>,
    /// Bytes that the candidate may be behind when it begins.
    pub max_lag: u64,
    /// Transactions of clients that are older than this many seconds are not to be cut off.
    pub max_transaction: i64,
    /// They may be.
    pub long_transactions_ok: bool,
    /// How many seconds writes may wait before all is taken back.
    pub gap: u64,
    /// Application servers that do not reach the new primary, or cannot be asked, do not matter.
    pub unreached_clients_ok: bool,
}

/// Looks at everything that must hold, and names the hosts.
///
/// # Errors
/// When it cannot even be said who would hand over to whom.
pub fn assess(
    site: &Site,
    cluster: &Cluster,
    options: &SwitchoverOptions,
) -> Result<(Assignment, Conditions), Vec<Diagnostic>> {
    let one = |error| vec![error];
    // Before anything else: what is seen now is only half of a change.
    if let Some(record) = cluster.unfinished() {
        return Err(one(Diagnostic::refused(
            "refused (unfinished): no operation is unfinished",
        )
        .note(format!(
            "observed: {} of {}",
            record.header.kind, record.header.operator
        ))
        .help(
            "hactl resume takes it up; hactl resume --undo takes it back, if nobody was promoted",
        )));
    }
    let old = the_primary(cluster).map_err(one)?;
    let candidate = match &options.to {
        Some(host) => host.clone(),
        None => cluster
            .standbys()
            .into_iter()
            // One in maintenance is only taken, and then refused by name, when there is no other.
            .max_by_key(|(_, node)| (node.maintenance.is_none(), node.has_log_to()))
            .map(|(host, _)| host.to_owned())
            .ok_or_else(|| {
                one(Diagnostic::refused("no replica answers").help(
                    "hactl status shows what is seen; hactl rejoin HOST makes a host follow again",
                ))
            })?,
    };
    if candidate == old {
        return Err(one(Diagnostic::refused(format!(
            "{candidate} is the primary already"
        ))
        .help("there is nothing to do; hactl status shows who follows it")));
    }
    if cluster.member(&candidate).is_none() {
        return Err(one(Diagnostic::new(format!(
            "`{candidate}` is no host of the group postgresql"
        ))
        .help(format!("there are: {}", cluster.names()))));
    }
    let assignment = Assignment {
        old: known(site, cluster, old).map_err(one)?,
        new: known(site, cluster, &candidate).map_err(one)?,
        others: cluster
            .standbys()
            .into_iter()
            .filter(|(host, _)| *host != candidate)
            .filter_map(|(host, _)| server(site, cluster, host))
            .collect(),
    };
    let conditions = conditions::of(cluster, &assignment, options);
    Ok((assignment, conditions))
}
