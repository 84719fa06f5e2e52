//! Filters over paths, as Python's `os.path` has them.

use super::{Call, Table};
use crate::base::Result;
use crate::template::val::Val;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("basename", |call| Ok(Val::from(base(&call.input_text()?)))),
    ("dirname", |call| Ok(Val::from(dir(&call.input_text()?)))),
    ("normpath", |call| {
        Ok(Val::from(normal(&call.input_text()?)))
    }),
    ("realpath", |call| {
        Ok(Val::from(absolute(&call.input_text()?)))
    }),
    ("relpath", relpath),
    ("expanduser", |call| {
        Ok(Val::from(expanduser(&call.input_text()?)))
    }),
    ("expandvars", |call| {
        Ok(Val::from(expandvars(&call.input_text()?)))
    }),
    ("path_join", path_join),
    ("splitext", splitext),
    ("commonpath", commonpath),
    ("win_basename", |call| {
        Ok(Val::from(base(&call.input_text()?.replace('\\', "/"))))
    }),
    ("win_dirname", |call| {
        let text = call.input_text()?;
        let end = text.rfind(['\\', '/']).unwrap_or(0);
        Ok(Val::from(&text[..end]))
    }),
];

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or("")
}

fn dir(path: &str) -> String {
    let head = &path[..path.rfind('/').map_or(0, |at| at + 1)];
    let bare = head.trim_end_matches('/');
    if bare.is_empty() {
        head.to_owned()
    } else {
        bare.to_owned()
    }
}

/// `os.path.normpath`.
pub fn normal(path: &str) -> String {
    let root = if path.starts_with("//") && !path.starts_with("///") {
        "//"
    } else if path.starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part != ".." || (root.is_empty() && parts.last().is_none_or(|last| *last == "..")) {
            parts.push(part);
        } else {
            parts.pop();
        }
    }
    let joined = format!("{root}{}", parts.join("/"));
    if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        // Links on this machine say nothing about the target, but Ansible follows them.
        return std::fs::canonicalize(path).map_or_else(
            |_| normal(path),
            |found| found.to_string_lossy().into_owned(),
        );
    }
    let here = std::env::current_dir()
        .map(|dir| dir.to_string_lossy().into_owned())
        .unwrap_or_default();
    normal(&format!("{here}/{path}"))
}

fn relpath(call: &Call) -> Result<Val> {
    let path = absolute(&call.input_text()?);
    let start = absolute(&call.text(0, "start")?.unwrap_or_else(|| ".".to_owned()));
    let parts = |path: &str| {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (path, start) = (parts(&path), parts(&start));
    let same = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let mut out = vec!["..".to_owned(); start.len() - same];
    out.extend(path.into_iter().skip(same));
    Ok(Val::from(if out.is_empty() {
        ".".to_owned()
    } else {
        out.join("/")
    }))
}

fn expanduser(path: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => std::env::var("HOME")
            .map_or_else(
                |_| path.to_owned(),
                |home| format!("{}{rest}", home.trim_end_matches('/')),
            ),
        _ => path.to_owned(),
    }
}

fn expandvars(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, tail, written) = if let Some((name, tail)) = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        {
            (name, tail, format!("${{{name}}}"))
        } else {
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            (&after[..end], &after[end..], format!("${}", &after[..end]))
        };
        out.push_str(&std::env::var(name).unwrap_or(written));
        rest = tail;
    }
    out + rest
}

/// `os.path.join`.
pub fn join(parts: &[String]) -> String {
    let mut out = String::new();
    for part in parts {
        if part.starts_with('/') {
            out.clone_from(part);
        } else if out.is_empty() || out.ends_with('/') {
            out.push_str(part);
        } else {
            out.push('/');
            out.push_str(part);
        }
    }
    out
}

fn path_join(call: &Call) -> Result<Val> {
    match &call.input {
        Val::Str(path) => Ok(Val::Str(path.clone())),
        Val::List(_) | Val::Tuple(_) => {
            let parts = call
                .input
                .items()?
                .iter()
                .map(Val::string)
                .collect::<Result<Vec<_>>>()?;
            Ok(Val::from(join(&parts)))
        }
        _ => Err(call.wrong_input("a text or a list")),
    }
}

fn splitext(call: &Call) -> Result<Val> {
    let path = call.input_text()?;
    let name = base(&path);
    let bare = name.trim_start_matches('.');
    let (root, extension) = match bare.rfind('.') {
        Some(at) => path.split_at(path.len() - bare.len() + at),
        None => (&*path, ""),
    };
    Ok(Val::tuple(vec![Val::from(root), Val::from(extension)]))
}

fn commonpath(call: &Call) -> Result<Val> {
    let paths = call
        .input
        .items()?
        .iter()
        .map(Val::string)
        .collect::<Result<Vec<_>>>()?;
    let split = |path: &String| {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut common = paths.first().map(split).unwrap_or_default();
    for path in &paths {
        let same = common
            .iter()
            .zip(split(path))
            .take_while(|(a, b)| **a == *b)
            .count();
        common.truncate(same);
    }
    let root = if paths.first().is_some_and(|path| path.starts_with('/')) {
        "/"
    } else {
        ""
    };
    Ok(Val::from(format!("{root}{}", common.join("/"))))
}
