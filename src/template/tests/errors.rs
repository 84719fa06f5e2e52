//! What errors say, and where they point.

use super::*;

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
            "use the module `stat` and check its result",
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
    let braces = holds("{{ t }} == 'x'", &ctx).expect_err("braces");
    assert_eq!(
        braces.help.as_deref(),
        Some("a condition is a bare expression: take the braces away")
    );
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
fn endless_recursion_is_an_error_and_not_a_crash() {
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100), ")".repeat(100));
    let links: Vec<String> = (0..200)
        .map(|i| format!("v{i}: '{{{{ v{} }}}}'", i + 1))
        .collect();
    let chain = links.join("\n");
    let ctx = with(&chain);
    for template in [
        "{% macro m(x) %}{{ m(x + 1) }}{% endmacro %}{{ m(1) }}",
        "{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}",
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l | length }}",
        "{{ v0 }}",
        &deep,
    ] {
        // Whether it is an error does not matter; that there is an answer does.
        let _ = scalar(template, &ctx);
    }
    let error = scalar(
        "{% macro m(x) %}{{ m(x + 1) }}{% endmacro %}{{ m(1) }}",
        &ctx,
    )
    .expect_err("endless");
    assert!(
        error.message.starts_with("templates are nested more than"),
        "{error}"
    );
}

/// What ansible-core 2.19 does with each was looked at: `Some` is whether the task runs, `None` that it fails.
#[test]
fn a_condition_is_true_or_false_and_nothing_else() {
    let ctx = context(variables(&[&yaml(
        "{s: 'false', t: 'yes', l: [1], e: [], n: 0, i: 3, d: {a: 1}, x: 'n == 0', nun: null, u: '{{ s }}', b: '{{ i == 3 }}', q: text}",
    )]));
    for (text, expected) in [
        ("s", None),
        ("'{{ s }}'", Some(false)),
        ("t", None),
        ("'{{ t }}'", None),
        ("l", None),
        ("e", None),
        ("n", None),
        ("i", None),
        ("d", None),
        ("x", None),
        ("'{{ x }}'", Some(true)),
        ("nun", None),
        ("''", None),
        ("1", None),
        ("0", None),
        ("1.5", None),
        ("true", Some(true)),
        ("'true'", Some(true)),
        ("u", None),
        ("b", Some(true)),
        ("'{{ b }}'", Some(true)),
        ("l and true", Some(true)),
        ("true and l", None),
        ("not l", Some(false)),
        ("l or false", None),
        ("'{{ q }}'", None),
        ("[true, s]", None),
        ("['']", None),
        ("[[true]]", None),
        ("[]", Some(true)),
        ("'{{ l }}'", None),
        ("q | regex_search('te')", None),
        ("\"{{ 'False' }}\"", None),
        ("'{% if n == 0 %}true{% endif %}'", None),
    ] {
        let found = condition(&yaml(text), &ctx);
        assert_eq!(
            found.as_ref().ok().and_then(Value::as_bool),
            expected,
            "{text}: {found:?}"
        );
    }
    for (text, message, help) in [
        (
            "s",
            "the condition gives the text `false`, and not true or false",
            "| bool",
        ),
        (
            "l",
            "the condition gives a list, and not true or false",
            "| length > 0",
        ),
        (
            "i",
            "the condition gives the number 3, and not true or false",
            "!= 0",
        ),
        (
            "nun",
            "the condition gives none, and not true or false",
            "is not none",
        ),
        ("''", "the condition is empty", "leave it out"),
    ] {
        let error = condition(&yaml(text), &ctx).expect_err(text);
        assert_eq!(error.message, message);
        assert!(error.help.unwrap_or_default().contains(help), "{text}");
    }
}
