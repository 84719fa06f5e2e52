//! What a failover may lose: known when the old primary's log can be read, else said as far as it can be.
//!
//! What is not known is never called nothing.

use crate::base::value::to_bool;
use crate::ops::cluster::cast::Cast;
use crate::ops::cluster::lsn::Lsn;
use crate::ops::cluster::node::Node;
use crate::ops::cluster::view::Cluster;
use crate::ops::hosts::Site;

/// What may be lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Bytes of log; none when it cannot be known.
    pub bytes: Option<u64>,
    /// Seconds between the last word of the old primary and now.
    pub seconds: Option<f64>,
    /// In words.
    pub said: String,
}

/// Weighs it.
pub fn estimate(site: &Site, cluster: &Cluster, cast: &Cast, log_end: Option<Lsn>) -> Loss {
    let (old, new) = (&cast.old.host, &cast.new.host);
    let node = cluster.node(new);
    let has = node.and_then(Node::has_log_to).unwrap_or_default();
    let answer = node.and_then(Node::answer);
    let seconds = answer.and_then(|answer| answer.receiver.as_ref()?.silent);
    if let Some(end) = log_end {
        let bytes = end.ahead_of(has);
        return Loss {
            bytes: Some(bytes),
            seconds,
            said: if bytes == 0 {
                format!("{new} has all that {old} wrote (up to {end})")
            } else {
                format!(
                    "{old} wrote up to {end}, {new} has the log up to {has}: {bytes} bytes would be lost"
                )
            },
        };
    }
    let synchronous = site.host(new).is_some_and(|host| {
        host.variables
            .get("postgresql_synchronous")
            .is_some_and(|value| to_bool(value).unwrap_or(false))
    }) && answer.is_some_and(|answer| !answer.synchronous.is_empty())
        && cast.others.is_empty();
    if synchronous {
        return Loss {
            bytes: Some(0),
            seconds,
            said: format!(
                "commits wait for {new} (synchronous_standby_names), so it has every acknowledged one, but for those whose wait was cancelled; its log goes to {has}"
            ),
        };
    }
    let told = answer.and_then(|answer| answer.receiver.as_ref()?.primary_end);
    let least = told.map_or(0, |told| told.ahead_of(has));
    let since = seconds.map_or_else(
        || "for an unknown time".to_owned(),
        |seconds| format!("{seconds:.1} s ago"),
    );
    Loss {
        bytes: None,
        seconds,
        said: format!(
            "{old} cannot be asked. {new} has the log up to {has}; {least} bytes are known to be missing, and what {old} acknowledged after its last word ({since}) would be lost too"
        ),
    }
}
