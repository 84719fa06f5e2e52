//! The YAML reader against cases whose values were taken from Ansible's own reader.

use super::{Node, SourceFile, Span, Yaml, parse, parse_all, to_yaml};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile {
        path: "t.yml".to_owned(),
        text: text.to_owned(),
    })
}

fn read(text: &str) -> Node {
    parse(&file(text)).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn documents_read_as_ansible_reads_them() {
    for (text, value) in [
        ("", json!(null)),
        ("# only a comment\n", json!(null)),
        ("---\n", json!(null)),
        ("\u{feff}a: 1\n", json!({"a": 1})),
        ("a: 1\r\nb: two\r\n", json!({"a": 1, "b": "two"})),
        (
            "a: yes\nb: 'yes'\nc: \"no\"\nd: n\n",
            json!({"a": true, "b": "yes", "c": "no", "d": "n"}),
        ),
        ("mode: 0644\nq: '0644'\n", json!({"mode": 420, "q": "0644"})),
        (
            "when: 2024-01-02\nat: 12:30\n",
            json!({"when": "2024-01-02", "at": 750}),
        ),
        (
            "a:\n- 1\n- 2\nb:\n  - x: 1\n    y: 2\n",
            json!({"a": [1, 2], "b": [{"x": 1, "y": 2}]}),
        ),
        (
            "a: |\n  one\n   two\n\n  three\nb: >-\n  x\n  y\n\n  z\n",
            json!({"a": "one\n two\n\nthree\n", "b": "x y\nz"}),
        ),
        (
            "a: |+\n  x\n\nb: |2\n   y\n",
            json!({"a": "x\n\n", "b": " y\n"}),
        ),
        (
            "a: word word # note\nb: a#b\n",
            json!({"a": "word word", "b": "a#b"}),
        ),
        (
            "a: {b: 1, c: [x, y,], d: }\n",
            json!({"a": {"b": 1, "c": ["x", "y"], "d": null}}),
        ),
        (
            "url: http://x:80/?a=b\nt: a:b\n",
            json!({"url": "http://x:80/?a=b", "t": "a:b"}),
        ),
        (
            "a: \"x\\ty\\u00e9 \\\n  z\"\nb: 'it''s'\n",
            json!({"a": "x\tyé z", "b": "it's"}),
        ),
        ("a: one\n  two\n", json!({"a": "one two"})),
        (
            "7: a\ntrue: b\n~: c\n1.5: d\n",
            json!({"7": "a", "true": "b", "null": "c", "1.5": "d"}),
        ),
        ("? a\n: b\n", json!({"a": "b"})),
        ("a: &x [1, 2]\nb: *x\n", json!({"a": [1, 2], "b": [1, 2]})),
        ("a: &x\nb: *x\n", json!({"a": null, "b": null})),
        ("a: &x 1\nb: &x 2\nc: *x\n", json!({"a": 1, "b": 2, "c": 2})),
        (
            "x: &x {a: 1, b: 2}\ny:\n  b: 3\n  <<: *x\n",
            json!({"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}}),
        ),
        (
            "x: &x {a: 1}\ny: &y {a: 2, b: 3}\nz: {<<: [*x, *y], c: 4}\n",
            json!({"x": {"a": 1}, "y": {"a": 2, "b": 3}, "z": {"a": 1, "b": 3, "c": 4}}),
        ),
        ("a: {'<<': 1}\n", json!({"a": {"<<": 1}})),
        (
            "a: !!str 12\nb: !!int '0x10'\nc: !!float 1\nd: ! 12\n",
            json!({"a": "12", "b": 16, "c": 1.0, "d": "12"}),
        ),
        (
            "a: !unsafe '{{ x }}'\nb: !unsafe [y, 1]\n",
            json!({"a": "{{ x }}", "b": ["y", 1]}),
        ),
        ("%YAML 1.1\n---\na: 1\n...\n", json!({"a": 1})),
        ("- - 1\n  - 2\n-\n  - 3\n", json!([[1, 2], [3]])),
    ] {
        assert_eq!(read(text).to_value().expect("no vault"), value, "{text:?}");
    }
}

#[test]
fn tags_keep_what_is_secret_and_what_is_no_template() {
    let node = read(
        "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3031\nb: !unsafe '{{ x }}'\nc: !unsafe {d: x}\n",
    );
    let vaulted = Yaml::Vault("$ANSIBLE_VAULT;1.1;AES256\n3031\n".to_owned());
    assert_eq!(node.get("a").map(|n| n.yaml.clone()), Some(vaulted));
    assert_eq!(
        node.get("b").map(|n| n.yaml.clone()),
        Some(Yaml::Unsafe("{{ x }}".to_owned()))
    );
    let inner = node
        .get("c")
        .and_then(|c| c.get("d"))
        .map(|n| n.yaml.clone());
    assert_eq!(inner, Some(Yaml::Unsafe("x".to_owned())));
    assert_eq!(
        node.to_value().expect_err("vaulted").at.map(|at| at.line),
        Some(1)
    );
    let clear = node
        .to_value_with(&|_| Ok("pass".to_owned()))
        .expect("decrypted");
    assert_eq!(clear, json!({"a": "pass", "b": "{{ x }}", "c": {"d": "x"}}));
}

#[test]
fn nodes_know_their_places() {
    let node = read("a: 1\nb:\n  - x\n  - é: [1, y]\n");
    let b = node.get("b").expect("b");
    assert_eq!(b.span.to_string(), "t.yml:3:3");
    let items = b.items().expect("a list");
    assert_eq!(items[0].span.to_string(), "t.yml:3:5");
    let inner = items[1].get("é").expect("é").items().expect("a list");
    assert_eq!(inner[1].span.to_string(), "t.yml:4:12");
}

#[test]
fn faults_are_named_with_their_place() {
    let mut wrong = Vec::new();
    for (text, place, message) in [
        ("a: 1\nb: 2\na: 3\n", "3:1", "the key `a` is set twice"),
        ("x:\n  1: a\n  true: b\n", "3:3", "the key `1` is set twice"),
        ("a: *nope\n", "1:4", "unknown alias"),
        (
            "a: &x [*x]\n",
            "1:8",
            "this alias stands inside what it names",
        ),
        ("a:\n\t- 1\n", "2:1", "a tab is used for indentation"),
        ("a: {{ x }}\n", "1:5", "a mapping cannot be a key"),
        ("a: b: c\n", "1:5", "`: ` is not allowed here"),
        ("a: 1\n  b: 2\n", "2:4", "`: ` is not allowed here"),
        ("a:\n  b: 1\n c: 2\n", "3:2", "a key was expected here"),
        ("a: 'x\n", "1:4", "a quote was opened and never closed"),
        ("a: 'x' y\n", "1:8", "there is text after the closing quote"),
        (
            "a: \"x\" y\n",
            "1:8",
            "there is text after the closing quote",
        ),
        ("a: [1, 2\nb: 3\n", "2:2", "`: ` is not allowed here"),
        ("a: @x\n", "1:4", "text cannot begin with"),
        ("a: \"\\q\"\n", "1:4", "unknown escape"),
        ("a: !vault x\n", "1:4", "the text under `!vault`"),
        (
            "a: !ruby/object x\n",
            "1:4",
            "the tag `!ruby/object` is not known",
        ),
        (
            "a: !!set {x: }\n",
            "1:4",
            "the tag `!!set` is not known for a mapping",
        ),
        (
            "a: 99999999999999999999\n",
            "1:4",
            "the integer `99999999999999999999` does not fit",
        ),
        (
            "<<: 1\n",
            "1:5",
            "`<<` takes a mapping or a list of mappings, not an integer",
        ),
        (
            "<<: [{a: 1}, 2]\n",
            "1:14",
            "`<<` takes mappings, not an integer",
        ),
        (
            "<<: {a: 1}\n<<: {b: 1}\n",
            "2:1",
            "the key `<<` is set twice",
        ),
        ("[a]: 1\n", "1:1", "a key must be text, not a list"),
        (
            "a: 1\n---\nb: 1\n",
            "3:1",
            "a second YAML document begins here",
        ),
        (
            "a: x\u{7}\n",
            "1:5",
            "the control character \\u{7} is not allowed",
        ),
    ] {
        let error = parse(&file(text)).expect_err(text);
        let found = error.at.expect("a place").to_string();
        if !error.message.starts_with(message) || found != format!("t.yml:{place}") {
            wrong.push(format!("{text:?}: {} ({found})", error.message));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let error = parse(&file("a: 1\na: 2\n")).expect_err("twice");
    assert_eq!(error.notes, ["first set at t.yml:1:1"]);
    let error = parse(&file("a: {{ x }}\n")).expect_err("a template");
    assert!(
        error
            .help
            .is_some_and(|help| help.contains("must be in quotes"))
    );
}

#[test]
fn several_documents_are_read_apart() {
    let documents = parse_all(&file("a: &x 1\n---\nb: 2\n")).expect("two");
    assert_eq!(
        documents
            .iter()
            .map(|node| node.to_value().expect("plain"))
            .collect::<Vec<_>>(),
        [json!({"a": 1}), json!({"b": 2})]
    );
    assert!(parse_all(&file("a: &x 1\n---\nb: *x\n")).is_err());
}

#[test]
fn aliases_cannot_blow_up_and_nesting_has_an_end() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert_eq!(
        parse(&file(&bomb)).expect_err("a bomb").message,
        "the aliases of this file expand to too much"
    );
    assert!(parse(&file(&"[".repeat(5000))).is_err());
    let deep = format!("{}{}", "[".repeat(90), "]".repeat(90));
    assert!(parse(&file(&deep)).is_ok());
    assert!(
        parse(&file(&format!(
            "a: &a {deep}\nb: [[[[[[[[[[[*a]]]]]]]]]]]\n"
        )))
        .is_err()
    );
}

#[test]
fn values_and_nodes_convert_both_ways() {
    let value = json!({"a": [1, 1.5, "x", null, true], "b": {"c": -1}});
    let span = read("x").span;
    assert_eq!(
        Node::from_value(&value, &span).to_value().expect("plain"),
        value
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\-:?,\\[\\]{}#&*!|>'\"%@`<~a0 \n\t\\\\.é]{0,60}") {
        let _ = parse_all(&file(&text));
    }

    #[test]
    fn what_was_written_is_read_back(node in nodes()) {
        let text = to_yaml(&node);
        let back = read(&text);
        prop_assert_eq!(plain(&back), plain(&node), "{}", text);
    }
}

/// Nodes of every kind, all at one place.
fn nodes() -> impl Strategy<Value = Node> {
    let at = |yaml: Yaml| Node {
        yaml,
        span: Span {
            file: file(""),
            line: 1,
            column: 1,
        },
    };
    let words = "(yes|no|on|y|~|0644|1:30|1e3|1.5|=|<<|- a|a: b|a #b|\\{\\{ x \\}\\}|[ -~é\n\t]{0,9}|[a-z]{1,3}\n[a-z ]{1,4}\n)";
    let leaf = prop_oneof![
        Just(Yaml::Null),
        any::<bool>().prop_map(Yaml::Bool),
        any::<i64>().prop_map(Yaml::Int),
        (-1e300..1e300_f64).prop_map(Yaml::Float),
        words.prop_map(Yaml::String),
        words.prop_map(Yaml::Unsafe),
        Just(Yaml::Vault("$ANSIBLE_VAULT;1.1;AES256\n3031\n".to_owned())),
    ]
    .prop_map(at);
    leaf.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(move |items| at(Yaml::Sequence(items))),
            prop::collection::btree_map(words, inner, 0..4).prop_map(move |map| {
                let entries = map
                    .into_iter()
                    .map(|(key, value)| (at(Yaml::String(key)), value))
                    .collect();
                at(Yaml::Mapping(entries))
            }),
        ]
    })
}

/// A node without its places.
fn plain(node: &Node) -> String {
    match &node.yaml {
        Yaml::Sequence(items) => format!(
            "[{}]",
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        ),
        Yaml::Mapping(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(k, v)| format!("{} => {}", plain(k), plain(v)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => format!("{other:?}"),
    }
}
