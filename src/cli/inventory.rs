//! `hactl inventory`: hosts, groups and variables as hactl sees them, in the forms of `ansible-inventory`.
//!
//! Also finds the inventory that the flags mean, for all other commands. Connects to nothing.

use super::{Global, Outcome, vault};
use crate::assets::{Embedded, Project};
use crate::base::value::Value;
use crate::base::{Diagnostic, Result, mask};
use crate::inventory::Inventory;
use crate::report;
use crate::source::{Files, Node, Yaml, to_yaml};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// All groups, hosts and variables as JSON, as `ansible-inventory --list` prints them
    List {
        /// Print YAML
        #[arg(short, long)]
        yaml: bool,
    },
    /// The variables of one host as JSON
    Host {
        /// The host
        #[arg(value_name = "HOST")]
        name: String,
        /// Print YAML
        #[arg(short, long)]
        yaml: bool,
    },
    /// Groups and hosts as a tree
    Graph {
        /// The group to begin with
        #[arg(value_name = "GROUP", default_value = "all")]
        group: String,
        /// Show variables too
        #[arg(long)]
        vars: bool,
    },
    /// The hosts that a pattern means, one a line
    Hosts {
        /// An Ansible pattern: `db*`, `lb:&site1`, `all:!db2`, `app[0]`
        #[arg(value_name = "PATTERN", default_value = "all")]
        pattern: String,
    },
    /// Where the variables of a host are set
    Origin {
        /// The host
        #[arg(value_name = "HOST")]
        host: String,
        /// One variable, with all its settings: the first line wins
        #[arg(value_name = "VAR")]
        variable: Option<String>,
    },
}

/// Runs the command.
#[expect(
    clippy::needless_pass_by_value,
    reason = "all commands are called alike"
)]
pub fn run(global: &Global, args: Args) -> Outcome {
    let (_, inventory) = load(global)?;
    show(global, &args.command, &inventory).map_err(|error| vec![error])?;
    Ok(crate::base::exit::DONE)
}

/// The project and the inventory that the flags mean. Everything that is wrong comes at once.
pub(super) fn load(global: &Global) -> Result<(Project, Inventory), Vec<Diagnostic>> {
    let project = Project::new(&global.project);
    let sources = sources(global, &project).map_err(|error| vec![error])?;
    let passwords = vault::passwords(global);
    let inventory = Inventory::load(&project, &sources, Path::new(""), &|armoured| {
        passwords.decrypt(armoured)
    })?;
    Ok((project, inventory))
}

/// The inventory that the flags mean, for what needs no secret: files that are encrypted count as empty.
pub(super) fn load_open(global: &Global) -> Result<Inventory, Vec<Diagnostic>> {
    let project = Project::new(&global.project);
    let sources = sources(global, &project).map_err(|error| vec![error])?;
    Inventory::load(&project, &sources, Path::new(""), &|_| Ok(b"{}\n".to_vec()))
}

/// The sources as paths of the project. A path is looked for from here, then in the project, then as the
/// name of a stack; without any, the only inventory of the project's folder is meant.
pub(super) fn sources(global: &Global, project: &Project) -> Result<Vec<PathBuf>> {
    if !global.inventory.is_empty() {
        return Ok(global
            .inventory
            .iter()
            .flat_map(|path| split(path, project))
            .collect());
    }
    let inventories = Path::new("inventories");
    let own = crate::source::Disk
        .list(&project.on_disk(inventories))
        .unwrap_or_default();
    if let [one] = own.as_slice() {
        return Ok(one
            .file_name()
            .map(|name| inventories.join(name))
            .into_iter()
            .collect());
    }
    let names: Vec<String> = if own.is_empty() {
        Embedded::stacks()
    } else {
        own.iter().map(|path| path.display().to_string()).collect()
    };
    Err(Diagnostic::new("which inventory is meant?")
        .help(format!("give it with `-i`; here are: {}", names.join(", "))))
}

/// `one,two` is two inventories when one of them is there; otherwise a comma makes a list of hosts.
fn split(path: &Path, project: &Project) -> Vec<PathBuf> {
    let text = path.to_string_lossy();
    let pieces = text
        .split(',')
        .map(str::trim)
        .filter(|piece| !piece.is_empty());
    let located: Vec<PathBuf> = pieces
        .map(|piece| locate(Path::new(piece), project))
        .collect();
    let there = |path: &Path| project.is_dir(path) || project.is_file(path);
    if text.contains(',') && !located.iter().any(|path| there(path)) {
        return vec![path.to_owned()];
    }
    located
}

fn locate(path: &Path, project: &Project) -> PathBuf {
    // As with `git -C`, the project folder comes first.
    if path.exists() && !project.on_disk(path).exists() {
        let same = project.on_disk(path) == path;
        return if same {
            path.to_owned()
        } else {
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
        };
    }
    let there = |path: &Path| project.is_dir(path) || project.is_file(path);
    let stack = Path::new("inventories").join(path);
    if !there(path) && there(&stack) {
        stack
    } else {
        path.to_owned()
    }
}

fn show(global: &Global, command: &Command, inventory: &Inventory) -> Result<()> {
    let limit = global.limit.as_deref();
    let only = limit.map(|limit| inventory.select(limit)).transpose()?;
    match command {
        Command::List { yaml: true } => yaml(&inventory.to_ansible_yaml(only.as_deref())),
        Command::List { yaml: false } => json(&inventory.to_ansible_json(only.as_deref())),
        Command::Host {
            name,
            yaml: as_yaml,
        } => {
            let name = one_host(inventory, name)?;
            if *as_yaml {
                yaml(&inventory.to_ansible_host_yaml(&name));
            } else {
                json(&inventory.to_ansible_host(&name));
            }
        }
        Command::Graph { group, vars } => {
            let graph = inventory.graph(group, *vars).ok_or_else(|| {
                Diagnostic::new(format!("there is no group `{group}`"))
                    .help(format!("groups are: {}", inventory.groups().join(", ")))
            })?;
            report::out(&mask::mask(&graph));
        }
        Command::Hosts { pattern } => {
            let hosts = inventory.select_limited(pattern, limit)?;
            if global.json {
                json(&Value::from(hosts));
            } else {
                report::out(&lines(&hosts));
            }
        }
        Command::Origin { host, variable } => {
            let host = one_host(inventory, host)?;
            origin(global, inventory, &host, variable.as_deref())?;
        }
    }
    Ok(())
}

/// A pattern that means exactly one host.
fn one_host(inventory: &Inventory, pattern: &str) -> Result<String> {
    let mut hosts = inventory.select(pattern)?;
    match (hosts.pop(), hosts.len()) {
        (Some(host), 0) => Ok(host),
        (_, others) => {
            let count = if others == 0 { 0 } else { others + 1 };
            Err(Diagnostic::new(format!(
                "`{pattern}` means {count} hosts; one is needed"
            )))
        }
    }
}

fn origin(
    global: &Global,
    inventory: &Inventory,
    host: &str,
    variable: Option<&str>,
) -> Result<()> {
    let mut settings = inventory.origins(host, variable);
    if let (Some(name), true) = (variable, settings.is_empty()) {
        let names: Vec<String> = inventory
            .variables(host)
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let error = Diagnostic::new(format!("no inventory sets `{name}` for `{host}`")).on(host);
        return Err(
            match similar::get_close_matches(name, &names, 1, 0.6).first() {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => {
                    error.help("it may be a default of a role, a fact, or a variable of a play")
                }
            },
        );
    }
    if variable.is_none() {
        settings.retain(|(.., hidden)| !hidden);
    }
    settings.reverse();
    if variable.is_none() {
        settings.sort_by(|a, b| a.0.cmp(&b.0));
    }
    if global.json {
        let rows = settings.iter().map(|(name, node, origin, hidden)| {
            let line = origin.span.line;
            serde_json::json!({
                "name": name, "value": shown(node), "file": origin.span.file.path, "line": line,
                "level": origin.level.to_string(), "hidden": hidden,
            })
        });
        json(&rows.collect());
        return Ok(());
    }
    let rows: Vec<(String, String)> = settings
        .iter()
        .map(|(name, node, origin, hidden)| {
            let hidden = if *hidden { ", hidden" } else { "" };
            (
                format!("{name} = {}", short(&shown(node))),
                format!("{origin}{hidden}"),
            )
        })
        .collect();
    let width = rows
        .iter()
        .map(|(left, _)| left.chars().count())
        .max()
        .unwrap_or(0);
    let rows: Vec<String> = rows
        .iter()
        .map(|(left, right)| format!("{left:width$}  {right}"))
        .collect();
    report::out(&mask::mask(&lines(&rows)));
    Ok(())
}

fn lines(lines: &[String]) -> String {
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}

/// A value for people: what is vaulted stays closed.
fn shown(node: &Node) -> Value {
    match &node.yaml {
        Yaml::Vault(_) => Value::from("(vaulted)"),
        Yaml::Sequence(items) => items.iter().map(shown).collect(),
        Yaml::Mapping(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| (key.key_text(), shown(value)))
                .collect(),
        ),
        _ => node.to_value().unwrap_or(Value::Null),
    }
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = mask::mask_value(value).to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST - 1).collect();
    format!("{start}…")
}

fn yaml(node: &Node) {
    report::out(&mask::mask(&to_yaml(node)));
}

fn json(value: &Value) {
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, format);
    if mask::mask_value(value).serialize(&mut writer).is_ok() {
        text.push(b'\n');
        report::out(&String::from_utf8_lossy(&text));
    }
}
