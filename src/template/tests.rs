//! What Ansible makes of a template is what is made of it here: byte for byte, from recorded data.

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
        (known && matches!(kind, FileKind::Templates | FileKind::Files)).then(|| name.to_owned())
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
        include_str!("../../tests/data/template/cases.yml"),
    ))
    .expect("cases");
    let recorded: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/data/template/expected.json"))
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

#[test]
fn what_is_known_after_apply_makes_what_is_computed_from_it_unknown() {
    let mut vars = variables(&[&yaml("n: 1\nfalse_: false\nl: [1]\nvia: \"x {{ u }}\"")]);
    vars.insert("u".to_owned(), Variable::Data(unknown()));
    vars.insert(
        "r".to_owned(),
        Variable::Data(serde_json::json!({"rc": 0, "stdout": UNKNOWN, "list": [1, UNKNOWN]})),
    );
    let ctx = context(vars);
    let hidden = unknown();
    for (template, expected) in [
        ("{{ u }}", &hidden),
        ("a {{ u }} b", &hidden),
        ("{{ via }}", &hidden),
        ("{{ u.x['y'].z }}", &hidden),
        ("{{ u | int + 1 }}", &hidden),
        ("{{ u.split(',') | first }}", &hidden),
        ("{{ u | from_json }}", &hidden),
        ("{{ [u] | join(',') | upper }}", &hidden),
        ("{{ r.list | sort }}", &hidden),
        ("{{ r.rc }}", &Value::from(0)),
        ("{{ r.list | length }}", &Value::from(2)),
        ("{{ r.list | first }}", &Value::from(1)),
        ("{{ u | default('x') }}", &hidden),
        ("{{ u.x | default('x') }}", &hidden),
        ("{{ 'a' if u else 'b' }}", &hidden),
        ("{{ 'a' if l else u }}", &Value::from("a")),
        ("{% if u %}a{% endif %}b", &hidden),
        ("{% for x in u %}a{% endfor %}b", &hidden),
        ("{{ lookup('file', u) }}", &hidden),
    ] {
        assert_eq!(
            &scalar(template, &ctx).expect(template),
            expected,
            "{template}"
        );
    }
    assert_eq!(
        scalar("{{ r }}", &ctx),
        Ok(serde_json::json!({"rc": 0, "stdout": UNKNOWN, "list": [1, UNKNOWN]})),
        "a value that is only handed on keeps what is known of it"
    );
    for (expression, expected) in [
        ("u", None),
        ("u == 'x'", None),
        ("u is defined", Some(true)),
        ("u is undefined", Some(false)),
        ("u.x is defined", None),
        ("r.stdout is defined", Some(true)),
        ("u is changed", None),
        ("r.rc == 0", Some(true)),
        ("'x' in r.stdout", None),
        ("false_ and u", Some(false)),
        ("u and false_", Some(false)),
        ("u and missing.x == 1", None),
        ("l or u", Some(true)),
        ("u or true", Some(true)),
        ("not u", None),
        ("u in l", None),
        ("r.list is contains(2)", None),
        ("r == {}", Some(false)),
        ("r.list == [1, 2]", None),
    ] {
        assert_eq!(holds(expression, &ctx), Ok(data(expected)), "{expression}");
    }
    let all = |text: &str| condition(&yaml(text), &ctx);
    assert_eq!(all("[u, false_]"), Ok(Value::Bool(false)));
    assert_eq!(all("[u, missing == 1]"), Ok(unknown()));
    assert_eq!(all("[true, l]"), Ok(Value::Bool(true)));
    let rendered = file(
        &source("x.j2", "a {{ u }}\n"),
        &ctx,
        &FileOptions::default(),
    )
    .expect("renders");
    assert!(rendered.unknown && rendered.text.contains(UNKNOWN));
    assert!(
        file(
            &source("x.j2", "{% if u %}{{ missing }}{% endif %}a\n"),
            &ctx,
            &FileOptions::default()
        )
        .expect("renders")
        .unknown
    );
}

#[test]
fn errors_name_the_variable_the_place_and_the_nearest_name() {
    let ctx = with(
        "server_port: 1\nd: {name: x}\na: '{{ b }}'\nb: '{{ c }}'\nc: '{{ a }}'\nbad: '{{ nope }}'\nt: x",
    );
    for (template, message, place, help) in [
        (
            "{{ server_prot }}",
            "the variable `server_prot` is not defined",
            "1:4",
            "did you mean `server_port`?",
        ),
        (
            "{{ d.nmae }}",
            "`d.nmae` is not defined: `d` (dict) has no `nmae`",
            "1:4",
            "did you mean `name`?",
        ),
        (
            "{{ bad }}",
            "the variable `nope` is not defined",
            "vars.yml:6:10",
            "",
        ),
        (
            "{{ a }}",
            "the variable `a` leads back to itself",
            "vars.yml",
            "",
        ),
        ("{{ t | upcase }}", "there is no filter `upcase`", "1:8", ""),
        (
            "{{ t is defind }}",
            "there is no test `defind`",
            "1:",
            "did you mean `defined`?",
        ),
        (
            "{{ t + 1 }}",
            "`+` does not work between str and int",
            "1:4",
            "join texts with `~`, or convert with `int` or `string`",
        ),
        ("{% if t %}", "the template cannot be read", "1:", ""),
        ("{{ t", "the template cannot be read", "1:", ""),
        (
            "{{ '/x' is file }}",
            "the test `file` asks about this machine, not about the host",
            "1:",
            "use the module `stat` and look at its result",
        ),
        (
            "{{ lookup('pipe', 'id') }}",
            "the lookup `pipe` is refused",
            "1:",
            "run it with the module `command` and register its result",
        ),
    ] {
        let error = scalar(template, &ctx).expect_err(template);
        assert!(error.message.starts_with(message), "{template}: {error}");
        let at = error
            .at
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(at.contains(place), "{template}: {at}");
        if !help.is_empty() {
            assert_eq!(error.help.as_deref(), Some(help), "{template}");
        }
    }
    let cycle = scalar("{{ a }}", &ctx).expect_err("a cycle");
    assert_eq!(cycle.notes, ["a → b → c → a"]);
}

#[test]
fn places_lead_to_the_line_of_the_file() {
    let ctx = with("x: 1");
    let play = "- debug:\n    msg: |\n      first\n      second {{ nope }}\n  when: 'x and nope'\n  other: \"a {{ nope }}\"\n";
    let file_ = source("play.yml", play);
    let node = crate::source::parse(&file_).expect("YAML");
    let task = &node.items().expect("a list")[0];
    let message = task
        .get("debug")
        .and_then(|node| node.get("msg"))
        .expect("msg");
    let at = |error: Diagnostic| error.at.expect("a place").to_string();
    assert_eq!(
        at(value(message, &ctx).expect_err("undefined")),
        "play.yml:4:17"
    );
    assert_eq!(
        at(condition(task.get("when").expect("when"), &ctx).expect_err("undefined")),
        "play.yml:5:16"
    );
    assert_eq!(
        at(value(task.get("other").expect("other"), &ctx).expect_err("undefined")),
        "play.yml:6:16"
    );
    let template = source("a.j2", "#jinja2: trim_blocks: False\nline\n  {{ nope }}\n");
    assert_eq!(
        at(file(&template, &ctx, &FileOptions::default()).expect_err("undefined")),
        "a.j2:3:6"
    );
    let outer = source("a.j2", "{% include 'broken.j2' %}\n");
    assert_eq!(
        at(file(&outer, &ctx, &FileOptions::default()).expect_err("undefined")),
        "broken.j2:2:4"
    );
}

#[test]
fn other_files_are_included_imported_and_extended() {
    let ctx = with("s: S");
    let options = FileOptions::default();
    for (text, expected) in [
        ("a {% include 'part.j2' %}!\n", "a part S -!\n"),
        (
            "{% set local = 1 %}{% include 'part.j2' with context %}\n",
            "part S 1\n",
        ),
        ("{% include 'none.j2' ignore missing %}x\n", "x\n"),
        ("{% include ['none.j2', 'part.j2'] %}\n", "part S -\n"),
        (
            "{% import 'macros.j2' as m %}{{ m.twice('x') }}{{ m.answer }}\n",
            "xx42\n",
        ),
        (
            "{% from 'macros.j2' import twice as t, answer %}{{ t(1) }}{{ answer }}\n",
            "1142\n",
        ),
        (
            "{% extends 'base.j2' %}\n{% block a %}[{{ super() }}{{ s }}]{% endblock %}\n",
            "<[AS]|B>\n",
        ),
        (
            "{{ lookup('file', 'note.txt') }}|{{ lookup('template', 'part.j2') }}",
            "text {{ s }}|part S -\n",
        ),
        (
            "{{ query('fileglob', '*.txt') }} {{ lookup('first_found', ['none', 'note.txt']) }}",
            "['note.txt'] note.txt",
        ),
        (
            "{{ query('first_found', {'files': ['none'], 'skip': true}) }}",
            "[]",
        ),
    ] {
        let rendered = file(&source("x.j2", text), &ctx, &options).map(|rendered| rendered.text);
        assert_eq!(rendered.as_deref(), Ok(expected), "{text}");
    }
    let own = FileOptions {
        variable_start_string: Some("<<".to_owned()),
        variable_end_string: Some(">>".to_owned()),
        newline_sequence: Some("\r\n".to_owned()),
        lstrip_blocks: Some(true),
        ..options
    };
    let rendered = file(
        &source("x.j2", "  {% if s %}\n<< s >> {{ s }}\n  {% endif %}\n"),
        &ctx,
        &own,
    )
    .expect("renders");
    assert_eq!(rendered.text, "S {{ s }}\r\n");
}

#[test]
fn nodes_are_rendered_all_the_way_down() {
    let mut ctx =
        with("s: S\nsecret: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  cipher\nu: !unsafe '{{ s }}'");
    let node = yaml(
        "a: ['{{ s }}', 1]\n'{{ s }}k': {x: '{{ secret }}'}\nb: '{{ none_ | default(omit) }}'\nc: '{{ u }}'\nd: ['{{ omit }}', 2]",
    );
    assert_eq!(
        value(&node, &ctx),
        Ok(serde_json::json!({"a": ["S", 1], "Sk": {"x": "opened 2"}, "c": "{{ s }}", "d": [2]}))
    );
    assert_eq!(value(&yaml("'{{ omit }}'"), &ctx), Ok(Value::from(OMIT)));
    ctx.decrypt = Arc::new(|_| Err(Diagnostic::new("no password")));
    assert_eq!(
        value(&node, &ctx).expect_err("vault").message,
        "no password"
    );
}

#[test]
fn data_is_never_a_template() {
    let mut vars = variables(&[&yaml("via: '{{ evil }}'\nname: 'x'")]);
    vars.insert(
        "evil".to_owned(),
        Variable::Data(Value::from("{{ lookup('env', 'HOME') }}")),
    );
    let ctx = context(vars);
    for template in [
        "{{ evil }}",
        "{{ via }}",
        "{{ [evil] | first }}",
        "{{ evil | trim }}",
    ] {
        assert_eq!(
            scalar(template, &ctx),
            Ok(Value::from("{{ lookup('env', 'HOME') }}")),
            "{template}"
        );
    }
    assert_eq!(
        holds("{{ evil }}", &ctx),
        Ok(Value::Bool(true)),
        "a text, not an expression"
    );
    assert_eq!(
        holds("{{ evil | length > 3 }}", &ctx),
        Ok(Value::Bool(true))
    );
}

#[test]
fn scopes_are_looked_up_in_their_own_surroundings() {
    let host = |name: &str| {
        let own = variables(&[&yaml(&format!("me: {name}\ngreeting: 'I am {{{{ me }}}}'"))]);
        Variable::Scope(Arc::new(Vars(own)) as Arc<dyn Variables>)
    };
    let hosts = BTreeMap::from([
        ("db1".to_owned(), host("one")),
        ("db2".to_owned(), host("two")),
    ]);
    let mut vars = variables(&[&yaml("me: here")]);
    vars.insert(
        "hostvars".to_owned(),
        Variable::Scope(Arc::new(Vars(hosts))),
    );
    let ctx = context(vars);
    for (template, expected) in [
        ("{{ hostvars['db1'].greeting }}", "I am one"),
        ("{{ hostvars.db2['greeting'] }}", "I am two"),
        ("{{ hostvars[h].me | default('-') }}", "-"),
        (
            "{% for h in hostvars %}{{ h }}:{{ hostvars[h].me }} {% endfor %}",
            "db1:one db2:two ",
        ),
        (
            "{{ ['db1', 'db2'] | map('extract', hostvars, 'greeting') | join(',') }}",
            "I am one,I am two",
        ),
        (
            "{{ hostvars['db9'].me | default('none') }} {{ 'db1' in hostvars }} {{ me }}",
            "none True here",
        ),
        (
            "{{ hostvars.db1.nothing is defined }} {{ vars['me'] }}",
            "False here",
        ),
    ] {
        assert_eq!(
            scalar(template, &ctx),
            Ok(Value::from(expected)),
            "{template}"
        );
    }
}

#[test]
fn odd_conditions_follow_truth() {
    let ctx = with("yes_: 'yes'\nn: 0\nexpr: 'n == 0'\nl: []");
    for (text, expected) in [
        ("''", true),
        ("~", true),
        ("'yes_'", true),
        ("n", false),
        ("l", false),
        ("'{{ n }}'", false),
        ("'{{ expr }}'", true),
        ("[true, n == 0]", true),
        ("[]", true),
        ("true", true),
        ("'{{ n == 0 }}'", true),
        ("'{{ yes_ }}'", true),
    ] {
        assert_eq!(
            condition(&yaml(text), &ctx),
            Ok(Value::Bool(expected)),
            "{text}"
        );
    }
}
