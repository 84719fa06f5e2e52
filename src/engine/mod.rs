//! Runs plays on hosts: batched, ahead where that is safe, in step or each host at its own pace.
//!
//! The engine decides and acts; it sends events and never prints.

pub mod action;
mod alone;
mod argument_spec;
mod arguments;
mod attempt;
mod commit;
mod content;
pub mod cursor;
pub mod event;
mod fatal;
mod fetch;
pub mod greet;
mod include_vars;
mod jobs;
mod judge;
mod keywords;
mod link;
mod local;
pub mod lock;
mod looping;
mod magic;
mod notify;
mod offline;
mod once;
mod order;
mod owed;
mod pace;
mod place;
mod reconnect;
mod run;
mod runner;
mod scope;
mod setters;
mod settings;
mod settle;
mod state;
pub mod survey;
mod template_facts;
mod unit;
mod users;
mod variables;
mod visit;
mod window;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use content::Source;
pub use event::{Event, Status, TaskEnd};
pub use greet::STATE;
pub use lock::Operator;
pub use magic::{Flags, magic};
pub use run::{Ending, Plan, Start, target};
pub use scope::{Globals, PlayLayers, Scope, absolute, root};
pub use settings::{Decrypt, Settings};
pub use state::{Coordinator, HostState, Hosts};
