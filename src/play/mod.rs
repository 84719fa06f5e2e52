//! Playbooks and roles: from YAML to typed plays, with every mistake found before anything is done.
//!
//! Nothing here connects to a host or renders a template with a host's variables.

pub mod types;

pub use types::{
    Action, Become, Block, Handler, Include, Included, IncludedRole, Item, Keywords, Loop,
    LoopControl, LoopKind, Play, Playbook, Role, Task, notified,
};
