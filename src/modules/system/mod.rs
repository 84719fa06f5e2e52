//! Modules about everything that is not a file: commands, packages, services, users, databases, facts…

use super::Module;

/// The table of this family.
pub static TABLE: &[&'static dyn Module] = &[];
