//! Reads plays, and takes in imported playbooks.

use super::keywords::{self, Owner};
use super::loader::Loading;
use super::tasks::Scope;
use super::types::{Handler, Item, Keywords, Play};
use super::values::{boolean, is_dynamic, is_template, scalar, strings, text, with_nearest};
use super::{action, actions, paths};
use crate::base::value::to_bool;
use crate::base::{Diagnostic, Diagnostics};
use crate::source::{Node, Span, Yaml};

/// Keywords of plays that hactl cannot honour: why, and what to do.
pub(super) const REFUSED: [(&str, &str, &str); 4] = [
    (
        "vars_prompt",
        "hactl asks no questions during a run",
        "give the value with `--extra-vars`, or keep it in the vault",
    ),
    (
        "fact_path",
        "hactl reads no facts of the host's own making",
        "remove `fact_path`; `slurp` and `from_json` read a file of the host",
    ),
    (
        "gather_timeout",
        "hactl takes no `gather_timeout`: facts come with the first answer of a host",
        "remove it",
    ),
    (
        "accelerate",
        "`accelerate` is gone from Ansible too",
        "remove it",
    ),
];

/// The strategies: how hosts go through a play beside each other.
pub(super) const STRATEGIES: [&str; 3] = ["linear", "free", "host_pinned"];

/// The keywords of plays alone, without those that are refused.
#[cfg(test)]
pub(super) fn own() -> impl Iterator<Item = &'static str> {
    let refused = |name: &&str| REFUSED.iter().any(|(other, _, _)| other == name);
    OWN.into_iter().filter(move |name| !refused(name))
}

const OWN: [&str; 21] = [
    "hosts",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "fact_path",
    "vars_files",
    "vars_prompt",
    "roles",
    "pre_tasks",
    "tasks",
    "post_tasks",
    "handlers",
    "serial",
    "max_fail_percentage",
    "order",
    "force_handlers",
    "strategy",
    "import_playbook",
    "ansible.builtin.import_playbook",
    "user",
    "accelerate",
];

impl Loading<'_> {
    /// Reads a playbook file; `outer` is what an import gives to all its tasks.
    pub(super) fn playbook(
        &mut self,
        path: &str,
        asked: Option<&Span>,
        outer: &Keywords,
        plays: &mut Vec<Play>,
    ) {
        let Some(node) = self.need(path, asked) else {
            return;
        };
        let Yaml::Sequence(items) = &node.yaml else {
            self.errors.push(
                Diagnostic::new(format!(
                    "a playbook is a list of plays, not {}",
                    node.kind()
                ))
                .at(&node.span)
                .help("begin each play with `- hosts: …`"),
            );
            return;
        };
        let dir = paths::parent(path);
        self.guarded(path.to_owned(), asked, |this| {
            for item in items {
                let import = ["import_playbook", "ansible.builtin.import_playbook"]
                    .iter()
                    .find_map(|name| item.get(name));
                if let Some(file) = import {
                    this.import(item, file, &dir, outer, plays);
                } else {
                    let play = this.play(item, &dir, outer);
                    plays.extend(play);
                }
            }
        });
    }

    fn import(
        &mut self,
        node: &Node,
        file: &Node,
        dir: &str,
        outer: &Keywords,
        plays: &mut Vec<Play>,
    ) {
        let read = keywords::read(node.entries(), Owner::Playbook, &mut self.errors);
        for (key, _) in &read.rest {
            let name = key.as_str().unwrap_or("?");
            if name.trim_start_matches("ansible.builtin.") != "import_playbook" {
                self.errors.push(with_nearest(
                    Diagnostic::new(format!("`import_playbook` takes no `{name}`")).at(&key.span),
                    name,
                    keywords::of(Owner::Playbook),
                ));
            }
        }
        match file.as_str() {
            Some(file_name) if !is_template(file_name) => {
                let mut inner = read.keywords.within(outer);
                // Of two imports, one around the other, the outer one's variables win.
                let own = std::mem::take(&mut inner.vars);
                inner.vars = keywords::layered(&own, outer.vars.clone());
                self.playbook(
                    &paths::join(dir, file_name),
                    Some(&file.span),
                    &inner,
                    plays,
                );
            }
            _ => self.errors.push(
                Diagnostic::new("`import_playbook` takes the path of a playbook").at(&file.span),
            ),
        }
    }

    fn play(&mut self, node: &Node, dir: &str, outer: &Keywords) -> Option<Play> {
        let Yaml::Mapping(entries) = &node.yaml else {
            self.errors.push(
                Diagnostic::new(format!("a play is a mapping, not {}", node.kind())).at(&node.span),
            );
            return None;
        };
        let read = keywords::read(entries, Owner::Play, &mut self.errors);
        for (key, _) in &read.rest {
            let name = key.as_str().unwrap_or("?");
            if OWN.contains(&name) {
                continue;
            }
            let mut error = Diagnostic::new(format!("a play has no `{name}`")).at(&key.span);
            error = if actions::find(name).is_some() {
                error.help("this is a task: put it below `tasks:`")
            } else {
                with_nearest(
                    error,
                    name,
                    OWN.into_iter().chain(keywords::of(Owner::Play)),
                )
            };
            self.errors.push(error);
        }
        self.refused(node);
        let Some(hosts) = node.get("hosts") else {
            self.errors
                .push(Diagnostic::new("a play needs `hosts`").at(&node.span));
            return None;
        };
        self.check_hosts(hosts);
        let mut own = read.keywords;
        self.old_user(node, &mut own);
        self.note_notified(&own);
        let own_vars = std::mem::take(&mut own.vars);
        // What an import gives by `vars` is seen by the whole play, as its own.
        let vars = keywords::layered(&own_vars, outer.vars.clone());
        let mut own = own.within(outer);
        own.vars = Vec::new();
        for (_, node) in &vars {
            self.check_templates(node);
        }
        let after = self.after(&vars);
        let scope = Scope {
            inherited: own.clone(),
            role: None,
            dir: dir.to_owned(),
            playbook_dir: dir.to_owned(),
            handlers: false,
        };
        let start = PlayState::take(self);
        let items = self.sections(node, &scope);
        if let Some(handlers) = node.get("handlers") {
            let found = self.tasks(
                handlers,
                &Scope {
                    handlers: true,
                    ..scope.clone()
                },
            );
            self.add_handlers(found);
        }
        self.check_notified();
        let handlers = std::mem::take(&mut self.handlers);
        let roles = std::mem::take(&mut self.roles);
        start.give_back(self);
        let shown_hosts = || match hosts.items() {
            Some(items) => items
                .iter()
                .filter_map(Node::as_str)
                .collect::<Vec<_>>()
                .join(","),
            None => hosts.as_str().unwrap_or_default().to_owned(),
        };
        let flag = |name: &str, errors: &mut Diagnostics| {
            let value = boolean(node.get(name)?, name, errors)?;
            to_bool(&action::literal(&value))
        };
        Some(Play {
            name: read.name.unwrap_or_else(shown_hosts),
            span: node.span.clone(),
            dir: dir.to_owned(),
            hosts: hosts.clone(),
            gather_facts: flag("gather_facts", &mut self.errors),
            vars,
            vars_files: self.vars_files(node, dir),
            items,
            handlers,
            roles,
            serial: node.get("serial").cloned(),
            max_fail_percentage: node
                .get("max_fail_percentage")
                .and_then(|node| scalar(node, "max_fail_percentage", &mut self.errors)),
            in_step: !node
                .get("strategy")
                .and_then(Node::as_str)
                .is_some_and(|name| {
                    matches!(
                        name.trim_start_matches("ansible.builtin."),
                        "free" | "host_pinned"
                    )
                }),
            order: node.get("order").and_then(|node| self.order(node)),
            force_handlers: flag("force_handlers", &mut self.errors).unwrap_or(false),
            after,
            keywords: own,
        })
    }

    /// `user`, the older name of `remote_user`.
    fn old_user(&mut self, node: &Node, own: &mut Keywords) {
        let Some(user) = node.get("user") else { return };
        if own.remote_user.is_some() {
            self.errors.push(
                Diagnostic::new("`user` and `remote_user` are two names of one keyword")
                    .at(&user.span)
                    .help("keep `remote_user`"),
            );
        }
        own.remote_user = scalar(user, "user", &mut self.errors);
    }

    fn sections(&mut self, node: &Node, scope: &Scope) -> Vec<Item> {
        let mut items = Vec::new();
        let section = |this: &mut Self, name: &str| {
            node.get(name)
                .map(|node| this.tasks(node, scope))
                .unwrap_or_default()
        };
        items.extend(section(self, "pre_tasks"));
        items.push(Item::Flush);
        if let Some(roles) = node.get("roles") {
            items.extend(self.roles_section(roles, scope));
        }
        items.extend(section(self, "tasks"));
        items.push(Item::Flush);
        items.extend(section(self, "post_tasks"));
        items.push(Item::Flush);
        items
    }

    fn refused(&mut self, node: &Node) {
        for (name, why, help) in REFUSED {
            if let Some(found) = node.get(name) {
                self.errors
                    .push(Diagnostic::new(why).at(&found.span).help(help));
            }
        }
        if let Some(strategy) = node.get("strategy") {
            let known = STRATEGIES;
            let given = strategy.as_str().unwrap_or("?");
            if !known.contains(&given.trim_start_matches("ansible.builtin.")) {
                self.errors.push(with_nearest(
                    Diagnostic::new(format!("hactl has no strategy `{given}`")).at(&strategy.span),
                    given,
                    known.into_iter(),
                ));
            }
        }
    }

    fn check_hosts(&mut self, hosts: &Node) {
        let fits = |node: &Node| node.as_str().is_some_and(|text| !text.trim().is_empty());
        let fine = match &hosts.yaml {
            Yaml::Sequence(items) => !items.is_empty() && items.iter().all(fits),
            _ => fits(hosts),
        };
        if !fine {
            self.errors.push(
                Diagnostic::new(format!(
                    "`hosts` takes a pattern of hosts, not {}",
                    hosts.kind()
                ))
                .at(&hosts.span),
            );
        }
    }

    fn order(&mut self, node: &Node) -> Option<String> {
        let known = [
            "inventory",
            "reverse_inventory",
            "sorted",
            "reverse_sorted",
            "shuffle",
        ];
        let given = text(node, "order", &mut self.errors)?;
        if !known.contains(&given.as_str()) {
            self.errors.push(with_nearest(
                Diagnostic::new(format!("`order` cannot be `{given}`"))
                    .at(&node.span)
                    .note(format!("it can be: {}", known.join(", "))),
                &given,
                known.into_iter(),
            ));
        }
        Some(given)
    }

    fn vars_files(&mut self, node: &Node, dir: &str) -> Vec<Node> {
        let Some(files) = node.get("vars_files") else {
            return Vec::new();
        };
        let files = match &files.yaml {
            Yaml::Null => return Vec::new(),
            Yaml::Sequence(items) => items.clone(),
            _ => vec![files.clone()],
        };
        for file in files.iter().filter(|file| !is_dynamic(file)) {
            let names: Vec<&str> = match file.items() {
                Some(items) => items.iter().filter_map(Node::as_str).collect(),
                None => file.as_str().into_iter().collect(),
            };
            match names
                .iter()
                .map(|name| paths::join(dir, name))
                .find(|path| self.loader.is_file(path))
            {
                Some(path) => {
                    self.need(&path, Some(&file.span));
                }
                None => self.errors.push(
                    Diagnostic::new(format!("there is no file `{}`", names.join("`, `")))
                        .at(&file.span),
                ),
            }
        }
        files
    }

    fn after(&mut self, vars: &[(String, Node)]) -> Option<Vec<String>> {
        let (_, node) = vars.iter().find(|(name, _)| name == "hactl_after")?;
        if is_dynamic(node) {
            self.errors.push(
                Diagnostic::new("`hactl_after` takes plain names of plays, not templates")
                    .at(&node.span),
            );
            return None;
        }
        Some(strings(node, "hactl_after", &mut self.errors))
    }

    /// Literal notifications that nobody hears.
    fn check_notified(&mut self) {
        let notified = std::mem::take(&mut self.notified);
        if self.open_ended {
            return;
        }
        let all: Vec<&Handler> = self.handlers.iter().chain(&self.later_handlers).collect();
        if all
            .iter()
            .any(|handler| handler.name.as_deref().is_some_and(is_template))
        {
            return;
        }
        for (name, span) in notified {
            if all
                .iter()
                .any(|handler| handler.is_named(&name) || handler.listen.contains(&name))
            {
                continue;
            }
            let known = all
                .iter()
                .flat_map(|handler| handler.name.iter().chain(&handler.listen))
                .map(String::as_str);
            self.unheard.push(with_nearest(
                Diagnostic::new(format!("there is no handler `{name}` in this play")).at(&span),
                &name,
                known,
            ));
        }
    }
}

/// What belongs to one play only, kept aside while another is read.
struct PlayState {
    handlers: Vec<Handler>,
    later: Vec<Handler>,
    notified: Vec<(String, Span)>,
    open_ended: bool,
}

impl PlayState {
    fn take(loading: &mut Loading<'_>) -> Self {
        loading.roles.clear();
        loading.ran.clear();
        Self {
            handlers: std::mem::take(&mut loading.handlers),
            later: std::mem::take(&mut loading.later_handlers),
            notified: std::mem::take(&mut loading.notified),
            open_ended: std::mem::take(&mut loading.open_ended),
        }
    }

    fn give_back(self, loading: &mut Loading<'_>) {
        loading.handlers = self.handlers;
        loading.later_handlers = self.later;
        loading.notified = self.notified;
        loading.open_ended = self.open_ended;
    }
}

/// Names in `hactl_after` must be plays that stand earlier.
pub(super) fn check_after(plays: &[Play], errors: &mut Diagnostics) {
    for (index, play) in plays.iter().enumerate() {
        let node = play
            .vars
            .iter()
            .find(|(name, _)| name == "hactl_after")
            .map(|(_, node)| node);
        for name in play.after.iter().flatten() {
            if plays[..index].iter().any(|earlier| earlier.name == *name) {
                continue;
            }
            let later = plays[index..].iter().any(|other| other.name == *name);
            let message = if later {
                format!("`{name}` does not stand before this play")
            } else {
                format!("there is no play `{name}` to wait for")
            };
            let error = Diagnostic::new(message).at(node.map_or(&play.span, |node| &node.span));
            errors.push(with_nearest(
                error,
                name,
                plays[..index].iter().map(|play| play.name.as_str()),
            ));
        }
    }
}
