//! Local contents that modules need: rendered templates, files to copy, scripts to run. Read here, so that modules stay pure.

use super::settings::Settings;
use super::template_facts;
use crate::base::{Diagnostic, Result};
use crate::modules::Args;
use crate::play::Task;
use crate::template::{self, Context, FileOptions};
use std::path::Path;

/// Fills `args.content` or `args.tree`. Gives a reason when the whole task is not known yet.
///
/// `may_be_unknown`: a plan may show a file whose content only applying can tell; a change never writes one.
///
/// # Errors
/// Missing files (saying where was looked), templates that fail.
pub fn supply(
    args: &mut Args,
    task: &Task,
    context: &Context,
    settings: &Settings,
    may_be_unknown: bool,
) -> Result<Option<String>> {
    // `assemble` looks on the host unless told otherwise; `unarchive` has an older way to say so.
    let remote = args.bool_or("remote_src", task.action.module == "assemble")
        || args.bool("copy") == Some(false);
    let source = args.str("src").map(str::to_owned);
    let decrypt = args.bool_or("decrypt", true);
    match (task.action.module, source) {
        ("template", Some(name)) => {
            let path = settings
                .loader
                .find_template(task, &name)
                .map_err(|error| at_src(error, task))?;
            let file = settings
                .loader
                .files()
                .read(Path::new(&path))
                .ok_or_else(|| {
                    at_src(Diagnostic::new(format!("`{path}` cannot be read")), task)
                })??;
            let options = FileOptions {
                trim_blocks: args.bool("trim_blocks"),
                lstrip_blocks: args.bool("lstrip_blocks"),
                newline_sequence: args.str("newline_sequence").map(str::to_owned),
                block_start_string: args.str("block_start_string").map(str::to_owned),
                block_end_string: args.str("block_end_string").map(str::to_owned),
                variable_start_string: args.str("variable_start_string").map(str::to_owned),
                variable_end_string: args.str("variable_end_string").map(str::to_owned),
                comment_start_string: args.str("comment_start_string").map(str::to_owned),
                comment_end_string: args.str("comment_end_string").map(str::to_owned),
            };
            let context =
                template_facts::context(context, &name, &path, args.str("dest"), settings);
            let rendered = template::file(&file, &context, &options)?;
            if rendered.unknown && !may_be_unknown {
                return Ok(Some(format!("what `{name}` renders to")));
            }
            let encoding = args.str_or("output_encoding", "utf-8");
            let bytes = template_facts::encode(&rendered.text, encoding).ok_or_else(|| {
                at_src(
                    Diagnostic::new(format!(
                        "`{name}` renders to characters that `{encoding}` does not have"
                    ))
                    .help("leave `output_encoding` out: it is UTF-8 then"),
                    task,
                )
            })?;
            args.content = (!rendered.unknown || settings.render).then_some(bytes);
        }
        ("copy" | "unarchive" | "script" | "assemble", Some(name))
            if !remote && !name.contains("://") =>
        {
            let path = settings
                .loader
                .find_file(task, &name)
                .map_err(|error| at_src(error, task))?;
            if settings.loader.files().is_dir(Path::new(&path)) {
                tree(&path, "", decrypt, settings, &mut args.tree)
                    .map_err(|error| at_src(error, task))?;
            } else {
                args.content =
                    Some(bytes(&path, decrypt, settings).map_err(|error| at_src(error, task))?);
                args.source_mode = mode(Path::new(&path));
            }
        }
        ("script", None) => {
            let raw = args
                .str("_raw_params")
                .or_else(|| args.str("cmd"))
                .unwrap_or_default()
                .to_owned();
            let name = shlex::split(&raw)
                .and_then(|words| words.into_iter().next())
                .unwrap_or_default();
            let path = settings.loader.find_file(task, &name)?;
            args.content = Some(bytes(&path, decrypt, settings)?);
        }
        _ => {}
    }
    if task.action.module == "copy" && !remote && args.has("content") {
        let value = args.get("content").cloned().unwrap_or_default();
        let text = match value {
            serde_json::Value::String(text) => text,
            other => crate::base::value::to_json(&other),
        };
        let unknown = text.contains(crate::base::value::UNKNOWN);
        if unknown && !may_be_unknown {
            return Ok(Some("its content".to_owned()));
        }
        args.content = (!unknown || settings.render).then(|| text.into_bytes());
    }
    Ok(None)
}

/// What a file on a host is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The template or file, as the project's files show it; the file of tasks, where the content stands in the task.
    pub file: String,
    /// The line of the content that stands in a task.
    pub line: Option<usize>,
}

/// What the content that [`supply`] gave is made of.
pub fn source(args: &Args, task: &Task, settings: &Settings) -> Source {
    let (name, loader) = (args.str_or("src", ""), &settings.loader);
    let found = if task.action.module == "template" {
        loader.find_template(task, name)
    } else {
        loader.find_file(task, name)
    };
    match found {
        Ok(path) if !name.is_empty() => Source {
            file: loader.files().shown(Path::new(&path)),
            line: None,
        },
        _ => Source {
            file: task.span.file.path.clone(),
            line: Some(task.span.line),
        },
    }
}

fn at_src(error: Diagnostic, task: &Task) -> Diagnostic {
    match task.arg("src") {
        Some(node) => error.at(&node.span),
        None => error.at(&task.span),
    }
}

/// What a file holds; of an encrypted one the cipher text only when the task says `decrypt: false`.
fn bytes(path: &str, decrypt: bool, settings: &Settings) -> Result<Vec<u8>> {
    let (files, path) = (settings.loader.files(), Path::new(path));
    let read = if decrypt {
        files.read_bytes(path)
    } else {
        files.read_raw(path)
    };
    read.ok_or_else(|| Diagnostic::new(format!("`{}` cannot be read", path.display())))?
}

fn tree(
    path: &str,
    below: &str,
    decrypt: bool,
    settings: &Settings,
    into: &mut Vec<(String, u32, Vec<u8>)>,
) -> Result<()> {
    for entry in settings
        .loader
        .files()
        .list(Path::new(path))
        .unwrap_or_default()
    {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let relative = if below.is_empty() {
            name.to_owned()
        } else {
            format!("{below}/{name}")
        };
        let full = entry.display().to_string();
        if settings.loader.files().is_dir(&entry) {
            let before = into.len();
            tree(&full, &relative, decrypt, settings, into)?;
            if into.len() == before {
                into.push((format!("{relative}/"), 0o755, Vec::new()));
            }
        } else {
            into.push((
                relative,
                mode(&entry).unwrap_or(0o644),
                bytes(&full, decrypt, settings)?,
            ));
        }
    }
    Ok(())
}

/// The permissions of a local file; none for one that is only inside the binary.
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::metadata(path)
        .ok()
        .map(|data| data.permissions().mode() & 0o7777)
}
