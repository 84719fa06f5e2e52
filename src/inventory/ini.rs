//! INI inventories: `[group]`, `[group:vars]`, `[group:children]` and lines of hosts.

use super::build::{Builder, UNGROUPED};
use super::vars::{Var, check_name};
use super::{hostname, literal};
use crate::base::{Diagnostic, Diagnostics, Result};
use crate::source::{Node, SourceFile, Span};
use regex::Regex;
use std::path::Path;
use std::sync::{Arc, OnceLock};

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Hosts,
    Vars,
    Children,
}

/// A group that was named before it was declared.
struct Pending {
    name: String,
    parent: Option<usize>,
    span: Span,
}

struct Forms {
    section: Regex,
    group: Regex,
}

fn forms() -> &'static Forms {
    static FORMS: OnceLock<Forms> = OnceLock::new();
    FORMS.get_or_init(|| Forms {
        section: Regex::new(r"^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$")
            .expect("the pattern is a constant"),
        group: Regex::new(r"^([^:\]\s]+)\s*(?:#.*)?$").expect("the pattern is a constant"),
    })
}

/// Reads one file.
pub(super) fn read(
    file: &Arc<SourceFile>,
    source: &Path,
    into: &mut Builder,
    errors: &mut Diagnostics,
) {
    let mut reader = Reader {
        source,
        into,
        pending: Vec::new(),
        group: UNGROUPED,
        section: Section::Hosts,
    };
    for (number, text) in file.text.lines().enumerate() {
        let start = text.chars().take_while(|c| c.is_whitespace()).count();
        let line = text.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let span = Span {
            file: Arc::clone(file),
            line: number + 1,
            column: start + 1,
        };
        errors.take(reader.line(line, &span).map_err(|error| error.at(&span)));
    }
    for pending in reader.pending {
        let section = if pending.parent.is_some() {
            "children"
        } else {
            "vars"
        };
        errors.push(
            Diagnostic::new(format!(
                "the group `{}` in a `:{section}` section is declared nowhere",
                pending.name
            ))
            .at(&pending.span)
            .help(format!(
                "add a section `[{}]`, or fix the name",
                pending.name
            )),
        );
    }
}

struct Reader<'a> {
    source: &'a Path,
    into: &'a mut Builder,
    pending: Vec<Pending>,
    group: usize,
    section: Section,
}

impl Reader<'_> {
    fn line(&mut self, line: &str, span: &Span) -> Result<()> {
        if let Some(found) = forms().section.captures(line) {
            let name = found.get(1).map_or("", |name| name.as_str());
            return self.header(name, found.get(2).map(|kind| kind.as_str()), span);
        }
        if line.starts_with('[') && line.ends_with(']') {
            return Err(Diagnostic::new(format!("`{line}` is not a section")).help(SECTIONS));
        }
        match self.section {
            Section::Hosts => self.hosts(line, span),
            Section::Vars => {
                let (name, value) = line.split_once('=').ok_or_else(|| {
                    Diagnostic::new("a line of a `:vars` section is `name=value`")
                })?;
                let var = variable(name.trim(), value.trim(), span)?;
                self.into.group_var(self.group, var)
            }
            Section::Children => self.child(line, span),
        }
    }

    fn header(&mut self, name: &str, kind: Option<&str>, span: &Span) -> Result<()> {
        self.section = match kind {
            None | Some("hosts") => Section::Hosts,
            Some("vars") => Section::Vars,
            Some("children") => Section::Children,
            Some(other) => {
                return Err(Diagnostic::new(format!(
                    "the section `[{name}:{other}]` is of an unknown kind"
                ))
                .help(SECTIONS));
            }
        };
        let known = self.into.has_group(name);
        let waited = self.pending.iter().any(|pending| pending.name == name);
        self.group = self.into.group(name);
        if self.section == Section::Vars {
            if !known && !waited {
                self.pending.push(Pending {
                    name: name.to_owned(),
                    parent: None,
                    span: span.clone(),
                });
            }
            return Ok(());
        }
        let (due, rest) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| pending.name == name);
        self.pending = rest;
        for pending in due as Vec<Pending> {
            if let Some(parent) = pending.parent {
                self.into.child(parent, self.group, &pending.span)?;
            }
        }
        Ok(())
    }

    fn child(&mut self, line: &str, span: &Span) -> Result<()> {
        let name = forms()
            .group
            .captures(line)
            .and_then(|found| found.get(1))
            .map(|name| name.as_str())
            .ok_or_else(|| {
                Diagnostic::new("a line of a `:children` section is the name of one group")
            })?;
        let declared =
            self.into.has_group(name) && !self.pending.iter().any(|pending| pending.name == name);
        if declared {
            let child = self.into.group(name);
            return self.into.child(self.group, child, span);
        }
        self.pending.push(Pending {
            name: name.to_owned(),
            parent: Some(self.group),
            span: span.clone(),
        });
        Ok(())
    }

    fn hosts(&mut self, line: &str, span: &Span) -> Result<()> {
        let words = words(line)?;
        let Some(((_, entry), settings)) = words.split_first() else {
            return Ok(());
        };
        if entry.trim() == "---" || (entry.ends_with(':') && settings.is_empty()) {
            return Err(Diagnostic::new("this looks like YAML in an INI inventory")
                .help("name the file `.yml`"));
        }
        let (names, port) = hostname::expand(entry)?;
        let hosts: Vec<usize> = names
            .iter()
            .map(|name| {
                self.into
                    .host(name, port, self.group, self.source, Some(span))
            })
            .collect();
        for (column, word) in settings {
            let span = Span {
                column: span.column + column,
                ..span.clone()
            };
            let (name, value) = word.split_once('=').ok_or_else(|| {
                Diagnostic::new(format!("`{word}` is not `name=value`"))
                    .at(&span)
                    .help("one host a line; quote values with blanks: name=\"a b\"")
            })?;
            let var = variable(name, value, &span)?;
            for &host in &hosts {
                self.into.host_var(host, var.clone());
            }
        }
        Ok(())
    }
}

const SECTIONS: &str =
    "sections are `[group]`, `[group:vars]` and `[group:children]`, without blanks";

fn variable(name: &str, value: &str, span: &Span) -> Result<Var> {
    check_name(name).map_err(|error| error.at(span))?;
    Ok(Var {
        name: name.to_owned(),
        node: Node::from_value(&literal::value(value), span),
        span: span.clone(),
    })
}

/// The words of a line with their columns (from 0), quoted as in a shell; `#` begins a comment.
fn words(line: &str) -> Result<Vec<(usize, String)>> {
    let mut words: Vec<(usize, String)> = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars().enumerate();
    while let Some((column, c)) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => {
                let (_, next) = chars.next().ok_or_else(unclosed)?;
                let (_, text) = word.get_or_insert_default();
                if !matches!(next, '"' | '\\') {
                    text.push('\\');
                }
                text.push(next);
            }
            (Some(_), c) => word.get_or_insert_default().1.push(c),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '#') if word.is_some() => {
                return Err(Diagnostic::new("a `#` inside a value begins a comment")
                    .help("put the value in quotes if the `#` belongs to it, or a blank before the `#`"));
            }
            (None, '#') => break,
            (None, c) => {
                let (_, text) = word.get_or_insert_with(|| (column, String::new()));
                match c {
                    '\'' | '"' => quote = Some(c),
                    '\\' => text.push(chars.next().ok_or_else(unclosed)?.1),
                    c => text.push(c),
                }
            }
        }
    }
    if quote.is_some() {
        return Err(unclosed());
    }
    words.extend(word);
    Ok(words)
}

fn unclosed() -> Diagnostic {
    Diagnostic::new("a quote is not closed on this line")
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn lines_split_like_a_shell_does() {
        for (line, expected) in [
            ("a b=1", "0:a|2:b=1"),
            ("a  b='x y'  # note", "0:a|3:b=x y"),
            (r#"a b="x \"y\" \n""#, r#"0:a|2:b=x "y" \n"#),
            (r"a b=x\ y", "0:a|2:b=x y"),
            ("a b=''", "0:a|2:b="),
            ("a b=\"'x'\"", "0:a|2:b='x'"),
        ] {
            let found: Vec<String> = words(line)
                .expect(line)
                .into_iter()
                .map(|(column, word)| format!("{column}:{word}"))
                .collect();
            assert_eq!(found.join("|"), expected, "{line}");
        }
        for line in ["a 'b", "a b=x#y", "a \\"] {
            assert!(words(line).is_err(), "{line}");
        }
    }
}
