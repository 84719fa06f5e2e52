//! Where clients come in: the virtual address, and hosts that are taken out of service and put back.
//!
//! Never decides who is a primary.

pub mod maintenance;
pub mod vip;
