//! File systems in fstab and mounted: `mount`.
//!
//! Never unmounts or remounts what is as wished, and never touches other lines of fstab.

use super::support::{
    Simple, as_seen, content, diff, done, ended_lines, good_reply, outcome, whole_file, write_file,
};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Change, Decision, Kind, Param, Probe, Request, Seen, Spec};
use serde_json::json;

pub(super) static MOUNT: Simple = Simple {
    spec: &Spec {
        names: &["mount", "ansible.posix.mount"],
        params: &[
            Param::new("path", Kind::Path).required().aliases(&["name"]),
            Param::new("src", Kind::Path),
            Param::new("fstype", Kind::Str),
            Param::new("opts", Kind::Str),
            Param::new("opts_no_log", Kind::Bool),
            Param::new("dump", Kind::Str),
            Param::new("passno", Kind::Str),
            Param::new("state", Kind::Str).required().choices(&[
                "absent",
                "absent_from_fstab",
                "ephemeral",
                "mounted",
                "present",
                "remounted",
                "unmounted",
            ]),
            Param::new("fstab", Kind::Path),
            Param::new("boot", Kind::Bool),
            Param::new("backup", Kind::Bool),
        ],
        summary: "mounts file systems, now and at boot",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish: done,
};

fn path(args: &Args) -> String {
    let path = args.str_or("path", "");
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        "/".to_owned()
    } else {
        trimmed.to_owned()
    }
}

/// Blanks and backslashes as fstab and mountinfo write them.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
        .replace('\n', "\\012")
}

/// What stands for options that are not to be shown.
const HIDDEN: &str = "(hidden)";

/// Whether the options hold a secret.
fn hides(args: &Args) -> bool {
    args.bool_or("opts_no_log", false)
}

fn opts_shown(args: &Args) -> &str {
    if hides(args) && args.has("opts") {
        HIDDEN
    } else {
        args.str_or("opts", "defaults")
    }
}

fn fstab(args: &Args) -> &str {
    args.str_or("fstab", "/etc/fstab")
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let state = args.str_or("state", "");
    let path = path(args);
    if !path.starts_with('/') && path != "none" {
        return Err(Diagnostic::new(format!(
            "`path` takes a full path, not `{}`",
            quote::for_terminal(&path)
        )));
    }
    for needed in ["src", "fstype"] {
        if matches!(state, "mounted" | "present" | "ephemeral")
            && args.str(needed).is_none_or(str::is_empty)
        {
            return Err(Diagnostic::new(format!(
                "`mount` with the state `{state}` needs the parameter `{needed}`"
            )));
        }
    }
    let word = quote::sh(&path);
    // awk would read the backslashes of -v; the environment passes them as they are.
    let script = format!(
        "M={} awk '$5 == ENVIRON[\"M\"] {{ l = $0 }} END {{ if (l != \"\") print \"mounted \" l }}' /proc/self/mountinfo\n\
         [ ! -e {word} ] || echo there",
        quote::sh(&escaped(&path))
    );
    Ok(vec![
        whole_file(fstab(args)),
        Probe::Run(Request::sh(script)),
    ])
}

/// The line that fstab should have.
fn line(args: &Args) -> String {
    let mut opts = args.str_or("opts", "defaults").to_owned();
    if !args.bool_or("boot", true) && !opts.split(',').any(|option| option == "noauto") {
        opts.push_str(",noauto");
    }
    let (source, path) = (escaped(args.str_or("src", "")), escaped(&path(args)));
    let (dump, passno) = (args.str_or("dump", "0"), args.str_or("passno", "0"));
    format!(
        "{source} {path} {} {} {dump} {passno}",
        args.str_or("fstype", ""),
        escaped(&opts)
    )
}

fn fields(line: &str) -> Option<Vec<&str>> {
    let line = line.trim();
    let fields: Vec<&str> = line.split_whitespace().collect();
    (!line.starts_with('#') && fields.len() >= 4).then_some(fields)
}

/// Whether a line of fstab is about this mount. Swap and the like have no path of their own: their source tells.
fn about(args: &Args, line: &str) -> bool {
    let path = path(args);
    fields(line).is_some_and(|fields| {
        if matches!(path.as_str(), "none" | "swap") {
            fields[0] == escaped(args.str_or("src", "")) && matches!(fields[1], "none" | "swap")
        } else {
            fields[1].trim_end_matches('/') == escaped(&path).trim_end_matches('/')
        }
    })
}

fn same_line(a: &str, b: &str) -> bool {
    let normal = |line: &str| {
        let mut all: Vec<String> = line.split_whitespace().take(6).map(str::to_owned).collect();
        all.resize(6, "0".to_owned());
        all
    };
    normal(a) == normal(b)
}

/// What fstab should be, when it should be something else.
fn edited(args: &Args, text: &str, keep: bool) -> Option<String> {
    let wanted = line(args);
    let found: Vec<&str> = text.lines().filter(|line| about(args, line)).collect();
    if keep && found.len() == 1 && same_line(found[0], &wanted) || !keep && found.is_empty() {
        return None;
    }
    let mut written = false;
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        if !about(args, line) {
            lines.push(line);
        } else if keep && !written {
            lines.push(&wanted);
            written = true;
        }
    }
    if keep && !written {
        lines.push(&wanted);
    }
    Some(ended_lines(lines))
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let state = args.str_or("state", "");
    let path = path(args);
    let word = quote::sh(&path);
    let text = content(seen, 0).unwrap_or_default();
    let looked = good_reply(seen, 1)?.out();
    let mounted = looked
        .lines()
        .find_map(|line| line.strip_prefix("mounted "));
    let there = looked.lines().any(|line| line == "there");
    let mut change = Change::default();
    let subject = format!("mount {path}");
    let keeps = matches!(state, "mounted" | "present");
    let drops = matches!(state, "absent" | "absent_from_fstab");
    let stored = if keeps || drops {
        edited(args, &text, keeps)
    } else {
        None
    };
    let rewritten = stored.is_some();
    if let Some(after) = stored {
        let before: Vec<&str> = text.lines().filter(|line| about(args, line)).collect();
        let after_line = if keeps { line(args) } else { String::new() };
        let shown = |line: String| match args.str("opts").filter(|_| hides(args)) {
            Some(opts) => line.replace(opts, HIDDEN),
            None => line,
        };
        change.diffs.push(diff(
            fstab(args),
            shown(before.join("\n")),
            shown(after_line),
        ));
        if args.bool_or("backup", false) {
            let file = quote::sh(fstab(args));
            change
                .requests
                .push(args.request(format!("cp -p -- {file} {file}.\"$(date +%Y%m%d%H%M%S)\"")));
        }
        let expect = as_seen(seen, 0);
        change
            .requests
            .push(write_file(args, fstab(args), &after, "0644", expect)?);
        change
            .requests
            .push(args.request("[ ! -d /run/systemd/system ] || systemctl daemon-reload"));
    }
    let table = if fstab(args) == "/etc/fstab" {
        String::new()
    } else {
        format!("-T {} ", quote::sh(fstab(args)))
    };
    let create = if there {
        String::new()
    } else {
        format!("mkdir -p -- {word} || exit\n")
    };
    let again = format!(
        "mount {table}-o remount -- {word} || {{ umount -- {word} && mount {table}-- {word}; }}"
    );
    match state {
        "mounted" if mounted.is_none() => {
            change.diffs.push(diff(
                subject,
                "",
                format!("{} ({})", args.str_or("src", ""), args.str_or("fstype", "")),
            ));
            change
                .requests
                .push(args.request(format!("{create}mount {table}-- {word}")));
        }
        "mounted" if rewritten => {
            change.diffs.push(diff(subject, "mounted", "remounted"));
            change.requests.push(args.request(again));
        }
        "ephemeral" if mounted.is_none() || !mounted_as(args, mounted) => {
            let (kind, opts) = (
                quote::sh(args.str_or("fstype", "")),
                quote::sh(args.str_or("opts", "defaults")),
            );
            let source = quote::sh(args.str_or("src", ""));
            change.diffs.push(diff(subject, "", args.str_or("src", "")));
            change.requests.push(args.request(format!(
                "{create}mount -t {kind} -o {opts} -- {source} {word}"
            )));
        }
        "remounted" => {
            change.diffs.push(diff(subject, "mounted", "remounted"));
            change.requests.push(args.request(again));
        }
        "unmounted" | "absent" if mounted.is_some() => {
            change.diffs.push(diff(&subject, "mounted", ""));
            change
                .requests
                .push(args.request(format!("umount -- {word}")));
        }
        _ => {}
    }
    if state == "absent" && there {
        // Only an empty directory goes: what a mount hid is not thrown away.
        change
            .requests
            .push(args.request(format!("rmdir -- {word} 2>/dev/null || true")));
        if mounted.is_none() && !rewritten {
            change.requests.clear();
        }
    }
    change.outcome = outcome(json!({
        "name": path, "src": args.str("src"), "fstype": args.str("fstype"), "opts": opts_shown(args),
        "dump": args.str_or("dump", "0"), "passno": args.str_or("passno", "0"), "fstab": fstab(args),
        "boot": if args.bool_or("boot", true) { "yes" } else { "no" },
    }));
    Ok(if change.requests.is_empty() {
        Decision::Same(change.outcome)
    } else {
        Decision::Change(change)
    })
}

/// Whether the source in a line of mountinfo is the one wished.
fn mounted_as(args: &Args, mounted: Option<&str>) -> bool {
    let source = mounted
        .and_then(|line| line.split_once(" - "))
        .and_then(|(_, rest)| rest.split(' ').nth(1));
    source.is_some_and(|source| source == escaped(args.str_or("src", "")))
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, run, said, see};
    use super::*;
    use crate::modules::Module;
    use serde_json::Value;

    const MINFO: &str = "mounted 36 25 8:1 / /mnt/shared rw - nfs4 lb:/srv rw\nthere\n";

    fn file(text: &str) -> Seen {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), text).expect("written");
        see(&[whole_file(file.path().to_str().expect("utf-8"))]).remove(0)
    }

    #[test]
    fn mounts_change_only_when_needed() {
        let nfs = |state: &str| json!({"path": "/mnt/shared/", "src": "lb:/srv", "fstype": "nfs4", "opts": "_netdev,nofail", "state": state});
        let good = "# c\nlb:/srv  /mnt/shared nfs4 _netdev,nofail\n";
        let cases: &[(Value, &str, &str, &[&str])] = &[
            (nfs("mounted"), good, MINFO, &[]),
            (nfs("mounted"), good, "there\n", &["mount -- /mnt/shared"]),
            (
                nfs("mounted"),
                "",
                "",
                &[
                    "fstab",
                    "reload",
                    "mkdir -p -- /mnt/shared || exit\nmount -- /mnt/shared",
                ],
            ),
            (
                nfs("mounted"),
                "lb:/old /mnt/shared nfs4 ro 0 0\n",
                MINFO,
                &[
                    "fstab",
                    "reload",
                    "mount -o remount -- /mnt/shared || { umount -- /mnt/shared && mount -- /mnt/shared; }",
                ],
            ),
            (nfs("present"), good, "", &[]),
            (nfs("unmounted"), good, MINFO, &["umount -- /mnt/shared"]),
            (
                nfs("absent"),
                good,
                MINFO,
                &[
                    "fstab",
                    "reload",
                    "umount -- /mnt/shared",
                    "rmdir -- /mnt/shared 2>/dev/null || true",
                ],
            ),
            (nfs("absent"), "", "there\n", &[]),
            (nfs("ephemeral"), "", MINFO, &[]),
        ];
        for (raw, table, mountinfo, wanted) in cases {
            let seen = [file(table), Seen::Reply(said(mountinfo))];
            let found = match MOUNT
                .diff(&args(&MOUNT, raw.clone()), &seen)
                .expect("decides")
            {
                Decision::Same(_) => Vec::new(),
                Decision::Change(change) => change.requests,
            };
            let found: Vec<&str> = found
                .iter()
                .map(|request| match request.script.as_str() {
                    script if script.contains("mktemp") => "fstab",
                    script if script.contains("daemon-reload") => "reload",
                    script => script,
                })
                .collect();
            assert_eq!(found, *wanted, "{raw}\n{table}");
        }
    }

    #[test]
    fn fstab_keeps_its_other_lines() {
        let args = args(
            &MOUNT,
            json!({"path": "/a b", "src": "/dev/x", "fstype": "ext4", "state": "present"}),
        );
        let after = edited(
            &args,
            "# top\n/dev/y / ext4 defaults 0 1\n/dev/old /a\\040b xfs ro 0 0\n",
            true,
        );
        assert_eq!(
            after.as_deref(),
            Some("# top\n/dev/y / ext4 defaults 0 1\n/dev/x /a\\040b ext4 defaults 0 0\n")
        );
    }

    #[test]
    fn the_look_is_valid_here() {
        let raw = json!({"path": "/proc", "src": "proc", "fstype": "proc", "state": "ephemeral"});
        let probes = MOUNT.probe(&args(&MOUNT, raw)).expect("probe");
        let Probe::Run(request) = &probes[1] else {
            panic!("{probes:?}")
        };
        let text = run(request).out().into_owned();
        assert!(
            text.starts_with("mounted ") && text.ends_with("there\n"),
            "{text}"
        );
    }
}
