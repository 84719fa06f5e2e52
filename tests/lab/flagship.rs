//! The flagship stack on virtual machines: what containers cannot show, above all a load balancer without power.

use crate::Case;
use crate::bench::{Bench, HOSTS};
use crate::vm::{deployed, deployed_once, drilled};

pub const CASES: &[Case] = &[
    Case {
        name: "machines_long_flagship_is_deployed_once",
        run: |bench| deployed_once(bench, HOSTS.len()),
    },
    Case {
        name: "machines_long_flagship_outlives_its_hosts",
        run: drills,
    },
];

/// A switchover, and one host of each kind without power, with clients that count.
fn drills(bench: &Bench) {
    deployed(bench);
    drilled(
        bench,
        &["switchover", "power-loss", "balancer-loss", "cold-start"],
    );
}
