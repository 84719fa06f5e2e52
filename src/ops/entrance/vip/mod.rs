//! The virtual address: where it is by two viewpoints, and moving it by the flag that keepalived tracks.
//!
//! Never stops a daemon: a flag that is set makes its host give the address up gracefully (keepalived announces it, so
//! that nobody has to wait for a timeout), and a host whose flag is cleared does not take it back (`nopreempt`).

mod plan;
mod probe;
mod prober;
mod shift;

pub use plan::{MoveOptions, MovePlan, MoveStep, Moving, plan};
pub use probe::{Balancer, Place, Viewer, VipSnapshot, observe};
pub use prober::Gap;
pub use shift::{Ended, Moved, run};

pub(super) use plan::forget;
pub(super) use probe::glance;

/// The flag that keepalived tracks: anything but 0 sends the address away. The role `keepalived` makes it.
pub const FLAG: &str = "/etc/keepalived/maintenance";
/// This operation's kind, while it is unfinished and in the history.
pub const KIND: &str = "vip-move";

/// The variables that are read.
pub fn variables() -> &'static [&'static str] {
    &[
        "cluster_address",
        "keepalived_vip",
        "haproxy_port",
        "haproxy_health_path",
    ]
}
