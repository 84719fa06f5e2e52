//! The keywords of plays, blocks, tasks and includes: which belong where, what they take, and how they are inherited.
//!
//! Nothing here looks at modules or at files.

use super::loops;
use super::types::{Keywords, LoopKind};
use super::values::{
    boolean, conditions, environment, identifier, is_template, number, scalar, strings, tags, text,
    texts, variables,
};
use crate::base::{Diagnostic, Diagnostics};
use crate::source::Node;

/// Who carries the keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A play.
    Play,
    /// A block, and a static import: what it says holds for the tasks inside.
    Block,
    /// A task.
    Task,
    /// A handler.
    Handler,
    /// `include_tasks`, `include_role`.
    Include,
    /// An entry of `roles:` or of a role's dependencies.
    Role,
    /// `import_playbook`.
    Playbook,
}

impl Owner {
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Play => "a play",
            Self::Block => "a block or import",
            Self::Task => "a task",
            Self::Handler => "a handler",
            Self::Include => "a dynamic include",
            Self::Role => "a role",
            Self::Playbook => "import_playbook",
        }
    }
}

const P: u8 = Owner::Play.bit();
const B: u8 = Owner::Block.bit() | Owner::Role.bit();
const T: u8 = Owner::Task.bit() | Owner::Handler.bit();
const H: u8 = Owner::Handler.bit();
const I: u8 = Owner::Include.bit();
const X: u8 = Owner::Playbook.bit();

const TABLE: &[(&str, u8)] = &[
    ("name", P | B | T | I | X),
    ("when", B | T | I | X),
    ("register", T | I),
    ("loop", T | I),
    ("loop_control", T | I),
    ("until", T),
    ("retries", T),
    ("delay", T),
    ("changed_when", T),
    ("failed_when", T),
    ("notify", B | T),
    ("listen", H),
    ("tags", P | B | T | I | X),
    ("become", P | B | T),
    ("become_user", P | B | T),
    ("become_method", P | B | T),
    ("become_flags", P | B | T),
    ("become_exe", P | B | T),
    ("environment", P | B | T),
    ("vars", P | B | T | I | X),
    ("delegate_to", B | T),
    ("delegate_facts", B | T),
    ("run_once", P | B | T | I),
    ("no_log", P | B | T | I),
    ("check_mode", P | B | T),
    ("diff", P | B | T),
    ("ignore_errors", P | B | T | I),
    ("ignore_unreachable", P | B | T),
    ("any_errors_fatal", P | B | T),
    ("throttle", P | B | T),
    ("timeout", P | B | T | I),
    ("async", T),
    ("poll", T),
    ("remote_user", P | B | T),
    ("connection", P | B | T),
    ("port", P | B | T),
    ("collections", P | B | T | I),
    ("debugger", P | B | T | I),
    ("module_defaults", P | B | T),
    ("args", T | I),
];

/// What was read of a mapping.
pub struct Read<'a> {
    /// `name:`.
    pub name: Option<String>,
    /// The keywords, not yet inherited.
    pub keywords: Keywords,
    /// `args:`.
    pub args: Option<&'a Node>,
    /// What is no keyword: the module, and mistakes.
    pub rest: Vec<(&'a Node, &'a Node)>,
}

/// Whether any owner has this keyword.
pub fn is_keyword(name: &str) -> bool {
    TABLE.iter().any(|(keyword, _)| *keyword == name)
}

/// The keywords that an owner takes.
pub fn of(owner: Owner) -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(move |(_, owners)| owners & owner.bit() != 0)
        .map(|(name, _)| *name)
}

/// All keywords, whoever takes them.
#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// Reads the keywords of a mapping.
pub fn read<'a>(entries: &'a [(Node, Node)], owner: Owner, errors: &mut Diagnostics) -> Read<'a> {
    let mut read = Read {
        name: None,
        keywords: Keywords::default(),
        args: None,
        rest: Vec::new(),
    };
    let mut control: Option<&Node> = None;
    for (key, value) in entries {
        let Some(name) = key.as_str() else {
            errors.push(
                Diagnostic::new(format!("a keyword is text, not {}", key.kind())).at(&key.span),
            );
            continue;
        };
        if let Some(kind) = name.strip_prefix("with_") {
            if !matches!(owner, Owner::Task | Owner::Handler | Owner::Include) {
                errors.push(
                    Diagnostic::new(format!("`{name}` does not belong on {}", owner.name()))
                        .at(&key.span)
                        .help("put the tasks into a file and loop over `include_tasks`"),
                );
            } else if let Some(kind) = loops::kind(kind) {
                loops::set(&mut read.keywords, kind, key, value, errors);
            } else {
                errors.push(
                    Diagnostic::new(format!("hactl has no loop `{name}`"))
                        .at(&key.span)
                        .help("use `loop:` with a filter or lookup"),
                );
            }
            continue;
        }
        let Some((_, owners)) = TABLE.iter().find(|(keyword, _)| *keyword == name) else {
            read.rest.push((key, value));
            continue;
        };
        if owners & owner.bit() == 0 {
            let mut error =
                Diagnostic::new(format!("`{name}` does not belong on {}", owner.name()))
                    .at(&key.span);
            if owner == Owner::Include {
                error = error.help(format!(
                    "write `apply: {{{name}: ...}}` to give it to the included tasks"
                ));
            }
            errors.push(error);
            continue;
        }
        match name {
            "name" => read.name = text(value, "name", errors),
            "args" => read.args = Some(value),
            "loop_control" => control = Some(value),
            "loop" => loops::set(&mut read.keywords, LoopKind::Loop, key, value, errors),
            _ => set(&mut read.keywords, name, key, value, errors),
        }
    }
    // Without a loop it has no meaning, as in Ansible; its mistakes are told all the same.
    if let Some(control) = control {
        let control = loops::control(control, errors);
        if let Some(loop_) = &mut read.keywords.loop_ {
            loop_.control = control;
        }
    }
    read
}

fn set(keywords: &mut Keywords, name: &str, key: &Node, value: &Node, errors: &mut Diagnostics) {
    let refuse = |why: &str, help: &str| Diagnostic::new(why.to_owned()).at(&key.span).help(help);
    match name {
        "when" => keywords.when = conditions(value, name, errors),
        "until" => keywords.until = conditions(value, name, errors),
        "changed_when" => keywords.changed_when = Some(conditions(value, name, errors)),
        "failed_when" => keywords.failed_when = Some(conditions(value, name, errors)),
        "register" => keywords.register = identifier(value, name, errors),
        "notify" => keywords.notify = texts(value, name, errors),
        "listen" => keywords.listen = strings(value, name, errors),
        "tags" => keywords.tags = tags(value, errors),
        "environment" => keywords.environment = environment(value, errors),
        "vars" => keywords.vars = variables(value, errors),
        "become" => keywords.become_.enabled = boolean(value, name, errors),
        "become_user" => keywords.become_.user = scalar(value, name, errors),
        "become_method" => match value.as_str() {
            Some("sudo") => keywords.become_.method = Some(value.clone()),
            Some(text) if is_template(text) => keywords.become_.method = Some(value.clone()),
            _ => errors.push(refuse("`become_method` can only be `sudo`", "remove it")),
        },
        "become_flags" | "become_exe" => {
            errors.push(refuse(
                &format!("hactl does not take `{name}`"),
                "sudo is called as it is; remove it",
            ));
        }
        "retries" => keywords.retries = number(value, name, errors),
        "delay" => keywords.delay = number(value, name, errors),
        "throttle" => keywords.throttle = number(value, name, errors),
        "timeout" => keywords.timeout = number(value, name, errors),
        "async" => keywords.async_ = number(value, name, errors),
        "poll" => keywords.poll = number(value, name, errors),
        "delegate_to" => keywords.delegate_to = scalar(value, name, errors),
        "delegate_facts" => keywords.delegate_facts = boolean(value, name, errors),
        "run_once" => keywords.run_once = boolean(value, name, errors),
        "no_log" => keywords.no_log = boolean(value, name, errors),
        "check_mode" => keywords.check_mode = boolean(value, name, errors),
        "diff" => keywords.diff = boolean(value, name, errors),
        "ignore_errors" => keywords.ignore_errors = boolean(value, name, errors),
        "ignore_unreachable" => keywords.ignore_unreachable = boolean(value, name, errors),
        "any_errors_fatal" => keywords.any_errors_fatal = boolean(value, name, errors),
        "remote_user" => keywords.remote_user = scalar(value, name, errors),
        "connection" => match value.as_str() {
            Some(kind @ ("ssh" | "smart" | "local" | "paramiko" | "ansible.builtin.ssh")) => {
                keywords.connection =
                    Some(if kind == "local" { "local" } else { "ssh" }.to_owned());
            }
            _ => errors.push(refuse("`connection` can only be `ssh`", "remove it")),
        },
        "port" => errors.push(refuse(
            "hactl does not take `port` here",
            "set `ansible_port` in the inventory",
        )),
        "debugger" => errors.push(refuse(
            "hactl has no task debugger",
            "use `--verbose` and remove `debugger`",
        )),
        "module_defaults" => keywords.module_defaults = variables(value, errors),
        // `collections` only tells Ansible where to look for modules; hactl knows all of its own.
        _ => {}
    }
}

impl Keywords {
    /// These keywords inside of others, as Ansible inherits them. What belongs to one task only (register, loop…) stays its own.
    #[must_use]
    pub fn within(mut self, outer: &Self) -> Self {
        self.when.splice(0..0, outer.when.iter().cloned());
        self.environment
            .splice(0..0, outer.environment.iter().cloned());
        let mut tags = outer.tags.clone();
        tags.extend(
            std::mem::take(&mut self.tags)
                .into_iter()
                .filter(|tag| !outer.tags.contains(tag)),
        );
        self.tags = tags;
        if self.notify.is_empty() {
            self.notify.clone_from(&outer.notify);
        }
        self.vars = layered(&outer.vars, std::mem::take(&mut self.vars));
        self.module_defaults = layered(
            &outer.module_defaults,
            std::mem::take(&mut self.module_defaults),
        );
        inherit(&mut self.become_.enabled, outer.become_.enabled.as_ref());
        inherit(&mut self.become_.user, outer.become_.user.as_ref());
        inherit(&mut self.become_.method, outer.become_.method.as_ref());
        inherit(&mut self.delegate_to, outer.delegate_to.as_ref());
        inherit(&mut self.delegate_facts, outer.delegate_facts.as_ref());
        inherit(&mut self.run_once, outer.run_once.as_ref());
        inherit(&mut self.no_log, outer.no_log.as_ref());
        inherit(&mut self.check_mode, outer.check_mode.as_ref());
        inherit(&mut self.diff, outer.diff.as_ref());
        inherit(&mut self.ignore_errors, outer.ignore_errors.as_ref());
        inherit(
            &mut self.ignore_unreachable,
            outer.ignore_unreachable.as_ref(),
        );
        inherit(&mut self.any_errors_fatal, outer.any_errors_fatal.as_ref());
        inherit(&mut self.throttle, outer.throttle.as_ref());
        inherit(&mut self.timeout, outer.timeout.as_ref());
        inherit(&mut self.remote_user, outer.remote_user.as_ref());
        inherit(&mut self.connection, outer.connection.as_ref());
        self
    }
}

fn inherit<T: Clone>(own: &mut Option<T>, outer: Option<&T>) {
    if own.is_none() {
        *own = outer.cloned();
    }
}

/// `inner` over `outer`: the outer ones first, replaced where the inner has the same name.
pub fn layered(outer: &[(String, Node)], inner: Vec<(String, Node)>) -> Vec<(String, Node)> {
    let mut all: Vec<(String, Node)> = outer
        .iter()
        .filter(|(name, _)| inner.iter().all(|(own, _)| own != name))
        .cloned()
        .collect();
    all.extend(inner);
    all
}
