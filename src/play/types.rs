//! What a playbook is once it is loaded: typed, expanded, with every keyword where the engine needs it.
//!
//! Only data. Nothing here reads a file or renders a template; what may hold a template is a [`Node`].

use crate::base::Diagnostic;
use crate::source::Node;
use crate::source::Span;
use std::collections::HashSet;
use std::sync::Arc;

/// A loaded playbook: all imports expanded.
#[derive(Debug, Clone)]
pub struct Playbook {
    /// The path as the user gave it (`site.yml`).
    pub path: String,
    /// The plays in order.
    pub plays: Vec<Play>,
    /// The notifications that no handler hears. A task that changes something fails of it, as in Ansible.
    pub unheard: Vec<Diagnostic>,
    /// The tasks whose modules hactl lacks, in all that could be read: each once.
    pub lacking: Vec<Span>,
    /// Whether some task wants a local file that is not there, under a condition.
    pub missing: bool,
}

/// One play: some hosts, and what is done on them.
#[derive(Debug, Clone)]
pub struct Play {
    /// `name:`; the host pattern when it has none. May hold a template.
    pub name: String,
    /// Where it begins.
    pub span: Span,
    /// Folder of the playbook file that holds this play; `""` is the project. `playbook_dir`, and where files are searched last.
    pub dir: String,
    /// `hosts:`: a pattern or a list of patterns; may hold templates.
    pub hosts: Node,
    /// `gather_facts:`; Ansible's default (yes) when absent.
    pub gather_facts: Option<bool>,
    /// `vars:`, in the order of the file.
    pub vars: Vec<(String, Node)>,
    /// `vars_files:`; each entry is a path or a list of paths of which the first that exists is read. May hold templates.
    pub vars_files: Vec<Node>,
    /// pre_tasks, flush, roles, tasks, flush, post_tasks, flush: in the order they run, with final keywords.
    pub items: Vec<Item>,
    /// The handlers of the roles (in role order), then the play's own. Of two with one name the last wins.
    pub handlers: Vec<Handler>,
    /// Every role that the play runs statically (dependencies first), for the layers "role defaults" and "role vars",
    /// which Ansible shows to the whole play.
    pub roles: Vec<Arc<Role>>,
    /// `serial:`: a number, a percentage, or a list of them.
    pub serial: Option<Node>,
    /// `max_fail_percentage:`.
    pub max_fail_percentage: Option<Node>,
    /// Whether its hosts keep step: `strategy: linear`, the default. With `free` and `host_pinned` each goes at its own pace.
    pub in_step: bool,
    /// `order:` (inventory, reverse_inventory, sorted, reverse_sorted, shuffle).
    pub order: Option<String>,
    /// `force_handlers:`.
    pub force_handlers: bool,
    /// `vars: {hactl_after: [...]}`: names of the plays that this one waits for. `None`: the plays before it, as in Ansible.
    pub after: Option<Vec<String>>,
    /// The play's keywords that are inherited (become, environment, tags, any_errors_fatal…); already in the tasks,
    /// needed here for fact gathering.
    pub keywords: Keywords,
}

/// One step of a play.
#[derive(Debug, Clone)]
pub enum Item {
    /// A module or one of the engine's own actions.
    Task(Box<Task>),
    /// `block/rescue/always`.
    Block(Box<Block>),
    /// `include_tasks` or `include_role`: resolved during the run by the `Loader`.
    Include(Box<Include>),
    /// The implicit flush of handlers between sections. (An explicit one is a task with the action `meta`.)
    Flush,
    /// The border after a role's last task: `meta: end_role` and "has this role run" look for it.
    RoleEnd(Arc<Role>),
}

/// A task.
#[derive(Debug, Clone)]
pub struct Task {
    /// `name:`; may hold a template.
    pub name: Option<String>,
    /// Where it begins.
    pub span: Span,
    /// What it does.
    pub action: Action,
    /// Final: those of blocks, roles, imports and play are already in it.
    pub keywords: Keywords,
    /// The role that it belongs to.
    pub role: Option<Arc<Role>>,
    /// Folder of the file it stands in, for the search of files.
    pub dir: String,
    /// Folder of the playbook, for the search of files.
    pub playbook_dir: String,
}

/// What a task does.
#[derive(Debug, Clone)]
pub struct Action {
    /// The short canonical name: the first of the module's `Spec::names`, or one of `play::actions`.
    pub module: &'static str,
    /// Parameters as written (`k=v` text is already split, `args:` and `module_defaults` merged).
    pub args: Vec<(String, Node)>,
    /// Free text of `command`, `shell`, `raw`, `script`, `meta`, `include_vars`…: the parameter `_raw_params`.
    pub free_form: Option<Node>,
    /// `args: "{{ mapping }}"` or `module: "{{ mapping }}"`: renders to a mapping that lies below `args`.
    pub template: Option<Node>,
    /// Where the module's name stands.
    pub span: Span,
    /// What is wrong when a host gets here: hactl lacks the module.
    pub lacks: Option<Arc<Diagnostic>>,
    /// What is wrong when a host gets here: a local file that is not there, and that no task before may bring.
    pub missing: Option<Arc<Diagnostic>>,
    /// What is wrong when a host gets here: parameters that the action does not have, and those that it misses; one a place.
    pub unfit: Vec<Arc<Diagnostic>>,
    /// Its local file is not there yet; a task before it may bring it.
    pub later: bool,
}

/// `become`, `become_user`, `become_method`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Become {
    /// `become:`; may be a template.
    pub enabled: Option<Node>,
    /// `become_user:`.
    pub user: Option<Node>,
    /// `become_method:` (only sudo).
    pub method: Option<Node>,
}

/// The keywords of a task, block, include or play. What may be a template is a [`Node`], rendered by the engine.
#[derive(Debug, Clone, Default)]
pub struct Keywords {
    /// `when:`, outermost first; all must hold. Each is a bare Jinja expression (or a boolean).
    pub when: Vec<Node>,
    /// `register:`.
    pub register: Option<String>,
    /// `loop:` or `with_…:`.
    pub loop_: Option<Loop>,
    /// `until:`; all must hold.
    pub until: Vec<Node>,
    /// `retries:` (3 when only `until` is given).
    pub retries: Option<Node>,
    /// `delay:` in seconds (5).
    pub delay: Option<Node>,
    /// `changed_when:`; all must hold.
    pub changed_when: Option<Vec<Node>>,
    /// `failed_when:`; all must hold.
    pub failed_when: Option<Vec<Node>>,
    /// `notify:`; may hold templates.
    pub notify: Vec<Node>,
    /// `listen:` (handlers only).
    pub listen: Vec<String>,
    /// `tags:`, united with those of everything around.
    pub tags: Vec<String>,
    /// `become…`.
    pub become_: Become,
    /// `environment:`, outermost first; later ones win. Each is a mapping or a template of one.
    pub environment: Vec<Node>,
    /// `vars:` of the task and of what is around it (not the play's), inner wins.
    pub vars: Vec<(String, Node)>,
    /// `delegate_to:`.
    pub delegate_to: Option<Node>,
    /// `delegate_facts:`.
    pub delegate_facts: Option<Node>,
    /// `run_once:`.
    pub run_once: Option<Node>,
    /// `no_log:`.
    pub no_log: Option<Node>,
    /// `check_mode:`.
    pub check_mode: Option<Node>,
    /// `diff:`.
    pub diff: Option<Node>,
    /// `ignore_errors:`.
    pub ignore_errors: Option<Node>,
    /// `ignore_unreachable:`.
    pub ignore_unreachable: Option<Node>,
    /// `any_errors_fatal:`.
    pub any_errors_fatal: Option<Node>,
    /// `throttle:`.
    pub throttle: Option<Node>,
    /// `timeout:` in seconds.
    pub timeout: Option<Node>,
    /// `async:`: the most seconds that it may take.
    pub async_: Option<Node>,
    /// `poll:`; with 0 nobody waits for a task with `async`.
    pub poll: Option<Node>,
    /// `remote_user:` of a play.
    pub remote_user: Option<Node>,
    /// `connection:`, `ssh` or `local`: what is `local` runs on this machine, once for each host.
    pub connection: Option<String>,
    /// `module_defaults:`; already merged into the tasks.
    pub module_defaults: Vec<(String, Node)>,
}

/// A loop.
#[derive(Debug, Clone)]
pub struct Loop {
    /// Which kind.
    pub kind: LoopKind,
    /// What it runs over; may be a template.
    pub node: Node,
    /// `loop_control:`.
    pub control: LoopControl,
}

/// The kinds of loops: `loop:` and the `with_…` that roles use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopKind {
    /// `loop:`: a list, taken as it is. Also `with_list`.
    Loop,
    /// `with_items`: flattens one level.
    Items,
    /// `with_dict`: a mapping (or list of them) as key/value.
    Dict,
    /// `with_first_found`: the first file that exists.
    FirstFound,
    /// `with_fileglob`: local files by pattern.
    Fileglob,
    /// `with_sequence`: `start=1 end=5 format=…`, or a mapping.
    Sequence,
    /// `with_subelements`.
    Subelements,
    /// `with_nested`, `with_cartesian`.
    Nested,
    /// `with_together`.
    Together,
    /// `with_indexed_items`.
    IndexedItems,
    /// `with_flattened`: flattens all levels.
    Flattened,
    /// `with_lines` is refused; `with_file` gives contents of local files.
    File,
    /// `with_inventory_hostnames`: a host pattern.
    InventoryHostnames,
}

/// `loop_control:`.
#[derive(Debug, Clone, Default)]
pub struct LoopControl {
    /// `loop_var:`; `item` when absent.
    pub loop_var: Option<String>,
    /// `index_var:`.
    pub index_var: Option<String>,
    /// `label:`.
    pub label: Option<Node>,
    /// `pause:` in seconds.
    pub pause: Option<Node>,
    /// `extended:`.
    pub extended: Option<Node>,
    /// `extended_allitems:`.
    pub extended_allitems: Option<Node>,
    /// `break_when:`.
    pub break_when: Vec<Node>,
}

/// `block/rescue/always`. The keywords of the block are already in its tasks.
#[derive(Debug, Clone)]
pub struct Block {
    /// `name:`.
    pub name: Option<String>,
    /// Where it begins.
    pub span: Span,
    /// `block:`.
    pub tasks: Vec<Item>,
    /// `rescue:`.
    pub rescue: Vec<Item>,
    /// `always:`.
    pub always: Vec<Item>,
    /// Final keywords, for the listing and for `any_errors_fatal`.
    pub keywords: Keywords,
    /// The role that it belongs to.
    pub role: Option<Arc<Role>>,
}

/// A dynamic include.
#[derive(Debug, Clone)]
pub struct Include {
    /// What is wrong when a host gets here: what it wants is not there.
    pub missing: Option<Arc<Diagnostic>>,
    /// `name:`.
    pub name: Option<String>,
    /// Where it begins.
    pub span: Span,
    /// What is included.
    pub what: Included,
    /// Final keywords of the include statement itself: its `when`, `loop`, `tags`, `run_once`… decide whether and how
    /// often it happens. Its `vars` also hold for what is included.
    pub keywords: Keywords,
    /// Its own `vars:` alone: for what is included they outrank whatever tasks have set.
    pub params: Vec<(String, Node)>,
    /// `apply:` over what is around the include: what the included tasks inherit besides `keywords.vars`.
    pub inherited: Keywords,
    /// The role that the statement stands in.
    pub role: Option<Arc<Role>>,
    /// Folder of the file it stands in.
    pub dir: String,
    /// Folder of the playbook.
    pub playbook_dir: String,
}

/// What a dynamic include takes in.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "includes are few, and boxed as a whole"
)]
pub enum Included {
    /// `include_tasks: FILE`.
    Tasks {
        /// The file; may be a template.
        file: Node,
    },
    /// `include_role:`.
    Role {
        /// The role; may be a template.
        name: Node,
        /// `tasks_from:`; `main` when absent. May be a template.
        tasks_from: Option<Node>,
        /// `vars_from:`.
        vars_from: Option<Node>,
        /// `defaults_from:`.
        defaults_from: Option<Node>,
        /// `handlers_from:`.
        handlers_from: Option<Node>,
        /// `public: true`: the tasks after it see its variables.
        public: bool,
        /// `rolespec_validate: false`.
        unjudged: bool,
    },
}

/// A role as one use of it sees it.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its folder, relative to the project (`roles/haproxy`): `role_path`.
    pub dir: String,
    /// `defaults/main.yml`, over those of the roles around this use (that depend on it, or whose task includes it), over
    /// those of its dependencies: the lowest layer.
    pub defaults: Vec<(String, Node)>,
    /// `vars/main.yml`, over its dependencies', over those of the roles around this use.
    pub vars: Vec<(String, Node)>,
    /// Parameters given beside the role's name, over those of the roles around this use: the highest layer but for
    /// include parameters and extra vars.
    pub params: Vec<(String, Node)>,
    /// The roles that this one depends on, directly.
    pub dependencies: Vec<Arc<Role>>,
    /// The names and folders of the roles whose tasks brought this one in by `import_role` or `include_role`, nearest first
    /// (`ansible_parent_role_names`).
    pub parents: Vec<(String, String)>,
    /// What tells this use from others, of a role from `roles:` or from dependencies: the same use runs once in a play.
    pub entry: Option<String>,
}

/// A handler.
#[derive(Debug, Clone)]
pub struct Handler {
    /// `name:`; may hold a template.
    pub name: Option<String>,
    /// `listen:`.
    pub listen: Vec<String>,
    /// What it does: a task or an include.
    pub item: Item,
    /// The role that it belongs to.
    pub role: Option<Arc<Role>>,
}

/// What a dynamic `include_role` gives.
#[derive(Debug, Clone)]
pub struct IncludedRole {
    /// The role.
    pub role: Arc<Role>,
    /// Its dependencies' and its own items, with final keywords.
    pub items: Vec<Item>,
    /// Its handlers (and those of its dependencies), to be added to the play's.
    pub handlers: Vec<Handler>,
}

impl Handler {
    /// Whether this name notifies it by its own name (`restart haproxy`, `haproxy : restart haproxy`).
    pub fn is_named(&self, notified: &str) -> bool {
        let Some(name) = self.name.as_deref() else {
            return false;
        };
        name == notified
            || self.role.as_ref().is_some_and(|role| {
                notified
                    .strip_prefix(role.name.as_str())
                    .is_some_and(|rest| {
                        rest.strip_prefix(" : ")
                            .or_else(|| rest.strip_prefix(": "))
                            .is_some_and(|rest| rest == name)
                    })
            })
    }
}

/// The handlers that a notification means, as indices in the order of definition: the last with that name, and all
/// that listen to it, each name once (a role used twice brings its handlers twice).
pub fn notified(handlers: &[Handler], notification: &str) -> Vec<usize> {
    let named = handlers
        .iter()
        .rposition(|handler| handler.is_named(notification));
    let mut names: HashSet<&str> = HashSet::new();
    let listening = handlers
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, handler)| handler.listen.iter().any(|topic| topic == notification))
        .filter(|(_, handler)| {
            handler
                .name
                .as_deref()
                .is_none_or(|name| names.insert(name))
        })
        .map(|(index, _)| index);
    let mut found: Vec<usize> = named.into_iter().chain(listening).collect();
    found.sort_unstable();
    found.dedup();
    found
}

impl Task {
    /// The name as shown: `role : name`, or the module when it has no name.
    pub fn title(&self) -> String {
        titled(
            self.role.as_deref(),
            self.name.as_deref().unwrap_or(self.action.module),
        )
    }

    /// The parameter as written.
    pub fn arg(&self, name: &str) -> Option<&Node> {
        self.action
            .args
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, node)| node)
    }
}

impl Include {
    /// The name as shown.
    pub fn title(&self) -> String {
        let own = match &self.what {
            Included::Tasks { .. } => "include_tasks",
            Included::Role { .. } => "include_role",
        };
        titled(self.role.as_deref(), self.name.as_deref().unwrap_or(own))
    }
}

fn titled(role: Option<&Role>, name: &str) -> String {
    role.map_or_else(|| name.to_owned(), |role| format!("{} : {name}", role.name))
}
