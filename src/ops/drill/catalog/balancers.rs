//! Drills that break load balancers.

use super::{Drill, DrillStep, What, Who};
use crate::ops::drill::plan::{Limits, Loss};
use std::time::Duration;

pub const LOSS: Drill = Drill {
    id: "D11",
    name: "balancer-loss",
    what: "The load balancer with the virtual address loses its power",
    needs: Some("keepalived"),
    breaks: &[Who::Holder],
    prepare: &[],
    steps: &[
        DrillStep::Power(Who::Holder, false),
        DrillStep::AwaitHolder(Who::Reserve),
        DrillStep::Writes,
    ],
    // It does not take the address back.
    heal: &[
        DrillStep::Power(Who::Holder, true),
        DrillStep::HolderIs(Who::Reserve),
    ],
    limits: Limits {
        write_gap: 6.0,
        read_gap: 6.0,
        loss: Loss::Nothing,
        changes: 0,
        two: false,
    },
};

pub const CHECK_FAILS: Drill = Drill {
    id: "D12",
    name: "check-fails",
    what: "keepalived's check fails on the holder of the virtual address, and nobody preempts",
    needs: Some("keepalived"),
    breaks: &[Who::Holder],
    prepare: &[],
    steps: &[
        DrillStep::Script {
            on: Who::Holder,
            what: What::Break,
            text: "stop HAProxy on {holder}",
            script: "systemctl stop haproxy",
        },
        DrillStep::AwaitHolder(Who::Reserve),
        DrillStep::Writes,
        DrillStep::Script {
            on: Who::Holder,
            what: What::Mend,
            text: "start HAProxy on {holder}",
            script: "systemctl start haproxy",
        },
        // Long enough for the check to rise and for an advertisement.
        DrillStep::Pause(Duration::from_secs(4)),
        DrillStep::HolderIs(Who::Reserve),
    ],
    heal: &[DrillStep::Script {
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
