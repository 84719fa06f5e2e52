//! The steps of a failover: fence, then promote.
//!
//! Never the other way round: what cannot be stopped on its own host is blocked by all that serve clients before anybody is
//! promoted.

use super::Fence;
use crate::base::quote::sh;
use crate::ops::database::postgresql::assignment::Assignment;
use crate::ops::database::postgresql::block::{block, unblock};
use crate::ops::database::postgresql::node::Node;
use crate::ops::database::postgresql::scripts::Server;
use crate::ops::database::postgresql::switchover::{after_promotion, promotion};
use crate::ops::database::postgresql::view::Cluster;
use crate::ops::hosts::Site;
use crate::ops::operation::{HERE, OPERATION_EPOCH, OPERATION_ID, Step, plain};

/// Whether the new primary would wait for a replica that is not there.
pub fn is_alone(cluster: &Cluster, assignment: &Assignment) -> bool {
    assignment.others.is_empty()
        && cluster
            .node(&assignment.new.host)
            .and_then(Node::answer)
            .is_some_and(|answer| !answer.synchronous.is_empty())
}

/// Whether a host is to block an old primary that cannot be stopped. One that is a database and nothing else is not: no
/// client comes through it, and the start guard of the old primary must be able to ask it who is the primary now.
pub fn blocks(site: &Site, host: &str) -> bool {
    let is = |group: &str| site.members(group).iter().any(|member| member == host);
    !is("postgresql") || is("welcome_app") || is("haproxy")
}

/// The steps, in order. `blockers` are the hosts that are to block the old primary when it is not fenced on its own host;
/// `alone`: commits would wait for a replica, and there will be none; `gone`: nobody got through to the old primary.
pub fn steps(
    site: &Site,
    assignment: &Assignment,
    fence: Fence,
    blockers: &[String],
    alone: bool,
    gone: bool,
) -> Vec<Step> {
    let Assignment { old, new, others } = assignment.clone();
    let mut steps = Vec::new();
    match fence {
        Fence::Inside => steps.push(Step {
            undo: Some(plain(old.unfence())),
            ..Step::new(
                "fence",
                &old.host,
                "fence: stop, disable, mask",
                old.fence("failover"),
            )
        }),
        Fence::Command | Fence::Blocked => {
            let command = site
                .host(&old.host)
                .map(|host| host.text("postgresql_fence_command", ""))
                .unwrap_or_default();
            if fence == Fence::Command {
                steps.push(Step::new(
                    "fence",
                    HERE,
                    format!("fence {} with its command", old.host),
                    format!(
                        "export HACTL_HOST={} HACTL_ADDRESS={}; {{ {command}\n}} >&2 </dev/null",
                        sh(&old.host),
                        sh(&old.address)
                    ),
                ));
            }
            for host in blockers {
                steps.push(Step {
                    undo: Some(plain(unblock(&old.host, &old.address))),
                    ..Step::each(
                        "block",
                        host,
                        format!("block all traffic to {}", old.host),
                        block(&old.host, &old.address),
                    )
                });
            }
        }
    }
    let followers: Vec<&Server> = std::iter::once(&old).chain(&others).collect();
    steps.push(Step {
        undo: Some(plain(new.drop_slots(&followers))),
        ..Step::new(
            "slots",
            &new.host,
            "keep the log for the others from here on",
            new.make_slots(&followers),
        )
    });
    if alone {
        // Strictly synchronous, it would lead and take no write. `rejoin` takes this back.
        steps.push(Step {
            undo: Some(plain(new.wait_for_replicas())),
            ..Step::new(
                "alone",
                &new.host,
                "commits no longer wait for a replica, until one is back",
                new.wait_for_nobody(),
            )
        });
    }
    steps.extend(std::iter::once(&new).chain(&others).map(|host| {
        let (teller, leader) = (host.clone(), new.host.clone());
        Step {
            script: Box::new(move |notes| {
                let note = |key: &str| notes.get(key).map_or("-", String::as_str).to_owned();
                teller.announce(&leader, &note(OPERATION_EPOCH), &note(OPERATION_ID))
            }),
            undo: Some(plain(host.retract())),
            ..Step::each(
                "announce",
                &host.host,
                format!(
                    "a server that starts now learns that {} is promoted",
                    new.host
                ),
                String::new(),
            )
        }
    }));
    if fence != Fence::Inside && gone {
        steps.push(Step::new(
            "look-again",
            &new.host,
            format!("{} is still gone", old.host),
            new.is_still_gone(&old, site.patience()),
        ));
    }
    steps.push(promotion(&new));
    steps.extend(std::iter::once(&new).chain(&others).map(|host| Step {
        tail: true,
        ..Step::each(
            "retract",
            &host.host,
            format!("{} was promoted", new.host),
            host.retract(),
        )
    }));
    steps.extend(after_promotion(&new, &others));
    steps
}
