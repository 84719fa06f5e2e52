//! What hactl carries for a project: inventories, and the playbook with its roles and templates.

use super::project::Entry;
use crate::assets::{self, Embedded};
use crate::base::{Diagnostic, Result};
use crate::inventory::Inventory;
use crate::source::{Files, Node, parse};
use rust_embed::Embed;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(Embed)]
#[folder = "inventories"]
#[prefix = "inventories/"]
#[allow_missing = true]
struct Inventories;

#[derive(Embed)]
#[folder = "roles"]
#[prefix = "roles/"]
#[allow_missing = true]
struct Roles;

#[derive(Embed)]
#[folder = "templates"]
#[prefix = "templates/"]
#[allow_missing = true]
struct Templates;

#[derive(Embed)]
#[folder = "."]
#[include = "site.yml"]
struct Top;

/// Every file, named by its path within a project.
pub(super) fn files() -> Vec<Entry> {
    let mut files = of::<Inventories>();
    files.extend(of::<Roles>());
    files.extend(of::<Templates>());
    // Asked for by name: listing would walk the whole folder.
    files.extend(Top::get("site.yml").map(|file| ("site.yml".to_owned(), file.data.into_owned())));
    files
}

fn of<E: Embed>() -> Vec<Entry> {
    E::iter()
        .filter_map(|path| Some((path.to_string(), E::get(&path)?.data.into_owned())))
        .collect()
}

/// The templates that the hosts of a stack get: a role that has a play of its own only where its group has hosts, the
/// others everywhere.
///
/// # Errors
/// When the stack inside the binary cannot be read.
pub(super) fn templates(stack: &str) -> Result<BTreeSet<String>> {
    // A folder that no disk has: what the user made of the stack is not asked.
    let inside = assets::Project::new("/dev/null");
    let unread = || Diagnostic::new(format!("hactl's own stack `{stack}` cannot be read"));
    let first = |errors: Vec<Diagnostic>| errors.into_iter().next().unwrap_or_else(unread);
    let sources = [PathBuf::from(format!("inventories/{stack}"))];
    let clear = |_: &str| Err(Diagnostic::new("hactl's own inventories hold no secrets"));
    let inventory = Inventory::load(&inside, &sources, Path::new(""), &clear).map_err(first)?;
    let site = inside.read(Path::new("site.yml")).transpose()?;
    let site = site.map(|file| parse(&file)).transpose()?;
    let plays: BTreeSet<String> = site
        .iter()
        .filter_map(Node::items)
        .flatten()
        .filter_map(|play| Some(play.get("hosts")?.as_str()?.to_owned()))
        .collect();
    Ok(Embedded::roles()
        .iter()
        .filter(|role| !plays.contains(*role) || !inventory.group_hosts(role).is_empty())
        .flat_map(|role| Embedded::templates_of(role))
        .map(|name| format!("templates/{name}"))
        .collect())
}
