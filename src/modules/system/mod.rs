//! Modules about everything that is not a file: commands, packages, services, users, databases, facts…

mod apt;
mod async_status;
mod authorized_key;
mod command;
mod cron;
mod debconf;
mod facts;
mod group;
mod host;
mod mount;
mod postgresql;
mod repository;
mod service;
mod support;
mod sysctl;
mod system_wide;
mod ufw;
mod uri;
mod user;
mod wait_for;

use super::Module;

pub use async_status::{JOBS, replies};
pub use facts::{FACT_NAMES, facts_probe, parse_facts};
pub use ufw::opening;

/// The table of this family.
pub static TABLE: &[&'static dyn Module] = &[
    &command::COMMAND,
    &command::SHELL,
    &command::RAW,
    &command::SCRIPT,
    &async_status::ASYNC_STATUS,
    &service::SYSTEMD,
    &service::SERVICE,
    &apt::APT,
    &apt::PACKAGE,
    &repository::APT_REPOSITORY,
    &repository::DEB822_REPOSITORY,
    &debconf::DEBCONF,
    &debconf::DPKG_SELECTIONS,
    &postgresql::USER,
    &postgresql::DB,
    &postgresql::EXT,
    &postgresql::OWNER,
    &postgresql::PRIVS,
    &postgresql::QUERY,
    &uri::URI,
    &wait_for::WAIT_FOR,
    &user::USER,
    &group::GROUP,
    &authorized_key::AUTHORIZED_KEY,
    &host::HOSTNAME,
    &host::TIMEZONE,
    &host::GETENT,
    &host::MODPROBE,
    &sysctl::SYSCTL,
    &mount::MOUNT,
    &cron::CRON,
    &ufw::UFW,
    &system_wide::LOCALE_GEN,
    &system_wide::ALTERNATIVES,
    &system_wide::KNOWN_HOSTS,
    &facts::SETUP,
    &facts::PING,
    &facts::PACKAGE_FACTS,
    &facts::SERVICE_FACTS,
];
