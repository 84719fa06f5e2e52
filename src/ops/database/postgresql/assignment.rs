//! Who takes part in an operation: what the inventory names and the look has seen, as the hosts that steps work on.
//!
//! The inventory says which hosts there are; it never says which of them leads.

use super::scripts::Server;
use super::view::Cluster;
use crate::base::Diagnostic;
use crate::ops::hosts::Site;
use crate::ops::operation::journal::Notes;

/// Who hands over to whom.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The primary that was.
    pub old: Server,
    /// The primary that is to be.
    pub new: Server,
    /// The other standbys, which are to follow the new one.
    pub others: Vec<Server>,
}

impl Assignment {
    /// Their names, for the journal.
    pub fn details(&self) -> Notes {
        [
            ("old".to_owned(), self.old.host.clone()),
            ("new".to_owned(), self.new.host.clone()),
            (
                "others".to_owned(),
                self.others
                    .iter()
                    .map(|server| server.host.as_str())
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
        ]
        .into()
    }
}

/// A host as steps see it; a host that could not be asked is taken to be as another one of its cluster is.
pub fn server(site: &Site, cluster: &Cluster, name: &str) -> Option<Server> {
    let host = site.host(name)?;
    let member = cluster.member(name)?;
    let place = member
        .seen
        .as_ref()
        .ok()
        .filter(|node| !node.place.version.is_empty())
        .or_else(|| {
            cluster
                .nodes()
                .map(|(_, node)| node)
                .find(|node| !node.place.version.is_empty())
        })
        .map(|node| node.place.clone())?;
    Some(Server::new(host, &member.address, &place))
}

/// The primary as observed; refused when there is none or more than one.
///
/// # Errors
/// Exit code 2, with what to do instead.
pub fn the_primary(cluster: &Cluster) -> Result<&str, Diagnostic> {
    let primaries = cluster.primaries();
    match primaries.as_slice() {
        [(host, _)] => Ok(host),
        [] => {
            let seen: Vec<String> = cluster
                .members
                .iter()
                .map(|member| format!("{} is {}", member.host, member.role()))
                .collect();
            Err(Diagnostic::refused("no primary answers")
                .note(format!("observed: {}", seen.join(", ")))
                .help("if it is dead: hactl failover --promote replica"))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(host, _)| *host).collect();
            Err(Diagnostic::refused(format!("split brain: {} take writes", names.join(" and ")),
            )
            .help("decide whose data stays; stop the other one (hactl ssh HOST, systemctl stop postgresql), then hactl rejoin it"))
        }
    }
}

/// [`server`], wanted.
///
/// # Errors
/// Refused when nothing is known of the host's cluster.
pub fn known(site: &Site, cluster: &Cluster, name: &str) -> Result<Server, Diagnostic> {
    server(site, cluster, name).ok_or_else(|| {
        Diagnostic::refused("nothing is known of its cluster")
            .on(name)
            .help(format!(
                "hactl deploy -l {name} makes one; hactl verify -l {name} says what is there"
            ))
    })
}
