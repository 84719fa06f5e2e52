//! Playbooks and roles: from YAML to typed plays, with every mistake found before anything is done.
//!
//! Nothing here connects to a host or renders a template with a host's variables.

mod action;
pub mod actions;
mod check;
mod freeform;
mod keywords;
mod loader;
mod loops;
mod paths;
mod plays;
mod roles;
mod search;
pub mod select;
mod tasks;
pub mod types;
mod values;

#[cfg(test)]
mod cases;

pub use keywords::is_keyword;
pub use loader::{Loader, RoleFrom};
pub use search::Seeker;
pub use select::selected;
pub use types::{
    Action, Become, Block, Handler, Include, Included, IncludedRole, Item, Keywords, Loop,
    LoopControl, LoopKind, Play, Playbook, Role, Task, notified,
};
