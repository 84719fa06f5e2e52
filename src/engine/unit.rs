//! From a task to what has to be asked and done on one host: conditions, parameters and contents rendered.
//!
//! Pure but for reading the project's own files: nothing here touches the host or the board.

mod plain;

pub use plain::{flag, number, text};

use super::action::{self, Local};
use super::arguments;
use super::content::Source;
use super::keywords::Limit;
use super::scope::Scope;
use super::settings::Settings;
use super::state::HostState;
use crate::base::value::{Map, OMIT, UNKNOWN, Value, has_unknown, to_bool, to_text};
use crate::base::{Diagnostic, Result, mask};
use crate::modules::{self, Args, Change, Decision, Module, Probe};
use crate::play::Task;
use crate::source::{Node, Yaml};
use crate::template::{self, Context};
use std::sync::Arc;

/// A task (or one item of its loop) on one host, ready to be decided.
#[derive(Clone)]
pub struct Unit {
    /// The task.
    pub task: Arc<Task>,
    /// What it sees.
    pub scope: Scope,
    /// The label of its loop's item.
    pub label: Option<String>,
    /// The loop's item, for the result.
    pub item: Option<(String, Value)>,
    /// Keywords, rendered.
    pub keywords: Rendered,
    /// What it comes to.
    pub work: Work,
}

/// The keywords that decide how a unit is run, rendered.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// Do not apply (`--check`, or the task's own `check_mode`).
    pub check: bool,
    /// Show differences.
    pub diff: bool,
    /// Show nothing.
    pub no_log: bool,
    /// Go on when it fails.
    pub ignore_errors: bool,
    /// Run on that host instead.
    pub delegate_to: Option<String>,
    /// The facts that it finds or sets are that host's.
    pub delegate_facts: bool,
    /// What it does on a host is ended after so long.
    pub limit: Option<Limit>,
    /// Nobody waits for it: `async` with `poll: 0`.
    pub detached: bool,
}

/// What a unit comes to.
#[derive(Clone)]
pub enum Work {
    /// `when` does not hold.
    Skip { condition: String },
    /// The action itself says that there is nothing to do.
    Idle { why: &'static str },
    /// Depends on what is not known before something is applied.
    Unknown { why: String },
    /// Nothing on the host: an action of the engine itself.
    Local(Local),
    /// Look, decide, perhaps change.
    Remote(Remote),
    /// Homes and variables of the host must be known first: paths name them.
    Ask(arguments::Asked),
    /// A file as it will be (`Settings::render`): path, content, mode, and what it is made of.
    File {
        path: String,
        content: Vec<u8>,
        mode: Option<String>,
        source: Source,
    },
    /// It cannot even be asked.
    Fail(Diagnostic),
}

/// A module with its parameters.
#[derive(Clone)]
pub struct Remote {
    /// The module.
    pub module: &'static dyn Module,
    /// Its parameters.
    pub args: Args,
    /// What must be seen.
    pub probes: Vec<Probe>,
    /// A change that is certain without looking (commands).
    pub certain: Option<Change>,
    /// A command that only reads (`changed_when: false` and `check_mode: false`): it is run as a probe.
    pub reads: bool,
}

impl Unit {
    /// A task as one unit whose work is known without its keywords.
    pub fn blank(task: &Arc<Task>, scope: Scope, work: Work) -> Self {
        Self {
            task: Arc::clone(task),
            scope,
            label: None,
            item: None,
            keywords: Rendered::default(),
            work,
        }
    }
}

/// Whether a keyword is the literal `false`.
fn is_false(node: Option<&Node>) -> bool {
    matches!(node.map(|node| &node.yaml), Some(Yaml::Bool(false)))
}

/// Whether all conditions hold; `Err(text)` inside is the first that does not. Unknown when one is unknown and none is
/// certainly false.
pub fn conditions(list: &[Node], context: &Context) -> Result<Verdict> {
    let mut verdict = Verdict::Holds;
    for node in list {
        let value = template::condition(node, context)?;
        if has_unknown(&value) {
            verdict = Verdict::Unknown(shown(node));
        } else if value != Value::Bool(true) {
            return Ok(Verdict::False(shown(node)));
        }
    }
    Ok(verdict)
}

/// What conditions come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All hold.
    Holds,
    /// This one does not.
    False(String),
    /// This one is not known, and none is false.
    Unknown(String),
}

fn shown(node: &Node) -> String {
    match &node.yaml {
        Yaml::String(text) => text.clone(),
        Yaml::Bool(flag) => flag.to_string(),
        _ => "a condition".to_owned(),
    }
}

/// Makes a unit of a task. Errors become [`Work::Fail`] with the task's place.
pub fn prepare(
    task: &Arc<Task>,
    scope: Scope,
    item: Option<(String, Value)>,
    settings: &Settings,
) -> Unit {
    let nothing = Work::Skip {
        condition: String::new(),
    };
    let mut unit = Unit {
        item,
        ..Unit::blank(task, scope, nothing)
    };
    let context = settings.context(&unit.scope, task);
    let result = (|| -> Result<Work> {
        unit.label =
            label(&unit, &context)?.map(|label| label.replace(UNKNOWN, "known after apply"));
        match conditions(&task.keywords.when, &context)? {
            Verdict::Holds => {}
            Verdict::False(condition) => return Ok(Work::Skip { condition }),
            // A file that may be written is worth showing.
            Verdict::Unknown(_) if settings.render && writes_file(task) => {}
            Verdict::Unknown(why) => {
                return Ok(Work::Unknown {
                    why: format!("condition `{why}`"),
                });
            }
        }
        unit.keywords = rendered(task, &unit.scope.host, &context, settings)?;
        // It is not the task that failed, but hactl: nobody asked to go on then.
        unit.keywords.ignore_errors &= task.action.lacks.is_none();
        work(task, &unit, &context, settings)
    })();
    unit.work = result.unwrap_or_else(|error| {
        unit.keywords.ignore_errors = ignores_errors(task, &context);
        Work::Fail(error.at(&task.span))
    });
    unit
}

/// Whether a task that cannot even be asked may fail: not when it is just that which cannot be told.
pub fn ignores_errors(task: &Task, context: &Context) -> bool {
    flag(task.keywords.ignore_errors.as_ref(), false, context).unwrap_or(false)
}

fn label(unit: &Unit, context: &Context) -> Result<Option<String>> {
    let Some((_, item)) = &unit.item else {
        return Ok(None);
    };
    let control = unit
        .task
        .keywords
        .loop_
        .as_ref()
        .map(|looped| &looped.control);
    Ok(Some(
        match control.and_then(|control| control.label.as_ref()) {
            Some(node) => to_text(&template::value(node, context)?),
            None => match item {
                Value::Object(map) => map
                    .get("name")
                    .or_else(|| map.get("key"))
                    .map_or_else(|| item.to_string(), to_text),
                other => to_text(other),
            },
        },
    ))
}

fn rendered(
    task: &Task,
    host: &HostState,
    context: &Context,
    settings: &Settings,
) -> Result<Rendered> {
    let keywords = &task.keywords;
    let delegate_to = match text(keywords.delegate_to.as_ref(), context)? {
        None if super::keywords::is_moved(keywords, host) => Some("localhost".to_owned()),
        given => given,
    };
    Ok(Rendered {
        check: flag(keywords.check_mode.as_ref(), settings.check, context)?,
        diff: flag(keywords.diff.as_ref(), settings.diff, context)?,
        no_log: flag(keywords.no_log.as_ref(), false, context)?,
        ignore_errors: flag(keywords.ignore_errors.as_ref(), false, context)?,
        delegate_to,
        delegate_facts: flag(keywords.delegate_facts.as_ref(), false, context)?,
        limit: Limit::of(keywords, context)?,
        detached: number(keywords.async_.as_ref(), 0.0, context)? > 0.0
            && number(keywords.poll.as_ref(), 1.0, context)? == 0.0,
    })
}

fn work(task: &Arc<Task>, unit: &Unit, context: &Context, settings: &Settings) -> Result<Work> {
    let name = task.action.module;
    if let Some(error) = &task.action.lacks {
        if settings.render {
            return Ok(Work::Unknown {
                why: "a module that hactl lacks".to_owned(),
            });
        }
        return Err((**error).clone());
    }
    if let Some((first, others)) = task.action.unfit.split_first() {
        let first = (**first).clone();
        let more = others.iter().map(|error| error.message.clone());
        return Err(more.fold(first, Diagnostic::note));
    }
    if action::is_local(name) {
        let quiet = action::is_quiet(task, context)?;
        return action::prepare(task, context, settings).map(|local| match local {
            _ if quiet => Work::Idle {
                why: "Verbosity threshold not met.",
            },
            Some(local) => Work::Local(local),
            None => Work::Unknown {
                why: "its parameters".to_owned(),
            },
        });
    }
    let module = modules::find(name).ok_or_else(|| {
        Diagnostic::new(format!("there is no module `{name}`")).at(&task.action.span)
    })?;
    let spec = module.spec();
    let mut raw = Map::new();
    if let Some(node) = &task.action.template
        && let Value::Object(map) = template::value(node, context)?
    {
        raw.extend(map);
    }
    for (key, node) in &task.action.args {
        let value = template::value(node, context).map_err(|error| error.at(&node.span))?;
        if value != OMIT {
            raw.insert(key.clone(), arguments::without_omit(value));
        }
    }
    if let Some(node) = &task.action.free_form {
        raw.insert(
            "_raw_params".to_owned(),
            Value::from(to_text(&template::value(node, context)?)),
        );
    }
    for (key, value) in &raw {
        if spec.param(key).is_some_and(|param| param.secret)
            && let Value::String(secret) = value
        {
            mask::register(secret);
        }
    }
    if settings.render
        && writes_file(task)
        && !raw.get("remote_src").and_then(to_bool).unwrap_or(false)
    {
        let mut args = Args::check(spec, raw)?;
        super::content::supply(&mut args, task, context, settings, true)?;
        if let Some(content) = args.content.take() {
            let mut path = args.str_or("dest", "").to_owned();
            if path.ends_with('/') {
                path.push_str(
                    args.str_or("src", "")
                        .rsplit('/')
                        .next()
                        .unwrap_or_default(),
                );
            }
            if path.contains(UNKNOWN) {
                // Where it goes is known later; which file it is can be told now.
                let source = args
                    .str_or("src", "")
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                let name = if source.is_empty() {
                    task.name.clone().unwrap_or_default()
                } else {
                    source.trim_end_matches(".j2").to_owned()
                };
                path = format!(
                    "{UNKNOWN}/{}",
                    unit.label
                        .as_deref()
                        .filter(|label| !label.contains(UNKNOWN))
                        .unwrap_or(&name)
                );
            }
            return Ok(Work::File {
                path,
                content,
                mode: args.str("mode").map(str::to_owned),
                source: super::content::source(&args, task, settings),
            });
        }
        return Ok(Work::Unknown {
            why: "what is copied".to_owned(),
        });
    }
    // The content of a file may be unknown; where it goes may not.
    if let Some((key, _)) = raw
        .iter()
        .find(|(key, value)| has_unknown(value) && key.as_str() != "content")
    {
        return Ok(Work::Unknown {
            why: format!("parameter `{key}`"),
        });
    }
    let user = become_user(task, arguments::is_here(unit), context, settings)?;
    let mut args = Args::check(spec, raw)?;
    if let Some(asked) = arguments::places(&mut args, unit, user.as_deref(), settings) {
        return Ok(Work::Ask(asked));
    }
    args.check = unit.keywords.check;
    args.diff = unit.keywords.diff;
    args.user = user;
    args.environment = arguments::environment(task, context)?;
    let doubtful = args
        .environment
        .iter()
        .map(|(_, value)| value)
        .chain(&args.user)
        .any(|text| text.contains(UNKNOWN));
    if doubtful {
        return Ok(Work::Unknown {
            why: "its environment or user".to_owned(),
        });
    }
    let may_be_unknown = unit.keywords.check && unit.scope.pending.is_empty();
    match super::content::supply(&mut args, task, context, settings, may_be_unknown) {
        Ok(None) => {}
        Ok(Some(why)) => return Ok(Work::Unknown { why }),
        Err(_) if unit.keywords.check && task.action.later => {
            return Ok(Work::Unknown {
                why: "a local file that a task before it may bring".to_owned(),
            });
        }
        Err(error) => return Err(error),
    }
    let probes = module.probe(&args)?;
    let mut remote = Remote {
        module,
        args,
        probes,
        certain: None,
        reads: false,
    };
    if remote.probes.is_empty() && !spec.read_only {
        match module.diff(&remote.args, &[])? {
            Decision::Change(mut change) => {
                if let Some(limit) = unit.keywords.limit {
                    limit.set(&mut change.requests);
                }
                remote.certain = Some(change);
            }
            Decision::Same(_) => {}
        }
    }
    let changed_when = task.keywords.changed_when.as_deref();
    let says_unchanged = matches!(changed_when, Some([only]) if is_false(Some(only)));
    remote.reads = remote
        .certain
        .as_ref()
        .is_some_and(|change| change.requests.len() == 1)
        && says_unchanged
        && !unit.keywords.detached
        && is_false(task.keywords.check_mode.as_ref())
        && task.keywords.until.is_empty();
    Ok(Work::Remote(remote))
}

fn writes_file(task: &Task) -> bool {
    matches!(task.action.module, "template" | "copy")
}

/// The user that the task's commands run as; none for the one that the host (or this machine) was entered as.
fn become_user(
    task: &Task,
    here: bool,
    context: &Context,
    settings: &Settings,
) -> Result<Option<String>> {
    let variable = |name: &str| {
        context
            .variables
            .lookup(name)
            .and_then(|_| template::text(&format!("{{{{ {name} }}}}"), &task.span, context).ok())
    };
    let enabled = match &task.keywords.become_.enabled {
        Some(node) => flag(Some(node), false, context)?,
        None => variable("ansible_become")
            .as_ref()
            .and_then(to_bool)
            .unwrap_or(false),
    };
    let login = || {
        let keyword = || text(task.keywords.remote_user.as_ref(), context).ok()?;
        variable("ansible_user")
            .map(|user| to_text(&user))
            .or_else(keyword)
            .filter(|user| user != "root")
    };
    if !enabled {
        // On this machine nobody logs in.
        return Ok(if settings.offline || here {
            None
        } else {
            login()
        });
    }
    if let Some(method) = text(task.keywords.become_.method.as_ref(), context)?
        && method != "sudo"
    {
        return Err(Diagnostic::new(format!(
            "`become_method` can only be `sudo`, not `{method}`"
        ))
        .at(&task.span));
    }
    let user = match text(task.keywords.become_.user.as_ref(), context)? {
        Some(user) => Some(user),
        None => variable("ansible_become_user").map(|user| to_text(&user)),
    };
    Ok(user.filter(|user| user != "root" && !user.is_empty()))
}
