//! What hactl carries for a project: inventories, and the playbook with its roles and templates.

use super::project::Entry;
use rust_embed::Embed;

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
