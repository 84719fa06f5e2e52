//! Which cloud images the hosts of a lab are to start from: `lab_image` in the inventory, `--image` for the others.
//! Looks at the files; only machines may have one, as a container has no boot loader.

use crate::assets::Project;
use crate::base::{Diagnostic, Result};
use crate::cli::vault::expand_home;
use crate::lab::image::given::Given;
use crate::lab::spec::{HostSpec, Kind};
use crate::source::{Node, Yaml};
use std::path::{Path, PathBuf};

/// The image that a host's variable names; `null` names none, also where its group names one.
pub(super) fn named(node: &Node, project: &Project, provider: Kind) -> Result<Option<Given>> {
    let text = match &node.yaml {
        Yaml::Null => return Ok(None),
        Yaml::String(text) if !text.trim().is_empty() => text,
        _ => {
            return Err(
                Diagnostic::new("`lab_image` is not the path of a cloud image")
                    .at(&node.span)
                    .help(
                        "give the path of a qcow2 or raw file, from the folder of this inventory",
                    ),
            );
        }
    };
    fits(provider, "`lab_image` names one")
        .and_then(|()| {
            let file = folder(Path::new(&node.span.file.path)).join(expand_home(Path::new(text)));
            let file = project.on_disk(&file);
            Given::look(&std::path::absolute(&file).unwrap_or(file)).map(Some)
        })
        .map_err(|error| error.at(&node.span))
}

/// Gives the image of the flag to the hosts that name none.
pub(super) fn fill(hosts: &mut [HostSpec], file: Option<&Path>, provider: Kind) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    fits(provider, "`--image` names one")?;
    let file = expand_home(file);
    let given = Given::look(&std::path::absolute(&file).unwrap_or(file))?;
    for host in hosts {
        host.image.get_or_insert_with(|| given.clone());
    }
    Ok(())
}

fn fits(provider: Kind, who: &str) -> Result<()> {
    match provider {
        Kind::Vm => Ok(()),
        Kind::Container => Err(Diagnostic::refused(format!(
            "a container cannot start from a cloud image, and {who}"
        ))
        .help("say `--provider vm`, or `lab_provider: vm` in the inventory")),
    }
}

/// The folder that relative paths of an inventory's file begin at. Variables in folders of their own belong to the
/// inventory beside these folders.
fn folder(file: &Path) -> PathBuf {
    let beside = file
        .ancestors()
        .find(|path| path.ends_with("group_vars") || path.ends_with("host_vars"));
    let parent = beside.unwrap_or(file).parent();
    parent.map_or_else(PathBuf::new, Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_begins_at_the_inventory() {
        for (file, expected) in [
            ("hosts.yml", ""),
            ("/x/hosts.yml", "/x"),
            ("inventories/a/hosts.yml", "inventories/a"),
            ("inventories/a/group_vars/all/main.yml", "inventories/a"),
            ("inventories/a/host_vars/db1.yml", "inventories/a"),
        ] {
            assert_eq!(folder(Path::new(file)), Path::new(expected), "{file}");
        }
    }
}
