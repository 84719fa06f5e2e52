//! Modules about everything that is not a file: commands, packages, services, users, databases, facts…

mod apt;
mod command;
mod service;
mod support;

use super::Module;

/// The table of this family.
pub static TABLE: &[&'static dyn Module] = &[&command::COMMAND, &command::SHELL, &command::RAW, &command::SCRIPT, &service::SYSTEMD, &service::SERVICE, &apt::APT, &apt::PACKAGE];
