//! Groups of the host.

use super::support::{Simple, diff, done, entry, outcome, succeeded};
use crate::base::value::unknown;
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Change, Decision, Kind, Outcome, Param, Probe, Reply, Seen, Spec};
use serde_json::json;

pub(super) static GROUP: Simple = Simple {
    spec: &Spec {
        names: &["group", "ansible.builtin.group"],
        params: &[
            Param::new("name", Kind::Str).required(),
            Param::new("gid", Kind::Int),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("system", Kind::Bool),
            Param::new("non_unique", Kind::Bool),
            Param::new("force", Kind::Bool),
            Param::new("local", Kind::Bool).only(
                false,
                "accounts are looked up by `getent` and made in the host's own files; leave `local` out",
            ),
        ],
        summary: "adds and removes groups",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

/// A name that may stand in passwd and group, and after a command's options.
pub(super) fn account_name(name: &str) -> Result<&str> {
    if name.is_empty() || name.starts_with('-') || name.contains([':', ',', '/', '\n', ' ', '\0']) {
        return Err(Diagnostic::new(format!(
            "`{}` cannot be the name of an account",
            quote::for_terminal(name)
        )));
    }
    Ok(name)
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let key = account_name(args.str_or("name", ""))?.to_owned();
    Ok(vec![Probe::Entry {
        database: "group",
        key,
    }])
}

#[allow(clippy::unnecessary_wraps)] // the shape of a module's function
fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let word = quote::sh(name);
    let present = args.str_or("state", "present") == "present";
    let gid = entry(seen, 0)
        .and_then(|fields| fields.get(2))
        .and_then(|gid| gid.parse::<i64>().ok());
    let mut shown =
        outcome(json!({"name": name, "state": if present { "present" } else { "absent" }}));
    if present {
        shown.insert("system".into(), args.bool_or("system", false).into());
        shown.insert(
            "gid".into(),
            gid.or(args.int("gid")).map_or_else(unknown, Into::into),
        );
    }
    let wanted = args.int("gid");
    let shared = if args.bool_or("non_unique", false) {
        " -o"
    } else {
        ""
    };
    let number = wanted.map_or_else(String::new, |gid| format!(" -g {gid}{shared}"));
    let subject = format!("group {name}");
    let (shown_diff, script) = match (present, gid) {
        (true, None) => {
            let system = if args.bool_or("system", false) {
                " -r"
            } else {
                ""
            };
            let after = wanted.map_or_else(|| "present".to_owned(), |gid| format!("gid {gid}"));
            (
                diff(subject, "", after),
                format!("groupadd{system}{number} -- {word} && getent group -- {word}"),
            )
        }
        (true, Some(now)) if wanted.is_some_and(|wanted| wanted != now) => {
            let after = format!("gid {}", wanted.unwrap_or(now));
            (
                diff(subject, format!("gid {now}"), after),
                format!("groupmod{number} -- {word} && getent group -- {word}"),
            )
        }
        (false, Some(now)) => {
            let force = if args.bool_or("force", false) {
                " -f"
            } else {
                ""
            };
            (
                diff(subject, format!("gid {now}"), ""),
                format!("groupdel{force} -- {word}"),
            )
        }
        _ => return Ok(Decision::Same(shown)),
    };
    Ok(Decision::Change(Change {
        diffs: vec![shown_diff],
        requests: vec![args.request(script)],
        outcome: shown,
    }))
}

fn finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    succeeded(replies)?;
    let mut shown = done(args, change, replies)?;
    let gid = replies.first().and_then(|reply| {
        reply
            .out()
            .trim()
            .split(':')
            .nth(2)
            .and_then(|gid| gid.parse::<i64>().ok())
    });
    if let Some(gid) = gid {
        shown.insert("gid".into(), gid.into());
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, changed, said};
    use super::*;
    use crate::modules::Module;

    #[test]
    fn groups_are_added_changed_and_removed() {
        let there = Some(vec![
            "app".to_owned(),
            "x".into(),
            "990".into(),
            String::new(),
        ]);
        let cases = [
            (json!({"name": "app"}), &there, None),
            (json!({"name": "app", "gid": 990}), &there, None),
            (
                json!({"name": "app", "gid": 5}),
                &there,
                Some("groupmod -g 5 -- app && getent group -- app"),
            ),
            (
                json!({"name": "app", "system": true}),
                &None,
                Some("groupadd -r -- app && getent group -- app"),
            ),
            (
                json!({"name": "app", "state": "absent"}),
                &there,
                Some("groupdel -- app"),
            ),
            (json!({"name": "app", "state": "absent"}), &None, None),
        ];
        for (raw, entry, wanted) in cases {
            let decision = GROUP
                .diff(&args(&GROUP, raw.clone()), &[Seen::Entry(entry.clone())])
                .expect("decides");
            let script = match &decision {
                Decision::Change(change) => Some(change.requests[0].script.as_str()),
                Decision::Same(_) => None,
            };
            assert_eq!(script, wanted, "{raw}");
        }
    }

    #[test]
    fn the_number_of_a_new_group_is_read_back() {
        let args = args(&GROUP, json!({"name": "app"}));
        let change = changed(GROUP.diff(&args, &[Seen::Entry(None)]).expect("decides"));
        assert_eq!(
            GROUP
                .finish(&args, &change, &[said("app:x:991:\n")])
                .expect("fine")["gid"],
            json!(991)
        );
    }
}
