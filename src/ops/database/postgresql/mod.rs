//! Operations on a PostgreSQL cluster: who is the primary, and how that is changed without losing data.
//!
//! What is observed beats what the inventory says. Nothing here initialises, clones over or deletes a data directory that
//! is not empty, and nothing promotes a server while another one may take writes.

pub mod assignment;
pub mod block;
pub mod blocks;
pub mod candidate;
pub mod failover;
pub mod failure_detection;
pub mod lsn;
pub mod next_action;
pub mod node;
pub mod observation;
pub mod probe;
pub mod rejoin;
pub mod replay;
pub mod scripts;
pub mod settings;
pub mod switchover;
#[cfg(test)]
mod tests;
pub mod view;

pub use probe::VARIABLES;
pub use view::Cluster;
