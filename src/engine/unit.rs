//! From a task to what has to be asked and done on one host: conditions, parameters and contents rendered.
//!
//! Pure but for reading the project's own files: nothing here touches the host or the board.

use super::action::{self, Local};
use super::scope::Scope;
use super::settings::Settings;
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
}

/// What a unit comes to.
#[derive(Clone)]
pub enum Work {
    /// `when` does not hold.
    Skip { condition: String },
    /// Depends on what is not known before something is applied.
    Unknown { why: String },
    /// Nothing on the host: an action of the engine itself.
    Local(Local),
    /// Look, decide, perhaps change.
    Remote(Remote),
    /// A file as it will be (`Settings::render`): path, content, mode.
    File {
        path: String,
        content: Vec<u8>,
        mode: Option<String>,
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

/// Whether a keyword is the literal `false`.
fn is_false(node: Option<&Node>) -> bool {
    matches!(node.map(|node| &node.yaml), Some(Yaml::Bool(false)))
}

/// Renders a boolean keyword.
pub fn flag(node: Option<&Node>, default: bool, context: &Context) -> Result<bool> {
    let Some(node) = node else { return Ok(default) };
    let value = template::value(node, context)?;
    if value.is_null() || value == OMIT {
        return Ok(default);
    }
    to_bool(&value).ok_or_else(|| {
        Diagnostic::new(format!("expected yes or no, not `{}`", to_text(&value))).at(&node.span)
    })
}

/// Renders a keyword that is text.
pub fn text(node: Option<&Node>, context: &Context) -> Result<Option<String>> {
    let Some(node) = node else { return Ok(None) };
    let value = template::value(node, context)?;
    Ok((!value.is_null() && value != OMIT)
        .then(|| to_text(&value))
        .filter(|text| !text.is_empty()))
}

/// Renders a keyword that is a number.
pub fn number(node: Option<&Node>, default: f64, context: &Context) -> Result<f64> {
    let Some(node) = node else { return Ok(default) };
    let value = template::value(node, context)?;
    match &value {
        Value::Number(number) => number.as_f64(),
        other => to_text(other).trim().parse().ok(),
    }
    .ok_or_else(|| {
        Diagnostic::new(format!("expected a number, not `{}`", to_text(&value))).at(&node.span)
    })
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
    let mut unit = Unit {
        task: Arc::clone(task),
        scope,
        label: None,
        item,
        keywords: Rendered::default(),
        work: Work::Skip {
            condition: String::new(),
        },
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
        unit.keywords = rendered(task, &context, settings)?;
        work(task, &unit, &context, settings)
    })();
    unit.work = result.unwrap_or_else(|error| Work::Fail(error.at(&task.span)));
    unit
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

fn rendered(task: &Task, context: &Context, settings: &Settings) -> Result<Rendered> {
    let keywords = &task.keywords;
    Ok(Rendered {
        check: flag(keywords.check_mode.as_ref(), settings.check, context)?,
        diff: flag(keywords.diff.as_ref(), settings.diff, context)?,
        no_log: flag(keywords.no_log.as_ref(), false, context)?,
        ignore_errors: flag(keywords.ignore_errors.as_ref(), false, context)?,
        delegate_to: text(keywords.delegate_to.as_ref(), context)?,
    })
}

fn work(task: &Arc<Task>, unit: &Unit, context: &Context, settings: &Settings) -> Result<Work> {
    let name = task.action.module;
    if action::is_local(name) {
        return action::prepare(task, context, settings).map(|local| match local {
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
            raw.insert(key.clone(), without_omit(value));
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
    let mut args = Args::check(spec, raw)?;
    args.check = unit.keywords.check;
    args.diff = unit.keywords.diff;
    args.user = become_user(task, context, settings)?;
    args.environment = environment(task, context)?;
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
    if let Some(why) = super::content::supply(&mut args, task, context, settings, may_be_unknown)? {
        return Ok(Work::Unknown { why });
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
            Decision::Change(change) => remote.certain = Some(change),
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
        && is_false(task.keywords.check_mode.as_ref())
        && task.keywords.until.is_empty();
    Ok(Work::Remote(remote))
}

fn writes_file(task: &Task) -> bool {
    matches!(task.action.module, "template" | "copy")
}

fn without_omit(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| *value != OMIT)
            .map(|(key, value)| (key, without_omit(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items
            .into_iter()
            .filter(|value| *value != OMIT)
            .map(without_omit)
            .collect(),
        other => other,
    }
}

/// The user that the task's commands run as; none for root.
fn become_user(task: &Task, context: &Context, settings: &Settings) -> Result<Option<String>> {
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
        variable("ansible_user")
            .map(|user| to_text(&user))
            .filter(|user| user != "root")
    };
    if !enabled {
        return Ok(if settings.offline { None } else { login() });
    }
    let user = match text(task.keywords.become_.user.as_ref(), context)? {
        Some(user) => Some(user),
        None => variable("ansible_become_user").map(|user| to_text(&user)),
    };
    Ok(user.filter(|user| user != "root" && !user.is_empty()))
}

fn environment(task: &Task, context: &Context) -> Result<Vec<(String, String)>> {
    let mut merged: Map<String, Value> = Map::new();
    for node in &task.keywords.environment {
        match template::value(node, context)? {
            Value::Object(map) => merged.extend(map),
            Value::Array(list) => {
                for entry in list {
                    if let Value::Object(map) = entry {
                        merged.extend(map);
                    }
                }
            }
            Value::Null => {}
            other => {
                return Err(Diagnostic::new(format!(
                    "`environment` takes a mapping, not `{}`",
                    to_text(&other)
                ))
                .at(&node.span));
            }
        }
    }
    Ok(merged
        .into_iter()
        .filter(|(_, value)| *value != OMIT)
        .map(|(name, value)| (name, to_text(&value)))
        .collect())
}
