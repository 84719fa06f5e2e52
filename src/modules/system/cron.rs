//! Timed jobs: `cron`.
//!
//! Jobs are found by the same marker line that Ansible writes, so that both may manage one table. Other lines stay.

use super::support::{
    Simple, as_seen, change, content, diff, done, ended_lines, failed, outcome, reply, whole_file,
    write_file,
};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{
    Args, Change, Decision, Kind, Outcome, Param, Probe, Reply, Request, Seen, Spec,
};
use serde_json::json;

pub(super) static CRON: Simple = Simple {
    spec: &Spec {
        names: &["cron", "ansible.builtin.cron"],
        params: &[
            Param::new("name", Kind::Str).required(),
            Param::new("job", Kind::Str).aliases(&["value"]),
            Param::new("user", Kind::Str),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("minute", Kind::Str),
            Param::new("hour", Kind::Str),
            Param::new("day", Kind::Str).aliases(&["dom"]),
            Param::new("month", Kind::Str),
            Param::new("weekday", Kind::Str).aliases(&["dow"]),
            Param::new("special_time", Kind::Str).choices(&[
                "annually", "daily", "hourly", "monthly", "reboot", "weekly", "yearly",
            ]),
            Param::new("cron_file", Kind::Path),
            Param::new("env", Kind::Bool),
            Param::new("disabled", Kind::Bool),
            Param::new("backup", Kind::Bool),
            Param::new("insertafter", Kind::Str),
            Param::new("insertbefore", Kind::Str),
        ],
        summary: "sets timed jobs",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

/// The file of the job, when it is not in a user's own table.
fn file(args: &Args) -> Option<String> {
    let name = args.str("cron_file")?;
    Some(if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("/etc/cron.d/{name}")
    })
}

fn table_of(args: &Args) -> String {
    args.str("user")
        .map_or_else(String::new, |user| format!(" -u {}", quote::sh(user)))
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let timed = ["minute", "hour", "day", "month", "weekday"]
        .iter()
        .any(|name| args.has(name));
    let present = args.str_or("state", "present") == "present";
    if timed && args.has("special_time") {
        return Err(Diagnostic::new(
            "`cron` takes either `special_time` or minute, hour, day, month, weekday",
        ));
    }
    if present && args.str("job").is_none_or(str::is_empty) {
        return Err(Diagnostic::new("`cron` needs the parameter `job`"));
    }
    if present && args.has("cron_file") && !args.bool_or("env", false) && !args.has("user") {
        return Err(Diagnostic::new(
            "`cron` with `cron_file` needs `user`: the lines of such a file name one",
        ));
    }
    if args
        .str("job")
        .is_some_and(|job| job.trim_end_matches('\n').contains('\n'))
    {
        return Err(Diagnostic::new("`job` must be one line")
            .help("put the commands into a script and run that"));
    }
    match file(args) {
        Some(path) => Ok(vec![whole_file(&path)]),
        None => Ok(vec![Probe::Run(Request::sh(format!(
            "LC_ALL=C crontab{} -l",
            table_of(args)
        )))]),
    }
}

fn job_line(args: &Args) -> String {
    let part = |name: &str| args.str_or(name, "*").to_owned();
    let when = args.str("special_time").map_or_else(
        || {
            ["minute", "hour", "day", "month", "weekday"]
                .map(part)
                .join(" ")
        },
        |special| format!("@{special}"),
    );
    let user = args
        .str("user")
        .filter(|_| args.has("cron_file"))
        .map_or_else(String::new, |user| format!("{user} "));
    let off = if args.bool_or("disabled", false) {
        "#"
    } else {
        ""
    };
    format!(
        "{off}{when} {user}{}",
        args.str_or("job", "").trim_end_matches('\n')
    )
}

/// The table with the job in it (or out of it).
fn with_job(args: &Args, text: &str, present: bool) -> String {
    let marker = format!("#Ansible: {}", args.str_or("name", ""));
    let line = job_line(args);
    let mut out: Vec<String> = Vec::new();
    let mut lines = text.lines().peekable();
    let mut done = false;
    while let Some(found) = lines.next() {
        if found != marker {
            out.push(found.to_owned());
            continue;
        }
        lines.next();
        if present && !done {
            out.extend([marker.clone(), line.clone()]);
            done = true;
        }
    }
    if present && !done {
        out.extend([marker, line]);
    }
    ended_lines(out.iter().map(String::as_str))
}

/// The table with the variable in it (or out of it). New variables stand first, where they hold for all jobs.
fn with_variable(args: &Args, text: &str, present: bool) -> String {
    let name = args.str_or("name", "");
    let line = format!("{name}=\"{}\"", args.str_or("job", ""));
    let is = |found: &str, name: &str| {
        found
            .split_once('=')
            .is_some_and(|(key, _)| key.trim() == name)
    };
    let mut out: Vec<String> = Vec::new();
    let mut done = false;
    for found in text.lines() {
        if !is(found, name) {
            out.push(found.to_owned());
        } else if present && !done {
            out.push(line.clone());
            done = true;
        }
    }
    if present && !done {
        let place = |param: &str| {
            args.str(param)
                .and_then(|near| out.iter().position(|found| is(found, near)))
        };
        let at = place("insertafter")
            .map(|at| at + 1)
            .or_else(|| place("insertbefore"))
            .unwrap_or(0);
        out.insert(at, line);
    }
    ended_lines(out.iter().map(String::as_str))
}

fn names(text: &str) -> Outcome {
    let jobs: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#Ansible: "))
        .collect();
    let is_variable = |line: &&str| {
        line.split_once('=')
            .is_some_and(|(name, _)| !name.contains([' ', '*', '#', '@', '/']))
    };
    let envs: Vec<&str> = text
        .lines()
        .filter(is_variable)
        .filter_map(|line| line.split('=').next())
        .collect();
    outcome(json!({"jobs": jobs, "envs": envs}))
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let present = args.str_or("state", "present") == "present";
    let file = file(args);
    let text = if file.is_some() {
        content(seen, 0).unwrap_or_default()
    } else {
        let reply = reply(seen, 0)?;
        let said = reply.err();
        match reply.code {
            0 => {
                // Old versions of cron put three lines of warning first.
                let head =
                    |line: &&str| line.starts_with("# DO NOT EDIT") || line.starts_with("# (");
                ended_lines(reply.out().lines().skip_while(head))
            }
            1 if said.contains("no crontab") => String::new(),
            127 if !args.check => {
                return Err(
                    failed("this host has no `crontab`").help("install the package `cron` first")
                );
            }
            127 => String::new(),
            _ if args.check => String::new(),
            _ => {
                return Err(failed("the table of timed jobs cannot be read")
                    .note(quote::for_terminal(said.trim())));
            }
        }
    };
    let after = if args.bool_or("env", false) {
        with_variable(args, &text, present)
    } else {
        with_job(args, &text, present)
    };
    let shown = names(&after);
    if after == text || !present && text.is_empty() {
        return Ok(Decision::Same(shown));
    }
    let subject = file.clone().unwrap_or_else(|| {
        format!(
            "crontab of {}",
            args.str("user").or(args.user.as_deref()).unwrap_or("root")
        )
    });
    let diffs = vec![diff(subject, text.as_str(), after.as_str())];
    let saved = backup(args, file.as_deref(), &text);
    let request = match file {
        Some(path) if after.trim().is_empty() => {
            args.request(format!("rm -f -- {}", quote::sh(&path)))
        }
        Some(path) => write_file(args, &path, &after, "0644", as_seen(seen, 0))?,
        None => args
            .request(format!("crontab{} -", table_of(args)))
            .stdin(after),
    };
    let mut decision = change(diffs, request, shown);
    if let Decision::Change(change) = &mut decision {
        change.requests.splice(0..0, saved);
    }
    Ok(decision)
}

/// Keeps the table as it was, in a file whose name the outcome tells.
fn backup(args: &Args, file: Option<&str>, before: &str) -> Option<Request> {
    if !args.bool_or("backup", false) || before.is_empty() && file.is_some() {
        return None;
    }
    let script =
        "umask 077; f=$(mktemp /tmp/crontabXXXXXX) && cat >\"$f\" && printf '%s\\n' \"$f\"";
    Some(args.request(script).stdin(before))
}

fn finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    let mut outcome = done(args, change, replies)?;
    if let (true, Some(first)) = (change.requests.len() > 1, replies.first()) {
        outcome.insert("backup_file".into(), first.out().trim().into());
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, changed, said, same, whole};
    use super::*;
    use crate::modules::Module;

    #[test]
    fn a_table_is_kept_before_it_is_written() {
        let raw = json!({"name": "b", "job": "/x", "backup": true});
        let args = args(&CRON, raw);
        let decision = CRON
            .diff(&args, &[Seen::Reply(said("z\n"))])
            .expect("decides");
        let change = changed(decision);
        assert_eq!(change.requests.len(), 2);
        assert_eq!(change.requests[0].stdin, b"z\n");
        let replies = [said("/tmp/crontabX\n"), said("")];
        let outcome = CRON.finish(&args, &change, &replies).expect("done");
        assert_eq!(outcome["backup_file"], "/tmp/crontabX");
    }

    #[test]
    fn tables_are_edited_by_marker() {
        let cases = [
            (
                json!({"name": "b", "job": "/x", "minute": "0", "hour": "2"}),
                "# my own\n1 * * * * a\n",
                Some("# my own\n1 * * * * a\n#Ansible: b\n0 2 * * * /x\n"),
            ),
            (
                json!({"name": "b", "job": "/x", "minute": 0}),
                "#Ansible: b\n0 * * * * /x\n",
                None,
            ),
            (
                json!({"name": "b", "job": "/y", "special_time": "reboot"}),
                "#Ansible: b\n0 * * * * /x\nz\n",
                Some("#Ansible: b\n@reboot /y\nz\n"),
            ),
            (
                json!({"name": "b", "job": "/x", "disabled": true}),
                "#Ansible: b\n* * * * * /x\n",
                Some("#Ansible: b\n#* * * * * /x\n"),
            ),
            (
                json!({"name": "b", "state": "absent"}),
                "#Ansible: b\n* * * * * /x\nz\n",
                Some("z\n"),
            ),
            (json!({"name": "b", "state": "absent"}), "z\n", None),
            (
                json!({"name": "MAILTO", "job": "me", "env": true}),
                "z\n",
                Some("MAILTO=\"me\"\nz\n"),
            ),
            (
                json!({"name": "MAILTO", "job": "me", "env": true}),
                "MAILTO=\"me\"\nz\n",
                None,
            ),
        ];
        for (raw, table, wanted) in cases {
            let decision = CRON
                .diff(&args(&CRON, raw.clone()), &[Seen::Reply(said(table))])
                .expect("decides");
            match wanted {
                None => drop(same(decision)),
                Some(wanted) => assert_eq!(
                    String::from_utf8_lossy(&changed(decision).requests[0].stdin),
                    wanted,
                    "{raw}"
                ),
            }
        }
    }

    #[test]
    fn a_file_is_written_for_real_and_goes_with_its_last_job() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("backup");
        let mut raw = json!({"name": "backup", "job": "run %", "minute": "5", "user": "root", "cron_file": path});
        assert!(
            whole(&CRON, &args(&CRON, raw.clone()))
                .expect("written")
                .0
                .is_some()
        );
        assert_eq!(
            std::fs::read_to_string(&path).expect("file"),
            "#Ansible: backup\n5 * * * * root run %\n"
        );
        assert!(
            whole(&CRON, &args(&CRON, raw.clone()))
                .expect("same")
                .0
                .is_none()
        );
        raw["state"] = "absent".into();
        assert!(
            whole(&CRON, &args(&CRON, raw))
                .expect("removed")
                .0
                .is_some()
        );
        assert!(!path.exists());
    }

    #[test]
    fn faults_are_told() {
        for raw in [
            json!({"name": "b"}),
            json!({"name": "b", "job": "x", "cron_file": "b"}),
            json!({"name": "b", "job": "x\ny"}),
            json!({"name": "b", "job": "x", "minute": "1", "special_time": "daily"}),
        ] {
            assert!(CRON.probe(&args(&CRON, raw.clone())).is_err(), "{raw}");
        }
        let seen = [Seen::Reply(crate::modules::Reply {
            code: 127,
            ..said("")
        })];
        assert!(
            CRON.diff(&args(&CRON, json!({"name": "b", "job": "x"})), &seen)
                .expect_err("no cron")
                .help
                .is_some()
        );
    }
}
