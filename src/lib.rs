//! hactl builds highly available services on a handful of machines, proves that they are, and moves them safely.
//!
//! The floors, lowest first; a floor never names one above it:
//! `base` → `source` → `template`, `vault` → `inventory` → `modules` → `play` → `connection` → `engine` → `ops`, `lab` → `report` → `cli`.

pub mod assets;
pub mod base;
pub mod cli;
pub mod connection;
pub mod engine;
pub mod inventory;
pub mod lab;
pub mod modules;
pub mod ops;
pub mod play;
pub mod report;
pub mod source;
pub mod template;
pub mod vault;
