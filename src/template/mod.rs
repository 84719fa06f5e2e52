//! Templates with Ansible's rendering. The only floor that names the template engine.

use crate::base::value::Value;
use crate::source::Node;
use std::sync::Arc;
use crate::base::{Diagnostic, Result};
use crate::source::{SourceFile, Span};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind { Files, Templates, Vars, Tasks }
pub trait TemplateFiles: Send + Sync {
    fn find(&self, kind: FileKind, name: &str) -> Option<String>;
    fn read(&self, path: &str) -> Result<Vec<u8>>;
    fn glob(&self, pattern: &str) -> Vec<String>;
}
pub type Decrypt = Arc<dyn Fn(&str) -> Result<String> + Send + Sync>;
#[derive(Clone)]
pub struct Context { pub variables: Arc<dyn Variables>, pub files: Arc<dyn TemplateFiles>, pub decrypt: Decrypt }
pub struct Rendered { pub text: String, pub unknown: bool }
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileOptions { pub trim_blocks: Option<bool>, pub lstrip_blocks: Option<bool>, pub newline_sequence: Option<String>, pub variable_start_string: Option<String>, pub variable_end_string: Option<String>, pub block_start_string: Option<String>, pub block_end_string: Option<String>, pub comment_start_string: Option<String>, pub comment_end_string: Option<String> }
pub fn value(_node: &Node, _ctx: &Context) -> Result<Value> { Err(Diagnostic::new("")) }
pub fn text(_template: &str, _span: &Span, _ctx: &Context) -> Result<Value> { Err(Diagnostic::new("")) }
pub fn condition(_node: &Node, _ctx: &Context) -> Result<Value> { Err(Diagnostic::new("")) }
pub fn file(_source: &Arc<SourceFile>, _ctx: &Context, _options: &FileOptions) -> Result<Rendered> { Err(Diagnostic::new("")) }
