//! Lookups that read files of the role or playbook.

use super::option;
use crate::base::{Diagnostic, Result};
use crate::template::FileKind;
use crate::template::eval::Interp;
use crate::template::filters::{Call, path};
use crate::template::parse::Form;
use crate::template::val::{Key, Val};

fn find(call: &Call, kind: FileKind, term: &Val) -> Result<String> {
    let name = term.string()?;
    call.session.ctx.files.find(kind, &name).ok_or_else(|| {
        Diagnostic::new(format!("there is no file `{name}`"))
            .help("it is looked for in the folders of the role and of the playbook")
    })
}

/// `file`.
pub fn file(call: &Call, term: &Val) -> Result<Val> {
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

/// `template`.
pub fn template(call: &Call, term: &Val) -> Result<Val> {
    let path = find(call, FileKind::Templates, term)?;
    let session = call.session;
    let form = Form::File(Box::default());
    let (template, origin) = session.included(&path, &form)?;
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

/// `first_found`.
pub fn first_found(call: &Call, terms: &[Val]) -> Result<Vec<Val>> {
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
        // Only `with_first_found` looks into a folder of its own, that of the task's module.
        if let Some(path) = call.session.ctx.files.find(FileKind::Plain, name) {
            return Ok(vec![Val::from(path)]);
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
