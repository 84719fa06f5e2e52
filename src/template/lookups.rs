//! `lookup()` and `query()`: values from the environment, from files and from other variables.
//!
//! Nothing here runs a program or opens a connection.

use super::FileKind;
use super::eval::Interp;
use super::filters::list::{flat, pairs_of, products};
use super::filters::{Call, path};
use super::parse::Form;
use super::val::{Key, Val};
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
            out.extend(term.items()?)
        } else {
            out.push(term.clone())
        }
    }
    Ok(out)
}

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
        "nested" | "cartesian" => {
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

fn find(call: &Call, kind: FileKind, term: &Val) -> Result<String> {
    let name = term.string()?;
    call.session.ctx.files.find(kind, &name).ok_or_else(|| {
        Diagnostic::new(format!("there is no file `{name}`"))
            .help("it is looked for in the folders of the role and of the playbook")
    })
}

fn file(call: &Call, term: &Val) -> Result<Val> {
    let path = find(call, FileKind::Files, term)?;
    let bytes = call.session.ctx.files.read(&path)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Diagnostic::new(format!("`{path}` is not UTF-8 text")))?;
    let strip =
        |name: &str, default: bool| option(call, name).map_or(Ok(default), |value| value.truthy());
    let text = if strip("rstrip", true)? {
        text.trim_end()
    } else {
        &text
    };
    Ok(Val::from(if strip("lstrip", false)? {
        text.trim_start()
    } else {
        text
    }))
}

fn template(call: &Call, term: &Val) -> Result<Val> {
    let path = find(call, FileKind::Templates, term)?;
    let session = call.session;
    let form = Form::File(Box::default());
    let (template, origin) = session.included(&path, form.clone())?;
    let text = String::from_utf8(session.ctx.files.read(&path)?).unwrap_or_default();
    let mut interp = Interp::new(session, origin, form);
    if let Some(vars) = option(call, "template_vars") {
        for (key, value) in vars.entries()? {
            if let Key::Str(name) = key {
                interp.frame.set(&name, value);
            }
        }
    }
    let value = session.deeper(|| {
        interp.template(&template)?;
        Ok(interp.out.finish())
    })?;
    match value {
        Val::Str(rendered) => {
            let ends = |text: &str| text.chars().rev().take_while(|c| *c == '\n').count();
            let missing = ends(&text).saturating_sub(ends(&rendered));
            Ok(Val::from(format!("{rendered}{}", "\n".repeat(missing))))
        }
        Val::None => Ok(Val::from("")),
        other => Ok(other),
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

fn first_found(call: &Call, terms: &[Val]) -> Result<Vec<Val>> {
    let mut skip = option(call, "skip").map_or(Ok(false), |value| value.truthy())?;
    let mut candidates = Vec::new();
    let mut terms = terms.to_vec();
    if terms.is_empty()
        && let Some(files) = option(call, "files")
    {
        terms.push(files);
    }
    gather(call, &terms, &mut candidates, &mut skip)?;
    for name in &candidates {
        for kind in [
            FileKind::Files,
            FileKind::Templates,
            FileKind::Vars,
            FileKind::Tasks,
        ] {
            if let Some(path) = call.session.ctx.files.find(kind, name) {
                return Ok(vec![Val::from(path)]);
            }
        }
    }
    if skip {
        return Ok(Vec::new());
    }
    Err(Diagnostic::new("`first_found`: none of the files exists").note(candidates.join(", ")))
}

fn gather(call: &Call, terms: &[Val], out: &mut Vec<String>, skip: &mut bool) -> Result<()> {
    for term in terms {
        let names = |value: Option<Val>, separators: &[char]| -> Result<Vec<String>> {
            let Some(value) = value else {
                return Ok(Vec::new());
            };
            let items = if value.is_sequence() {
                value.items()?
            } else {
                vec![value]
            };
            let mut out = Vec::new();
            for item in items {
                out.extend(
                    item.string()?
                        .split(separators)
                        .filter(|part| !part.is_empty())
                        .map(str::to_owned),
                );
            }
            Ok(out)
        };
        let (files, paths) = match term {
            Val::Dict(_) => {
                if let Some(value) = term.entry("skip") {
                    *skip = value.truthy()?;
                }
                (
                    names(term.entry("files"), &[',', ';'])?,
                    names(term.entry("paths"), &[',', ':', ';'])?,
                )
            }
            Val::List(_) | Val::Tuple(_) => {
                gather(call, &term.items()?, out, skip)?;
                continue;
            }
            _ => (
                names(Some(term.clone()), &[',', ';'])?,
                names(option(call, "paths"), &[',', ':', ';'])?,
            ),
        };
        if paths.is_empty() {
            out.extend(files);
        } else {
            for folder in &paths {
                out.extend(
                    files
                        .iter()
                        .map(|file| path::join(&[folder.clone(), file.clone()])),
                );
            }
        }
    }
    Ok(())
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

fn sequence(call: &Call, terms: &[Val]) -> Result<Vec<Val>> {
    let mut options: Vec<(String, String)> = Vec::new();
    for term in terms {
        for pair in term.string()?.split_whitespace() {
            match pair.split_once('=') {
                Some((name, value)) => options.push((name.to_owned(), value.to_owned())),
                None => short_sequence(pair, &mut options),
            }
        }
    }
    for (name, value) in &call.args.named {
        options.push((name.to_string(), value.string()?));
    }
    let number = |name: &str| -> Result<Option<i64>> {
        let Some((_, text)) = options.iter().find(|(given, _)| given == name) else {
            return Ok(None);
        };
        let digits = text
            .strip_prefix("0x")
            .map_or_else(|| text.parse(), |hex| i64::from_str_radix(hex, 16));
        digits
            .map(Some)
            .map_err(|_| Diagnostic::new(format!("`sequence`: `{name}={text}` is not a number")))
    };
    let start = number("start")?.unwrap_or(1);
    let stride = number("stride")?.unwrap_or(1);
    let end = match (number("end")?, number("count")?) {
        (Some(end), _) => end,
        (None, Some(0)) => return Ok(Vec::new()),
        (None, Some(count)) => start + (count - 1) * stride,
        (None, None) => return Err(Diagnostic::new("`sequence` needs `end` or `count`")),
    };
    let format = options
        .iter()
        .find(|(name, _)| name == "format")
        .map_or("%d", |(_, format)| format);
    if stride == 0 || end.abs_diff(start) / stride.unsigned_abs() > 1_000_000 {
        return Err(Diagnostic::new("`sequence` would not come to an end soon"));
    }
    let mut found = Vec::new();
    let mut at = start;
    while if stride > 0 { at <= end } else { at >= end } {
        found.push(Val::from(super::format::percent(format, &Val::Int(at))?));
        at += stride;
    }
    Ok(found)
}

/// `start-end/stride:format`.
fn short_sequence(text: &str, options: &mut Vec<(String, String)>) {
    let (rest, format) = text
        .split_once(':')
        .map_or((text, None), |(rest, format)| (rest, Some(format)));
    let (rest, stride) = rest
        .split_once('/')
        .map_or((rest, None), |(rest, stride)| (rest, Some(stride)));
    let (start, end) = rest
        .split_once('-')
        .map_or((None, rest), |(start, end)| (Some(start), end));
    let parts = [
        ("start", start),
        ("end", Some(end)),
        ("stride", stride),
        ("format", format),
    ];
    options.extend(
        parts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))),
    );
}

fn password(term: &Val) -> Result<Val> {
    let text = term.string()?;
    let mut words = text.split_whitespace();
    if words.next() != Some("/dev/null") {
        return Err(refused("password", "writes a file on this machine")
            .help("keep the password in a vaulted variable, or use `/dev/null` as the file for one that is made anew"));
    }
    let mut length = 20;
    let mut kinds = "ascii_letters,digits,.,:,-,_".to_owned();
    for word in words {
        match word.split_once('=') {
            Some(("length", value)) => {
                length = value.parse().map_err(|_| {
                    Diagnostic::new(format!("`password`: `{value}` is not a length"))
                })?;
            }
            Some(("chars", value)) => value.clone_into(&mut kinds),
            _ => {}
        }
    }
    let mut chars: Vec<char> = Vec::new();
    for kind in kinds.split(',') {
        match kind {
            "ascii_letters" => chars.extend(('a'..='z').chain('A'..='Z')),
            "ascii_lowercase" => chars.extend('a'..='z'),
            "ascii_uppercase" => chars.extend('A'..='Z'),
            "digits" => chars.extend('0'..='9'),
            "hexdigits" => chars.extend("0123456789abcdefABCDEF".chars()),
            "punctuation" => chars.extend("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".chars()),
            other => chars.extend(other.chars()),
        }
    }
    let mut random = rand::rng();
    let pick = |_| chars[rand::RngExt::random_range(&mut random, 0..chars.len().max(1))];
    Ok(Val::from((0..length).map(pick).collect::<String>()))
}
