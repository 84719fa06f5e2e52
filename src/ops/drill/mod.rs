//! Drills: a failure for real, and what clients see of it.
//!
//! A drill says what it breaks before it breaks it, heals whatever happened, and judges by records of clients and databases
//! only. It never deletes a row that it did not write, and breaks nothing that was not asked for.

pub mod catalog;
mod drill_run;
pub mod drill_target;
pub mod fault_injector;
pub mod faults;
pub mod hactl;
mod history;
mod line;
pub mod load;
pub mod metrics;
pub mod plan;
pub mod record;
mod rows;
pub mod run;
#[cfg(test)]
pub mod testing;
mod tunnel;
pub mod verdict;
pub mod watch;
