//! Playbooks and roles: from YAML to typed plays, with every mistake found before anything is done.
//!
//! Nothing here connects to a host or renders a template with a host's variables.

mod action;
pub mod actions;
mod argument_specs;
mod check;
pub mod elsewhere;
mod freeform;
mod includes;
mod keywords;
pub mod lint;
mod loader;
mod loops;
mod own_python;
mod paths;
mod plays;
mod roles;
mod search;
pub mod select;
mod spelling;
mod tasks;
pub mod types;
mod unfit;
mod values;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod unread;

pub use keywords::{is_keyword, layered};
pub use loader::{Loader, RoleFrom, RolePlaces};
pub use search::Seeker;
pub use select::selected;
pub use types::{
    Action, Become, Block, Handler, Include, Included, IncludedRole, Item, Keywords, Loop,
    LoopControl, LoopKind, Play, Playbook, Role, Task, notified,
};
pub use values::{is_identifier, is_template};
