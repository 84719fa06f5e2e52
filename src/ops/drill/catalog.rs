//! The drills, as data.

use super::plan::{Drill, Limits, Loss, Step, Who};
use super::record::What;

/// All of them, in the order in which `all` runs them.
pub static DRILLS: &[Drill] = &[SWITCHOVER, SERVICE_STOP, BALANCER_LOSS, CHECK_FAILS];

/// The drill of this name or short name.
pub fn find(name: &str) -> Option<&'static Drill> {
    DRILLS
        .iter()
        .find(|drill| drill.id.eq_ignore_ascii_case(name) || drill.name == name)
}

const SWITCHOVER: Drill = Drill {
    id: "D1",
    name: "switchover",
    what: "a planned switchover, there and back",
    breaks: &[Who::Primary, Who::Standby],
    prepare: &[],
    steps: &[
        Step::Hactl {
            words: &["switchover", "--reason", "drill"],
            code: 0,
            says: &["{standby} is the primary now"],
        },
        Step::Writes,
        Step::PrimaryIs(Who::Standby),
        Step::Hactl {
            words: &["switchover", "--reason", "drill"],
            code: 0,
            says: &["{primary} is the primary now"],
        },
        Step::Writes,
        Step::PrimaryIs(Who::Primary),
    ],
    heal: &[],
    limits: Limits {
        write_gap: 4.0,
        read_gap: 4.0,
        loss: Loss::Nothing,
        changes: 2,
        two: false,
    },
};

const SERVICE_STOP: Drill = Drill {
    id: "D3",
    name: "stopped",
    what: "the primary's service is stopped, and started again by hand",
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        Step::Script {
            on: Who::Primary,
            what: What::Break,
            text: "stop the database of {primary}",
            script: "systemctl stop \"$unit\"",
        },
        Step::Script {
            on: Who::Primary,
            what: What::Mend,
            text: "start the database of {primary}",
            script: "systemctl start \"$unit\"",
        },
        Step::Writes,
        Step::PrimaryIs(Who::Primary),
    ],
    heal: &[Step::Script {
        on: Who::Primary,
        what: What::Mend,
        text: "see that the database of {primary} runs",
        script: "systemctl start \"$unit\"",
    }],
    limits: Limits {
        write_gap: 15.0,
        read_gap: 6.0,
        loss: Loss::Nothing,
        changes: 0,
        two: false,
    },
};

const BALANCER_LOSS: Drill = Drill {
    id: "D11",
    name: "balancer-loss",
    what: "the load balancer with the virtual address loses its power",
    breaks: &[Who::Holder],
    prepare: &[],
    steps: &[
        Step::Power(Who::Holder, false),
        Step::AwaitHolder(Who::Reserve),
        Step::Writes,
    ],
    heal: &[Step::Power(Who::Holder, true), Step::HolderIs(Who::Reserve)],
    limits: Limits {
        write_gap: 6.0,
        read_gap: 6.0,
        loss: Loss::Nothing,
        changes: 0,
        two: false,
    },
};

const CHECK_FAILS: Drill = Drill {
    id: "D12",
    name: "check-fails",
    what: "keepalived's check fails on the holder of the virtual address, and nobody preempts",
    breaks: &[Who::Holder],
    prepare: &[],
    steps: &[
        Step::Script {
            on: Who::Holder,
            what: What::Break,
            text: "stop HAProxy on {holder}",
            script: "systemctl stop haproxy",
        },
        Step::AwaitHolder(Who::Reserve),
        Step::Writes,
        Step::Script {
            on: Who::Holder,
            what: What::Mend,
            text: "start HAProxy on {holder}",
            script: "systemctl start haproxy",
        },
        // Long enough for the check to rise and for an advertisement.
        Step::Pause(std::time::Duration::from_secs(4)),
        Step::HolderIs(Who::Reserve),
    ],
    heal: &[Step::Script {
        on: Who::Holder,
        what: What::Mend,
        text: "see that HAProxy of {holder} runs",
        script: "systemctl start haproxy",
    }],
    limits: Limits {
        write_gap: 8.0,
        read_gap: 8.0,
        loss: Loss::Nothing,
        changes: 0,
        two: false,
    },
};
