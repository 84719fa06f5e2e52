//! What a switchover and a failover both ask of the host that is to be the primary.
//!
//! Conditions only: nothing here chooses a candidate, and nothing waives.

use super::node::Answer;
use super::view::{Cluster, strangers};
use crate::ops::operation::condition::Conditions;

/// All hosts hold one cluster: a stranger is named, whoever the candidate is.
pub fn same_cluster(list: &mut Conditions, cluster: &Cluster) {
    if let Some(error) = strangers(cluster) {
        list.add(
            "same-cluster",
            "all hosts hold the same cluster",
            false,
            error.message,
            "a host with another system identifier is no replica: find out whose data it has",
        );
    }
}

/// A note of maintenance, of the host or of the whole service.
pub fn in_maintenance(list: &mut Conditions, host: &str, note: &str) {
    // The notes stand behind each other on one line.
    let notes =
        crate::ops::entrance::maintenance::parse(&note.replace("} {", "}\n{")).unwrap_or_default();
    let said: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let service = notes.iter().any(|note| !note.is_of_host());
    list.add(
        "maintenance",
        if service {
            "the service is not in maintenance".to_owned()
        } else {
            format!("{host} is not in maintenance")
        },
        false,
        if said.is_empty() {
            note.to_owned()
        } else {
            said.join("; ")
        },
        if service {
            "hactl maintenance off".to_owned()
        } else {
            format!("hactl maintenance off {host}")
        },
    );
}

/// A replica whose replay is paused would be promoted only when somebody lets it go on.
pub fn replays(list: &mut Conditions, host: &str, says: &Answer) {
    list.add(
        "replay",
        format!("{host} replays what it receives"),
        !says.paused,
        if says.paused {
            "replay is paused"
        } else {
            "not paused"
        },
        format!("on {host}: SELECT pg_wal_replay_resume()"),
    );
}
