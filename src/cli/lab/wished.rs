//! Which hosts `hactl lab up` is to make. Decrypts nothing: a lab needs names and addresses only.

use super::image;
use crate::assets::Project;
use crate::base::{Diagnostic, Diagnostics, Result};
use crate::cli::Global;
use crate::inventory::Inventory;
use crate::lab::spec::{self, Kind};
use crate::lab::vm::qemu::MOST_DISKS;
use crate::source::{Node, Yaml};
use std::path::PathBuf;

/// The stack of a project that has none.
const FLAGSHIP: &str = "pg-ha";

/// The hosts that are asked for, by `--hosts` or those of an inventory with their `ansible_host`, and what they are to be.
pub(super) fn hosts(
    global: &Global,
    stack: Option<PathBuf>,
    hosts: Option<&str>,
    provider: Option<Kind>,
    others: &Others,
) -> Result<(Vec<spec::HostSpec>, Kind), Vec<Diagnostic>> {
    let (mut hosts, provider) = match hosts {
        Some(hosts) => (
            spec::parse_hosts(hosts).map_err(|error| vec![error])?,
            provider.unwrap_or_default(),
        ),
        None => of_inventory(global, stack, provider)?,
    };
    others
        .fill(&mut hosts, provider)
        .map_err(|error| vec![error])?;
    Ok((hosts, provider))
}

/// What the hosts are whose variables do not say it.
#[derive(Debug, clap::Args)]
pub(super) struct Others {
    /// The release of hosts whose `lab_suite` says none, like `trixie` [default: this machine's]
    #[arg(long)]
    suite: Option<String>,
    /// The cloud image (qcow2 or raw, with cloud-init) that hosts start from whose `lab_image` names none; for
    /// `--provider vm`
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

impl Others {
    fn fill(&self, hosts: &mut [spec::HostSpec], provider: Kind) -> Result<()> {
        if let Some(suite) = &self.suite {
            let suite = spec::suite(suite)?;
            for host in &mut *hosts {
                host.suite.get_or_insert_with(|| suite.clone());
            }
        }
        image::fill(hosts, self.image.as_deref(), provider)
    }
}

fn of_inventory(
    global: &Global,
    stack: Option<PathBuf>,
    provider: Option<Kind>,
) -> Result<(Vec<spec::HostSpec>, Kind), Vec<Diagnostic>> {
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
    let provider = errors.take(kind(&inventory, &names, provider));
    let project = Project::new(&global.project);
    // Which kind an image would be for is not known when that is wrong.
    let images = provider.map(|provider| (&project, provider));
    let hosts: Vec<spec::HostSpec> = names
        .iter()
        .filter_map(|name| errors.take(wished(&inventory, name, images)))
        .collect();
    if errors.is_empty() {
        errors.take(spec::check(&hosts));
    }
    errors.finish((hosts, provider.unwrap_or_default()))
}

/// The variables of a host that are the lab's business.
struct Variables(Vec<(String, Node)>);

impl Variables {
    fn of(inventory: &Inventory, host: &str) -> Self {
        let all = inventory.variables(host).into_iter();
        let ours = all.filter(|(name, ..)| {
            spec::VARIABLES.contains(&name.as_str()) || name == "ansible_host"
        });
        Self(
            ours.map(|(name, node, _)| (name.clone(), node.clone()))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&Node> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, node)| node)
    }
}

/// A host with its address, release, image and hardware.
fn wished(
    inventory: &Inventory,
    name: &str,
    images: Option<(&Project, Kind)>,
) -> Result<spec::HostSpec> {
    let variables = Variables::of(inventory, name);
    let mut host = address_of(&variables, name)?;
    if let Some(node) = variables.get("lab_suite") {
        let Yaml::String(text) = &node.yaml else {
            return Err(wrong(
                node,
                "lab_suite",
                "the name of a release, like `trixie`",
            ));
        };
        host.suite = Some(spec::suite(text).map_err(|error| error.at(&node.span))?);
    }
    if let (Some(node), Some((project, provider))) = (variables.get("lab_image"), images) {
        host.image = image::named(node, project, provider).map_err(|error| error.on(name))?;
    }
    for (name, value, least) in [
        ("lab_memory", &mut host.hardware.memory, 256),
        ("lab_cpus", &mut host.hardware.cpus, 1),
    ] {
        if let Some(node) = variables.get(name) {
            *value = number(node)
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| (least..=1 << 20).contains(number))
                .ok_or_else(|| wrong(node, name, &format!("a number of at least {least}")))?;
        }
    }
    if let Some(node) = variables.get("lab_disks") {
        host.hardware.disks = disks(node)?;
    }
    Ok(host)
}

fn wrong(node: &Node, name: &str, expected: &str) -> Diagnostic {
    Diagnostic::new(format!("`{name}` is not {expected}")).at(&node.span)
}

fn number(node: &Node) -> Option<u64> {
    match &node.yaml {
        Yaml::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
/// Reads `[{size: 1G}, ...]`.
fn disks(node: &Node) -> Result<Vec<u64>> {
    let expected = "a list of disks, like `[{size: 1G}]`";
    let Yaml::Sequence(disks) = &node.yaml else {
        return Err(wrong(node, "lab_disks", expected));
    };
    if disks.len() > MOST_DISKS {
        return Err(wrong(
            node,
            "lab_disks",
            &format!("a list of at most {MOST_DISKS} disks"),
        ));
    }
    disks
        .iter()
        .map(|disk| {
            let size = disk.get("size").and_then(|size| match &size.yaml {
                Yaml::String(text) => bytes(text),
                _ => None,
            });
            size.ok_or_else(|| wrong(disk, "lab_disks", expected))
        })
        .collect()
}

/// Reads a size with its unit: `512M`, `1G`.
fn bytes(text: &str) -> Option<u64> {
    let (number, shift) = match text.strip_suffix('G') {
        Some(number) => (number, 30),
        None => (text.strip_suffix('M')?, 20),
    };
    let number: u64 = number.parse().ok()?;
    (1..=1 << 14).contains(&number).then_some(number << shift)
}

/// What the hosts are to be. A stack may need kernels of its own; then containers are refused.
fn kind(inventory: &Inventory, names: &[String], asked: Option<Kind>) -> Result<Kind> {
    let mut said: Option<(Kind, Node)> = None;
    for name in names {
        let variables = Variables::of(inventory, name);
        let Some(node) = variables.get("lab_provider") else {
            continue;
        };
        let kind = match &node.yaml {
            Yaml::String(word) if word == Kind::Vm.word() => Kind::Vm,
            Yaml::String(word) if word == Kind::Container.word() => Kind::Container,
            _ => return Err(wrong(node, "lab_provider", "`container` or `vm`")),
        };
        // One host that needs a machine makes all of them machines.
        if said.as_ref().is_none_or(|(known, _)| *known < kind) {
            said = Some((kind, node.clone()));
        }
    }
    match (asked, said) {
        (Some(Kind::Container), Some((Kind::Vm, node))) => Err(Diagnostic::refused(
            "this stack needs hosts with a kernel of their own, and containers share the machine's",
        )
        .at(&node.span)
        .help("leave `--provider` out, or say `--provider vm`")),
        (Some(asked), _) => Ok(asked),
        (None, said) => Ok(said.map(|(kind, _)| kind).unwrap_or_default()),
    }
}

fn address_of(variables: &Variables, name: &str) -> Result<spec::HostSpec> {
    let Some(node) = variables.get("ansible_host") else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("1G", Some(1 << 30)),
            ("512M", Some(512 << 20)),
            ("1", None),
            ("0G", None),
            ("99999G", None),
            ("G", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
