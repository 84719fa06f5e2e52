//! `validate_argument_spec`: whether a role got the parameters that its `meta/argument_specs.yml` asks for.
//!
//! The rules and the words are those of Ansible's own validator. Pure: gets rendered values, gives what is wrong with them.

use crate::base::mask;
use crate::base::value::{Map, Value, has_unknown, to_bool, to_text};

/// Everything that is wrong with parameters.
pub fn faults(spec: &Map<String, Value>, mut given: Map<String, Value>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut unsupported = Unsupported::default();
    level(
        spec,
        &mut given,
        &Map::new(),
        &[],
        &mut faults,
        &mut unsupported,
    );
    if !unsupported.names.is_empty() {
        unsupported.names.sort();
        faults.push(format!(
            "{}. Supported parameters include: {}.",
            unsupported.names.join(", "),
            unsupported.supported
        ));
    }
    faults
}

#[derive(Default)]
struct Unsupported {
    names: Vec<String>,
    supported: String,
}

fn option<'a>(spec: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    spec.get(name).and_then(Value::as_object)
}

fn aliases(option: &Map<String, Value>) -> Vec<String> {
    match option.get("aliases") {
        Some(Value::Array(names)) => names.iter().map(to_text).collect(),
        _ => Vec::new(),
    }
}

fn says(option: &Map<String, Value>, name: &str) -> bool {
    option.get(name).and_then(to_bool).unwrap_or(false)
}

/// One level of options: the role's own, or those below a `dict`.
fn level(
    spec: &Map<String, Value>,
    given: &mut Map<String, Value>,
    rules: &Map<String, Value>,
    inside: &[&str],
    faults: &mut Vec<String>,
    unsupported: &mut Unsupported,
) {
    let empty = Map::new();
    let options = || {
        spec.iter()
            .map(|(name, option)| (name, option.as_object().unwrap_or(&empty)))
    };
    for (name, option) in options() {
        for alias in aliases(option) {
            if let Some(value) = given.get(&alias).cloned() {
                given.insert(name.clone(), value);
            }
        }
        if says(option, "no_log")
            && let Some(Value::String(secret)) = given.get(name)
        {
            mask::register(secret);
        }
    }
    let is_known = |name: &String| {
        spec.contains_key(name) || options().any(|(_, option)| aliases(option).contains(name))
    };
    for name in given.keys().filter(|name| !is_known(name)) {
        let path: Vec<&str> = inside.iter().copied().chain([name.as_str()]).collect();
        unsupported.names.push(path.join("."));
        let mut names: Vec<&str> = spec.keys().map(String::as_str).collect();
        names.sort_unstable();
        unsupported.supported = names.join(", ");
        let mut others: Vec<String> = options().flat_map(|(_, option)| aliases(option)).collect();
        others.sort_unstable();
        if !others.is_empty() {
            unsupported.supported += &format!(" ({})", others.join(", "));
        }
    }
    let place = |message: String| {
        if inside.is_empty() {
            message
        } else {
            format!("{message} found in {}", inside.join(" -> "))
        }
    };
    groups(rules, given, true, &place, faults);
    for (name, option) in options() {
        if let (false, Some(default)) = (
            given.contains_key(name),
            option.get("default").filter(|value| !value.is_null()),
        ) {
            given.insert(name.clone(), default.clone());
        }
    }
    let mut missing: Vec<&str> = options()
        .filter(|(name, option)| says(option, "required") && !given.contains_key(*name))
        .map(|(name, _)| name.as_str())
        .collect();
    missing.sort_unstable();
    if !missing.is_empty() {
        faults.push(place(format!(
            "missing required arguments: {}",
            missing.join(", ")
        )));
    }
    for (name, option) in options() {
        typed(name, option, given, inside, faults);
    }
    for (name, option) in options() {
        chosen(name, option, given, &place, faults);
    }
    groups(rules, given, false, &place, faults);
    for (name, own) in options() {
        let wanted = own.get("type").map(to_text).unwrap_or_default();
        let of_mappings = own.get("elements").map(to_text).as_deref() == Some("dict");
        let Some(below) = option(own, "options") else {
            continue;
        };
        if wanted != "dict" && !(wanted == "list" && of_mappings) {
            continue;
        }
        if given.get(name).is_none_or(Value::is_null) {
            if !says(own, "apply_defaults") {
                continue;
            }
            given.insert(name.clone(), Value::Object(Map::new()));
        }
        let inside: Vec<&str> = inside.iter().copied().chain([name.as_str()]).collect();
        let elements = match given.get_mut(name) {
            Some(Value::Array(items)) => items.iter_mut().collect(),
            Some(other) => vec![other],
            None => Vec::new(),
        };
        for element in elements {
            match element {
                Value::Object(map) => level(below, map, own, &inside, faults, unsupported),
                other if has_unknown(other) => {}
                _ => faults.push(format!(
                    "value of '{name}' must be of type dict or list of dicts"
                )),
            }
        }
    }
}

/// The type of one option, and of the elements of a list.
fn typed(
    name: &str,
    option: &Map<String, Value>,
    given: &mut Map<String, Value>,
    inside: &[&str],
    faults: &mut Vec<String>,
) {
    let Some(value) = given.get(name).cloned() else {
        return;
    };
    let default = option.get("default").filter(|value| !value.is_null());
    if has_unknown(&value) || value.is_null() && !says(option, "required") && default.is_none() {
        return;
    }
    let wanted = option.get("type").map_or_else(|| "str".to_owned(), to_text);
    let found = match converted(&wanted, &value) {
        Ok(found) => found,
        Err(why) => {
            let place = if inside.is_empty() {
                String::new()
            } else {
                format!(" found in '{}'.", inside.join(" -> "))
            };
            faults.push(format!(
                "argument '{name}' is of type {}{place} and we were unable to convert to {wanted}: {why}",
                type_name(&value)
            ));
            return;
        }
    };
    let elements = option.get("elements").map(to_text);
    let found = match (found, elements) {
        (Value::Array(items), Some(element)) => {
            let mut kept = Vec::new();
            for item in items {
                if has_unknown(&item) {
                    kept.push(item);
                    continue;
                }
                match converted(&element, &item) {
                    Ok(item) => kept.push(item),
                    Err(why) => {
                        let place = if inside.is_empty() {
                            String::new()
                        } else {
                            format!(" found in '{}'", inside.join(" -> "))
                        };
                        faults.push(format!(
                            "Elements value for option '{name}'{place} is of type {} and we were unable to convert to {element}: {why}",
                            type_name(&item)
                        ));
                    }
                }
            }
            Value::Array(kept)
        }
        (found, _) => found,
    };
    given.insert(name.to_owned(), found);
}

fn chosen(
    name: &str,
    option: &Map<String, Value>,
    given: &Map<String, Value>,
    place: &dyn Fn(String) -> String,
    faults: &mut Vec<String>,
) {
    let (Some(Value::Array(choices)), Some(value)) = (option.get("choices"), given.get(name))
    else {
        return;
    };
    if has_unknown(value) {
        return;
    }
    let all = || choices.iter().map(to_text).collect::<Vec<_>>().join(", ");
    match value {
        Value::Array(items) => {
            let others: Vec<String> = items
                .iter()
                .filter(|item| !choices.contains(item))
                .map(to_text)
                .collect();
            if !others.is_empty() {
                faults.push(place(format!(
                    "value of {name} must be one or more of: {}. Got no match for: {}",
                    all(),
                    others.join(", ")
                )));
            }
        }
        value if !choices.contains(value) && !stands_for(value, choices) => {
            let shown = if value.is_null() {
                "None".to_owned()
            } else {
                to_text(value)
            };
            faults.push(place(format!(
                "value of {name} must be one of: {}, got: {shown}",
                all()
            )));
        }
        _ => {}
    }
}

/// YAML makes booleans of some words: `yes` may stand for the one choice that means the same.
fn stands_for(value: &Value, choices: &[Value]) -> bool {
    let meaning = match value.as_str() {
        Some("True") => true,
        Some("False") => false,
        _ => return false,
    };
    let same = |choice: &&Value| to_bool(choice) == Some(meaning);
    choices.iter().filter(same).count() == 1
}

/// The rules over several options of a level: which exclude, need or replace each other.
fn groups(
    rules: &Map<String, Value>,
    given: &Map<String, Value>,
    first: bool,
    place: &dyn Fn(String) -> String,
    faults: &mut Vec<String>,
) {
    let names = |value: &Value| -> Vec<String> {
        match value {
            Value::Array(items) => items.iter().map(to_text).collect(),
            other => vec![to_text(other)],
        }
    };
    let rule = |name: &str| -> Vec<Vec<String>> {
        match rules.get(name) {
            Some(Value::Array(lists)) if lists.iter().any(Value::is_array) => {
                lists.iter().map(names).collect()
            }
            Some(Value::Array(list)) if !list.is_empty() => {
                vec![list.iter().map(to_text).collect()]
            }
            _ => Vec::new(),
        }
    };
    let count = |list: &[String]| list.iter().filter(|name| given.contains_key(*name)).count();
    if first {
        let bad: Vec<String> = rule("mutually_exclusive")
            .iter()
            .filter(|list| count(list) > 1)
            .map(|list| list.join("|"))
            .collect();
        if !bad.is_empty() {
            faults.push(place(format!(
                "parameters are mutually exclusive: {}",
                bad.join(", ")
            )));
        }
        return;
    }
    if let Some(list) = rule("required_together")
        .iter()
        .find(|list| (1..list.len()).contains(&count(list)))
    {
        faults.push(place(format!(
            "parameters are required together: {}",
            list.join(", ")
        )));
    }
    if let Some(list) = rule("required_one_of").iter().find(|list| count(list) == 0) {
        faults.push(place(format!(
            "one of the following is required: {}",
            list.join(", ")
        )));
    }
    for needed in rules
        .get("required_if")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_array)
    {
        let [key, value, needs, rest @ ..] = needed.as_slice() else {
            continue;
        };
        let any = rest.first().and_then(to_bool).unwrap_or(false);
        if given.get(&to_text(key)) != Some(value) {
            continue;
        }
        let needs = names(needs);
        let missing: Vec<String> = needs
            .iter()
            .filter(|name| !given.contains_key(*name))
            .cloned()
            .collect();
        if !missing.is_empty() && (!any || missing.len() == needs.len()) {
            let how = if any { "any" } else { "all" };
            faults.push(place(format!(
                "{} is {} but {how} of the following are missing: {}",
                to_text(key),
                to_text(value),
                missing.join(", ")
            )));
            break;
        }
    }
    for (key, needs) in rules
        .get("required_by")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let there = |name: &str| given.get(name).is_some_and(|value| !value.is_null());
        let missing: Vec<String> = names(needs)
            .into_iter()
            .filter(|name| !there(name))
            .collect();
        if there(key) && !missing.is_empty() {
            faults.push(place(format!(
                "missing parameter(s) required by '{key}': {}",
                missing.join(", ")
            )));
            break;
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// A value as the type takes it, or why it does not.
fn converted(wanted: &str, value: &Value) -> Result<Value, String> {
    let class = || format!("<class '{}'>", type_name(value));
    let shown = || match value {
        Value::String(text) => format!("'{text}'"),
        other => to_text(other),
    };
    match wanted {
        "str" | "path" => Ok(match value {
            Value::String(_) => value.clone(),
            Value::Null => Value::from(""),
            other => Value::from(to_text(other)),
        }),
        "list" => match value {
            Value::Array(_) => Ok(value.clone()),
            Value::String(text) => Ok(text.split(',').map(Value::from).collect()),
            Value::Number(_) | Value::Bool(_) => Ok(Value::from(vec![to_text(value)])),
            _ => Err(format!("{} cannot be converted to a list", class())),
        },
        "dict" => match value {
            Value::Object(_) => Ok(value.clone()),
            Value::String(text) if text.starts_with('{') => {
                serde_json::from_str::<Map<String, Value>>(text)
                    .map(Value::Object)
                    .map_err(|_| "unable to evaluate string as dictionary".to_owned())
            }
            Value::String(text) if text.contains('=') => text
                .split([',', ' '])
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    Some((name.to_owned(), Value::from(value)))
                })
                .collect::<Option<Map<_, _>>>()
                .map(Value::Object)
                .ok_or_else(|| {
                    "unable to evaluate string in the \"key=value\" format as dictionary".to_owned()
                }),
            Value::String(_) => {
                Err("dictionary requested, could not parse JSON or key=value".to_owned())
            }
            _ => Err(format!("{} cannot be converted to a dict", class())),
        },
        "bool" => match value {
            Value::Array(_) | Value::Object(_) | Value::Null => {
                Err(format!("{} cannot be converted to a bool", class()))
            }
            other => to_bool(other)
                .map(Value::Bool)
                .ok_or_else(|| format!("The value {} is not a valid boolean.", shown())),
        },
        "int" => {
            let number = match value {
                Value::Number(number) if number.is_i64() || number.is_u64() => {
                    return Ok(value.clone());
                }
                Value::Bool(_) => return Ok(value.clone()),
                Value::Number(number) => number.as_f64(),
                Value::String(text) => match text.trim().parse::<i64>() {
                    Ok(whole) => return Ok(Value::from(whole)),
                    Err(_) => text.trim().parse::<f64>().ok(),
                },
                _ => None,
            };
            // The whole part is compared with itself, so nothing is cut off unseen.
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole")]
            number
                .filter(|number| number.fract() == 0.0 && number.abs() < 9e15)
                .map(|number| Value::from(number as i64))
                .ok_or_else(|| format!("\"{}\" cannot be converted to an int", shown()))
        }
        "float" => match value {
            Value::Number(_) => Ok(value.clone()),
            Value::String(text) => text
                .trim()
                .parse::<f64>()
                .map(Value::from)
                .map_err(|_| format!("{} cannot be converted to a float", class())),
            _ => Err(format!("{} cannot be converted to a float", class())),
        },
        "bytes" | "bits" => {
            let text = to_text(value);
            let digits = text
                .trim()
                .trim_end_matches(|c: char| c.is_ascii_alphabetic())
                .trim();
            digits.parse::<f64>().map(|_| value.clone()).map_err(|_| {
                let what = if wanted == "bits" { "Bit" } else { "Byte" };
                format!("{} cannot be converted to a {what} value", class())
            })
        }
        "json" | "jsonarg" => match value {
            Value::String(text) => Ok(Value::from(text.trim())),
            Value::Array(_) | Value::Object(_) => Ok(Value::from(value.to_string())),
            _ => Err(format!("{} cannot be converted to a json string", class())),
        },
        _ => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests;
