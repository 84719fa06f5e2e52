//! What packages are told before they are installed: `debconf`, `dpkg_selections`.

use super::support::{Simple, change, diff, done, failed, outcome, reply};
use crate::base::value::{Value, to_text};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Decision, Kind, Param, Probe, Request, Seen, Spec};
use serde_json::json;
use std::collections::BTreeMap;

pub(super) static DEBCONF: Simple = Simple {
    spec: &Spec {
        names: &["debconf", "ansible.builtin.debconf"],
        params: &[
            Param::new("name", Kind::Str).required().aliases(&["pkg"]),
            Param::new("question", Kind::Str).aliases(&["selection", "setting"]),
            Param::new("vtype", Kind::Str).choices(&[
                "boolean",
                "error",
                "multiselect",
                "note",
                "password",
                "seen",
                "select",
                "string",
                "text",
                "title",
            ]),
            Param::new("value", Kind::Any).aliases(&["answer"]),
            Param::new("unseen", Kind::Bool),
        ],
        summary: "answers a package's questions before it asks them",
        ..Spec::EMPTY
    },
    probe: |args| {
        if args.has("question") && !(args.has("vtype") && args.has("value")) {
            return Err(Diagnostic::new(
                "`debconf` with `question` needs `vtype` and `value`",
            ));
        }
        let mut script = format!(
            "LC_ALL=C debconf-show -- {}",
            quote::sh(args.str_or("name", ""))
        );
        if args.str("vtype") == Some("password") {
            // debconf-show hides passwords; debconf's own file has them.
            let question = quote::sh(args.str_or("question", ""));
            script = format!(
                "{script} || exit\nQ={question} awk '/^Name: / {{ n = substr($0, 7) }} /^Value: / && n == ENVIRON[\"Q\"] {{ print \"@password \" substr($0, 8) }}' /var/cache/debconf/passwords.dat 2>/dev/null || true"
            );
        }
        Ok(vec![Probe::Run(Request::sh(script))])
    },
    diff: debconf,
    finish: done,
};

fn debconf(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let reply = reply(seen, 0)?;
    if reply.code != 0 && !args.check {
        return Err(failed("debconf did not answer").note(quote::for_terminal(reply.err().trim())));
    }
    let text = reply.out();
    let mut before: BTreeMap<String, String> = BTreeMap::new();
    let mut password = None;
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("@password ") {
            password = Some(value);
        } else if let Some((key, value)) = line.split_once(':') {
            before.insert(
                key.trim_start_matches('*').trim().to_owned(),
                value.trim().to_owned(),
            );
        }
    }
    let Some(question) = args.str("question") else {
        return Ok(Decision::Same(outcome(
            json!({"msg": "", "current": before}),
        )));
    };
    let kind = args.str_or("vtype", "");
    let mut sorted = Vec::new();
    let value = match args.get("value") {
        Some(Value::Array(_)) => {
            sorted = args.list("value");
            sorted.sort();
            sorted.join(", ")
        }
        Some(value) if kind == "boolean" => to_text(value).to_lowercase(),
        Some(value) => to_text(value),
        None => String::new(),
    };
    let secret = kind == "password";
    let shown = |value: &str| {
        if secret {
            "********".to_owned()
        } else {
            value.to_owned()
        }
    };
    let same = if secret {
        password == Some(value.as_str())
    } else if !sorted.is_empty() {
        let mut now: Vec<&str> = before
            .get(question)
            .map_or("", String::as_str)
            .split(',')
            .map(str::trim)
            .collect();
        now.sort_unstable();
        now == sorted
    } else {
        before.get(question).is_some_and(|now| {
            if kind == "boolean" {
                now.to_lowercase() == value
            } else {
                *now == value
            }
        })
    };
    let previous = before
        .get(question)
        .map_or_else(String::new, |now| shown(now));
    let result = outcome(
        json!({"msg": "", "current": {question: shown(&value)}, "previous": {question: previous}}),
    );
    if same {
        return Ok(Decision::Same(result));
    }
    let unseen = if args.bool_or("unseen", false) {
        " -u"
    } else {
        ""
    };
    let line = format!("{} {question} {kind} {value}\n", args.str_or("name", ""));
    let request = args
        .request(format!("debconf-set-selections{unseen}"))
        .stdin(line);
    Ok(change(
        vec![diff(format!("debconf {question}"), previous, shown(&value))],
        request,
        result,
    ))
}

pub(super) static DPKG_SELECTIONS: Simple = Simple {
    spec: &Spec {
        names: &["dpkg_selections", "ansible.builtin.dpkg_selections"],
        params: &[
            Param::new("name", Kind::Str).required(),
            Param::new("selection", Kind::Str).required().choices(&[
                "deinstall",
                "hold",
                "install",
                "purge",
            ]),
        ],
        summary: "holds a package at its version, or lets it go",
        ..Spec::EMPTY
    },
    probe: |args| {
        Ok(vec![Probe::Packages(vec![
            args.str_or("name", "").to_owned(),
        ])])
    },
    diff: |args, seen| {
        let (name, selection) = (args.str_or("name", ""), args.str_or("selection", ""));
        let package = match seen.first() {
            Some(Seen::Packages(packages)) => packages.get(name),
            _ => None,
        };
        let before = match package {
            Some(package) => package.want.as_str(),
            None if args.check => "not present",
            None => {
                return Err(failed(format!("dpkg knows no package `{name}`"))
                    .help("install it first, then set its selection"));
            }
        };
        let result = outcome(json!({"before": before, "after": selection}));
        if before == selection {
            return Ok(Decision::Same(result));
        }
        let request = args
            .request("dpkg --set-selections")
            .stdin(format!("{name} {selection}\n"));
        Ok(change(
            vec![diff(format!("package {name}"), before, selection)],
            request,
            result,
        ))
    },
    finish: done,
};

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, said};
    use super::*;
    use crate::modules::{Module, Package};

    #[test]
    fn answers_are_given_once() {
        let show = "* keyboard/layout: German\n  a/yes: true\n  a/pw: (password omitted)\n  a/many: x, y\n@password geheim\n";
        let cases = [
            (
                json!({"question": "keyboard/layout", "vtype": "select", "value": "German"}),
                None,
            ),
            (
                json!({"question": "keyboard/layout", "vtype": "select", "value": "French"}),
                Some("p keyboard/layout select French\n"),
            ),
            (
                json!({"question": "a/yes", "vtype": "boolean", "value": true}),
                None,
            ),
            (
                json!({"question": "a/new", "vtype": "boolean", "value": false}),
                Some("p a/new boolean false\n"),
            ),
            (
                json!({"question": "a/pw", "vtype": "password", "value": "geheim"}),
                None,
            ),
            (
                json!({"question": "a/pw", "vtype": "password", "value": "anders"}),
                Some("p a/pw password anders\n"),
            ),
            (
                json!({"question": "a/many", "vtype": "multiselect", "value": ["y", "x"]}),
                None,
            ),
        ];
        for (mut raw, wanted) in cases {
            raw["name"] = "p".into();
            let decision = DEBCONF
                .diff(&args(&DEBCONF, raw.clone()), &[Seen::Reply(said(show))])
                .expect("decides");
            let found = match decision {
                Decision::Same(_) => None,
                Decision::Change(change) => {
                    assert!(
                        !change.requests[0].script.contains("anders")
                            && !change.diffs[0].after.contains("anders")
                    );
                    Some(String::from_utf8_lossy(&change.requests[0].stdin).into_owned())
                }
            };
            assert_eq!(found.as_deref(), wanted, "{raw}");
        }
    }

    #[test]
    fn selections_follow_dpkg() {
        let package = Package {
            status: "installed".into(),
            version: "1".into(),
            want: "hold".into(),
        };
        let seen = [Seen::Packages([("x".to_owned(), package)].into())];
        for (selection, changes) in [("hold", false), ("install", true)] {
            let args = args(
                &DPKG_SELECTIONS,
                json!({"name": "x", "selection": selection}),
            );
            assert_eq!(
                matches!(
                    DPKG_SELECTIONS.diff(&args, &seen).expect("decides"),
                    Decision::Change(_)
                ),
                changes
            );
        }
    }
}
