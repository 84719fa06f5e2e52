//! Which hosts `hactl lab up` is to make. Decrypts nothing: a lab needs names and addresses only.

use crate::base::{Diagnostic, Diagnostics, Result};
use crate::cli::Global;
use crate::inventory::Inventory;
use crate::lab::spec;
use crate::source::Yaml;
use std::path::PathBuf;

/// The stack of a project that has none.
const FLAGSHIP: &str = "pg-ha";

/// The hosts that are asked for: by `--hosts`, or those of an inventory with their `ansible_host`.
pub(super) fn hosts(
    global: &Global,
    stack: Option<PathBuf>,
    hosts: Option<&str>,
) -> Result<Vec<spec::HostSpec>, Vec<Diagnostic>> {
    if let Some(hosts) = hosts {
        return spec::parse_hosts(hosts).map_err(|error| vec![error]);
    }
    let mut global = global.clone();
    global.inventory.extend(stack);
    if global.inventory.is_empty() && !global.project.join("inventories").is_dir() {
        global.inventory.push(FLAGSHIP.into());
    }
    let inventory = crate::cli::inventory::load_open(&global)?;
    let names = inventory
        .select_limited("all", global.limit.as_deref())
        .map_err(|error| vec![error])?;
    let mut errors = Diagnostics::default();
    let hosts: Vec<spec::HostSpec> = names
        .iter()
        .filter_map(|name| errors.take(address_of(&inventory, name)))
        .collect();
    if errors.is_empty() {
        errors.take(spec::check(&hosts));
    }
    errors.finish(hosts)
}

fn address_of(inventory: &Inventory, name: &str) -> Result<spec::HostSpec> {
    let setting = inventory
        .variables(name)
        .into_iter()
        .find(|(variable, ..)| variable == "ansible_host");
    let Some((_, node, _)) = setting else {
        // A host may be named by its address; any other name leads nowhere.
        return spec::HostSpec::new(name, name).map_err(|_| {
            Diagnostic::new("the host has no `ansible_host`, and a lab needs its address").on(name)
        });
    };
    match &node.yaml {
        Yaml::String(address) => spec::HostSpec::new(name, address),
        _ => Err(Diagnostic::new("`ansible_host` is not an address")),
    }
    .map_err(|error| error.at(&node.span))
}
