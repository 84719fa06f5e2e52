//! What the rules look at: the values that are known without asking any host.

use crate::base::Result;
use crate::base::value::{OMIT, Value, has_unknown};
use crate::cli::project::Opened;
use crate::engine::{Coordinator, Decrypt, Globals, HostState, Hosts, PlayLayers, Scope};
use crate::lab::spec;
use crate::ops::hosts;
use crate::play::{Playbook, lint::Site};
use crate::source::{Files, Node, Span};
use crate::template::{self, Context, FileKind, TemplateFiles, Variable, Variables};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What Ansible reads, where hactl needs it or leaves it alone.
const ANSIBLE: &[&str] = &[
    "ansible_become_exe",
    "ansible_become_flags",
    "ansible_become_user",
    "ansible_python_interpreter",
    "ansible_shell_type",
    "ansible_ssh_executable",
    "ansible_ssh_host_key_checking",
    "ansible_ssh_pipelining",
    "ansible_ssh_retries",
    "ansible_ssh_timeout",
    "ansible_ssh_transfer_method",
    "ansible_timeout",
];

/// The inventory with the roles' defaults below it, and nothing known of any host.
pub(super) struct Offline<'a> {
    playbook: &'a Playbook,
    opened: &'a Opened,
    globals: Arc<Globals>,
    layers: Arc<PlayLayers>,
}

impl<'a> Offline<'a> {
    pub(super) fn new(playbook: &'a Playbook, opened: &'a Opened) -> Self {
        let inventory = &opened.inventory;
        let hosts: Hosts = inventory
            .hosts()
            .into_iter()
            .map(|name| {
                let variables: HashMap<String, Node> = inventory
                    .variables(&name)
                    .into_iter()
                    .map(|(key, node, _)| (key, node))
                    .collect();
                let state = HostState::new(&name, variables, inventory.host_groups(&name));
                (name, Arc::new(state))
            })
            .collect();
        let groups = inventory
            .groups()
            .into_iter()
            .map(|group| (group.clone(), inventory.group_hosts(&group)))
            .collect();
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let globals = Globals {
            hosts,
            groups,
            extra: opened.extra.clone(),
            localhost: Arc::new(HostState::new("localhost", HashMap::new(), Vec::new())),
            root: crate::engine::root(opened.files.root()),
            magic: HashMap::new(),
            coordinator: Arc::new(Coordinator::new(Vec::new(), events)),
        };
        let roles = || playbook.plays.iter().flat_map(|play| &play.roles);
        let layers = PlayLayers {
            index: 0,
            name: String::new(),
            dir: String::new(),
            vars: HashMap::new(),
            role_defaults: roles()
                .flat_map(|role| role.defaults.iter().cloned())
                .collect(),
            role_vars: roles().flat_map(|role| role.vars.iter().cloned()).collect(),
            role_names: Default::default(),
        };
        Self {
            playbook,
            opened,
            globals: Arc::new(globals),
            layers: Arc::new(layers),
        }
    }

    fn scope(&self, host: &str) -> Option<Scope> {
        let host = self.globals.hosts.get(host)?;
        let mut scope = Scope::of_host(&self.globals, host);
        scope.play = Some(Arc::clone(&self.layers));
        Some(scope)
    }
}

impl Site for Offline<'_> {
    fn hosts(&self) -> Vec<String> {
        self.opened.inventory.hosts()
    }

    fn groups(&self) -> Vec<String> {
        self.opened.inventory.groups()
    }

    fn members(&self, group: &str) -> Vec<String> {
        self.opened.inventory.group_hosts(group)
    }

    fn value(&self, host: &str, name: &str) -> Option<Value> {
        let scope = self.scope(host)?;
        let variable = scope.lookup(name)?;
        let context = Context {
            variables: Arc::new(scope),
            files: Arc::new(ProjectFiles(Arc::clone(self.opened.loader.files()))),
            decrypt: Decrypt::clone(&self.opened.decrypt),
        };
        let value = match variable {
            Variable::Template(node) => template::value(&node, &context).ok()?,
            Variable::Data(value) => value,
            Variable::Scope(_) | Variable::Unsettled => return None,
        };
        (!has_unknown(&value) && value != OMIT).then_some(value)
    }

    fn is_set(&self, host: &str, name: &str) -> bool {
        self.scope(host)
            .is_some_and(|scope| scope.lookup(name).is_some())
    }

    fn span(&self, host: &str, name: &str) -> Option<Span> {
        if let Some(node) = self.opened.extra.get(name) {
            return Some(node.span.clone());
        }
        let inventory = self.opened.inventory.variables(host);
        if let Some((_, _, origin)) = inventory.into_iter().find(|(key, _, _)| key == name) {
            return Some(origin.span);
        }
        self.layers
            .role_defaults
            .get(name)
            .map(|node| node.span.clone())
    }

    fn written(&self, host: &str) -> Vec<(String, Node, Span)> {
        let settings = self.opened.inventory.settings(host).into_iter();
        settings
            .map(|(name, node, origin)| (name, node, origin.span))
            .collect()
    }

    fn known(&self) -> Vec<String> {
        let layers = [&self.layers.role_defaults, &self.layers.role_vars];
        let roles = layers.into_iter().flat_map(HashMap::keys).cloned();
        // The address is in no role's defaults: each inventory says what it is.
        let fixed = [
            hosts::CONNECTION,
            spec::VARIABLES,
            ANSIBLE,
            &["cluster_address"],
        ]
        .concat();
        roles.chain(fixed.into_iter().map(str::to_owned)).collect()
    }

    fn patterns(&self) -> Vec<(String, Span)> {
        let hosts = |node: &Node| match node.items() {
            Some(items) => items.to_vec(),
            None => vec![node.clone()],
        };
        self.playbook
            .plays
            .iter()
            .flat_map(|play| hosts(&play.hosts))
            .filter_map(|node| Some((node.as_str()?.to_owned(), node.span.clone())))
            .collect()
    }
}

/// Lets values read files of the project (`lookup('file', …)`), by their whole path.
struct ProjectFiles(Arc<dyn Files>);

impl TemplateFiles for ProjectFiles {
    fn find(&self, kind: FileKind, name: &str) -> Option<String> {
        let folder = match kind {
            FileKind::Files => "files",
            FileKind::Templates => "templates",
            FileKind::Vars => "vars",
            FileKind::Plain => "",
        };
        [PathBuf::from(folder).join(name), PathBuf::from(name)]
            .into_iter()
            .find(|path| self.0.is_file(path))
            .map(|path| path.display().to_string())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let missing = || {
            Err(crate::base::Diagnostic::new(format!(
                "there is no file `{path}`"
            )))
        };
        self.0.read_bytes(Path::new(path)).unwrap_or_else(missing)
    }

    fn glob(&self, _pattern: &str) -> Vec<String> {
        Vec::new()
    }
}
