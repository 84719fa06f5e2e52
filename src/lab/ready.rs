//! When a host that has power can be used: ssh greets on it, and what a first boot does is done. Waits and looks; changes
//! nothing, and never waits for ever.

use super::keeper::Keeper;
use super::provider::{Provider, at_once};
use super::spec::HostSpec;
use super::state::Lab;
use super::{failed, relay};
use crate::base::{Diagnostic, Result};
use std::net::Ipv4Addr;
use std::time::Instant;

/// Waits until hosts that can be heard at all can be used: ssh greets, and what a first boot does is done.
pub fn await_logins(
    lab: &Lab,
    keeper: &Keeper,
    provider: &dyn Provider,
    hosts: &[&HostSpec],
    say: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let cut_off = |host: &HostSpec| {
        lab.cuts
            .iter()
            .any(|cut| cut.from.is_none() && cut.host == host.name)
    };
    let heard: Vec<&HostSpec> = hosts
        .iter()
        .filter(|host| !cut_off(host))
        .copied()
        .collect();
    let addresses: Vec<Ipv4Addr> = heard.iter().map(|host| host.address).collect();
    let silent = relay::await_ssh(keeper, &addresses, provider.patience());
    if let Some(host) = heard.iter().find(|host| silent.contains(&host.address)) {
        let seconds = provider.patience().as_secs();
        let error = failed(format!("ssh does not greet after {seconds} seconds"));
        let error = with_console(error, provider, host);
        return Err(match &host.image {
            None => error,
            Some(given) => error.help(format!(
                "see that `{}` boots by itself, speaks on its first serial port, and has cloud-init and sshd",
                given.file.display()
            )),
        });
    }
    let end = Instant::now() + provider.patience();
    let ready = |host: &HostSpec| match provider.await_ready(host, end) {
        Ok(None) => Ok(()),
        Ok(Some(note)) => {
            say(&format!("{}: {note}", host.name));
            Ok(())
        }
        Err(error) => Err(with_console(error, provider, host)),
    };
    at_once(&heard, ready)
}

/// An error of a host with the end of what its console says.
fn with_console(error: Diagnostic, provider: &dyn Provider, host: &HostSpec) -> Diagnostic {
    let console = provider.console(host);
    let tail: Vec<&str> = console.lines().rev().take(20).collect();
    error
        .on(&host.name)
        .note(tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
}
