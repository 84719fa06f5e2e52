//! Templates with Ansible's rendering. The only floor that names the template engine.
//!
//! Text that came from a host is data: it is printed, compared and filtered, never evaluated.

mod access;
mod ast;
mod blanks;
mod checks;
mod convert;
mod eval;
mod filters;
mod format;
mod frame;
mod globals;
mod header;
mod lookups;
mod lower;
mod methods;
mod nearest;
mod objects;
mod ops;
mod origin;
mod parse;
mod print;
mod reuse;
mod session;
mod stmt;
mod syntax;
mod val;
mod version;

#[cfg(test)]
mod tests;

pub use header::FileOptions;
pub use syntax::{check, check_condition, check_file};

use crate::base::value::{UNKNOWN, Value, has_unknown, to_text, unknown};
use crate::base::{Diagnostic, Result};
use crate::source::{Node, SourceFile, Span, Yaml};
use session::Session;
use std::sync::Arc;
use val::Val;

/// A variable as the layers below hold it.
#[derive(Debug, Clone)]
pub enum Variable {
    /// Written by a person in YAML: a template, rendered when it is read.
    Template(Node),
    /// Data (facts, results, rendered values): never a template, whatever text it holds.
    Data(Value),
    /// A mapping whose entries are variables of another scope (`hostvars`, `hostvars['db1']`, `vars`): each is looked
    /// up and rendered there when it is read, never all at once.
    Scope(Arc<dyn Variables>),
    /// Nobody knows yet what it holds, or whether there is one.
    Unsettled,
}

impl std::fmt::Debug for dyn Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Variables")
    }
}

/// Where names in templates are looked up.
pub trait Variables: Send + Sync {
    /// The variable of that name, if there is one.
    fn lookup(&self, name: &str) -> Option<Variable>;
    /// All names (for `lookup('varnames')`, suggestions in errors, `vars`).
    fn names(&self) -> Vec<String>;
}

/// Which of a role's or playbook's folders a file is looked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `files/`.
    Files,
    /// `templates/`.
    Templates,
    /// `vars/`.
    Vars,
    /// None of them: the role's own folder, the one of the task's file, the playbook's.
    Plain,
}

/// The files beside a role or playbook.
pub trait TemplateFiles: Send + Sync {
    /// The path of the first file of that name along the search path; for [`TemplateFiles::read`].
    fn find(&self, kind: FileKind, name: &str) -> Option<String>;
    /// What a found file holds.
    fn read(&self, path: &str) -> Result<Vec<u8>>;
    /// The files that a shell pattern matches, sorted.
    fn glob(&self, pattern: &str) -> Vec<String>;
}

/// No files at all.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl TemplateFiles for NoFiles {
    fn find(&self, _kind: FileKind, _name: &str) -> Option<String> {
        None
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        Err(Diagnostic::new(format!("there is no file `{path}`")))
    }

    fn glob(&self, _pattern: &str) -> Vec<String> {
        Vec::new()
    }
}

/// How a vaulted value is opened.
pub type Decrypt = Arc<dyn Fn(&str) -> Result<String> + Send + Sync>;

/// What a template can reach.
#[derive(Clone)]
pub struct Context {
    /// The variables.
    pub variables: Arc<dyn Variables>,
    /// The files.
    pub files: Arc<dyn TemplateFiles>,
    /// Opens vaulted values.
    pub decrypt: Decrypt,
}

/// A rendered template file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text. When not all is known yet, it is of no use but for measuring.
    pub text: String,
    /// Whether some part is known only after apply.
    pub unknown: bool,
}

/// Renders a node: texts as templates, vaulted texts opened, unsafe texts as they are, all the way down.
///
/// Omitted parts of lists and mappings drop out; a node that is itself omitted gives [`crate::base::value::OMIT`].
pub fn value(node: &Node, ctx: &Context) -> Result<Value> {
    let session = Session::new(ctx);
    session
        .node(node.clone())
        .to_data()
        .map_err(|error| error.at(&node.span))
}

/// Renders one text: the native value when it is a single expression, text otherwise.
pub fn text(template: &str, span: &Span, ctx: &Context) -> Result<Value> {
    Session::new(ctx)
        .scalar(template, span)
        .to_data()
        .map_err(|error| error.at(span))
}

/// Renders a text for people: what is known of it, with [`UNKNOWN`] for each expression that is not.
pub fn known_parts(template: &str, span: &Span, ctx: &Context) -> Result<String> {
    let whole = text(template, span, ctx)?;
    if !has_unknown(&whole) || template.contains("{%") || template.contains("{#") {
        return Ok(to_text(&whole));
    }
    let mut shown = String::new();
    let mut rest = template;
    while let Some((before, expression, after)) = next_expression(rest) {
        shown.push_str(before);
        match text(expression, span, ctx) {
            Ok(value) if !has_unknown(&value) => shown.push_str(&to_text(&value)),
            _ => shown.push_str(UNKNOWN),
        }
        rest = after;
    }
    Ok(shown + rest)
}

/// What stands before the first expression of a text, the expression with its braces, and what follows. Braces within quotes do
/// not end it.
fn next_expression(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find("{{")?;
    let mut quote = None;
    let mut before = ' ';
    for (at, letter) in text.char_indices().skip_while(|(at, _)| *at < begin + 2) {
        match (quote, letter) {
            (Some(open), _) if open == letter && before != '\\' => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, '}') if before == '}' => {
                let (head, after) = text.split_at(at + 1);
                return Some((&head[..begin], &head[begin..], after));
            }
            _ => {}
        }
        before = letter;
    }
    None
}

/// Evaluates a condition: a bare expression, a boolean, or a list of them that must all hold.
///
/// The result is a boolean or unknown; anything else is an error, as in ansible-core 2.19: text like `false` would hold.
pub fn condition(node: &Node, ctx: &Context) -> Result<Value> {
    let session = Session::new(ctx);
    let Some(items) = node.items() else {
        return session.condition(node).map(data);
    };
    let mut all = Some(true);
    for item in items {
        match session.condition(item) {
            Ok(Some(false)) => return Ok(Value::Bool(false)),
            Ok(Some(true)) => {}
            Ok(None) => all = None,
            Err(_) if all.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(data(all))
}

/// Evaluates a bare expression to its native value.
pub fn expression(text: &str, span: &Span, ctx: &Context) -> Result<Value> {
    let session = Session::new(ctx);
    session
        .expression(text, span)?
        .to_data()
        .map_err(|error| error.at(span))
}

/// Renders a template file.
pub fn file(source: &Arc<SourceFile>, ctx: &Context, options: &FileOptions) -> Result<Rendered> {
    Session::new(ctx).file(source, options)
}

fn data(known: Option<bool>) -> Value {
    known.map_or_else(unknown, Value::Bool)
}

impl Session {
    /// `None` when it is not known yet.
    fn condition(self: &std::rc::Rc<Self>, node: &Node) -> Result<Option<bool>> {
        let result = match &node.yaml {
            Yaml::Null => return Ok(Some(true)),
            Yaml::Int(_) | Yaml::Float(_) | Yaml::Sequence(_) | Yaml::Mapping(_) => {
                return Err(Diagnostic::new("a condition is an expression or a boolean")
                    .at(&node.span)
                    .help("write the expression as text, like `when: x > 0`"));
            }
            Yaml::String(text) => {
                let text = text.trim();
                if text.is_empty() {
                    return Err(Diagnostic::new("the condition is empty")
                        .at(&node.span)
                        .help("leave it out, or say `true`"));
                }
                // The braces are not wanted here, but old roles have them.
                let bare = text
                    .strip_prefix("{{")
                    .and_then(|rest| rest.strip_suffix("}}"));
                match bare.filter(|rest| !rest.contains("}}")) {
                    Some(inner) => self.indirect(inner, &node.span)?,
                    None if text.starts_with("{%") && text.ends_with("%}") => {
                        self.scalar(text, &node.span)
                    }
                    None => self.expression(text, &node.span)?,
                }
            }
            _ => self.node(node.clone()),
        };
        if let Val::Undefined(missing) = &result {
            return Err(missing.error.clone().at(&node.span));
        }
        if result.is_unknown()
            || has_unknown(&result.to_data().unwrap_or(Value::Null)) && result.is_sequence()
        {
            return Ok(None);
        }
        let result = match &result {
            Val::Lazy(lazy) => lazy.settle(),
            _ => result,
        };
        match &result {
            Val::Bool(flag) => Ok(Some(*flag)),
            Val::Undefined(missing) => Err(missing.error.clone().at(&node.span)),
            other if other.is_unknown() => Ok(None),
            other => Err(no_boolean(other).at(&node.span)),
        }
    }

    /// `when: "{{ name }}"`: text that a person wrote is an expression, `false` among them; text that came from a host is not.
    fn indirect(self: &std::rc::Rc<Self>, inner: &str, span: &Span) -> Result<Val> {
        let name = inner.trim();
        let result = self.expression(name, span)?;
        let Val::Str(text) = &result else {
            return Ok(result);
        };
        if matches!(self.ctx.variables.lookup(name), Some(Variable::Template(_))) {
            return self.expression(text, span);
        }
        Ok(result)
    }
}

/// What a condition gives that is neither true nor false, and how it is written instead.
fn no_boolean(found: &Val) -> Diagnostic {
    let (what, instead) = match found {
        Val::Str(text) => (
            format!("the text `{}`", text.chars().take(40).collect::<String>()),
            "`NAME | bool` for a word like `false`, `NAME | length > 0` for any text, or compare it",
        ),
        Val::Int(number) => (format!("the number {number}"), "`NAME != 0`, `NAME > 0`"),
        Val::Float(number) => (format!("the number {number}"), "`NAME != 0`, `NAME > 0`"),
        Val::None => ("none".to_owned(), "`NAME is not none`"),
        Val::List(_) | Val::Tuple(_) | Val::Dict(_) => (
            format!("a {}", found.kind()),
            "`NAME | length > 0` when it shall not be empty",
        ),
        other => (
            format!("a value of the kind {}", other.kind()),
            "`NAME is defined`",
        ),
    };
    Diagnostic::new(format!("the condition gives {what}, and not true or false"))
        .help(format!("write {instead}"))
}

/// The names that templates know, in the order of the alphabet.
#[cfg(test)]
pub struct Vocabulary {
    /// What stands behind a bar.
    pub filters: Vec<&'static str>,
    /// What stands behind `is`.
    pub tests: Vec<&'static str>,
    /// What `lookup` takes.
    pub lookups: Vec<&'static str>,
    /// What is called by itself.
    pub functions: Vec<&'static str>,
}

/// All names that templates know.
#[cfg(test)]
pub fn vocabulary() -> Vocabulary {
    fn sorted(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }
    Vocabulary {
        filters: sorted(filters::names()),
        tests: sorted(checks::names()),
        lookups: sorted(lookups::NAMES.into_iter()),
        functions: sorted(globals::NAMES.into_iter()),
    }
}
