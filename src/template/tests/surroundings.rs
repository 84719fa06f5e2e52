//! What a template can reach: files, nodes, data, other hosts.

use super::*;

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
    assert!(
        holds("{{ evil }}", &ctx).is_err(),
        "a text, not an expression, and so no boolean"
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
fn odd_conditions_are_understood() {
    let ctx = with("n: 0\nexpr: 'n == 0'");
    for (text, expected) in [
        ("~", true),
        ("'{{ expr }}'", true),
        ("[true, n == 0]", true),
        ("[]", true),
        ("true", true),
        ("'{{ n == 0 }}'", true),
    ] {
        assert_eq!(
            condition(&yaml(text), &ctx),
            Ok(Value::Bool(expected)),
            "{text}"
        );
    }
}

#[test]
fn statements_that_ansible_needs_an_extension_for_work() {
    let ctx = with("l: [a, b]");
    for (template, expected) in [
        (
            "{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "02",
        ),
        (
            "{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "012",
        ),
        (
            "{% set x = [] %}{% for i in l %}{% do x.append(i ~ '1') %}{% endfor %}{{ x | join(',') }}",
            "a1,b1",
        ),
    ] {
        assert_eq!(
            scalar(template, &ctx),
            Ok(Value::from(expected)),
            "{template}"
        );
    }
}
