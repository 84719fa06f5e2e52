//! Finds mistakes in templates without rendering them: syntax, and filters and tests that do not exist.
//!
//! Knows no variables; what only a value can tell is left to rendering.

use super::ast::{Args, Expr, Kind, Macro, Pos, Stmt, Template};
use super::header::{self, FileOptions};
use super::origin::Origin;
use super::parse::{self, Form};
use super::session::is_template;
use super::{checks, filters};
use crate::base::{Diagnostic, Diagnostics};
use crate::source::{Node, SourceFile, Span, Yaml};
use std::sync::Arc;

/// Checks every text inside a node, keys too.
pub fn check(node: &Node, errors: &mut Diagnostics) {
    match &node.yaml {
        Yaml::String(text) if is_template(text) => {
            read(text, &Form::Scalar, &Origin::scalar(&node.span), errors);
        }
        Yaml::Sequence(items) => {
            for item in items {
                check(item, errors);
            }
        }
        Yaml::Mapping(entries) => {
            for (key, value) in entries {
                check(key, errors);
                check(value, errors);
            }
        }
        _ => {}
    }
}

/// Checks a condition, or a list of them: bare expressions, or whole templates as old roles have them.
pub fn check_condition(node: &Node, errors: &mut Diagnostics) {
    match &node.yaml {
        Yaml::String(text)
            if text.trim_start().starts_with("{{") || text.trim_start().starts_with("{%") =>
        {
            check(node, errors);
        }
        Yaml::String(text) if !text.trim().is_empty() => {
            read(
                text.trim(),
                &Form::Expression,
                &Origin::scalar(&node.span),
                errors,
            );
        }
        Yaml::Sequence(items) => {
            for item in items {
                check_condition(item, errors);
            }
        }
        _ => {}
    }
}

/// Checks a template file.
pub fn check_file(source: &Arc<SourceFile>, options: &FileOptions, errors: &mut Diagnostics) {
    let normal = source.text.replace("\r\n", "\n").replace('\r', "\n");
    let first = Span {
        file: Arc::clone(source),
        line: 1,
        column: 1,
    };
    let Some(header) =
        errors.take(header::read(&normal, options).map_err(|error| error.at(&first)))
    else {
        return;
    };
    let origin = Origin::file(source, header.lines);
    read(
        header.body,
        &Form::File(Box::new(header.syntax)),
        &origin,
        errors,
    );
}

fn read(text: &str, form: &Form, origin: &Origin, errors: &mut Diagnostics) {
    match parse::parse(text, form) {
        Ok(template) => Walk { origin, errors }.template(&template),
        Err(fault) => errors.push(fault.diagnostic.clone().at(&origin.span(fault.pos))),
    }
}

struct Walk<'a> {
    origin: &'a Origin,
    errors: &'a mut Diagnostics,
}

impl Walk<'_> {
    fn template(&mut self, template: &Template) {
        self.body(&template.body);
    }

    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Raw(_) | Stmt::Continue | Stmt::Break => {}
            Stmt::Emit(expr) | Stmt::Do(expr) | Stmt::Extends(expr) => self.expr(expr),
            Stmt::Set { value, .. } => self.expr(value),
            Stmt::Include { name, .. } => self.expr(name),
            Stmt::Import { file, .. } | Stmt::FromImport { file, .. } => self.expr(file),
            Stmt::For(each) => {
                self.expr(&each.iter);
                self.maybe(each.filter.as_ref());
                self.body(&each.body);
                self.body(&each.otherwise);
            }
            Stmt::If {
                test,
                then,
                otherwise,
            } => {
                self.expr(test);
                self.body(then);
                self.body(otherwise);
            }
            Stmt::With { assignments, body } => {
                for (_, value) in assignments {
                    self.expr(value);
                }
                self.body(body);
            }
            Stmt::SetBlock { filter, body, .. } => {
                self.maybe(filter.as_ref());
                self.body(body);
            }
            Stmt::Filter { filter, body } => {
                self.expr(filter);
                self.body(body);
            }
            Stmt::Block { body, .. } => self.body(body),
            Stmt::Macro(block) => self.block(block),
            Stmt::Call { call, body } => {
                self.expr(call);
                self.block(body);
            }
        }
    }

    fn block(&mut self, block: &Macro) {
        for default in &block.defaults {
            self.expr(default);
        }
        self.body(&block.body);
    }

    fn maybe(&mut self, expr: Option<&Expr>) {
        if let Some(expr) = expr {
            self.expr(expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Const(_) | Kind::Var(_) | Kind::Captured => {}
            Kind::Attr(base, _) | Kind::Not(base) | Kind::Neg(base) => self.expr(base),
            Kind::Item(left, right) | Kind::Bin(_, left, right) => {
                self.expr(left);
                self.expr(right);
            }
            Kind::Slice(base, parts) => {
                self.expr(base);
                for part in parts {
                    self.maybe(part.as_deref());
                }
            }
            Kind::Compare(first, others) => {
                self.expr(first);
                for (_, other) in others {
                    self.expr(other);
                }
            }
            Kind::If(test, then, otherwise) => {
                self.expr(test);
                self.expr(then);
                self.maybe(otherwise.as_deref());
            }
            Kind::Filter(name, input, args) => {
                self.expr(input);
                self.args(args);
                if let Some(error) = filters::missing(name) {
                    self.report(error, expr.pos);
                }
            }
            Kind::Test(name, input, args) => {
                self.expr(input);
                self.args(args);
                if let Some(error) = checks::missing(name) {
                    self.report(error, expr.pos);
                }
            }
            Kind::Call(callee, args) => {
                self.expr(callee);
                self.args(args);
            }
            Kind::List(items) | Kind::Tuple(items) => {
                for item in items {
                    self.expr(item);
                }
            }
            Kind::Dict(entries) => {
                for (key, value) in entries {
                    self.expr(key);
                    self.expr(value);
                }
            }
        }
    }

    fn args(&mut self, args: &Args) {
        let positional = args.positional.iter().map(|(_, value)| value);
        let named = args.named.iter().map(|(_, value)| value);
        for value in positional.chain(named).chain(&args.entries) {
            self.expr(value);
        }
    }

    fn report(&mut self, error: Diagnostic, pos: Pos) {
        self.errors.push(error.at(&self.origin.span(pos)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        let file = Arc::new(SourceFile {
            path: "t.yml".to_owned(),
            text: text.to_owned(),
        });
        Node {
            yaml: Yaml::String(text.to_owned()),
            span: Span {
                file,
                line: 1,
                column: 1,
            },
        }
    }

    #[test]
    fn mistakes_are_found_without_rendering() {
        for (text, found) in [
            ("{{ nobody.knows['this'] | default('x') }}", None),
            ("{{ a | defualt(1) }}", Some("there is no filter `defualt`")),
            (
                "{% for a in b | sortt %}{% endfor %}",
                Some("there is no filter `sortt`"),
            ),
            (
                "{{ [1, {'a': b is definde}] }}",
                Some("there is no test `definde`"),
            ),
            ("{{ a is not defined and b is match('x') }}", None),
            ("{{ a | ansible.builtin.to_json }}", None),
            ("no template } at all", None),
        ] {
            let mut errors = Diagnostics::default();
            check(&node(text), &mut errors);
            let first = errors
                .into_vec()
                .into_iter()
                .next()
                .map(|error| error.message);
            assert_eq!(first.as_deref(), found, "{text}");
        }
        for text in ["{{ a", "{% if a %}", "{{ a b }}", "{% endif %}"] {
            let mut errors = Diagnostics::default();
            check(&node(text), &mut errors);
            assert_eq!(errors.len(), 1, "{text}");
        }
    }

    #[test]
    fn conditions_are_expressions() {
        for (text, faults) in [
            ("a == 'b' and c", 0),
            ("a = b", 1),
            ("{{ a }}", 0),
            ("", 0),
            ("a is defind", 1),
            ("'{{' in a", 0),
        ] {
            let mut errors = Diagnostics::default();
            check_condition(&node(text), &mut errors);
            assert_eq!(errors.len(), faults, "{text}");
        }
    }

    #[test]
    fn the_place_is_the_line_of_the_file() {
        let text = "#jinja2: trim_blocks: False\nfirst\n{{ a | nope }}\n".to_owned();
        let source = Arc::new(SourceFile {
            path: "t.j2".to_owned(),
            text,
        });
        let mut errors = Diagnostics::default();
        check_file(&source, &FileOptions::default(), &mut errors);
        let places: Vec<_> = errors
            .into_vec()
            .iter()
            .filter_map(|error| Some(error.at.as_ref()?.line))
            .collect();
        assert_eq!(places, [3]);
    }
}
