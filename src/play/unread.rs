//! Every parameter and keyword that is taken has its effect: one that no code reads is a fault of the table that names it.
//!
//! A reader is found in the source: the name as text in a file that works for the table, outside of the table itself.

use super::{actions, keywords};
use crate::modules::{self, Limit, Spec};
use regex::Regex;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What the engine and the loader read for modules.
const ENGINE: &[&str] = &[
    "src/engine/action.rs",
    "src/engine/alone.rs",
    "src/engine/argument_spec.rs",
    "src/engine/arguments.rs",
    "src/engine/content.rs",
    "src/engine/fetch.rs",
    "src/engine/include_vars.rs",
    "src/engine/reconnect.rs",
    "src/play/includes.rs",
];

/// Tables whose parameters are read all at once, by `Args::values`.
const AS_A_WHOLE: &[&str] = &["deb822_repository"];

/// Parameters whose one value that is asked for in practice is what happens anyway.
const ALWAYS: &[&str] = &["decrypt"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

/// The code of a file: without its tests, its comments, and what tables say.
fn code(path: &Path) -> String {
    let text = fs_err::read_to_string(path).expect("source");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
    let noise = Regex::new(
        r#"(?m)^\s*//.*$|Param::new\(\s*"\w+"|\.aliases\(\s*&\[[^\]]*\]|\.choices\(\s*&\[[^\]]*\]|names: &\[[^\]]*\]|one_of: &\[.*?\],\n"#,
    )
    .expect("a pattern");
    noise.replace_all(text, "").into_owned()
}

/// The files that may read the parameters of a module: that of its table, those below and beside it, and shared ones.
fn readers(spec: &Spec, files: &[PathBuf]) -> String {
    let table = Regex::new(&format!(r#"names: &\[\s*"{}""#, spec.names[0])).expect("a pattern");
    let home = files
        .iter()
        .find(|path| table.is_match(&fs_err::read_to_string(path).expect("source")))
        .unwrap_or_else(|| panic!("no file has the table of `{}`", spec.names[0]));
    let own = home.with_extension("");
    let folder = home.parent().expect("a folder");
    let family = !matches!(
        folder.file_name().and_then(|name| name.to_str()),
        Some("files" | "system" | "play")
    );
    let shared = [
        "attributes",
        "copy_tree",
        "download",
        "edit",
        "flags",
        "links",
        "mode",
        "support",
        "tree",
        "write",
    ];
    let serves = |path: &PathBuf| {
        path == home
            || path.starts_with(&own)
            || family && path.starts_with(folder)
            || path.ends_with("files/attributes.rs")
            || path.ends_with("apt/script.rs") && home.ends_with("repository.rs")
            || path.parent() == Some(folder)
                && path
                    .file_stem()
                    .and_then(|stem| stem.to_str())
                    .is_some_and(|stem| shared.contains(&stem))
    };
    let engine = ENGINE.iter().map(|path| root().join(path));
    files
        .iter()
        .filter(|path| serves(path))
        .cloned()
        .chain(engine)
        .map(|path| code(&path))
        .collect()
}

#[test]
fn every_parameter_is_read() {
    let mut files = vec![root().join("src/play/actions.rs")];
    below(&root().join("src/modules"), &mut files);
    files.retain(|path| !path.ends_with("unread.rs") && !path.ends_with("tests.rs"));
    let mut wrong = String::new();
    let mut count = 0;
    let specs = actions::all().chain(modules::all().map(modules::Module::spec));
    let taken = |spec: &&Spec| spec.refused.is_none() && !AS_A_WHOLE.contains(&spec.names[0]);
    for spec in specs.filter(taken) {
        let text = readers(spec, &files);
        for param in spec.params {
            count += 1;
            let read = text.contains(&format!("\"{}\"", param.name));
            let said =
                param.idle.is_some() || param.limit != Limit::None || ALWAYS.contains(&param.name);
            if !read && !said {
                let _ = writeln!(wrong, "{}: {}", spec.names[0], param.name);
            }
        }
    }
    assert!(count > 350, "only {count} parameters");
    assert!(wrong.is_empty(), "nobody reads:\n{wrong}");
}

/// Keywords without an effect of their own, and why that is right.
const IDLE: &[(&str, &str)] = &[
    ("args", "they are the module's parameters"),
    (
        "collections",
        "modules are found by their short names anyway",
    ),
];

/// Where a keyword is kept, when not under its own name.
const KEPT: &[(&str, &str)] = &[
    ("loop", "loop_"),
    ("loop_control", "loop_"),
    ("become", "become_.enabled"),
    ("become_user", "become_.user"),
    ("become_method", "become_.method"),
    ("async", "async_"),
];

#[test]
fn every_keyword_is_read() {
    let mut files = Vec::new();
    below(&root().join("src/engine"), &mut files);
    below(&root().join("src/play"), &mut files);
    files.retain(|path| {
        [
            "play/keywords.rs",
            "play/types.rs",
            "tests.rs",
            "cases.rs",
            "unread.rs",
        ]
        .iter()
        .all(|name| !path.ends_with(name))
    });
    let text: String = files.iter().map(|path| code(path)).collect();
    let table = fs_err::read_to_string(root().join("src/play/keywords.rs")).expect("source");
    let mut wrong = String::new();
    for name in keywords::all() {
        let refused = Regex::new(&format!(
            r#""{name}"(?: \| "\w+")* => (?:\{{\s*)?errors\.push\(refuse"#
        ))
        .expect("a pattern")
        .is_match(&table)
            || table.contains(&format!("\"{name}\" => {{\n            errors.push(refuse"))
            || table.contains(&format!(
                "| \"{name}\" => {{\n            errors.push(refuse"
            ));
        let field = KEPT
            .iter()
            .find(|(keyword, _)| *keyword == name)
            .map_or(name, |(_, field)| field);
        let read = Regex::new(&format!(r"\.{}\b", regex::escape(field)))
            .expect("a pattern")
            .is_match(&text);
        let idle = IDLE.iter().any(|(keyword, _)| *keyword == name);
        if !refused && !read && !idle {
            let _ = writeln!(wrong, "{name}");
        }
    }
    assert!(wrong.is_empty(), "nobody reads:\n{wrong}");
}
