//! Drills: a failure for real, and what clients see of it.
//!
//! A drill says what it breaks before it breaks it, heals whatever happened, and judges by records of clients and databases
//! only. It never deletes a row that it did not write, and breaks nothing that was not asked for.

pub mod breaker;
pub mod catalog;
pub mod faults;
pub mod field;
pub mod hactl;
mod history;
mod line;
pub mod load;
pub mod plan;
pub mod reckon;
pub mod record;
mod rows;
pub mod run;
mod stage;
#[cfg(test)]
pub mod testing;
pub mod verdict;
pub mod watch;
mod way;
