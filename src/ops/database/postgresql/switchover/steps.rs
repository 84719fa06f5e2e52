//! The steps of a switchover, in the order that makes it safe to be killed.
//!
//! The old primary gets its `standby.signal` right after its clean stop, in the same shell, and nothing is promoted before
//! the candidate has the last byte.

use super::trial;
use crate::ops::database::postgresql::assignment::Assignment;
use crate::ops::database::postgresql::replay::MARKER;
use crate::ops::database::postgresql::scripts::{AT_STOP, Server};
use crate::ops::operation::journal::Notes;
use crate::ops::operation::{SECONDS_LEFT, Step, plain};

/// How many seconds writes may wait when nothing is said about it.
pub const GAP: u64 = 5;
/// The key under which that stands in the journal.
pub const GAP_DETAIL: &str = "max_write_gap";

/// How many seconds writes may wait, as the journal says.
pub fn gap(details: &Notes) -> u64 {
    details
        .get(GAP_DETAIL)
        .and_then(|gap| gap.parse().ok())
        .unwrap_or(GAP)
}

/// What is left of them.
fn left(notes: &Notes) -> u64 {
    notes
        .get(SECONDS_LEFT)
        .and_then(|left| left.parse().ok())
        .unwrap_or(GAP)
}

/// The steps, in order. When writes have waited for `gap` seconds and nobody is promoted, all is taken back.
pub fn steps(assignment: &Assignment, gap: u64) -> Vec<Step> {
    let Assignment { old, new, others } = assignment.clone();
    let followers: Vec<&Server> = std::iter::once(&old).chain(&others).collect();
    let (tried, stopped, last_byte) = (new.clone(), old.clone(), new.clone());
    let mut steps = vec![
        Step {
            undo: Some(plain(new.drop_slots(&followers))),
            ..Step::new(
                "slots",
                &new.host,
                format!("make slots for {}", names(&followers)),
                new.make_slots(&followers),
            )
        },
        Step {
            undo: Some(plain(old.forget_to_follow())),
            ..Step::new(
                "prepare",
                &old.host,
                format!("prepare to follow {}, checkpoint", new.host),
                old.prepare_to_follow(&new) + Server::mark_too(),
            )
        },
        Step {
            script: Box::new(move |notes| match notes.get(MARKER) {
                Some(marker) => tried.has_replayed(marker, trial::seconds(gap)),
                None => "true\n".to_owned(),
            }),
            ..Step::new(
                "replay",
                &new.host,
                "prove that it replays what is written now",
                String::new(),
            )
        },
        Step {
            limit: 120,
            gap: Some(gap),
            undo: Some(plain(old.start_primary())),
            script: Box::new(move |notes| stopped.stop_clean(&left(notes).to_string())),
            ..Step::new(
                "stop",
                &old.host,
                format!(
                    "stop in order, to start as a standby only; writes wait from here on, for at most {gap} s"
                ),
                String::new(),
            )
        },
        Step {
            script: Box::new(move |notes| {
                let at = notes.get("stopped_at").map_or(AT_STOP, String::as_str);
                last_byte.has_last_byte(at, left(notes))
            }),
            ..Step::new(
                "last-byte",
                &new.host,
                "prove that it has the last byte, and has replayed it",
                String::new(),
            )
        },
        promotion(&new),
    ];
    steps.push(Step {
        tail: true,
        limit: 120,
        ..Step::new(
            "follow",
            &old.host,
            format!("start as a standby of {}", new.host),
            old.start_standby(),
        )
    });
    steps.extend(after_promotion(&new, &others));
    steps.push(Step {
        tail: true,
        ..Step::new(
            "tidy",
            &old.host,
            "drop the slots that only a primary needs",
            {
                let stale: Vec<&Server> = std::iter::once(&new).chain(&others).collect();
                old.drop_slots(&stale)
            },
        )
    });
    steps.push(Step {
        tail: true,
        ..Step::new(
            "check",
            &new.host,
            format!("{} streams from it", old.host),
            new.is_followed_by(&old),
        )
    });
    // What a failover or a rewind left there must not outlive the move.
    steps.push(Step {
        tail: true,
        ..Step::new(
            "wait",
            &new.host,
            "commits wait for replicas as configured",
            new.restore_synchronous(),
        )
    });
    steps
}

/// The point of no return.
pub fn promotion(new: &Server) -> Step {
    Step {
        no_return: true,
        limit: 90,
        // Only for what certainly did not happen.
        undo: Some(plain(new.still_standby())),
        ..Step::new(
            "promote",
            &new.host,
            "promote; writes go on from here",
            new.promote(),
        )
    }
}

/// What follows every promotion: the others turn to the new primary, and its control file tells the new timeline.
pub fn after_promotion(new: &Server, others: &[Server]) -> Vec<Step> {
    let mut steps: Vec<Step> = others
        .iter()
        .map(|other| Step {
            tail: true,
            ..Step::each(
                "repoint",
                &other.host,
                format!("follow {}", new.host),
                other.repoint(new),
            )
        })
        .collect();
    steps.push(Step {
        tail: true,
        limit: 300,
        ..Step::new(
            "checkpoint",
            &new.host,
            "checkpoint on the new timeline",
            new.settle_promotion(),
        )
    });
    steps
}

fn names(servers: &[&Server]) -> String {
    servers
        .iter()
        .map(|server| server.host.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
