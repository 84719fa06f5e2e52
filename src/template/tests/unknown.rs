//! What is known after apply only.

use super::*;

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
        ("r.rc == 0 or u", Some(true)),
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
    assert!(all("[true, l]").is_err(), "a list is no condition");
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
