//! The engine's own actions: what a task does without asking its host.

use super::settings::Settings;
use crate::base::value::{Map, OMIT, UNKNOWN, Value, has_unknown, to_bool, to_text, unknown};
use crate::base::{Diagnostic, Result, exit};
use crate::play::{Task, is_identifier, is_template};
use crate::source::{Node, Yaml};
use crate::template::{self, Context, Variable};

/// An action, prepared.
#[derive(Debug, Clone)]
pub enum Local {
    /// Says something; its text, and the value that `register` keeps.
    Debug {
        message: String,
        result: Map<String, Value>,
    },
    /// Sets variables.
    SetFact {
        /// Names and values.
        facts: Map<String, Value>,
        /// `cacheable`: they are facts too.
        cacheable: bool,
    },
    /// Adds variables from files: raw, still templates.
    IncludeVars {
        /// Names and values.
        variables: Vec<(String, Node)>,
        /// Where they stand.
        files: Vec<String>,
    },
    /// An assertion held.
    Held { message: Option<String> },
    /// `fail`, or an assertion that did not hold.
    Failed {
        message: String,
        result: Map<String, Value>,
    },
    /// `pause`.
    Pause {
        /// How long.
        seconds: f64,
        /// What is told while it lasts.
        prompt: Option<String>,
    },
    /// `meta`.
    Meta(String),
    /// `wait_for_connection`.
    WaitForConnection(super::reconnect::Patience),
}

const NAMES: &[&str] = &[
    "debug",
    "set_fact",
    "include_vars",
    "assert",
    "fail",
    "pause",
    "meta",
    "wait_for_connection",
    "validate_argument_spec",
];

/// Whether the engine does this itself.
pub fn is_local(module: &str) -> bool {
    NAMES.contains(&module)
}

pub(super) fn rendered(task: &Task, name: &str, context: &Context) -> Result<Option<Value>> {
    task.arg(name)
        .map(|node| template::value(node, context).map_err(|error| error.at(&node.span)))
        .transpose()
        .map(|value| value.filter(|value| *value != OMIT))
}

/// Renders an action; `None` when what it needs is not known yet.
///
/// # Errors
/// Templates that fail, files that are missing.
pub fn prepare(task: &Task, context: &Context, settings: &Settings) -> Result<Option<Local>> {
    Ok(Some(match task.action.module {
        "debug" => return debug(task, context),
        "set_fact" => {
            let mut facts = Map::new();
            if let Some(node) = &task.action.template
                && let Value::Object(map) = template::value(node, context)?
            {
                facts.extend(map);
            }
            let mut cacheable = false;
            for (name, node) in &task.action.args {
                let value = template::value(node, context).map_err(|error| error.at(&node.span))?;
                if name == "cacheable" {
                    cacheable = to_bool(&value).unwrap_or(false);
                    continue;
                }
                let known = if has_unknown(&value) {
                    unknown()
                } else {
                    value
                };
                let Some(name) = fact_name(name, node, context)? else {
                    return Ok(None);
                };
                facts.insert(name, known);
            }
            Local::SetFact { facts, cacheable }
        }
        "include_vars" => return super::include_vars::prepare(task, context, settings),
        "assert" => return assert(task, context),
        "validate_argument_spec" => return validate(task, context),
        "fail" => {
            let message = rendered(task, "msg", context)?.map_or_else(
                || "Failed as requested from task".to_owned(),
                |m| to_text(&m),
            );
            if message.contains(UNKNOWN) {
                return Ok(None);
            }
            Local::Failed {
                message,
                result: Map::new(),
            }
        }
        "pause" => {
            let of = |name: &str| -> Result<f64> {
                Ok(rendered(task, name, context)?
                    .and_then(|value| to_text(&value).parse().ok())
                    .unwrap_or(0.0))
            };
            let seconds = of("seconds")? + 60.0 * of("minutes")?;
            if seconds <= 0.0 {
                return Err(Diagnostic::new("`pause` without `seconds` or `minutes` would wait for a key, which an unattended run has not")
                    .at(&task.span));
            }
            let prompt = rendered(task, "prompt", context)?.map(|text| to_text(&text));
            Local::Pause { seconds, prompt }
        }
        "wait_for_connection" => {
            let of = |name: &str, default: f64| -> Result<f64> {
                Ok(rendered(task, name, context)?
                    .and_then(|value| to_text(&value).parse().ok())
                    .unwrap_or(default)
                    .max(0.0))
            };
            // Seconds of a try: small.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small positive number"
            )]
            let once = of("connect_timeout", 5.0)?.ceil() as u64;
            Local::WaitForConnection(super::reconnect::Patience {
                delay: of("delay", 0.0)?,
                once: once.max(1),
                pause: of("sleep", 1.0)?,
                whole: of("timeout", 600.0)?,
            })
        }
        "meta" => {
            let what = match &task.action.free_form {
                Some(node) => to_text(&template::value(node, context)?),
                None => String::new(),
            };
            Local::Meta(what.trim().to_owned())
        }
        other => {
            return Err(Diagnostic::new(format!("there is no action `{other}`")).at(&task.span));
        }
    }))
}

fn debug(task: &Task, context: &Context) -> Result<Option<Local>> {
    let mut result = Map::new();
    let message = if let Some(node) = task.arg("var") {
        let name = node.as_str().unwrap_or_default().trim().to_owned();
        let value = template::text(&format!("{{{{ {name} }}}}"), &node.span, context)
            .unwrap_or_else(|_| Value::from("VARIABLE IS NOT DEFINED!"));
        if has_unknown(&value) {
            return Ok(None);
        }
        let shown = format!(
            "{name} = {}",
            serde_json::to_string_pretty(&value).unwrap_or_default()
        );
        result.insert(name, value);
        shown
    } else {
        let value = rendered(task, "msg", context)?.unwrap_or_else(|| Value::from("Hello world!"));
        if has_unknown(&value) {
            return Ok(None);
        }
        let shown = match &value {
            Value::String(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        };
        result.insert("msg".to_owned(), value);
        shown
    };
    Ok(Some(Local::Debug { message, result }))
}

fn assert(task: &Task, context: &Context) -> Result<Option<Local>> {
    let that = task
        .arg("that")
        .ok_or_else(|| Diagnostic::new("`assert` needs `that`").at(&task.span))?;
    let single;
    let conditions = match &that.yaml {
        Yaml::Sequence(items) => items.as_slice(),
        _ => {
            single = [that.clone()];
            &single
        }
    };
    let text = |value: Option<Value>| {
        value.map(|value| match value {
            Value::Array(lines) => lines.iter().map(to_text).collect::<Vec<_>>().join("\n"),
            other => to_text(&other),
        })
    };
    for condition in conditions {
        let holds =
            template::condition(condition, context).map_err(|error| error.at(&condition.span))?;
        if has_unknown(&holds) {
            return Ok(None);
        }
        if holds != Value::Bool(true) {
            let given = match rendered(task, "fail_msg", context)? {
                Some(value) => Some(value),
                None => rendered(task, "msg", context)?,
            };
            let shown = condition.as_str().unwrap_or("the condition").to_owned();
            let mut result = Map::new();
            result.insert("assertion".to_owned(), Value::from(shown.clone()));
            result.insert("evaluated_to".to_owned(), Value::Bool(false));
            let message = text(given).unwrap_or_else(|| format!("assertion failed: {shown}"));
            return Ok(Some(Local::Failed { message, result }));
        }
    }
    Ok(Some(Local::Held {
        message: text(rendered(task, "success_msg", context)?),
    }))
}

fn validate(task: &Task, context: &Context) -> Result<Option<Local>> {
    let mapping = |name: &str| -> Result<Map<String, Value>> {
        Ok(match rendered(task, name, context)? {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        })
    };
    let spec = mapping("argument_spec")?;
    let mut given = Map::new();
    for name in spec.keys() {
        if context.variables.lookup(name).is_some() {
            let value = template::text(&format!("{{{{ {name} }}}}"), &task.span, context)?;
            given.insert(name.clone(), value);
        }
    }
    given.extend(mapping("provided_arguments")?);
    let faults = super::argument_spec::faults(&spec, given);
    let mut result = Map::new();
    result.insert(
        "validate_args_context".to_owned(),
        Value::Object(mapping("validate_args_context")?),
    );
    if faults.is_empty() {
        return Ok(Some(Local::Held { message: None }));
    }
    result.insert("argument_errors".to_owned(), Value::from(faults.clone()));
    let message = format!("Validation of arguments failed:\n{}", faults.join("\n"));
    Ok(Some(Local::Failed { message, result }))
}

/// The name of a variable that is set; it may be a template. `None`: not known yet.
fn fact_name(name: &str, node: &Node, context: &Context) -> Result<Option<String>> {
    if !is_template(name) {
        return Ok(Some(name.to_owned()));
    }
    let value = template::text(name, &node.span, context)?;
    if has_unknown(&value) {
        return Ok(None);
    }
    let rendered = to_text(&value);
    if !is_identifier(&rendered) {
        return Err(Diagnostic::new(format!(
            "`{name}` renders to `{rendered}`, which cannot be the name of a variable"
        ))
        .at(&node.span)
        .help("letters, digits and underscores, not beginning with a digit"));
    }
    Ok(Some(rendered))
}

/// Whether a `debug` with `verbosity` stays silent in this run.
///
/// # Errors
/// When it is no number.
pub fn is_quiet(task: &Task, context: &Context) -> Result<bool> {
    if task.action.module != "debug" {
        return Ok(false);
    }
    let wanted = super::unit::number(task.arg("verbosity"), 0.0, context)?;
    let given = match context.variables.lookup("ansible_verbosity") {
        Some(Variable::Data(value)) => value.as_f64().unwrap_or(0.0),
        _ => 0.0,
    };
    Ok(wanted > given)
}

/// The error of a `fail` or of an assertion.
pub fn failure(message: &str) -> Diagnostic {
    Diagnostic::with_code(exit::FAILED, message)
}
