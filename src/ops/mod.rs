//! Operations on a whole service: they read the live hosts and decide from what they see, not from what the
//! inventory wishes.
//!
//! Nothing here prints.

pub mod cluster;
pub mod backup;
pub mod crew;
pub mod drill;
pub mod desk;
pub mod history;
pub mod hosts;
pub mod http;
pub mod maintenance;
pub mod journal;
pub mod status;
pub mod verify;
pub mod vip;
