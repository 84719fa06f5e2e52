//! Operations on a whole service: they read the live hosts and decide from what they see, not from what the
//! inventory options.
//!
//! Nothing here prints.

pub mod backup;
pub mod cluster;
pub mod connection_pool;
pub mod drill;
pub mod history;
pub mod hosts;
pub mod http;
pub mod journal;
pub mod maintenance;
pub mod operation_context;
pub mod status;
pub mod verify;
pub mod vip;
