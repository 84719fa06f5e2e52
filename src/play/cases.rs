//! Runs the loader over the projects in `tests/data/play` and holds what comes out against `loaded.snap` in each.

use super::types::{Handler, Include, Included, Item, Keywords, Play};
use super::{Loader, action};
use crate::base::Result;
use crate::source::{Disk, Files};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of the disk as a whole project.
struct Rooted(PathBuf);

impl Files for Rooted {
    fn read_bytes(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        Disk.read_bytes(&self.0.join(path))
    }

    fn is_dir(&self, path: &Path) -> bool {
        Disk.is_dir(&self.0.join(path))
    }

    fn list(&self, dir: &Path) -> Option<Vec<PathBuf>> {
        let paths = Disk.list(&self.0.join(dir))?;
        Some(
            paths
                .iter()
                .filter_map(|path| Some(path.strip_prefix(&self.0).ok()?.to_owned()))
                .collect(),
        )
    }
}

#[test]
fn every_project_loads_as_recorded() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/play");
    let mut seen = 0;
    for case in Disk.list(&cases).expect("the cases") {
        let loader = Loader::new(Arc::new(Rooted(case.clone())));
        let text = match loader.playbook("site.yml") {
            Ok(playbook) => playbook
                .plays
                .iter()
                .map(|play| shown_play(&loader, play))
                .chain(playbook.unheard.iter().map(shown_error))
                .collect::<Vec<_>>()
                .join("\n"),
            Err(errors) => errors
                .iter()
                .map(shown_error)
                .collect::<Vec<_>>()
                .join("\n"),
        };
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&case);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_input_file("site.yml");
        settings.bind(|| insta::assert_snapshot!("loaded", text));
        seen += 1;
    }
    assert!(seen > 10, "only {seen} cases");
}

fn shown_error(error: &crate::base::Diagnostic) -> String {
    let mut text = format!("{error}\n");
    for note in &error.notes {
        let _ = writeln!(text, "  | {note}");
    }
    if let Some(help) = &error.help {
        let _ = writeln!(text, "  = {help}");
    }
    text
}

fn shown_play(loader: &Loader, play: &Play) -> String {
    let mut text = format!(
        "play {} on {} ({})\n",
        play.name,
        action::literal(&play.hosts),
        play.span
    );
    for (name, node) in &play.vars {
        let _ = writeln!(text, "  var {name}={}", action::literal(node));
    }
    if let Some(after) = &play.after {
        let _ = writeln!(text, "  after {after:?}");
    }
    for role in &play.roles {
        let names = |vars: &[(String, crate::source::Node)]| {
            vars.iter()
                .map(|(name, node)| format!("{name}={}", action::literal(node)))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let _ = writeln!(
            text,
            "  role {} in {} defaults[{}] vars[{}] params[{}] parents{:?}",
            role.name,
            role.dir,
            names(&role.defaults),
            names(&role.vars),
            names(&role.params),
            role.parents
                .iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        );
    }
    for item in &play.items {
        shown_item(loader, item, 1, &mut text);
    }
    for Handler {
        name, listen, item, ..
    } in &play.handlers
    {
        let _ = writeln!(text, "  handler {name:?} listen{listen:?}");
        shown_item(loader, item, 2, &mut text);
    }
    text
}

fn shown_item(loader: &Loader, item: &Item, depth: usize, text: &mut String) {
    let pad = "  ".repeat(depth);
    match item {
        Item::Flush => {
            let _ = writeln!(text, "{pad}flush");
        }
        Item::RoleEnd(role) => {
            let _ = writeln!(text, "{pad}end of role {}", role.name);
        }
        Item::Task(task) => {
            let _ = write!(text, "{pad}{} | {}", task.title(), task.action.module);
            for (name, node) in &task.action.args {
                let _ = write!(text, " {name}={}", action::literal(node));
            }
            if let Some(node) = &task.action.free_form {
                let _ = write!(text, " {}", action::literal(node));
            }
            if let Some(node) = &task.action.template {
                let _ = write!(text, " template={}", action::literal(node));
            }
            let _ = writeln!(text, "{}", shown_keywords(&task.keywords));
        }
        Item::Block(block) => {
            let _ = writeln!(text, "{pad}block {}", block.name.as_deref().unwrap_or(""));
            for (name, items) in [
                ("", &block.tasks),
                ("rescue", &block.rescue),
                ("always", &block.always),
            ] {
                if !items.is_empty() && !name.is_empty() {
                    let _ = writeln!(text, "{pad}{name}");
                }
                for item in items {
                    shown_item(loader, item, depth + 1, text);
                }
            }
        }
        Item::Include(include) => shown_include(loader, include, depth, text),
    }
}

fn shown_include(loader: &Loader, include: &Include, depth: usize, text: &mut String) {
    let pad = "  ".repeat(depth);
    let _ = writeln!(
        text,
        "{pad}{} | include{}",
        include.title(),
        shown_keywords(&include.keywords)
    );
    let items = match &include.what {
        Included::Tasks { file } => file
            .as_str()
            .and_then(|file| loader.include_tasks(include, file).ok()),
        Included::Role { name, .. } => name.as_str().and_then(|name| {
            let from = super::RoleFrom {
                name: name.to_owned(),
                ..super::RoleFrom::default()
            };
            loader
                .include_role(include, &from, &HashSet::new())
                .ok()
                .map(|included| included.items)
        }),
    };
    match items {
        Some(items) => {
            for item in &items {
                shown_item(loader, item, depth + 1, text);
            }
        }
        None => {
            let _ = writeln!(text, "{pad}  known during the run");
        }
    }
}

fn shown_keywords(keywords: &Keywords) -> String {
    let mut text = String::new();
    let list = |nodes: &[crate::source::Node]| {
        nodes
            .iter()
            .map(|node| action::literal(node).to_string())
            .collect::<Vec<_>>()
            .join(" & ")
    };
    if !keywords.when.is_empty() {
        let _ = write!(text, " when[{}]", list(&keywords.when));
    }
    if !keywords.tags.is_empty() {
        let _ = write!(text, " tags{:?}", keywords.tags);
    }
    if !keywords.notify.is_empty() {
        let _ = write!(text, " notify[{}]", list(&keywords.notify));
    }
    if !keywords.environment.is_empty() {
        let _ = write!(text, " environment[{}]", list(&keywords.environment));
    }
    for (name, node) in &keywords.vars {
        let _ = write!(text, " {name}:={}", action::literal(node));
    }
    if let Some(loop_) = &keywords.loop_ {
        let _ = write!(
            text,
            " loop {:?} {}",
            loop_.kind,
            action::literal(&loop_.node)
        );
        if let Some(name) = &loop_.control.loop_var {
            let _ = write!(text, " as {name}");
        }
    }
    for (name, node) in [
        ("become", &keywords.become_.enabled),
        ("become_user", &keywords.become_.user),
        ("delegate_to", &keywords.delegate_to),
        ("no_log", &keywords.no_log),
        ("retries", &keywords.retries),
    ] {
        if let Some(node) = node {
            let _ = write!(text, " {name}={}", action::literal(node));
        }
    }
    if let Some(name) = &keywords.register {
        let _ = write!(text, " register={name}");
    }
    text
}

#[test]
fn the_embedded_playbook_loads() {
    let nothing = tempfile::tempdir().expect("a folder");
    let loader = Loader::new(Arc::new(crate::assets::Project::new(nothing.path())));
    let playbook = loader.playbook("site.yml").unwrap_or_else(|errors| {
        panic!(
            "{}",
            errors
                .iter()
                .map(shown_error)
                .collect::<Vec<_>>()
                .join("\n")
        )
    });
    assert!(playbook.plays.len() > 3);
}
