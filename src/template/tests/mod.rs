//! What Ansible makes of a template is what is made of it here: byte for byte, from recorded data.

mod errors;
mod surroundings;
mod unknown;

use super::*;
use crate::base::value::{OMIT, UNKNOWN};
use std::collections::BTreeMap;

struct Vars(BTreeMap<String, Variable>);

impl Variables for Vars {
    fn lookup(&self, name: &str) -> Option<Variable> {
        self.0.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

struct Files;

impl TemplateFiles for Files {
    fn find(&self, kind: FileKind, name: &str) -> Option<String> {
        let known = FILES.iter().any(|(path, _)| *path == name);
        (known
            && matches!(
                kind,
                FileKind::Templates | FileKind::Files | FileKind::Plain
            ))
        .then(|| name.to_owned())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let found = FILES.iter().find(|(name, _)| *name == path);
        found
            .map(|(_, text)| text.as_bytes().to_vec())
            .ok_or_else(|| Diagnostic::new("gone"))
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let matching = FILES
            .iter()
            .filter(|(name, _)| name.ends_with(pattern.trim_start_matches('*')));
        matching.map(|(name, _)| (*name).to_owned()).collect()
    }
}

const FILES: &[(&str, &str)] = &[
    ("part.j2", "part {{ s }} {{ local | default('-') }}\n"),
    (
        "macros.j2",
        "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}\n{% set answer = 42 %}\n",
    ),
    (
        "base.j2",
        "<{% block a %}A{% endblock %}|{% block b %}B{% endblock %}>\n",
    ),
    ("broken.j2", "one\n{{ missing }}\n"),
    ("note.txt", "text {{ s }}\n\n"),
];

fn source(path: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    })
}

fn yaml(text: &str) -> Node {
    crate::source::parse(&source("vars.yml", text)).expect("the YAML of a test")
}

fn variables(nodes: &[&Node]) -> BTreeMap<String, Variable> {
    let entries = nodes.iter().flat_map(|node| node.entries());
    entries
        .map(|(key, value)| {
            (
                key.as_str().expect("a name").to_owned(),
                Variable::Template(value.clone()),
            )
        })
        .collect()
}

fn context(vars: BTreeMap<String, Variable>) -> Context {
    Context {
        variables: Arc::new(Vars(vars)),
        files: Arc::new(Files),
        decrypt: Arc::new(|cipher| Ok(format!("opened {}", cipher.lines().count()))),
    }
}

fn with(text: &str) -> Context {
    context(variables(&[&yaml(text)]))
}

fn scalar(text: &str, ctx: &Context) -> Result<Value> {
    let file = source("task.yml", text);
    super::text(
        text,
        &Span {
            file,
            line: 1,
            column: 1,
        },
        ctx,
    )
}

fn holds(text: &str, ctx: &Context) -> Result<Value> {
    let file = source("task.yml", text);
    condition(
        &Node {
            yaml: Yaml::String(text.to_owned()),
            span: Span {
                file,
                line: 1,
                column: 1,
            },
        },
        ctx,
    )
}

/// Numbers as Python compares them: `1` is `1.0`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64() == b.as_f64() && a.is_f64() == b.is_f64()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        _ => a == b,
    }
}

#[test]
fn templates_give_what_ansible_gives() {
    let data = crate::source::parse(&source(
        "cases.yml",
        include_str!("../../../tests/data/template/cases.yml"),
    ))
    .expect("cases");
    let recorded: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/data/template/expected.json"))
            .expect("recorded data");
    let cases = data.get("cases").and_then(Node::items).expect("cases");
    assert_eq!(cases.len(), recorded.len(), "record.py must be run again");
    let globals = data.get("vars").expect("variables").clone();
    let mut wrong = Vec::new();
    for (case, expected) in cases.iter().zip(&recorded) {
        let own = case.get("vars").cloned().unwrap_or_else(|| yaml("{}"));
        let ctx = context(variables(&[&globals, &own]));
        let (form, node) = ["text", "when", "file"]
            .iter()
            .find_map(|form| Some((*form, case.get(form)?)))
            .expect("a form");
        let written = node.as_str().expect("a template").to_owned();
        assert_eq!(
            Some(written.as_str()),
            expected["source"].as_str(),
            "record.py must be run again"
        );
        let found = match form {
            "when" => condition(node, &ctx),
            "file" => file(&source("x.j2", &written), &ctx, &FileOptions::default())
                .map(|done| Value::String(done.text)),
            _ => value(node, &ctx),
        };
        match (&found, expected.get("value")) {
            (Ok(found), Some(value)) if same(found, value) => {}
            (Ok(found), Some(Value::Null)) if found.as_str() == Some("") => {}
            (Err(_), None) => {}
            _ => wrong.push(format!(
                "{}: {written}\n  found    {found:?}\n  expected {expected}",
                node.span
            )),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
