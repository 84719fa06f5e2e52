//! What nothing else can stand in for.
//!
//! Only what serves counts as a second one: a host that is down or in maintenance stands in for nothing.

use super::status_report::StatusReport;
use super::{Snapshot, host_probe};
use crate::ops::database::postgresql::probe as database;

/// What nothing else can stand in for.
pub fn single_points(snapshot: &Snapshot<'_>, report: &StatusReport) -> Vec<String> {
    let mut points = Vec::new();
    let mut alone = |serving: Vec<&str>, what: &str| {
        if let [one] = serving.as_slice() {
            points.push(format!("{one} is the only {what}"));
        }
    };
    if let Some(databases) = &report.databases {
        // Without a primary nobody streams, and a replica that answers has the data all the same.
        let alone_too = databases.primary.is_none();
        let serving = databases.members.iter().filter(|member| {
            member.role == "primary" || member.streaming || (alone_too && member.role == "replica")
        });
        alone(
            serving.map(|member| member.host.as_str()).collect(),
            "database that holds the data",
        );
    }
    let balancing: Vec<&str> = report
        .balancers
        .iter()
        .filter(|balancer| {
            balancer.haproxy.as_deref() == Some("active") && balancer.answers != Some(false)
        })
        .map(|balancer| balancer.host.as_str())
        .collect();
    let holding: Vec<&str> = report
        .balancers
        .iter()
        .filter(|balancer| balancer.keepalived.as_deref() == Some("active") && !balancer.flag)
        .filter(|balancer| {
            balancer.haproxy.is_none() || balancing.contains(&balancer.host.as_str())
        })
        .map(|balancer| balancer.host.as_str())
        .collect();
    alone(balancing.clone(), "load balancer that answers");
    if balancing.len() != 1 {
        alone(holding, "host that can hold the virtual address");
    }
    let serving = report
        .applications
        .iter()
        .filter(|line| line.status == Some(200));
    alone(
        serving.map(|line| line.host.as_str()).collect(),
        "application server that serves",
    );
    if report.virtual_address.is_none() && !report.balancers.is_empty() {
        points.push(
            "there is no virtual address: clients depend on the load balancer that they know"
                .to_owned(),
        );
    }
    if let [one] = snapshot.site.members("nfs_server") {
        points.push(format!("{one} is the only file server"));
    }
    for group in host_probe::COMPONENTS {
        let members = snapshot.site.members(group);
        for (index, host) in members.iter().enumerate() {
            let address = database::address(snapshot.site, host);
            let other = members
                .iter()
                .take(index)
                .find(|other| database::address(snapshot.site, other) == address);
            if let Some(other) = other {
                points.push(format!(
                    "{other} and {host} are one machine ({group}, {address})"
                ));
            }
        }
    }
    points
}
