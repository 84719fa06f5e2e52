//! The hosts of a service as operations see them: where each is, what it is for, and the few variables that matter, rendered.
//!
//! Reads the inventory and the defaults of roles. Never connects; never renders a variable that nobody asked for, since many
//! make sense only with facts.

use crate::base::value::{Map, Value, to_text};
use crate::base::{Diagnostic, Diagnostics, Result};
use crate::connection::{HostKeys, Target};
use crate::engine::{Coordinator, Decrypt, Globals, HostState, Hosts, PlayLayers, Scope};
use crate::inventory::Inventory;
use crate::source::{self, Files, Node};
use crate::template::{self, Context, NoFiles, Variable, Variables as _};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a connection needs to know of a host.
pub const CONNECTION: &[&str] = &[
    "ansible_host",
    "ansible_ssh_host",
    "ansible_port",
    "ansible_ssh_port",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_become",
    "ansible_become_method",
    "hactl_patience",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_connection",
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
];

/// Where hosts and their variables come from.
pub struct Project<'a> {
    /// The project's files: for the defaults of roles.
    pub files: &'a dyn Files,
    /// The inventory.
    pub inventory: &'a Inventory,
    /// Variables that win over all others.
    pub extra: &'a HashMap<String, Node>,
    /// Opens vaulted values.
    pub decrypt: Decrypt,
    /// What to do about unknown host keys.
    pub host_keys: HostKeys,
}

/// A host.
#[derive(Debug, Clone)]
pub struct Host {
    /// The inventory's name.
    pub name: String,
    /// All groups that hold it.
    pub groups: Vec<String>,
    /// How it is entered.
    pub target: Target,
    /// The variables that were asked for, as far as they are set.
    pub variables: Map<String, Value>,
}

/// Hosts and their groups.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The chosen hosts, in the inventory's order.
    pub hosts: Vec<Host>,
    /// All groups and their hosts, chosen or not.
    pub groups: BTreeMap<String, Vec<String>>,
}

impl Project<'_> {
    /// The hosts of that name, with these variables besides those of the connection. A role whose name is a group's gives
    /// that group's hosts its defaults, and the role `common` gives them to all.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn load(&self, hosts: &[String], names: &[&str]) -> Result<Site, Vec<Diagnostic>> {
        let mut errors = Diagnostics::default();
        let groups: BTreeMap<String, Vec<String>> = self
            .inventory
            .groups()
            .into_iter()
            .map(|group| (group.clone(), self.inventory.group_hosts(&group)))
            .collect();
        let states: Hosts = self
            .inventory
            .hosts()
            .into_iter()
            .chain(hosts.iter().cloned())
            .map(|name| {
                let variables = self.inventory.variables(&name);
                let variables = variables
                    .into_iter()
                    .map(|(key, node, _)| (key, node))
                    .collect();
                let state = HostState::new(&name, variables, self.inventory.host_groups(&name));
                (name, Arc::new(state))
            })
            .collect();
        let (silent, _) = mpsc::unbounded_channel();
        let globals = Arc::new(Globals {
            hosts: states,
            groups: groups.clone(),
            extra: self.extra.clone(),
            localhost: Arc::new(HostState::new("localhost", HashMap::new(), Vec::new())),
            root: String::new(),
            magic: HashMap::new(),
            coordinator: Arc::new(Coordinator::new(Vec::new(), silent)),
        });
        let mut defaults: BTreeMap<&str, Vec<(String, Node)>> = BTreeMap::new();
        for role in groups.keys().map(String::as_str).chain(["common"]) {
            if let Some(found) = errors.take(self.defaults(role)) {
                defaults.insert(role, found);
            }
        }
        let chosen = hosts
            .iter()
            .filter_map(|name| errors.take(self.host(&globals, name, names, &defaults)))
            .collect();
        drop(defaults);
        errors.finish(Site {
            hosts: chosen,
            groups,
        })
    }

    fn host(
        &self,
        globals: &Arc<Globals>,
        name: &str,
        names: &[&str],
        defaults: &BTreeMap<&str, Vec<(String, Node)>>,
    ) -> Result<Host> {
        let state = globals
            .hosts
            .get(name)
            .ok_or_else(|| Diagnostic::new(format!("there is no host `{name}`")))?;
        let mut role_defaults = HashMap::new();
        for role in std::iter::once("common").chain(state.groups.iter().map(String::as_str)) {
            role_defaults.extend(defaults.get(role).into_iter().flatten().cloned());
        }
        let scope = Scope {
            play: Some(Arc::new(PlayLayers {
                index: 0,
                name: String::new(),
                dir: String::new(),
                vars: HashMap::new(),
                role_defaults,
                role_vars: HashMap::new(),
                role_names: Default::default(),
            })),
            ..Scope::of_host(globals, state)
        };
        let context = Context {
            variables: Arc::new(scope.clone()),
            files: Arc::new(NoFiles),
            decrypt: self.decrypt.clone(),
        };
        let mut variables = Map::new();
        for wanted in CONNECTION.iter().chain(names) {
            let value = match scope.lookup(wanted) {
                Some(Variable::Template(node)) => template::value(&node, &context)
                    .map_err(|error| error.at(&node.span).on(name))?,
                Some(Variable::Data(value)) => value,
                Some(Variable::Scope(_) | Variable::Unsettled) | None => continue,
            };
            variables.insert((*wanted).to_owned(), value);
        }
        let mut target = Target::from_variables(name, &variables)?;
        target.host_keys = self.host_keys;
        Ok(Host {
            name: name.to_owned(),
            groups: state.groups.clone(),
            target,
            variables,
        })
    }

    fn defaults(&self, role: &str) -> Result<Vec<(String, Node)>> {
        let path = Path::new("roles").join(role).join("defaults/main.yml");
        let Some(file) = self.files.read(&path) else {
            return Ok(Vec::new());
        };
        let node = source::parse(&file?)?;
        Ok(node
            .entries()
            .iter()
            .map(|(key, value)| (key.key_text(), value.clone()))
            .collect())
    }
}

impl Host {
    /// A variable as text, or what it is without one.
    pub fn text(&self, name: &str, otherwise: &str) -> String {
        match self.variables.get(name) {
            None | Some(Value::Null) => otherwise.to_owned(),
            Some(value) => to_text(value),
        }
    }

    /// A variable as a number of its kind, or what it is without one.
    pub fn number<T: std::str::FromStr>(&self, name: &str, otherwise: T) -> T {
        self.variables
            .get(name)
            .and_then(|value| to_text(value).trim().parse().ok())
            .unwrap_or(otherwise)
    }
}

impl Site {
    /// How many times longer than others the slowest host may take.
    pub fn patience(&self) -> u32 {
        let hosts = self.hosts.iter();
        let most = hosts.map(|host| host.target.patience).max();
        most.unwrap_or(1).max(1)
    }

    /// The hosts of a group, by name.
    pub fn members(&self, group: &str) -> &[String] {
        self.groups.get(group).map_or(&[], Vec::as_slice)
    }

    /// A host by name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// How all of them are entered.
    pub fn targets(&self) -> Vec<Target> {
        self.hosts.iter().map(|host| host.target.clone()).collect()
    }
}
