//! Operations on a PostgreSQL cluster: who is the primary, and how that is changed without losing data.
//!
//! What is observed beats what the inventory says. Nothing here initialises, clones over or deletes a data directory that
//! is not empty, and nothing promotes a server while another one may take writes.

pub mod block;
pub mod blocks;
pub mod candidate;
pub mod cast;
pub mod condition;
pub mod death;
pub mod failover;
pub mod look;
pub mod lsn;
pub mod node;
pub mod observation;
pub mod operation;
pub mod rejoin;
pub mod replay;
pub mod scripts;
pub mod settings;
pub mod switchover;
#[cfg(test)]
mod tests;
pub mod view;
pub mod way;

pub use look::VARIABLES;
pub use view::Cluster;
