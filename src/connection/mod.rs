//! How hactl reaches a host: one OpenSSH master, one long-lived shell on it, framed batches through that.
//!
//! Nothing here knows what a task is. Host keys are always checked; nothing is retried that could have run.

mod master;
mod probes;
mod protocol;
mod shell;
mod ssh;
mod target;
mod tunnel;

pub use probes::{Decoder, compile};
pub use protocol::Item;
pub use shell::{Shell, Statistics};
pub use ssh::Connection;
pub use target::{HostKeys, Target, unheeded_note};
pub use tunnel::Tunnel;
