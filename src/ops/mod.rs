//! Operations on a whole service: they read the live hosts and decide from what they see, not from what the
//! inventory wishes.
//!
//! Nothing here prints.

pub mod backup;
pub mod connection_pool;
pub mod database;
pub mod drill;
pub mod entrance;
pub mod history;
pub mod hosts;
pub mod http;
pub mod operation;
pub mod status;
pub mod verify;
