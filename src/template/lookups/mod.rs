//! `lookup()` and `query()`: values from the environment, from files and from other variables.
//!
//! Nothing here runs a program or opens a connection.

mod files;
mod made;

use self::files::{file, first_found, template};
use self::made::{password, sequence};
use super::filters::Call;
use super::filters::list::flat;
use super::filters::rows::{pairs_of, products};
use super::val::Val;
use crate::base::{Diagnostic, Result};

/// Calls `lookup`, `query` or `q`.
pub fn call(call: &Call) -> Result<Val> {
    let mut terms = call.args.positional.clone().into_iter();
    let Some(name) = terms.next() else {
        return Err(Diagnostic::new(format!(
            "`{}` needs the name of a lookup",
            call.name
        )));
    };
    if let Val::Undefined(_) = name {
        return Ok(name);
    }
    let name = name.string()?;
    let name = name.rsplit('.').next().unwrap_or(&name);
    let terms: Vec<Val> = terms.collect();
    let handles_undefined = matches!(name, "first_found" | "vars");
    if !handles_undefined && let Some(marker) = call.args.marker() {
        return Ok(marker);
    }
    if call.args.unknown() {
        return Ok(Val::UNSURE);
    }
    let found = match on_errors(call)? {
        OnError::Strict => run(call, name, terms)?,
        OnError::Ignore => match run(call, name, terms) {
            Ok(found) => found,
            Err(_) if call.name == "lookup" => return Ok(Val::None),
            Err(_) => Vec::new(),
        },
    };
    let wants_list = call.name != "lookup"
        || call
            .args
            .named
            .iter()
            .any(|(name, value)| **name == *"wantlist" && value.truthy().unwrap_or(false));
    if wants_list {
        return Ok(Val::list(found));
    }
    match &found[..] {
        [only] => Ok(only.clone()),
        _ if found.iter().all(|item| matches!(item, Val::Str(_))) => Ok(Val::from(
            found
                .iter()
                .map(Val::string)
                .collect::<Result<Vec<_>>>()?
                .join(","),
        )),
        _ => Ok(Val::list(found)),
    }
}

enum OnError {
    Strict,
    Ignore,
}

fn on_errors(call: &Call) -> Result<OnError> {
    match option(call, "errors")
        .map(|value| value.string())
        .transpose()?
        .as_deref()
    {
        Some("ignore" | "warn") => Ok(OnError::Ignore),
        _ => Ok(OnError::Strict),
    }
}

fn option(call: &Call, name: &str) -> Option<Val> {
    call.args
        .named
        .iter()
        .find(|(given, _)| **given == *name)
        .map(|(_, value)| value.clone())
}

/// The terms, lists of terms taken apart once.
fn flattened(terms: &[Val]) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for term in terms {
        if term.is_sequence() {
            out.extend(term.items()?);
        } else {
            out.push(term.clone());
        }
    }
    Ok(out)
}

/// All lookups that give something.
#[cfg(test)]
pub const NAMES: [&str; 19] = [
    "cartesian",
    "dict",
    "env",
    "file",
    "fileglob",
    "first_found",
    "flattened",
    "indexed_items",
    "items",
    "list",
    "nested",
    "password",
    "random_choice",
    "sequence",
    "subelements",
    "template",
    "together",
    "vars",
    "varnames",
];

fn run(call: &Call, name: &str, terms: Vec<Val>) -> Result<Vec<Val>> {
    match name {
        "env" => terms.iter().map(|term| environment(call, term)).collect(),
        "file" => terms.iter().map(|term| file(call, term)).collect(),
        "template" => terms.iter().map(|term| template(call, term)).collect(),
        "vars" => terms.iter().map(|term| variable(call, term)).collect(),
        "varnames" => varnames(call, &terms),
        "first_found" => first_found(call, &terms),
        "fileglob" => {
            let mut found = Vec::new();
            for term in &terms {
                found.extend(
                    call.session
                        .ctx
                        .files
                        .glob(&term.string()?)
                        .into_iter()
                        .map(Val::from),
                );
            }
            Ok(found)
        }
        "dict" => {
            let mut found = Vec::new();
            for term in &terms {
                let entries = term.entries()?;
                found.extend(
                    entries
                        .into_iter()
                        .map(|(key, value)| Val::record([("key", key.val()), ("value", value)])),
                );
            }
            Ok(found)
        }
        "list" => Ok(terms),
        "items" => flattened(&terms),
        "flattened" => {
            let mut found = Vec::new();
            flat(&terms, None, true, &mut found)?;
            Ok(found)
        }
        "indexed_items" => {
            let items = flattened(&terms)?;
            Ok(items
                .into_iter()
                .enumerate()
                .map(|(index, item)| Val::tuple(vec![index.into(), item]))
                .collect())
        }
        "together" => {
            let columns = terms.iter().map(Val::items).collect::<Result<Vec<_>>>()?;
            let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
            let row = |row: usize| {
                Val::list(
                    columns
                        .iter()
                        .map(|column| column.get(row).cloned().unwrap_or(Val::None))
                        .collect(),
                )
            };
            Ok((0..rows).map(row).collect())
        }
        "cartesian" | "nested" => {
            let lists = terms.iter().map(Val::items).collect::<Result<Vec<_>>>()?;
            Ok(products(&lists).into_iter().map(Val::list).collect())
        }
        "subelements" => subelements(&terms),
        "sequence" => sequence(call, &terms),
        "random_choice" => {
            let items = flattened(&terms)?;
            let index = usize::try_from(rand::random::<u32>()).unwrap_or(0) % items.len().max(1);
            Ok(items.get(index).cloned().into_iter().collect())
        }
        "password" => terms.iter().map(password).collect(),
        "pipe" | "lines" => Err(refused(name, "runs a program on this machine")
            .help("run it with the module `command` and register its result")),
        "url" => Err(refused(name, "opens a connection from this machine")
            .help("fetch it with the module `uri` or `get_url`")),
        other => Err(Diagnostic::new(format!("there is no lookup `{other}`"))),
    }
}

fn refused(name: &str, why: &str) -> Diagnostic {
    Diagnostic::new(format!(
        "the lookup `{name}` is refused: it {why} each time the template is rendered"
    ))
}

fn environment(call: &Call, term: &Val) -> Result<Val> {
    let name = term.string()?;
    match (std::env::var(&name), option(call, "default")) {
        (Ok(value), _) => Ok(Val::from(value)),
        (Err(_), Some(default)) => Ok(default),
        (Err(_), None) => Ok(Val::from("")),
    }
}

fn variable(call: &Call, term: &Val) -> Result<Val> {
    if let Val::Undefined(_) = term {
        return Ok(term.clone());
    }
    let name = term.string()?;
    if let Some(value) = call.session.variable(&name) {
        value.force()?;
        return Ok(value);
    }
    if let Some(default) = option(call, "default") {
        return Ok(default);
    }
    let error = Diagnostic::new(format!("the variable `{name}` is not defined"));
    Err(match call.session.nearest(&name, std::iter::empty()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    })
}

fn varnames(call: &Call, terms: &[Val]) -> Result<Vec<Val>> {
    let mut found = Vec::new();
    for term in terms {
        let expression = super::filters::regex::compile(&term.string()?, false, false)?;
        for name in call.session.ctx.variables.names() {
            if expression.is_match(&name).unwrap_or(false) {
                found.push(Val::from(name));
            }
        }
    }
    Ok(found)
}

fn subelements(terms: &[Val]) -> Result<Vec<Val>> {
    let [elements, key, rest @ ..] = terms else {
        return Err(Diagnostic::new(
            "`subelements` needs a list and the name of a key",
        ));
    };
    let skip = match rest.first() {
        Some(flags) => flags
            .entry("skip_missing")
            .map_or(Ok(false), |value| value.truthy())?,
        None => false,
    };
    let elements = match elements {
        Val::Dict(_) => elements.entries()?.into_values().collect(),
        other => other.items()?,
    };
    pairs_of(&elements, key, skip)?.items()
}
