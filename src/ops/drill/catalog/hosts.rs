//! Drills in which hosts that hold no database alone lose their power: the file server, and all hosts at once.

use super::{Drill, DrillStep, Who};
use crate::ops::drill::plan::{Limits, Loss};

/// Nobody was promoted and nobody may be: what was acknowledged is on disks that come back. Containers are back after 8 to 13 s;
/// a machine boots, and a file server gives out no new file in its first 15 s.
const SAME: Limits = Limits {
    write_gap: 40.0,
    read_gap: 40.0,
    loss: Loss::Nothing,
    changes: 0,
    two: false,
};

pub const FILE_SERVER_LOSS: Drill = Drill {
    id: "D17",
    name: "file-server-loss",
    what: "The file server loses its power while clients upload, and comes back; every image of an acknowledged write is whole",
    needs: Some("nfs_server"),
    breaks: &[Who::FileServer],
    prepare: &[],
    steps: &[
        DrillStep::Power(Who::FileServer, false),
        DrillStep::Power(Who::FileServer, true),
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Primary),
    ],
    heal: &[DrillStep::Power(Who::FileServer, true)],
    limits: SAME,
};

pub const COLD_START: Drill = Drill {
    id: "D9",
    name: "cold-start",
    what: "All hosts lose their power at once in the middle of writes, and get it back together; nobody helps, and all is as it was",
    needs: None,
    breaks: &[Who::Everyone],
    prepare: &[],
    steps: &[
        DrillStep::Power(Who::Everyone, false),
        DrillStep::Power(Who::Everyone, true),
        DrillStep::Writes,
        // A replica starts as a replica, and the start guard lets the former primary start when nobody was promoted.
        DrillStep::PrimaryIs(Who::Primary),
    ],
    heal: &[DrillStep::Power(Who::Everyone, true)],
    limits: SAME,
};
