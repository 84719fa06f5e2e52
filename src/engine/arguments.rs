//! A task's parameters once they are rendered: what is left out, and what a path means on its host (`~`, `$VAR`, and on this
//! machine a relative one).
//!
//! Asks no host: what is not known yet is given back as a question.

use super::runner::Runner;
use super::settings::Settings;
use super::unit::{Unit, Work};
use crate::base::value::{Map, OMIT, Value, to_text};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Kind, Probe, Request, Seen};
use crate::play::Task;
use crate::template::{self, Context};

/// Beginnings of paths that only the host can tell: what they stand for, for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The user that the task runs as; none for root.
    pub user: Option<String>,
    /// `~`, `~name`, `$NAME`.
    pub words: Vec<String>,
}

/// The parameters whose paths are of this machine, not of the host.
fn is_of_this_side(args: &Args, module: &str, name: &str) -> bool {
    match (module, name) {
        ("template" | "fetch", "src" | "dest") => (module == "template") == (name == "src"),
        ("copy" | "unarchive", "src") => {
            !args.bool_or("remote_src", false) && args.bool("copy") != Some(false)
        }
        ("assemble", "src") => !args.bool_or("remote_src", true),
        _ => false,
    }
}

/// Whether a parameter names a file, so that on this machine it may be a relative one. (What a link leads to is relative to
/// the link, and what is mounted may be no path.)
fn is_file(module: &str, name: &str) -> bool {
    match module {
        "find" => name == "paths",
        "file" | "stat" | "lineinfile" | "blockinfile" | "replace" | "ini_file" | "tempfile" => {
            name == "path"
        }
        "copy" | "unarchive" | "assemble" => matches!(name, "src" | "dest"),
        "template" | "get_url" => name == "dest",
        "slurp" | "fetch" => name == "src",
        _ => false,
    }
}

/// Whether a task runs on this machine.
pub fn is_here(unit: &Unit) -> bool {
    let host = &unit.scope.host;
    match unit.keywords.delegate_to.as_deref() {
        Some(name) => matches!(name, "localhost" | "127.0.0.1" | "::1"),
        None => {
            let connection = host.variables.get("ansible_connection");
            host.name == "localhost" || connection.and_then(|node| node.as_str()) == Some("local")
        }
    }
}

/// Makes the paths among the parameters what they mean. Gives what has to be asked of the host first.
pub fn places(
    args: &mut Args,
    unit: &Unit,
    user: Option<&str>,
    settings: &Settings,
) -> Option<Asked> {
    let module = unit.task.action.module;
    let spec = crate::modules::find(module)?.spec();
    let here = is_here(unit);
    let known = &unit.scope.host.data().expansions;
    let place = unit.keywords.delegate_to.as_deref().unwrap_or_default();
    let mut asked = Vec::new();
    let mut place_of = |text: &str, name: &str, local: bool| -> String {
        let mut text = text.to_owned();
        for word in words(&text) {
            let meaning = if local {
                Some(own(&word))
            } else if settings.offline {
                Some(guess(&word, user))
            } else {
                let key = (
                    place.to_owned(),
                    user.unwrap_or_default().to_owned(),
                    word.clone(),
                );
                known.get(&key).cloned()
            };
            match meaning {
                Some(meaning) => text = text.replacen(&word, &meaning, 1),
                None => asked.push(word),
            }
        }
        if here && !local && is_file(module, name) && !text.is_empty() && !text.starts_with('/') {
            let full = settings.project.join(&text);
            text = std::path::absolute(&full)
                .unwrap_or(full)
                .to_string_lossy()
                .into_owned();
        }
        text
    };
    let mut changed = Vec::new();
    for param in spec.params {
        let listed = module == "find" && param.name == "paths";
        if param.kind != Kind::Path && !listed {
            continue;
        }
        let local = is_of_this_side(args, module, param.name);
        let new = match args.get(param.name) {
            Some(Value::String(text)) if !text.contains("://") => {
                Value::from(place_of(text, param.name, local))
            }
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| Value::from(place_of(&to_text(item), param.name, local)))
                .collect(),
            _ => continue,
        };
        changed.push((param.name, new));
    }
    if !asked.is_empty() {
        return Some(Asked {
            user: user.map(str::to_owned),
            words: asked,
        });
    }
    for (name, value) in changed {
        args.set(name, value);
    }
    None
}

/// The parts of a path that stand for something else: a `~` at its beginning, `$NAME` and `${NAME}` anywhere.
fn words(path: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = Vec::new();
    if path.starts_with('~') {
        let first = path.split('/').next().unwrap_or(path);
        if first[1..]
            .chars()
            .all(|c| is_name(c) || matches!(c, '-' | '.'))
        {
            words.push(first.to_owned());
        }
    }
    let mut rest = path;
    while let Some(at) = rest.find('$') {
        rest = &rest[at..];
        let end = match rest[1..].strip_prefix('{') {
            Some(inner) => inner
                .find('}')
                .filter(|end| *end > 0 && inner[..*end].chars().all(is_name))
                .map(|end| end + 3),
            None => Some(1 + rest[1..].find(|c| !is_name(c)).unwrap_or(rest.len() - 1))
                .filter(|end| *end > 1),
        };
        let end = end.unwrap_or(1);
        if end > 1 {
            words.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
    }
    words
}

fn name_of(word: &str) -> &str {
    word.trim_start_matches('$')
        .trim_start_matches('{')
        .trim_end_matches('}')
}

/// What a word stands for on this machine; itself when nothing does.
fn own(word: &str) -> String {
    let found = match word.strip_prefix('~') {
        Some("") => std::env::var("HOME").ok(),
        Some(name) => nix::unistd::User::from_name(name)
            .ok()
            .flatten()
            .map(|user| user.dir.to_string_lossy().into_owned()),
        None => std::env::var(name_of(word)).ok(),
    };
    found.unwrap_or_else(|| word.to_owned())
}

/// What a word stands for on a freshly installed machine.
fn guess(word: &str, user: Option<&str>) -> String {
    let home = |name: &str| match name {
        "root" => "/root".to_owned(),
        name => format!("/home/{name}"),
    };
    match word.strip_prefix('~') {
        Some("") => home(user.unwrap_or("root")),
        Some(name) => home(name),
        None if name_of(word) == "HOME" => home(user.unwrap_or("root")),
        None => word.to_owned(),
    }
}

impl Runner {
    /// Makes a unit again until nothing has to be asked of its host any more.
    pub(super) async fn answered(&mut self, make: impl Fn(&Self) -> Unit) -> Result<Unit> {
        loop {
            let unit = make(self);
            let Work::Ask(asked) = &unit.work else {
                return Ok(unit);
            };
            self.connected().await?;
            let link = match self.link_for(&unit).await {
                Ok(link) => link,
                Err(error) => {
                    let work = Work::Fail(error.at(&unit.task.span));
                    return Ok(Unit { work, ..unit });
                }
            };
            let script: String = asked.words.iter().map(|word| question(word)).collect();
            let probe = Probe::Run(Request {
                user: asked.user.clone(),
                ..Request::sh(script)
            });
            let (_, seen) = link.lock().await.exchange(&[], &[probe]).await?;
            let text = match seen.first() {
                Some(Seen::Reply(reply)) => reply.out().into_owned(),
                _ => String::new(),
            };
            let mut answers = text.split('\0');
            let place = unit.keywords.delegate_to.clone().unwrap_or_default();
            let user = asked.user.clone().unwrap_or_default();
            let mut data = self.host.data_mut();
            for word in &asked.words {
                let answer = answers
                    .next()
                    .filter(|answer| !answer.is_empty())
                    .unwrap_or(word);
                data.expansions.insert(
                    (place.clone(), user.clone(), word.clone()),
                    answer.to_owned(),
                );
            }
        }
    }
}

/// The script that answers with what a word stands for, or with the word.
fn question(word: &str) -> String {
    // Only letters, digits and a few marks are in it, so that the shell expands it and nothing else.
    let value = if word.starts_with('~') {
        word.to_owned()
    } else {
        format!("${{{}-{}}}", name_of(word), quote::sh(word))
    };
    format!("v={value}; printf '%s\\0' \"$v\"\n")
}

/// A value without what is to be left out of it.
pub fn without_omit(value: Value) -> Value {
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

/// What the task adds to the environment of its commands.
///
/// # Errors
/// When it is no mapping.
pub fn environment(task: &Task, context: &Context) -> Result<Vec<(String, String)>> {
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

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_of_paths() {
        for (path, wished) in [
            ("~/x", vec!["~"]),
            ("~app-1/x", vec!["~app-1"]),
            ("/a/~/b", vec![]),
            ("$HOME/x", vec!["$HOME"]),
            ("/srv/${A}_$B.c", vec!["${A}", "$B"]),
            ("/a$/b${}", vec![]),
            ("~a b", vec![]),
        ] {
            assert_eq!(words(path), wished, "{path}");
        }
    }
}
