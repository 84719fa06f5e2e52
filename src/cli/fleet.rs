//! What the commands have in common that talk to many hosts without a playbook: which hosts, how they are entered.

use super::{Global, project};
use crate::base::Diagnostic;
use crate::connection::{HostKeys, unheeded_note};
use crate::ops::hosts::{Project, Site};

/// How hosts are entered.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectArgs {
    /// At most so many hosts at once
    #[arg(short, long, default_value_t = 32)]
    pub forks: usize,
    /// Take and keep the keys of hosts that are not in known_hosts
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// Ask for sudo's password
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
}

/// The hosts of a pattern (and of --limit), with these variables.
///
/// # Errors
/// Everything that is wrong with the inventory, or a pattern that means no host.
pub fn site(
    global: &Global,
    reach: &ConnectArgs,
    pattern: &str,
    names: &[&str],
) -> Result<Site, Vec<Diagnostic>> {
    let mut opened = project::open(global)?;
    if reach.ask_become_pass {
        let (name, node) = super::vault::ask_variable("ansible_become_password", "sudo password: ")
            .map_err(|error| vec![error])?;
        opened.extra.insert(name, node);
    }
    let hosts = opened
        .inventory
        .select_limited(pattern, global.limit.as_deref())
        .map_err(|error| vec![error])?;
    if hosts.is_empty() {
        return Err(vec![
            Diagnostic::new(format!("no host is `{pattern}`"))
                .help("check -i and --limit: hactl inventory graph"),
        ]);
    }
    let project = Project {
        files: &*opened.files,
        inventory: &opened.inventory,
        extra: &opened.extra,
        decrypt: opened.decrypt.clone(),
        host_keys: if reach.accept_new_host_keys {
            HostKeys::AcceptNew
        } else {
            HostKeys::Strict
        },
    };
    let site = project.load(&hosts, names)?;
    let targets = site.hosts.iter().map(|host| &host.target);
    if let Some(note) = unheeded_note(targets) {
        crate::report::say(&note);
    }
    Ok(site)
}
