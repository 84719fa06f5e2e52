//! Settings of the whole system that are seldom touched: `locale_gen`, `alternatives`, `known_hosts`.

use super::support::{
    Simple, as_seen, change, content, diff, done, ended_lines, failed, good_reply, outcome, reply,
    whole_file, write_file,
};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Decision, Kind, Param, Probe, Request, Seen, Spec};
use serde_json::json;

pub(super) static LOCALE_GEN: Simple = Simple {
    spec: &Spec {
        names: &["locale_gen", "community.general.locale_gen"],
        params: &[
            Param::new("name", Kind::List).required(),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
        ],
        summary: "makes locales",
        ..Spec::EMPTY
    },
    probe: |_| {
        Ok(vec![
            Probe::Run(Request::sh("locale -a 2>/dev/null || true")),
            whole_file("/etc/locale.gen"),
        ])
    },
    diff: locale_gen,
    finish: done,
};

/// `en_US.UTF-8` and `en_US.utf8` are one locale.
fn locale_key(name: &str) -> String {
    name.to_lowercase().replace("utf-8", "utf8")
}

fn locale_gen(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let have: Vec<String> = good_reply(seen, 0)?
        .out()
        .lines()
        .map(|line| locale_key(line.trim()))
        .collect();
    let names = args.list("name");
    let present = args.str_or("state", "present") == "present";
    let shown = outcome(json!({"name": names}));
    let differs: Vec<&String> = names
        .iter()
        .filter(|name| have.contains(&locale_key(name)) != present)
        .collect();
    if differs.is_empty() {
        return Ok(Decision::Same(shown));
    }
    let Some(text) = content(seen, 1) else {
        if args.check {
            let diffs = differs
                .iter()
                .map(|name| diff(format!("locale {name}"), "no locale.gen yet", "present"))
                .collect();
            return Ok(change(diffs, Request::sh("true"), shown));
        }
        return Err(failed("this host has no `/etc/locale.gen`")
            .help("install the package `locales` first"));
    };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for name in &differs {
        let is = |line: &String| {
            let plain = line.trim_start_matches(['#', ' ']);
            plain
                .split_whitespace()
                .next()
                .is_some_and(|word| locale_key(word) == locale_key(name))
        };
        let Some(line) = lines.iter_mut().find(|line| is(line)) else {
            if present {
                let charset = name.split_once('.').map_or("UTF-8", |(_, charset)| charset);
                lines.push(format!("{name} {charset}"));
            }
            continue;
        };
        let plain = line.trim_start_matches(['#', ' ']).to_owned();
        *line = if present { plain } else { format!("# {plain}") };
    }
    let after = ended_lines(lines.iter().map(String::as_str));
    let diffs = differs
        .iter()
        .map(|name| {
            if present {
                diff(format!("locale {name}"), "", "present")
            } else {
                diff(format!("locale {name}"), "present", "")
            }
        })
        .collect();
    let mut request = write_file(args, "/etc/locale.gen", &after, "0644", as_seen(seen, 1))?;
    // Generated ones are kept by locale-gen unless it is told to begin anew.
    let purge = if present { "" } else { " --purge" };
    request
        .script
        .push_str(&["locale-gen", purge, " >/dev/null\n"].concat());
    Ok(change(diffs, request, shown))
}

pub(super) static ALTERNATIVES: Simple = Simple {
    spec: &Spec {
        names: &["alternatives", "community.general.alternatives"],
        params: &[
            Param::new("name", Kind::Str).required(),
            Param::new("path", Kind::Path).required(),
            Param::new("link", Kind::Path),
            Param::new("priority", Kind::Int),
            Param::new("state", Kind::Str).choices(&["absent", "auto", "present", "selected"]),
        ],
        summary: "chooses between programs of one kind",
        ..Spec::EMPTY
    },
    probe: |args| {
        let name = quote::sh(args.str_or("name", ""));
        Ok(vec![Probe::Run(Request::sh(format!(
            "LC_ALL=C update-alternatives --query {name} 2>/dev/null || true"
        )))])
    },
    diff: alternatives,
    finish: done,
};

fn alternatives(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let (name, path) = (args.str_or("name", ""), args.str_or("path", ""));
    let text = good_reply(seen, 0)?.out();
    let field = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .map(str::trim)
            .unwrap_or_default()
    };
    let (status, value, link) = (field("Status:"), field("Value:"), field("Link:"));
    let mut entries = text
        .lines()
        .filter_map(|line| line.strip_prefix("Alternative:"))
        .map(str::trim);
    let known = entries.any(|entry| entry == path);
    let state = args.str_or("state", "selected");
    let words = |words: &[&str]| {
        format!(
            "update-alternatives {}",
            quote::sh_join(words.iter().copied())
        )
    };
    let mut steps = Vec::new();
    if state == "absent" {
        if known {
            steps.push(words(&["--remove", name, path]));
        }
    } else {
        if !known {
            let link = args.str("link").unwrap_or(link);
            if link.is_empty() {
                return Err(Diagnostic::new(format!(
                    "`alternatives` needs `link` to add `{path}` to the new group `{name}`"
                )));
            }
            steps.push(words(&[
                "--install",
                link,
                name,
                path,
                &args.int("priority").unwrap_or(50).to_string(),
            ]));
        }
        match state {
            "selected" if value != path || status != "manual" && !known => {
                steps.push(words(&["--set", name, path]));
            }
            "auto" if status != "auto" => steps.push(words(&["--auto", name])),
            _ => {}
        }
    }
    let shown = outcome(json!({"name": name, "path": path}));
    if steps.is_empty() {
        return Ok(Decision::Same(shown));
    }
    let after = match state {
        "absent" => format!("without {path}"),
        "auto" => "automatic".to_owned(),
        _ => path.to_owned(),
    };
    let request = args.request(format!(
        "{} >/dev/null",
        steps.join(" >/dev/null || exit\n")
    ));
    Ok(change(
        vec![diff(format!("alternative {name}"), value, after)],
        request,
        shown,
    ))
}

pub(super) static KNOWN_HOSTS: Simple = Simple {
    spec: &Spec {
        names: &["known_hosts", "ansible.builtin.known_hosts"],
        params: &[
            Param::new("name", Kind::Str).required().aliases(&["host"]),
            Param::new("key", Kind::Str),
            Param::new("path", Kind::Path),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("hash_host", Kind::Bool),
        ],
        summary: "keeps the keys of other SSH servers",
        ..Spec::EMPTY
    },
    probe: |args| {
        if args.str_or("state", "present") == "present" && args.str("key").is_none_or(str::is_empty)
        {
            return Err(Diagnostic::new("`known_hosts` needs the parameter `key`"));
        }
        let file = known_hosts_file(args);
        let name = quote::sh(args.str_or("name", ""));
        // ssh-keygen finds hashed names too.
        let script = format!(
            "f={file}\n[ -e \"$f\" ] || exit 0\nssh-keygen -F {name} -f \"$f\" | grep -v '^#' || true"
        );
        Ok(vec![Probe::Run(args.request(script))])
    },
    diff: known_hosts,
    finish: done,
};

fn known_hosts_file(args: &Args) -> String {
    match args.str("path") {
        Some(path) => path.strip_prefix("~/").map_or_else(
            || quote::sh(path),
            |rest| format!("\"$HOME\"/{}", quote::sh(rest)),
        ),
        None => "\"$HOME\"/.ssh/known_hosts".to_owned(),
    }
}

fn known_hosts(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let reply = reply(seen, 0)?;
    let text = reply.out();
    let key_of = |line: &str| {
        let skip = 1 + usize::from(line.starts_with('@'));
        let words: Vec<&str> = line.split_whitespace().skip(skip).take(2).collect();
        (words.len() == 2).then(|| (words[0].to_owned(), words[1].to_owned()))
    };
    let have: Vec<_> = text.lines().filter_map(key_of).collect();
    let shown = outcome(json!({"name": name, "state": args.str_or("state", "present")}));
    let (file, word) = (known_hosts_file(args), quote::sh(name));
    let remove = format!("ssh-keygen -q -R {word} -f \"$f\" >/dev/null 2>&1 || exit\n");
    if args.str_or("state", "present") == "absent" {
        if have.is_empty() {
            return Ok(Decision::Same(shown));
        }
        let request = args.request(format!("f={file}\n{remove}"));
        return Ok(change(
            vec![diff(format!("known host {name}"), "known", "")],
            request,
            shown,
        ));
    }
    let lines: Vec<&str> = args
        .str_or("key", "")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let wanted: Vec<_> = lines.iter().filter_map(|line| key_of(line)).collect();
    if wanted.len() != lines.len() || wanted.is_empty() {
        return Err(Diagnostic::new("`key` is not a line of known_hosts")
            .help("such a line is `name ssh-ed25519 AAAA…`"));
    }
    // Another key of the same kind is an old one and goes.
    let old = have.iter().any(|(kind, key)| {
        wanted
            .iter()
            .any(|(other, new)| other == kind && new != key)
    });
    if !old && wanted.iter().all(|key| have.contains(key)) {
        return Ok(Decision::Same(shown));
    }
    let hash = if args.bool_or("hash_host", false) {
        "ssh-keygen -q -H -f \"$f\" >/dev/null 2>&1 && rm -f \"$f.old\"\n"
    } else {
        ""
    };
    let forget = if old { remove } else { String::new() };
    let script = format!(
        "f={file}\numask 077\n[ -d \"${{f%/*}}\" ] || mkdir -p \"${{f%/*}}\" || exit\n[ -e \"$f\" ] || : >\"$f\" || exit\n{forget}cat >>\"$f\" || exit\n{hash}"
    );
    let request = args
        .request(script)
        .stdin(ended_lines(lines.iter().copied()));
    let before = if old { "another key" } else { "" };
    Ok(change(
        vec![diff(format!("known host {name}"), before, lines.join("\n"))],
        request,
        shown,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, changed, said, same, whole};
    use super::*;
    use crate::modules::Module;

    #[test]
    fn known_hosts_are_added_once_and_replaced() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("sub").join("known_hosts");
        let ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHuU3Dz0AxYFVeEGzGLPXbxrkzpmTzOCzzMXKcbCiD0P";
        let other =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPe7xWy7KjXnQGf3JvWJ0kUqqG4t0eVjYb1jQq3qXyK";
        for (key, changes) in [(ed, true), (ed, false), (other, true), (other, false)] {
            let raw = json!({"name": "db1", "key": format!("db1 {key}"), "path": path});
            assert_eq!(
                whole(&KNOWN_HOSTS, &args(&KNOWN_HOSTS, raw))
                    .expect("done")
                    .0
                    .is_some(),
                changes,
                "{key}"
            );
        }
        assert_eq!(
            std::fs::read_to_string(&path).expect("file"),
            format!("db1 {other}\n")
        );
    }

    #[test]
    fn alternatives_are_chosen_once() {
        let query = "Name: editor\nLink: /usr/bin/editor\nStatus: auto\nBest: /bin/nano\nValue: /bin/nano\n\nAlternative: /bin/nano\nPriority: 40\n\nAlternative: /bin/vim\nPriority: 30\n";
        let cases = [
            (json!({"path": "/bin/nano"}), None),
            (
                json!({"path": "/bin/vim"}),
                Some("update-alternatives --set editor /bin/vim >/dev/null"),
            ),
            (
                json!({"path": "/bin/vim", "state": "absent"}),
                Some("update-alternatives --remove editor /bin/vim >/dev/null"),
            ),
            (
                json!({"path": "/bin/ed", "state": "present"}),
                Some("update-alternatives --install /usr/bin/editor editor /bin/ed 50 >/dev/null"),
            ),
        ];
        for (mut raw, wanted) in cases {
            raw["name"] = "editor".into();
            let decision = ALTERNATIVES
                .diff(&args(&ALTERNATIVES, raw), &[Seen::Reply(said(query))])
                .expect("decides");
            match wanted {
                None => drop(same(decision)),
                Some(wanted) => assert_eq!(changed(decision).requests[0].script, wanted),
            }
        }
    }

    #[test]
    fn locales_are_made_once() {
        let args = args(&LOCALE_GEN, json!({"name": ["de_DE.UTF-8", "C.utf8"]}));
        let gen_file = {
            let file = tempfile::NamedTempFile::new().expect("file");
            std::fs::write(file.path(), "# de_AT.UTF-8 UTF-8\n# de_DE.UTF-8 UTF-8\n")
                .expect("written");
            super::super::support::testing::see(&[whole_file(file.path().to_str().expect("utf-8"))])
                .remove(0)
        };
        let have = |text: &str| Seen::Reply(said(text));
        let change = changed(
            LOCALE_GEN
                .diff(&args, &[have("C\nC.utf8\n"), gen_file.clone()])
                .expect("decides"),
        );
        assert_eq!(
            String::from_utf8_lossy(&change.requests[0].stdin),
            "# de_AT.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\n"
        );
        same(
            LOCALE_GEN
                .diff(&args, &[have("C.utf8\nde_DE.utf8\n"), gen_file])
                .expect("decides"),
        );
    }
}
