//! Drills of what operators do: planned changes, a deploy after them, and a hactl that dies in the middle.

use super::{Drill, DrillStep, REASON, SWITCHOVER as SWITCH, Who};
use crate::ops::drill::plan::{Limits, Loss};

const PLANNED: Limits = Limits {
    write_gap: 4.0,
    read_gap: 4.0,
    loss: Loss::Nothing,
    changes: 1,
    two: false,
};

pub const SWITCHOVER: Drill = Drill {
    id: "D1",
    name: "switchover",
    what: "A planned switchover, there and back",
    needs: None,
    breaks: &[Who::Primary, Who::Standby],
    prepare: &[],
    steps: &[
        SWITCH,
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Standby),
        SWITCH,
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Primary),
    ],
    heal: &[],
    limits: Limits {
        changes: 2,
        ..PLANNED
    },
};

pub const DEPLOY: Drill = Drill {
    id: "D13",
    name: "deploy",
    what: "A deploy after the primary has moved changes nothing and keeps the roles",
    needs: None,
    breaks: &[Who::Primary, Who::Standby],
    prepare: &[],
    steps: &[
        SWITCH,
        DrillStep::Writes,
        DrillStep::Hactl {
            words: &["deploy"],
            code: 0,
            says: &["0 changed"],
        },
        DrillStep::PrimaryIs(Who::Standby),
    ],
    heal: &[],
    limits: PLANNED,
};

pub const KILLED: Drill = Drill {
    id: "D14",
    name: "killed",
    what: "hactl is killed in the middle of a switchover, once before and once after the promotion, and resumed",
    needs: None,
    breaks: &[Who::Primary, Who::Standby],
    prepare: &[],
    steps: &[
        DrillStep::Killed {
            words: &["switchover", REASON],
            step: "stop",
        },
        DrillStep::Hactl {
            words: &["resume"],
            code: 0,
            says: &[],
        },
        DrillStep::Writes,
        DrillStep::Killed {
            words: &["switchover", REASON],
            step: "follow",
        },
        DrillStep::Hactl {
            words: &["resume"],
            code: 0,
            says: &[],
        },
        DrillStep::Writes,
    ],
    heal: &[],
    limits: Limits {
        write_gap: 10.0,
        changes: 2,
        ..PLANNED
    },
};

pub const RESTORE: Drill = Drill {
    id: "D19",
    name: "restore",
    what: "The newest backup is restored beside the running service, and all of it is read",
    needs: Some("postgresql_backup"),
    breaks: &[Who::Standby],
    prepare: &[],
    steps: &[
        DrillStep::Hactl {
            words: &["backup", "now", REASON],
            code: 0,
            says: &[],
        },
        DrillStep::Hactl {
            words: &["backup", "verify"],
            code: 0,
            says: &[],
        },
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Primary),
    ],
    heal: &[],
    limits: Limits {
        write_gap: 2.0,
        read_gap: 2.0,
        changes: 0,
        ..PLANNED
    },
};
