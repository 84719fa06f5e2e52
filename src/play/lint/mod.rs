//! Looks over an inventory for what makes a highly available service less so: a pair without a partner, an address
//! outside of its network, a secret in plain text.
//!
//! Only looks at values that are known without any host. Each rule is a function in a table; it reports, it never mends.

mod balancers;
mod databases;
mod inventory;

use crate::base::value::Value;
use crate::source::{Node, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is wrong with it; it is good to know.
    Note,
    /// It works, but it will not survive what it should, or is not wise.
    Warn,
    /// It will not work, or it will do harm.
    Error,
}

impl Severity {
    /// As shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The rule: `keepalived/auth-pass`.
    pub id: &'static str,
    /// Where, when a file is to blame.
    pub at: Option<Span>,
    /// The host, when it is about one.
    pub host: Option<String>,
    /// What.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// What the rules look at.
pub trait Site {
    /// All hosts.
    fn hosts(&self) -> Vec<String>;
    /// All groups.
    fn groups(&self) -> Vec<String>;
    /// The hosts of a group, in order; none when there is no such group.
    fn members(&self, group: &str) -> Vec<String>;
    /// The rendered value of a variable for a host; `None` when it is not set or not known without the host.
    fn value(&self, host: &str, name: &str) -> Option<Value>;
    /// Whether it is set at all, known or not.
    fn is_set(&self, host: &str, name: &str) -> bool;
    /// Where it was set, when a person set it.
    fn span(&self, host: &str, name: &str) -> Option<Span>;
    /// The variables of a host in the inventory as written, with the places of their names.
    fn written(&self, host: &str) -> Vec<(String, Node, Span)>;
    /// The names of all variables that hactl, Ansible's connections or the playbook's roles read.
    fn known(&self) -> Vec<String>;
    /// The host patterns of the playbook's plays.
    fn patterns(&self) -> Vec<(String, Span)>;
}

/// A rule: what it is called and what it looks for.
pub struct Rule {
    /// `keepalived/auth-pass`.
    pub id: &'static str,
    /// One line for the documentation.
    pub about: &'static str,
    look: fn(&Look<'_>),
}

/// All rules.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    inventory::RULES
        .iter()
        .chain(balancers::RULES)
        .chain(databases::RULES)
}

/// Runs all rules; the worst findings first.
pub fn run(site: &dyn Site) -> Vec<Finding> {
    let mut all = Vec::new();
    for rule in rules() {
        let look = Look {
            site,
            id: rule.id,
            found: std::cell::RefCell::default(),
        };
        (rule.look)(&look);
        all.append(&mut look.found.into_inner());
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

/// One rule at work.
struct Look<'a> {
    site: &'a dyn Site,
    id: &'static str,
    found: std::cell::RefCell<Vec<Finding>>,
}

impl Look<'_> {
    /// The value as text, without surrounding space; `None` when it is empty.
    fn text(&self, host: &str, name: &str) -> Option<String> {
        let text = crate::base::value::to_text(&self.site.value(host, name)?);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Whether it is set, but only the host could tell to what.
    fn is_hidden(&self, host: &str, name: &str) -> bool {
        self.site.is_set(host, name) && self.site.value(host, name).is_none()
    }

    fn flag(&self, host: &str, name: &str) -> bool {
        self.site
            .value(host, name)
            .is_some_and(|value| crate::base::value::to_bool(&value) == Some(true))
    }

    fn number(&self, host: &str, name: &str) -> Option<i64> {
        self.text(host, name)?.parse().ok()
    }

    fn report(
        &self,
        severity: Severity,
        about: Option<(&str, &str)>,
        message: String,
        remedy: &str,
    ) {
        let at = about.and_then(|(host, name)| self.site.span(host, name));
        self.push(severity, at, about.map(|(host, _)| host), message, remedy);
    }

    fn push(
        &self,
        severity: Severity,
        at: Option<Span>,
        host: Option<&str>,
        message: String,
        remedy: &str,
    ) {
        let finding = Finding {
            severity,
            id: self.id,
            at,
            host: host.map(str::to_owned),
            message,
            remedy: remedy.to_owned(),
        };
        let mut found = self.found.borrow_mut();
        // A value of a group is the same mistake on all its hosts.
        let same = |other: &Finding| other.message == finding.message && other.at == finding.at;
        if !found.iter().any(same) {
            found.push(finding);
        }
    }
}

#[cfg(test)]
mod tests;
