//! Drills that cut cables.

use super::{CRASH, Drill, DrillStep, FAILOVER, LOSSY, REASON, REJOIN, SWITCHOVER, Who, refused};
use crate::ops::drill::plan::{Limits, Loss};
use std::time::Duration;

const QUIET: Limits = Limits {
    write_gap: 1.5,
    read_gap: 1.5,
    loss: Loss::Nothing,
    changes: 0,
    two: false,
};

pub const CUT_REPLICATION: Drill = Drill {
    id: "D5a",
    name: "cut-replication",
    what: "The databases are cut off from each other only: clients see nothing, and a failover is refused",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        DrillStep::Cut(Who::Primary, &[Who::Standby]),
        refused(
            &[
                "failover",
                "--promote=replica",
                "--again",
                "--allow-data-loss",
                "--unfenced-ok",
                REASON,
            ],
            &["refused (dead)", "it is alive"],
        ),
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Primary),
    ],
    heal: &[DrillStep::Join(Who::Primary)],
    limits: QUIET,
};

pub const CUT_CLIENTS: Drill = Drill {
    id: "D5b",
    name: "cut-clients",
    what: "The primary is cut off from application servers and load balancers: a failover is refused, a switchover helps",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        DrillStep::Cut(Who::Primary, &[Who::Apps, Who::Balancers]),
        refused(LOSSY, &["refused (dead)", "it is alive"]),
        SWITCHOVER,
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Standby),
    ],
    // The host of the backups may be one of those: log that was complete meanwhile is in no archive, now that it follows.
    heal: &[DrillStep::Join(Who::Primary), DrillStep::Backup],
    limits: Limits {
        write_gap: 25.0,
        read_gap: 15.0,
        changes: 1,
        ..QUIET
    },
};

pub const CUT_ALL: Drill = Drill {
    id: "D5c",
    name: "cut-all",
    what: "The primary is cut off from everyone and goes on for itself; failover; when it is back, no client is served by it",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        DrillStep::Cut(Who::Primary, &[]),
        FAILOVER,
        DrillStep::Writes,
        // It still believes that it is the primary.
        DrillStep::Join(Who::Primary),
        DrillStep::Pause(Duration::from_secs(2)),
        DrillStep::Writes,
    ],
    // What it could not archive is missing there.
    heal: &[DrillStep::Join(Who::Primary), REJOIN, DrillStep::Backup],
    limits: Limits {
        write_gap: 20.0,
        read_gap: 15.0,
        loss: Loss::NotYetCopied,
        changes: 1,
        two: true,
    },
};

pub const UNIQUE_ROWS: Drill = Drill {
    id: "D10",
    name: "unique-rows",
    what: "The old primary comes back with rows that nobody else has: rejoining is refused without consent, and keeps a copy",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        // What is written from here on stays with it.
        DrillStep::Cut(Who::Primary, &[Who::Standby]),
        DrillStep::Writes,
        CRASH,
        FAILOVER,
        // Not before: what waits in a socket outlives its server, and would reach the other one after all.
        DrillStep::Join(Who::Primary),
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Standby),
        refused(&["rejoin", "{primary}", REASON], &["--discard-diverged"]),
        DrillStep::Hactl {
            words: &["rejoin", "{primary}", "--discard-diverged", REASON],
            code: 0,
            says: &[],
        },
        DrillStep::CopyIsKept(Who::Primary),
    ],
    heal: &[DrillStep::Join(Who::Primary), REJOIN],
    limits: Limits {
        write_gap: 15.0,
        read_gap: 8.0,
        loss: Loss::NotYetCopied,
        changes: 1,
        two: false,
    },
};
