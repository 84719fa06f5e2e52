//! Checks of loaded tasks that need more than their YAML: local files that must be there, and the syntax of templates.

use super::loader::Loading;
use super::search::Seeker;
use super::types::{Include, Included, Keywords, Task};
use super::values::{is_dynamic, is_template};
use crate::base::value::to_bool;
use crate::base::{Diagnostic, Result};
use crate::source::{Node, Yaml};
use crate::template::{self, FileOptions};
use std::path::Path;
use std::sync::Arc;

impl Loading<'_> {
    /// Checks one task.
    pub(super) fn check_task(&mut self, task: &mut Task) {
        self.check_files(task);
        self.check_keywords(&task.keywords);
        for (name, node) in &task.action.args {
            if task.action.module == "assert" && name == "that" {
                self.check_conditions(node);
            } else if task.action.module == "debug" && name == "var" {
                self.check_expression(node);
            } else {
                self.check_templates(node);
            }
        }
        for node in task.action.free_form.iter().chain(&task.action.template) {
            self.check_templates(node);
        }
    }

    /// Checks a dynamic include.
    pub(super) fn check_include(&mut self, include: &Include) {
        self.check_keywords(&include.keywords);
        match &include.what {
            Included::Tasks { file } => self.check_templates(file),
            Included::Role {
                name, tasks_from, ..
            } => {
                self.check_templates(name);
                if let Some(node) = tasks_from {
                    self.check_templates(node);
                }
            }
        }
    }

    fn check_keywords(&mut self, keywords: &Keywords) {
        let conditions = [&keywords.when, &keywords.until];
        let optional = [&keywords.changed_when, &keywords.failed_when];
        for node in conditions
            .into_iter()
            .chain(optional.into_iter().flatten())
            .flatten()
        {
            self.check_expression(node);
        }
        for (_, node) in &keywords.vars {
            self.check_templates(node);
        }
        for node in keywords
            .notify
            .iter()
            .chain(&keywords.environment)
            .chain(&keywords.delegate_to)
        {
            self.check_templates(node);
        }
        if let Some(loop_) = &keywords.loop_ {
            self.check_templates(&loop_.node);
            if let Some(node) = &loop_.control.label {
                self.check_templates(node);
            }
            for node in &loop_.control.break_when {
                self.check_expression(node);
            }
        }
    }

    fn check_conditions(&mut self, node: &Node) {
        match &node.yaml {
            Yaml::Sequence(items) => items.iter().for_each(|item| self.check_conditions(item)),
            _ => self.check_expression(node),
        }
    }

    fn check_files(&mut self, whole: &mut Task) {
        let task: &Task = whole;
        let literal = |node: &Node| {
            node.as_str()
                .filter(|_| !is_dynamic(node))
                .map(str::to_owned)
        };
        let arg = |name: &str| task.arg(name).and_then(literal);
        let says = |name: &str| {
            task.arg(name)
                .and_then(|node| to_bool(&super::action::literal(node)))
        };
        let unsure = |name: &str| task.arg(name).is_some_and(is_dynamic);
        if task.action.module == "uri"
            && task.arg("src").is_some()
            && says("remote_src") != Some(true)
            && !unsure("remote_src")
        {
            self.errors.push(
                Diagnostic::new("`src` of `uri` is a file of this machine unless `remote_src: true` says otherwise")
                    .at(&task.action.span)
                    .help("set `remote_src: true` for a file of the host, or send `body: \"{{ lookup('file', …) }}\"`"),
            );
        }
        let seeker = Seeker {
            span: &task.action.span,
            ..Seeker::from(task)
        };
        let loader = self.loader;
        let found = match task.action.module {
            "template" => arg("src").map(|src| loader.find_template(seeker, &src)),
            "copy" if says("remote_src") != Some(true) && !unsure("remote_src") => {
                arg("src").map(|src| loader.find_file(seeker, &src))
            }
            "unarchive"
                if says("remote_src") != Some(true)
                    && !unsure("remote_src")
                    && says("copy") != Some(false) =>
            {
                arg("src")
                    .filter(|src| !src.contains("://"))
                    .map(|src| loader.find_file(seeker, &src))
            }
            "script" => {
                let line = task.action.free_form.as_ref().or(task.arg("cmd"));
                let line = line.and_then(Node::as_str);
                // Its arguments may be templates.
                let program = line.and_then(|line| shlex::split(line)?.into_iter().next());
                program
                    .filter(|program| !is_template(program))
                    .map(|program| loader.find_file(seeker, &program))
            }
            "include_vars" => {
                let name = task
                    .action
                    .free_form
                    .as_ref()
                    .and_then(literal)
                    .or_else(|| arg("file"))
                    .or_else(|| arg("dir"));
                // A condition or loop may keep it from being read at all.
                let always = task.keywords.when.is_empty() && task.keywords.loop_.is_none();
                name.filter(|_| always)
                    .map(|name| loader.find_vars(seeker, &name))
            }
            _ => None,
        };
        match found {
            Some(Ok(path)) if task.action.module == "template" => {
                self.check_template_file(task, &path);
            }
            Some(Ok(path)) if says("decrypt") != Some(false) => self.check_opens(task, &path),
            Some(Err(error)) => self.missing_file(whole, error),
            _ => {}
        }
    }

    /// An encrypted file that cannot be opened is told before anything is changed.
    fn check_opens(&mut self, task: &Task, path: &str) {
        let encrypted = |read: Option<Result<Vec<u8>>>| match read {
            Some(Ok(bytes)) => std::str::from_utf8(&bytes).is_ok_and(crate::vault::is_vault),
            _ => false,
        };
        let files = &self.loader.files;
        if encrypted(files.read_raw(Path::new(path)))
            && let Some(Err(error)) = files.read_bytes(Path::new(path))
        {
            let place = task.arg("src").or(task.action.free_form.as_ref());
            let error = error.at(place.map_or(&task.action.span, |node| &node.span));
            self.errors.push(error);
        }
    }

    /// A local file that is not there is a mistake where its task certainly runs. Where it may not, a host that gets there
    /// makes it one; where a task before it may bring the file, it is told when it is its turn.
    fn missing_file(&mut self, task: &mut Task, error: Diagnostic) {
        let keywords = &task.keywords;
        let never = |node: &Node| to_bool(&super::action::literal(node)) == Some(false);
        if keywords.when.iter().any(never) {
        } else if self.brings {
            task.action.later = true;
        } else if keywords.when.is_empty() && keywords.loop_.is_none() {
            self.errors.push(error);
        } else {
            self.missing = true;
            task.action.missing = Some(Arc::new(error));
        }
    }

    /// The syntax of every template inside a node.
    pub(super) fn check_templates(&mut self, node: &Node) {
        template::check(node, &mut self.errors);
    }

    /// The syntax of a condition.
    fn check_expression(&mut self, node: &Node) {
        template::check_condition(node, &mut self.errors);
    }

    /// The syntax of a template file, read as its task reads it.
    fn check_template_file(&mut self, task: &Task, path: &str) {
        let text = |name: &str| {
            task.arg(name)
                .and_then(|node| node.as_str())
                .map(str::to_owned)
        };
        let flag = |name: &str| {
            task.arg(name)
                .and_then(|node| to_bool(&super::action::literal(node)))
        };
        let options = FileOptions {
            trim_blocks: flag("trim_blocks"),
            lstrip_blocks: flag("lstrip_blocks"),
            newline_sequence: None,
            variable_start_string: text("variable_start_string"),
            variable_end_string: text("variable_end_string"),
            block_start_string: text("block_start_string"),
            block_end_string: text("block_end_string"),
            comment_start_string: text("comment_start_string"),
            comment_end_string: text("comment_end_string"),
        };
        let file = self.loader.files.read(Path::new(path));
        let at = |error: Diagnostic| match task.arg("src") {
            Some(node) if error.at.is_none() => error.at(&node.span),
            _ => error,
        };
        let file = file.map(|file| file.map_err(at));
        if let Some(file) = file.and_then(|file| self.errors.take(file)) {
            template::check_file(&file, &options, &mut self.errors);
        }
    }
}
