//! Which module a task means, and whether its parameters are what that module takes.

use super::keywords::{self, Owner};
use super::loader::Loading;
use super::types::{Action, Keywords};
use super::values::{is_dynamic, is_identifier, is_template, with_nearest};
use super::{actions, elsewhere, freeform};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Diagnostics};
use crate::modules::{self, Param, Spec};
use crate::source::{Node, Span, Yaml};
use std::sync::Arc;

/// Parameters as written.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Name, place of the name, value.
    pub args: Vec<(String, Span, Node)>,
    /// Free text.
    pub free_form: Option<Node>,
    /// A template of a mapping.
    pub template: Option<Node>,
}

impl Parsed {
    /// The value; free text is `_raw_params`.
    pub fn get(&self, name: &str) -> Option<&Node> {
        if name == "_raw_params" {
            return self.free_form.as_ref();
        }
        self.args
            .iter()
            .find(|(key, _, _)| key == name)
            .map(|(_, _, node)| node)
    }

    /// Adds a mapping below what is there.
    pub fn add(&mut self, node: &Node, errors: &mut Diagnostics) {
        match &node.yaml {
            Yaml::Mapping(entries) => {
                for (key, value) in entries {
                    match key.as_str() {
                        Some("_raw_params") => self.free_form = Some(value.clone()),
                        Some(name) if self.get(name).is_none() => {
                            self.args
                                .push((name.to_owned(), key.span.clone(), value.clone()));
                        }
                        Some(_) => {}
                        None => errors.push(
                            Diagnostic::new(format!(
                                "the name of a parameter is text, not {}",
                                key.kind()
                            ))
                            .at(&key.span),
                        ),
                    }
                }
            }
            Yaml::String(text) if is_template(text) => self.template = Some(node.clone()),
            Yaml::Null => {}
            _ => errors.push(
                Diagnostic::new(format!("parameters are a mapping, not {}", node.kind()))
                    .at(&node.span),
            ),
        }
    }
}

impl Loading<'_> {
    /// The action among the keys of a task that are no keywords.
    pub(super) fn action(
        &mut self,
        rest: &[(&Node, &Node)],
        args: Option<&Node>,
        task: &Node,
        keywords: &Keywords,
    ) -> Option<Action> {
        let defaults = &keywords.module_defaults;
        let mut found: Option<(&Node, &Node, &'static Spec)> = None;
        let mut unknown: Vec<&Node> = Vec::new();
        let mut fine = true;
        if let Some(action) = self.lacking(rest) {
            return Some(action);
        }
        for (key, value) in rest {
            let name = key.as_str().unwrap_or_default();
            match actions::find(name) {
                Some(spec) => match found {
                    Some((_, _, first)) => {
                        fine = false;
                        self.errors.push(
                            Diagnostic::new(format!(
                                "a task does one thing; this one names `{}` and `{name}`",
                                first.names[0]
                            ))
                            .at(&key.span)
                            .help("make two tasks of it"),
                        );
                    }
                    None => found = Some((key, value, spec)),
                },
                None => unknown.push(key),
            }
        }
        for key in &unknown {
            let module = found.map_or("", |(_, _, spec)| spec.names[0]);
            self.unknown_key(key, module, Owner::Task);
        }
        let Some((key, value, spec)) = found else {
            if unknown.is_empty() {
                self.errors.push(
                    Diagnostic::new("this task names no module")
                        .at(&task.span)
                        .help("add one, e.g. `ansible.builtin.copy:`"),
                );
            }
            return None;
        };
        if let Some(instead) = spec.refused {
            self.errors.push(
                Diagnostic::new(format!("hactl does not do `{}`", spec.names[0]))
                    .at(&key.span)
                    .help(instead),
            );
            return None;
        }
        let mut parsed = self.written(spec, value)?;
        if let Some(args) = args {
            parsed.add(args, &mut self.errors);
        }
        // The innermost defaults of a module replace the outer ones.
        let of_this = |name: &str| actions::find(name).is_some_and(|of| std::ptr::eq(of, spec));
        if let Some((_, node)) = defaults.iter().rev().find(|(name, _)| of_this(name)) {
            add_defaults(&mut parsed, node, spec);
        }
        fine &= self.check_parameters(spec, &parsed);
        let unfit = self.unfit(spec, key, &parsed);
        // Where its task may not be reached at all it is the mistake of whoever gets there.
        let unfit = if keywords.when.is_empty() {
            fine &= unfit.is_empty();
            for error in unfit {
                self.errors.push(error);
            }
            Vec::new()
        } else {
            self.missing |= !unfit.is_empty();
            together(unfit)
        };
        fine.then(|| Action {
            module: spec.names[0],
            args: parsed
                .args
                .into_iter()
                .map(|(name, _, node)| (name, node))
                .collect(),
            free_form: parsed.free_form,
            template: parsed.template,
            span: key.span.clone(),
            lacks: None,
            missing: None,
            unfit,
            later: false,
        })
    }

    /// The action of a task whose module Ansible knows and hactl lacks. What it is given is not looked at: nobody here
    /// knows what that module takes.
    fn lacking(&mut self, rest: &[(&Node, &Node)]) -> Option<Action> {
        let name = |key: &Node| key.as_str().unwrap_or_default().to_owned();
        if rest.iter().any(|(key, _)| known(&name(key))) {
            return None;
        }
        let (key, error) = rest
            .iter()
            .find_map(|(key, _)| Some((*key, elsewhere::lack(&name(key))?.at(&key.span))))?;
        for (other, _) in rest.iter().filter(|(other, _)| other.span != key.span) {
            self.unknown_key(other, elsewhere::UNSUPPORTED, Owner::Task);
        }
        self.lacking.push(key.span.clone());
        Some(Action {
            module: elsewhere::UNSUPPORTED,
            args: Vec::new(),
            free_form: None,
            template: None,
            span: key.span.clone(),
            lacks: Some(Arc::new(error)),
            missing: None,
            unfit: Vec::new(),
            later: false,
        })
    }

    fn written(&mut self, spec: &'static Spec, value: &Node) -> Option<Parsed> {
        let mut parsed = Parsed::default();
        match &value.yaml {
            Yaml::String(text) if is_whole_template(text) && !spec.free_form => {
                parsed.template = Some(value.clone());
            }
            Yaml::String(text) => {
                let engine = actions::builtin(spec.names[0]).is_some();
                let split = freeform::split(text, value, spec.free_form && !engine);
                parsed.args = split
                    .args
                    .into_iter()
                    .map(|(name, node)| (name, value.span.clone(), node))
                    .collect();
                match split.rest {
                    Some(rest) if !spec.free_form => {
                        self.errors.push(
                            Diagnostic::new(format!(
                                "`{}` takes parameters, not the text `{}`",
                                spec.names[0],
                                rest.as_str().unwrap_or("")
                            ))
                            .at(&value.span)
                            .help(format!("write them below it; it takes: {}", params(spec))),
                        );
                        return None;
                    }
                    rest => parsed.free_form = rest,
                }
            }
            Yaml::Mapping(_) | Yaml::Null => parsed.add(value, &mut self.errors),
            _ => {
                self.errors.push(
                    Diagnostic::new(format!(
                        "`{}` takes a mapping, not {}",
                        spec.names[0],
                        value.kind()
                    ))
                    .at(&value.span),
                );
                return None;
            }
        }
        Some(parsed)
    }

    /// A key that is neither a module nor a keyword.
    pub(super) fn unknown_key(&mut self, key: &Node, module: &str, owner: Owner) {
        let name = key.as_str().unwrap_or_default();
        let spec = actions::find(module);
        let (message, known): (String, Vec<&str>) = if owner == Owner::Block {
            (
                format!("`{module}` takes no `{name}`"),
                keywords::of(owner).collect(),
            )
        } else if module.is_empty() {
            (
                format!("`{name}` is neither a module of hactl nor a keyword of a task"),
                actions::names().chain(keywords::of(owner)).collect(),
            )
        } else {
            (
                format!("`{name}` is not a keyword of a task"),
                keywords::of(owner).collect(),
            )
        };
        let mut error = Diagnostic::new(message).at(&key.span);
        if module.is_empty() && owner != Owner::Block {
            error = error.lacking(name);
        }
        let short = name.rsplit('.').next().unwrap_or(name);
        error = if spec.is_some_and(|spec| spec.param(name).is_some()) {
            error.help(format!(
                "`{name}` is a parameter of `{module}`: indent it below the module"
            ))
        } else if let (true, Some(spec)) = (short != name, actions::find(short)) {
            error.help(format!(
                "did you mean `{}`?",
                spec.names.last().unwrap_or(&short)
            ))
        } else {
            with_nearest(error, short, known.into_iter())
        };
        self.errors.push(error);
    }

    /// Checks parameters against what the action takes. What a template gives is only known during the run.
    pub(super) fn check_parameters(&mut self, spec: &'static Spec, parsed: &Parsed) -> bool {
        let before = self.errors.len();
        for (name, span, value) in &parsed.args {
            match spec.param(name) {
                Some(param) => self.check_value(spec, param, value),
                None if actions::takes_any(spec) => {
                    let named = is_identifier(name) || is_template(name);
                    if !named {
                        self.errors.push(
                            Diagnostic::new(format!("`{name}` cannot be the name of a variable"))
                                .at(span),
                        );
                    }
                }
                // What is like none of its parameters is `unfit`'s.
                None => {
                    let slip = modules::nearest_parameter(spec, name).is_some();
                    if slip {
                        let error = modules::unknown_parameter(spec, name).at(span);
                        self.errors.push(error);
                    }
                }
            }
        }
        match (&parsed.free_form, spec.param("_raw_params")) {
            (Some(value), Some(param)) => self.check_value(spec, param, value),
            (Some(value), None) if !spec.free_form => {
                self.errors.push(
                    Diagnostic::new(format!("`{}` takes no free text", spec.names[0]))
                        .at(&value.span),
                );
            }
            _ => {}
        }
        self.errors.len() == before
    }

    fn check_value(&mut self, spec: &Spec, param: &'static Param, value: &Node) {
        if matches!(value.yaml, Yaml::Null) || is_dynamic(value) {
            return;
        }
        let Err(mut error) = modules::convert(param, literal(value)) else {
            return;
        };
        if param.name == "_raw_params" {
            error.message = error.message.replacen(
                "parameter `_raw_params`",
                &format!("`{}`", spec.names[0]),
                1,
            );
        }
        if let ([_, ..], Some(given)) = (param.choices, value.as_str()) {
            error = with_nearest(error, given, param.choices.iter().copied());
        }
        self.errors.push(error.at(&value.span));
    }
}

/// Whether hactl has the module, or one of that name in another collection, which is what was meant then.
fn known(name: &str) -> bool {
    let short = name.rsplit('.').next().unwrap_or(name);
    actions::find(name).is_some() || actions::find(short).is_some()
}

fn add_defaults(parsed: &mut Parsed, defaults: &Node, spec: &Spec) {
    for (key, value) in defaults.entries() {
        let Some(name) = key.as_str() else { continue };
        let same = |other: &str| match spec.param(name) {
            Some(param) => param.name == other || param.aliases.contains(&other),
            None => other == name,
        };
        if !parsed.args.iter().any(|(other, _, _)| same(other)) {
            parsed
                .args
                .push((name.to_owned(), key.span.clone(), value.clone()));
        }
    }
}

/// One error a place: what else is wrong there stands in its notes.
fn together(errors: Vec<Diagnostic>) -> Vec<Arc<Diagnostic>> {
    let mut all: Vec<Diagnostic> = Vec::new();
    for error in errors {
        match all.iter_mut().find(|other| other.at == error.at) {
            Some(other) => other.notes.push(error.message),
            None => all.push(error),
        }
    }
    all.into_iter().map(Arc::new).collect()
}

fn is_whole_template(text: &str) -> bool {
    text.trim_start().starts_with("{{") && text.trim_end().ends_with("}}")
}

pub(super) fn mentions_omit(node: &Node) -> bool {
    node.as_str()
        .is_some_and(|text| is_template(text) && text.contains("omit"))
}

fn params(spec: &Spec) -> String {
    spec.params
        .iter()
        .map(|param| param.name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The value of a node without templates.
pub(super) fn literal(node: &Node) -> Value {
    match &node.yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(*flag),
        Yaml::Int(number) => Value::from(*number),
        Yaml::Float(number) => Value::from(*number),
        Yaml::String(text) | Yaml::Unsafe(text) | Yaml::Vault(text) => Value::from(text.as_str()),
        Yaml::Sequence(items) => items.iter().map(literal).collect(),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                map.insert(crate::base::value::to_text(&literal(key)), literal(value));
            }
            Value::Object(map)
        }
    }
}
