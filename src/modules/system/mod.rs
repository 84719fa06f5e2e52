//! Modules about everything that is not a file: commands, packages, services, users, databases, facts…

mod apt;
mod command;
mod facts;
mod service;
mod support;

use super::Module;

pub use facts::{facts_probe, parse_facts};

/// The table of this family.
pub static TABLE: &[&'static dyn Module] = &[
    &command::COMMAND,
    &command::SHELL,
    &command::RAW,
    &command::SCRIPT,
    &service::SYSTEMD,
    &service::SERVICE,
    &apt::APT,
    &apt::PACKAGE,
    &facts::SETUP,
    &facts::PING,
    &facts::PACKAGE_FACTS,
    &facts::SERVICE_FACTS,
];
