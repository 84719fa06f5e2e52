//! The findings of `hactl check`: for people, as JSON (`hactl.check/1`; the schema is in `docs/schema/check.json`) and
//! as JUnit.

use super::diagnostics;
use super::junit::{self, Case};
use crate::base::mask::{mask, mask_value};
use crate::base::{Diagnostic, Result};
use crate::play::lint::{self, Rule, Severity};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Something that was found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The rule, or `playbook`, `inventory` for what cannot be read.
    pub id: String,
    /// What, where and what to do.
    pub diagnostic: Diagnostic,
}

impl Finding {
    /// An error of reading.
    pub fn error(id: &str, diagnostic: &Diagnostic) -> Self {
        Self {
            severity: Severity::Error,
            id: id.to_owned(),
            diagnostic: diagnostic.clone(),
        }
    }
}

impl From<lint::Finding> for Finding {
    fn from(finding: lint::Finding) -> Self {
        // The host is only said where no place is known: a value of a group is the same on all its hosts.
        let mut diagnostic = Diagnostic::new(finding.message).help(finding.remedy);
        match (&finding.at, &finding.host) {
            (Some(span), _) => diagnostic = diagnostic.at(span),
            (None, Some(host)) => diagnostic = diagnostic.on(host),
            (None, None) => {}
        }
        Self {
            severity: finding.severity,
            id: finding.id.to_owned(),
            diagnostic,
        }
    }
}

/// Draws the findings on stderr and says how many there are.
pub fn print(findings: &[Finding]) {
    for finding in findings {
        let label = match finding.id.as_str() {
            "playbook" | "inventory" => finding.severity.name().to_owned(),
            id => format!("{}[{id}]", finding.severity.name()),
        };
        let text = diagnostics::draw_as(
            &label,
            finding.severity == Severity::Error,
            &finding.diagnostic,
        );
        eprint!("{}", mask(&text));
    }
    let count = |severity: Severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let many =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    super::say(&format!(
        "{}, {}",
        many(count(Severity::Error), "error"),
        many(count(Severity::Warn), "warning")
    ));
}

/// The findings as one JSON document.
pub fn json(findings: &[Finding]) -> String {
    let list: Vec<_> = findings
        .iter()
        .map(|finding| {
            let at = finding.diagnostic.at.as_ref();
            json!({
                "severity": finding.severity.name(),
                "id": finding.id,
                "message": finding.diagnostic.message,
                "host": finding.diagnostic.host,
                "file": at.map(|span| span.file.path.as_str()),
                "line": at.map(|span| span.line),
                "column": at.map(|span| span.column),
                "notes": finding.diagnostic.notes,
                "remedy": finding.diagnostic.help,
            })
        })
        .collect();
    let count = |severity: Severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let document = json!({
        "schema": "hactl.check/1",
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warn),
        "findings": list,
    });
    format!("{:#}\n", mask_value(&document))
}

/// Writes the findings as JUnit: every rule is a case.
///
/// # Errors
/// When the file cannot be written.
pub fn write_junit(path: &Path, checked: &[&str], findings: &[Finding]) -> Result<()> {
    let mut suites: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for id in checked {
        let found: Vec<&Finding> = findings
            .iter()
            .filter(|finding| finding.id == *id && finding.severity != Severity::Note)
            .collect();
        let failure = found.first().map(|first| {
            let details: String = found.iter().map(|finding| details(finding)).collect();
            (first.diagnostic.to_string(), details)
        });
        suites.entry("hactl check").or_default().push(Case {
            class: "check".to_owned(),
            name: (*id).to_owned(),
            seconds: 0.0,
            failure,
            skipped: false,
        });
    }
    fs_err::write(path, junit::document(&suites)).map_err(|error| {
        Diagnostic::new(format!("`{}` cannot be written", path.display())).note(error.to_string())
    })
}

fn details(finding: &Finding) -> String {
    let mut text = format!("{}: {}\n", finding.severity.name(), finding.diagnostic);
    if let Some(help) = &finding.diagnostic.help {
        let _ = writeln!(text, "  {help}");
    }
    text
}

/// The rules as a list.
pub fn rules<'a>(rules: impl Iterator<Item = &'a Rule>) -> String {
    rules.fold(String::new(), |mut text, rule| {
        let _ = writeln!(text, "{:32} {}", rule.id, rule.about);
        text
    })
}
