//! The steps of a rejoin: keep what is given up, make the host's log a part of the primary's, start it as a standby.
//!
//! Nothing is rewound or copied over before what only this host has is kept, and it never starts as anything but a standby.

use super::{Assessment, Method};
use crate::ops::database::postgresql::block::unblock;
use crate::ops::operation::Step;

/// The steps. `blockers` are all hosts of the service that block the host, the databases among them.
pub fn steps(assessment: &Assessment, blockers: &[String]) -> Vec<Step> {
    let Assessment {
        server,
        primary,
        method,
        ..
    } = assessment;
    let mut steps = Vec::new();
    let unblocks = |host: &str| Step {
        tail: true,
        limit: 30,
        ..Step::each(
            "unblock",
            host,
            format!("no longer block {}", server.host),
            unblock(&server.host, &server.address),
        )
    };
    let waits = || Step {
        tail: true,
        ..Step::new(
            "wait",
            &primary.host,
            "commits wait for replicas as configured",
            primary.restore_synchronous(),
        )
    };
    if *method == Method::Nothing {
        steps.extend(blockers.iter().map(|host| unblocks(host)));
        if assessment.waits_otherwise {
            steps.push(waits());
        }
        return steps;
    }
    steps.push(Step {
        limit: 120,
        ..Step::new(
            "stop",
            &server.host,
            "stop its server, if it runs",
            server.stop(),
        )
    });
    // The primary has to be reached from here on; the applications only when it cannot take writes any more.
    steps.extend(
        blockers
            .iter()
            .filter(|host| **host == primary.host)
            .map(|host| unblocks(host)),
    );
    steps.push(Step::new(
        "slot",
        &primary.host,
        format!("keep the log for {}", server.host),
        primary.make_slots(&[server]),
    ));
    let kept = assessment.kept.clone().unwrap_or_default();
    match method {
        Method::Rewind => {
            steps.push(Step {
                limit: 3600,
                ..Step::new(
                    "keep",
                    &server.host,
                    format!("keep what is only here as {kept}"),
                    server.keep(&kept, assessment.keep_log_only),
                )
            });
            steps.push(Step {
                no_return: true,
                limit: 3600,
                ..Step::new(
                    "rewind",
                    &server.host,
                    format!("rewind to where {} left its timeline", primary.host),
                    server.rewind(primary),
                )
            });
            steps.push(Step::new(
                "write-on",
                &primary.host,
                "write past where the rewind looked last",
                primary.write_on(),
            ));
        }
        Method::Clone => steps.push(Step {
            no_return: true,
            limit: 24 * 3600,
            ..Step::new(
                "clone",
                &server.host,
                format!("copy {}; the old directory becomes {kept}", primary.host),
                server.reclone(primary, &kept),
            )
        }),
        Method::Start | Method::Nothing => {}
    }
    steps.push(Step {
        no_return: true,
        ..Step::new(
            "demote",
            &server.host,
            format!(
                "from now on it can only start as a standby of {}",
                primary.host
            ),
            server.follow_offline(primary),
        )
    });
    steps.extend(
        blockers
            .iter()
            .filter(|host| **host != primary.host)
            .map(|host| unblocks(host)),
    );
    steps.push(Step::new(
        "unfence",
        &server.host,
        "no longer fenced",
        server.unfence(),
    ));
    steps.push(Step {
        limit: 300,
        ..Step::new(
            "start",
            &server.host,
            format!("start as a standby of {}", primary.host),
            server.start_standby(),
        )
    });
    steps.push(Step {
        tail: true,
        ..Step::new(
            "tidy",
            &server.host,
            "drop the slots that only a primary needs",
            server.drop_slots(&[primary]),
        )
    });
    steps.push(Step {
        tail: true,
        ..Step::new(
            "check",
            &primary.host,
            format!("{} streams from it", server.host),
            primary.is_followed_by(server),
        )
    });
    steps.push(waits());
    steps
}
