//! Kernel settings: `sysctl`.

use super::support::{
    Simple, as_seen, content, diff, done, outcome, reply, whole_file, write_file,
};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Change, Decision, Kind, Param, Probe, Request, Seen, Spec};
use serde_json::json;

pub(super) static SYSCTL: Simple = Simple {
    spec: &Spec {
        names: &["sysctl", "ansible.posix.sysctl"],
        params: &[
            Param::new("name", Kind::Str).required().aliases(&["key"]),
            Param::new("value", Kind::Str).aliases(&["val"]),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("reload", Kind::Bool),
            Param::new("sysctl_set", Kind::Bool),
            Param::new("sysctl_file", Kind::Path),
            Param::new("ignoreerrors", Kind::Bool),
        ],
        summary: "sets kernel parameters, now and at boot",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish: done,
};

/// Where the kernel shows a setting. A name with slashes is a path already (`net/ipv4/conf/eth0.1/…`).
fn proc_path(name: &str) -> String {
    let path = if name.contains('/') {
        name.to_owned()
    } else {
        name.replace('.', "/")
    };
    format!("/proc/sys/{path}")
}

fn file(args: &Args) -> &str {
    args.str_or("sysctl_file", "/etc/sysctl.conf")
}

/// A value as the file has it: booleans as numbers.
fn wanted(args: &Args) -> String {
    let value = args.str_or("value", "").trim();
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "t" => "1".to_owned(),
        "false" | "no" | "n" | "off" | "f" => "0".to_owned(),
        _ => value.to_owned(),
    }
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let name = args.str_or("name", "");
    let fine = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-/*".contains(c));
    if name.is_empty() || !fine || name.contains("..") || name.starts_with(['-', '/']) {
        return Err(Diagnostic::new(format!(
            "`{}` is not the name of a kernel parameter",
            quote::for_terminal(name)
        )));
    }
    if args.str_or("state", "present") == "present" && wanted(args).is_empty() {
        return Err(Diagnostic::new(format!(
            "`sysctl` needs the `value` of `{name}`"
        )));
    }
    let mut probes = vec![whole_file(file(args))];
    if args.bool_or("sysctl_set", false) {
        probes.push(Probe::Run(Request::sh(format!(
            "cat -- {} 2>/dev/null",
            quote::sh(&proc_path(name))
        ))));
    }
    Ok(probes)
}

fn same(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// The name and value of a line, unless it is a comment.
fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return None;
    }
    line.split_once('=')
        .map(|(name, value)| (name.trim().trim_start_matches('-'), value.trim()))
}

fn edited(text: &str, name: &str, value: Option<&str>) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut written = false;
    for line in text.lines() {
        if setting(line).is_some_and(|(found, _)| found == name) {
            if let Some(value) = value.filter(|_| !written) {
                lines.push(format!("{name}={value}"));
                written = true;
            }
        } else {
            lines.push(line.to_owned());
        }
    }
    if let Some(value) = value.filter(|_| !written) {
        lines.push(format!("{name}={value}"));
    }
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let present = args.str_or("state", "present") == "present";
    let value = wanted(args);
    let text = content(seen, 0).unwrap_or_default();
    let stored = text
        .lines()
        .rev()
        .filter_map(setting)
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned());
    let shown = outcome(
        json!({"name": name, "value": value, "state": if present { "present" } else { "absent" }}),
    );
    let mut change = Change {
        outcome: shown,
        ..Change::default()
    };
    let ignore = if args.bool_or("ignoreerrors", false) {
        " || true"
    } else {
        ""
    };
    if present && args.bool_or("sysctl_set", false) {
        let reply = reply(seen, 1)?;
        let running = reply.out();
        if !same(&running, &value) {
            let path = quote::sh(&proc_path(name));
            let set = format!("printf '%s\\n' {} >{path}{ignore}", quote::sh(&value));
            change.diffs.push(diff(
                format!("kernel parameter {name}"),
                running.trim(),
                value.as_str(),
            ));
            change.requests.push(args.request(set));
        }
    }
    let in_file = stored.as_deref().is_some_and(|stored| same(stored, &value));
    if present != stored.is_some() || present && !in_file {
        let after = edited(&text, name, present.then_some(value.as_str()));
        let after_line = if present {
            format!("{name}={value}")
        } else {
            String::new()
        };
        let before_line = stored
            .map(|stored| format!("{name}={stored}"))
            .unwrap_or_default();
        change.diffs.push(diff(file(args), before_line, after_line));
        let expect = as_seen(seen, 0);
        change
            .requests
            .push(write_file(args, file(args), &after, "0644", expect)?);
        if args.bool_or("reload", true) {
            let path = quote::sh(file(args));
            // Without the package procps there is no sysctl; the kernel's files do the same.
            let script = format!(
                "if command -v sysctl >/dev/null 2>&1; then sysctl -p {path}{ignore}; else\n\
                 sed 's/^[[:space:]]*//; /^[#;]/d; /=/!d; s/[[:space:]]*=[[:space:]]*/=/' {path} | while IFS='=' read -r k v; do\n\
                 case $k in */*) ;; *) k=$(printf %s \"$k\" | tr . /) ;; esac\n\
                 printf '%s\\n' \"$v\" >\"/proc/sys/$k\" || exit 1\ndone{ignore}\nfi"
            );
            change.requests.push(args.request(script));
        }
    }
    Ok(if change.requests.is_empty() {
        Decision::Same(change.outcome)
    } else {
        Decision::Change(change)
    })
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, changed, said, same as unchanged, whole};
    use super::*;
    use crate::modules::Module;

    #[test]
    fn the_file_is_edited_once_and_keeps_its_comments() {
        for (text, value, wanted) in [
            ("# c\na.b = 1\na.b=2\nx=3\n", Some("9"), "# c\na.b=9\nx=3\n"),
            ("x=3", Some("9"), "x=3\na.b=9\n"),
            ("a.b=1\n", None, ""),
            ("", Some("1"), "a.b=1\n"),
        ] {
            assert_eq!(edited(text, "a.b", value), wanted);
        }
    }

    #[test]
    fn settings_are_written_for_real_and_then_left_alone() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("99-x.conf");
        let raw = json!({"name": "net.ipv4.ip_forward", "value": true, "sysctl_file": path, "reload": false});
        let args = args(&SYSCTL, raw);
        assert!(whole(&SYSCTL, &args).expect("writes").0.is_some());
        assert_eq!(
            std::fs::read_to_string(&path).expect("file"),
            "net.ipv4.ip_forward=1\n"
        );
        assert!(whole(&SYSCTL, &args).expect("same").0.is_none());
    }

    #[test]
    fn the_running_value_counts_when_asked() {
        let args = args(
            &SYSCTL,
            json!({"name": "net.ipv4.tcp_rmem", "value": "4096 8 9", "sysctl_set": true, "state": "present"}),
        );
        let file = |text: &str| {
            let mut seen = Seen::File(None);
            if !text.is_empty() {
                let dir = tempfile::NamedTempFile::new().expect("file");
                std::fs::write(dir.path(), text).expect("written");
                seen = super::super::support::testing::see(&[whole_file(
                    dir.path().to_str().expect("utf-8"),
                )])
                .remove(0);
            }
            seen
        };
        let stored = file("net.ipv4.tcp_rmem=4096 8\t9\n");
        unchanged(
            SYSCTL
                .diff(&args, &[stored.clone(), Seen::Reply(said("4096\t8\t9\n"))])
                .expect("same"),
        );
        let change = changed(
            SYSCTL
                .diff(&args, &[stored, Seen::Reply(said("1\t8\t9\n"))])
                .expect("differs"),
        );
        assert_eq!(
            change.requests[0].script,
            "printf '%s\\n' '4096 8 9' >/proc/sys/net/ipv4/tcp_rmem"
        );
    }
}
