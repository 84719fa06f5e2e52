//! Specifications and parameters, with what ansible-core says about them.

use super::faults;
use crate::base::value::{Map, Value};
use serde_json::json;

#[test]
fn parameters_are_judged_as_by_ansible() {
    let spec = json!({
        "count": {"type": "int", "required": true},
        "mode": {"type": "str", "choices": ["fast", "safe"]},
        "on": {"type": "bool", "default": false},
        "names": {"type": "list", "elements": "int"},
        "word": {"choices": ["yes", "maybe"], "aliases": ["term"]},
        "server": {"type": "dict", "required_together": [["user", "key"]], "mutually_exclusive": [["port", "socket"]], "options": {
            "host": {"required": true}, "port": {"type": "int", "default": 80}, "socket": {}, "user": {}, "key": {},
        }},
        "rules": {"type": "list", "elements": "dict", "required_if": [["kind", "x", ["to"]]], "options": {"kind": {}, "to": {}}},
    });
    let cases = [
        (json!({"count": 1}), vec![]),
        (
            json!({"count": "12", "mode": "safe", "on": "yes", "names": "1,2", "word": "maybe"}),
            vec![],
        ),
        (json!({}), vec!["missing required arguments: count"]),
        (
            json!({"count": "many"}),
            vec![
                "argument 'count' is of type str and we were unable to convert to int: \"'many'\" cannot be converted to an int",
            ],
        ),
        (
            json!({"count": 1, "mode": "slow"}),
            vec!["value of mode must be one of: fast, safe, got: slow"],
        ),
        (
            json!({"count": 1, "names": [1, "b"]}),
            vec![
                "Elements value for option 'names' is of type str and we were unable to convert to int: \"'b'\" cannot be converted to an int",
            ],
        ),
        (
            json!({"count": 1, "server": {"port": "x"}}),
            vec![
                "missing required arguments: host found in server",
                "argument 'port' is of type str found in 'server'. and we were unable to convert to int: \"'x'\" cannot be converted to an int",
            ],
        ),
        (
            json!({"count": 1, "server": {"host": "h", "port": 1, "socket": "s", "user": "u"}}),
            vec![
                "parameters are mutually exclusive: port|socket found in server",
                "parameters are required together: user, key found in server",
            ],
        ),
        (
            json!({"count": 1, "server": {"host": "h", "colour": "red"}}),
            vec!["server.colour. Supported parameters include: host, key, port, socket, user."],
        ),
        (
            json!({"count": 1, "rules": [{"kind": "x"}]}),
            vec!["kind is x but all of the following are missing: to found in rules"],
        ),
        (
            json!({"count": 1, "odd": 1}),
            vec![
                "odd. Supported parameters include: count, mode, names, on, rules, server, word (term).",
            ],
        ),
        (
            json!({"count": 1, "term": "no"}),
            vec!["value of word must be one of: yes, maybe, got: no"],
        ),
        (
            json!({"count": 1.5}),
            vec![
                "argument 'count' is of type float and we were unable to convert to int: \"1.5\" cannot be converted to an int",
            ],
        ),
    ];
    let map =
        |value: &Value| -> Map<String, Value> { value.as_object().expect("a mapping").clone() };
    for (given, wished) in cases {
        assert_eq!(faults(&map(&spec), map(&given)), wished, "{given}");
    }
}
