//! Templates with Ansible's rendering. The only floor that names the template engine.
//!
//! Text that came from a host is data: it is printed, compared and filtered, never evaluated.

use crate::base::value::Value;
use crate::base::{Diagnostic, Result};
use crate::source::Node;
use crate::source::{SourceFile, Span};
use std::sync::Arc;

/// A variable as the layers below hold it.
#[derive(Clone)]
pub enum Variable {
    /// Written by a person in YAML: a template, rendered when it is read.
    Template(Node),
    /// Data (facts, results, rendered values): never a template, whatever text it holds.
    Data(Value),
    /// A dictionary whose entries are looked up when they are read, in their own surroundings: `hostvars` and
    /// each host in it.
    Scope(Arc<dyn Variables>),
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Variable::Template(node) => f.debug_tuple("Template").field(node).finish(),
            Variable::Data(value) => f.debug_tuple("Data").field(value).finish(),
            Variable::Scope(scope) => f.debug_tuple("Scope").field(&scope.names()).finish(),
        }
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
    Files,
    Templates,
    Vars,
    Tasks,
}
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
    pub variables: Arc<dyn Variables>,
    pub files: Arc<dyn TemplateFiles>,
    pub decrypt: Decrypt,
}
pub struct Rendered {
    pub text: String,
    pub unknown: bool,
}
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileOptions {
    pub trim_blocks: Option<bool>,
    pub lstrip_blocks: Option<bool>,
    pub newline_sequence: Option<String>,
    pub variable_start_string: Option<String>,
    pub variable_end_string: Option<String>,
    pub block_start_string: Option<String>,
    pub block_end_string: Option<String>,
    pub comment_start_string: Option<String>,
    pub comment_end_string: Option<String>,
}
pub fn value(_node: &Node, _ctx: &Context) -> Result<Value> {
    Err(Diagnostic::new(""))
}
pub fn text(_template: &str, _span: &Span, _ctx: &Context) -> Result<Value> {
    Err(Diagnostic::new(""))
}
pub fn condition(_node: &Node, _ctx: &Context) -> Result<Value> {
    Err(Diagnostic::new(""))
}
pub fn file(_source: &Arc<SourceFile>, _ctx: &Context, _options: &FileOptions) -> Result<Rendered> {
    Err(Diagnostic::new(""))
}
