//! Templates with Ansible's rendering. The only floor that names the template engine.

use crate::base::value::Value;
use crate::source::Node;
use std::sync::Arc;

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
