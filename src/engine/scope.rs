//! Which variables a task sees, layer over layer, in Ansible's order of precedence.
//!
//! A scope never renders anything; it finds the raw variable of the highest layer.

use super::order::{FACTS, Past, Reader};
use super::state::{Coordinator, HostState, Hosts};
use crate::base::value::{Map, OMIT, UNKNOWN, Value};
use crate::play::{Play, Role};
use crate::source::Node;
use crate::template::{Variable, Variables};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// What is the same for the whole run.
#[derive(Debug)]
pub struct Globals {
    /// All hosts.
    pub hosts: Hosts,
    /// This machine, for what is set there and read from `hostvars`, when the inventory does not hold it.
    pub localhost: Arc<HostState>,
    /// Groups and their hosts, `all` and `ungrouped` included.
    pub groups: BTreeMap<String, Vec<String>>,
    /// `--extra-vars`, the highest layer.
    pub extra: HashMap<String, Node>,
    /// The project's folder, absolute; nothing where nobody asks for paths.
    pub root: String,
    /// Magic variables that never change: `ansible_check_mode`, `ansible_version`…
    pub magic: HashMap<String, Value>,
    /// The state of the plays.
    pub coordinator: Arc<Coordinator>,
}

impl Globals {
    /// A host by name; this machine is one that no inventory needs to hold.
    pub fn host(&self, name: &str) -> Option<Arc<HostState>> {
        let own = (name == "localhost").then_some(&self.localhost);
        self.hosts.get(name).or(own).cloned()
    }
}

/// What is the same for one play.
#[derive(Debug)]
pub struct PlayLayers {
    /// Its number in the run.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Folder of its file.
    pub dir: String,
    /// `vars:` below `vars_files:`.
    pub vars: HashMap<String, Node>,
    /// Defaults of its roles; of two roles with one name the later wins.
    pub role_defaults: HashMap<String, Node>,
    /// Vars of its roles.
    pub role_vars: HashMap<String, Node>,
    /// Names of the roles that it names itself, and of those that only others depend on.
    pub role_names: [Vec<String>; 2],
}

impl PlayLayers {
    /// From a loaded play and what its `vars_files` hold.
    pub fn new(index: usize, play: &Play, files: Vec<(String, Node)>) -> Self {
        let mut vars: HashMap<_, _> = play.vars.iter().cloned().collect();
        vars.extend(files);
        let layer = |pick: fn(&Role) -> &Vec<(String, Node)>| {
            play.roles
                .iter()
                .flat_map(|role| pick(role).iter().cloned())
                .collect()
        };
        Self {
            index,
            name: play.name.clone(),
            dir: play.dir.clone(),
            vars,
            role_defaults: layer(|role| &role.defaults),
            role_vars: layer(|role| &role.vars),
            role_names: role_names(play),
        }
    }
}

fn role_names(play: &Play) -> [Vec<String>; 2] {
    let depends = |role: &Arc<Role>| {
        let mut others = play.roles.iter().flat_map(|other| &other.dependencies);
        others.any(|other| Arc::ptr_eq(other, role))
    };
    let names = |roles: Vec<&Arc<Role>>| roles.iter().map(|role| role.name.clone()).collect();
    let (dependent, named) = play.roles.iter().partition(|role| depends(role));
    [names(named), names(dependent)]
}

/// The project's folder as an absolute path, links resolved as Ansible does.
pub fn root(project: &Path) -> String {
    std::fs::canonicalize(project)
        .or_else(|_| std::path::absolute(project))
        .unwrap_or_else(|_| project.to_owned())
        .display()
        .to_string()
}

/// A path inside the project as an absolute one.
pub fn absolute(root: &str, path: &str) -> String {
    match (root, path) {
        ("", "") => ".".to_owned(),
        ("", _) => path.to_owned(),
        (_, _) if path.starts_with('/') => path.to_owned(),
        (_, "" | ".") => root.to_owned(),
        _ => format!("{}/{path}", root.trim_end_matches('/')),
    }
}

/// Variables in the order they were written.
pub type Layer = Arc<Vec<(String, Node)>>;

/// What one task (or one item of its loop) sees.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The run.
    pub globals: Arc<Globals>,
    /// The play; none outside of plays (`hostvars`, `hactl facts`).
    pub play: Option<Arc<PlayLayers>>,
    /// The host.
    pub host: Arc<HostState>,
    /// The task's role.
    pub role: Option<Arc<Role>>,
    /// Folder of the file that the task stands in.
    pub dir: Option<Arc<str>>,
    /// `vars:` of the task.
    pub task: Arc<Vec<(String, Node)>>,
    /// Variables of the includes around it, outermost first.
    pub includes: Arc<Vec<Layer>>,
    /// Loop variables, and a result under judgement.
    pub overlay: Arc<HashMap<String, Variable>>,
    /// What tasks set that are only being looked at ahead.
    pub ahead: Arc<HashMap<String, Variable>>,
    /// What their `include_vars` bring.
    pub included: Arc<HashMap<String, Node>>,
    /// The roles that were included with `public: true`, the last one last.
    pub public: Arc<Vec<Arc<Role>>>,
    /// Registers that tasks ahead of this one will set: not known yet.
    pub pending: Arc<HashSet<String>>,
    /// Who reads, in a `linear` play: of other hosts it sees what they had found out before its place.
    pub reader: Option<Arc<Reader>>,
}

impl Scope {
    /// A host's variables outside of any play.
    pub fn of_host(globals: &Arc<Globals>, host: &Arc<HostState>) -> Self {
        Self {
            globals: Arc::clone(globals),
            play: None,
            host: Arc::clone(host),
            role: None,
            dir: None,
            task: Arc::default(),
            includes: Arc::default(),
            overlay: Arc::default(),
            ahead: Arc::default(),
            included: Arc::default(),
            public: Arc::default(),
            pending: Arc::default(),
            reader: None,
        }
    }

    /// With one more variable of the highest kind (a loop's item, a result under judgement).
    #[must_use]
    pub fn with(&self, name: &str, value: Value) -> Self {
        let mut overlay = (*self.overlay).clone();
        overlay.insert(name.to_owned(), Variable::Data(value));
        Self {
            overlay: Arc::new(overlay),
            ..self.clone()
        }
    }

    /// The same when its turn has come: nothing before it is uncertain any more.
    #[must_use]
    pub fn settled(&self) -> Self {
        Self {
            ahead: Arc::default(),
            included: Arc::default(),
            pending: Arc::default(),
            ..self.clone()
        }
    }

    fn magic(&self, name: &str) -> Option<Variable> {
        let data = |value: Value| Some(Variable::Data(value));
        let list = |names: Vec<String>| data(Value::from(names));
        let board = |pick: &dyn Fn(&super::state::PlayBoard) -> Vec<String>| {
            let index = self.play.as_ref()?.index;
            let board = self.globals.coordinator.board();
            let play = board.plays.get(index)?;
            let gone = match &self.reader {
                Some(reader) => reader.removed(&board),
                None => play.removed.iter().map(|gone| gone.0.clone()).collect(),
            };
            let hosts = pick(play).into_iter();
            let left: Vec<String> = hosts.filter(|host| !gone.contains(host)).collect();
            Some(Variable::Data(Value::from(left)))
        };
        match name {
            "groups" => data(
                self.globals
                    .groups
                    .iter()
                    .map(|(group, hosts)| (group.clone(), Value::from(hosts.clone())))
                    .collect::<Map<_, _>>()
                    .into(),
            ),
            "hostvars" => Some(Variable::Scope(Arc::new(HostVariables {
                globals: Arc::clone(&self.globals),
                own: self.clone(),
            }))),
            "vars" => Some(Variable::Scope(Arc::new(self.clone()))),
            "omit" => data(Value::from(OMIT)),
            "ansible_play_hosts" => board(&|play| play.hosts.clone()),
            "ansible_play_hosts_all" => {
                let index = self.play.as_ref()?.index;
                let board = self.globals.coordinator.board();
                list(board.plays.get(index)?.hosts.clone())
            }
            "ansible_play_batch" | "play_hosts" => board(&|play| {
                let batch = play.batches.get(play.batch(&self.host.name));
                batch.cloned().unwrap_or_default()
            }),
            "ansible_play_name" => data(Value::from(self.play.as_ref()?.name.as_str())),
            "ansible_play_role_names" | "role_names" => {
                list(self.play.as_ref()?.role_names[0].clone())
            }
            "ansible_dependent_role_names" => list(self.play.as_ref()?.role_names[1].clone()),
            "ansible_role_names" => {
                let mut names = self.play.as_ref()?.role_names.concat();
                names.sort();
                names.dedup();
                list(names)
            }
            "playbook_dir" => {
                let dir = self.play.as_ref().map_or("", |play| &play.dir);
                data(Value::from(absolute(&self.globals.root, dir)))
            }
            "ansible_search_path" => list(self.search_path()?),
            "role_name" | "ansible_role_name" => {
                data(Value::from(self.role.as_ref()?.name.as_str()))
            }
            "role_path" => {
                let dir = &self.role.as_ref()?.dir;
                data(Value::from(absolute(&self.globals.root, dir)))
            }
            "ansible_parent_role_names" | "ansible_parent_role_paths" => {
                let parents = &self.role.as_ref()?.parents;
                let shown = |(role, dir): &(String, String)| match name {
                    "ansible_parent_role_names" => role.clone(),
                    _ => absolute(&self.globals.root, dir),
                };
                (!parents.is_empty()).then(|| list(parents.iter().map(shown).collect()))?
            }
            _ => self.globals.magic.get(name).cloned().map(Variable::Data),
        }
    }

    /// What the inventory says of the host by itself: everything but its other variables outranks it.
    fn inventory(&self, name: &str) -> Option<Variable> {
        let value = match name {
            "inventory_hostname" => Value::from(self.host.name.as_str()),
            "inventory_hostname_short" => {
                Value::from(self.host.name.split('.').next().unwrap_or_default())
            }
            "group_names" => Value::from(self.host.groups.clone()),
            _ => return None,
        };
        Some(Variable::Data(value))
    }

    /// Where a task's files are looked for: its role, its file's folder, the playbook's.
    fn search_path(&self) -> Option<Vec<String>> {
        let play = self.play.as_ref()?;
        let role = self.role.iter().map(|role| role.dir.as_str());
        let folders = role.chain(self.dir.as_deref()).chain([play.dir.as_str()]);
        let mut path: Vec<String> = Vec::new();
        for folder in folders.map(|dir| absolute(&self.globals.root, dir)) {
            if !path.contains(&folder) {
                path.push(folder);
            }
        }
        Some(path)
    }

    /// What the roles that were included for all to see have.
    fn shared(&self, name: &str, pick: fn(&Role) -> &Vec<(String, Node)>) -> Option<Variable> {
        let mut last_first = self.public.iter().rev();
        last_first.find_map(|role| in_list(pick(role), name))
    }

    /// What `set_fact` and `register` hold, or are going to hold.
    fn set(&self, name: &str) -> Option<Variable> {
        if let Some(variable) = self.ahead.get(name) {
            return Some(variable.clone());
        }
        if self.pending.contains(name) {
            return Some(Variable::Data(Value::from(UNKNOWN)));
        }
        match self.past(name) {
            Past::Now => self.host.data().set.get(name).cloned().map(Variable::Data),
            Past::Nothing => None,
            Past::Was(value) => Some(Variable::Data(value)),
        }
    }

    fn fact(&self, name: &str) -> Option<Variable> {
        // These facts have no other name than their own.
        let bare = matches!(name, FACTS | "services" | "packages") || name.starts_with("getent_");
        let short = if bare {
            name
        } else {
            name.strip_prefix("ansible_")?
        };
        let pick = |facts: &Map<String, Value>| match name {
            FACTS => Some(Variable::Data(Value::Object(facts.clone()))),
            _ => facts.get(short).cloned().map(Variable::Data),
        };
        match self.past(FACTS) {
            Past::Now => pick(&self.host.data().facts),
            Past::Nothing => None,
            Past::Was(facts) => facts.as_object().and_then(pick),
        }
    }

    /// What something of the host was, for who reads it.
    fn past(&self, name: &str) -> Past {
        let past = |reader: &Arc<Reader>| reader.past(&self.globals, &self.host, name);
        self.reader.as_ref().map_or(Past::Now, past)
    }

    /// What holds when nobody set it.
    fn fallback(&self, name: &str) -> Option<Variable> {
        match name {
            "ansible_managed" => Some(Variable::Data(Value::from("Ansible managed"))),
            "ansible_host" => Some(Variable::Data(Value::from(self.host.name.as_str()))),
            "ansible_connection" => {
                let local = self.host.name == "localhost";
                let kind = if local { "local" } else { "ssh" };
                Some(Variable::Data(Value::from(kind)))
            }
            // Facts that nobody has read yet.
            _ if name.starts_with("ansible_") && self.pending.contains(FACTS) => {
                Some(Variable::Data(Value::from(UNKNOWN)))
            }
            // What is connected and become by is never brought by a file that nobody can name.
            _ if !name.starts_with("ansible_") && self.host.data().unsettled => {
                Some(Variable::Unsettled)
            }
            _ => None,
        }
    }
}

/// Names of magic variables that every host has, and those that there are in plays only.
const ALWAYS: &[&str] = &[
    "ansible_connection",
    "ansible_facts",
    "ansible_host",
    "group_names",
    "groups",
    "hostvars",
    "inventory_hostname",
    "inventory_hostname_short",
    "playbook_dir",
    "vars",
];
const IN_A_PLAY: &[&str] = &[
    "ansible_dependent_role_names",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_name",
    "ansible_play_role_names",
    "ansible_role_names",
    "ansible_search_path",
    "play_hosts",
    "role_names",
];

fn in_list(list: &[(String, Node)], name: &str) -> Option<Variable> {
    list.iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, node)| Variable::Template(node.clone()))
}

fn in_map(map: &HashMap<String, Node>, name: &str) -> Option<Variable> {
    map.get(name).map(|node| Variable::Template(node.clone()))
}

impl Variables for Scope {
    fn lookup(&self, name: &str) -> Option<Variable> {
        let role = self.role.as_deref();
        let play = self.play.as_deref();
        self.overlay
            .get(name)
            .cloned()
            .or_else(|| self.magic(name))
            .or_else(|| in_map(&self.globals.extra, name))
            .or_else(|| {
                let mut inner_first = self.includes.iter().rev();
                inner_first.find_map(|vars| in_list(vars, name))
            })
            .or_else(|| in_list(&role?.params, name))
            .or_else(|| self.set(name))
            .or_else(|| in_map(&self.included, name))
            .or_else(|| in_map(&self.host.data().included, name))
            .or_else(|| in_list(&self.task, name))
            .or_else(|| in_list(&role?.vars, name))
            .or_else(|| self.shared(name, |role| &role.vars))
            .or_else(|| in_map(&play?.role_vars, name))
            .or_else(|| in_map(&play?.vars, name))
            .or_else(|| self.fact(name))
            .or_else(|| self.inventory(name))
            .or_else(|| in_map(&self.host.variables, name))
            .or_else(|| in_list(&role?.defaults, name))
            .or_else(|| self.shared(name, |role| &role.defaults))
            .or_else(|| in_map(&play?.role_defaults, name))
            .or_else(|| self.fallback(name))
    }

    fn names(&self) -> Vec<String> {
        let mut names: HashSet<String> = self.globals.extra.keys().cloned().collect();
        names.extend(self.overlay.keys().chain(self.ahead.keys()).cloned());
        names.extend(self.included.keys().cloned());
        names.extend(self.task.iter().map(|(name, _)| name.clone()));
        names.extend(
            self.includes
                .iter()
                .flat_map(|vars| vars.iter().map(|(name, _)| name.clone())),
        );
        names.extend(self.host.variables.keys().cloned());
        let data = self.host.data();
        names.extend(data.set.keys().cloned());
        names.extend(data.included.keys().cloned());
        if let Some(role) = &self.role {
            names.extend(
                [&role.params, &role.vars, &role.defaults]
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone()),
            );
        }
        if let Some(play) = &self.play {
            for layer in [&play.vars, &play.role_vars, &play.role_defaults] {
                names.extend(layer.keys().cloned());
            }
        }
        names.extend(self.globals.magic.keys().cloned());
        let always = ALWAYS
            .iter()
            .chain(self.play.iter().flat_map(|_| IN_A_PLAY));
        names.extend(always.map(|name| (*name).to_owned()));
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        names
    }
}

/// `hostvars`: every host's variables, each rendered in its own scope.
struct HostVariables {
    globals: Arc<Globals>,
    /// Who asks: what its own tasks are going to set is seen here, too.
    own: Scope,
}

impl Variables for HostVariables {
    fn lookup(&self, name: &str) -> Option<Variable> {
        let host = self.globals.host(name)?;
        let mut scope = Scope::of_host(&self.globals, &host);
        scope.reader.clone_from(&self.own.reader);
        if host.name == self.own.host.name {
            scope.ahead = Arc::clone(&self.own.ahead);
            scope.included = Arc::clone(&self.own.included);
            scope.pending = Arc::clone(&self.own.pending);
        }
        Some(Variable::Scope(Arc::new(scope)))
    }

    fn names(&self) -> Vec<String> {
        // This machine has variables, but is none of the hosts unless the inventory says so.
        let all = self.globals.groups.get("all");
        let named = |name: &&String| all.is_none_or(|all| all.contains(name));
        self.globals.hosts.keys().filter(named).cloned().collect()
    }
}
