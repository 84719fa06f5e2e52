//! Users of the host.
//!
//! A password hash never stands in a command line: it goes to `chpasswd` on standard input.

mod key;

use super::group::account_name;
use super::support::{Simple, diff, entry, failed, outcome, reply, succeeded};
use crate::base::value::{Value, unknown};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{
    Args, Change, Decision, Diff, Kind, Outcome, Param, Probe, Reply, Request, Seen, Spec,
};
use serde_json::json;

pub(super) static USER: Simple = Simple {
    spec: &Spec {
        names: &["user", "ansible.builtin.user"],
        params: &[
            Param::new("name", Kind::Str).required().aliases(&["user"]),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("uid", Kind::Int),
            Param::new("non_unique", Kind::Bool),
            Param::new("group", Kind::Str),
            Param::new("groups", Kind::List),
            Param::new("append", Kind::Bool),
            Param::new("comment", Kind::Str),
            Param::new("home", Kind::Path),
            Param::new("shell", Kind::Path),
            Param::new("create_home", Kind::Bool).aliases(&["createhome"]),
            Param::new("move_home", Kind::Bool),
            Param::new("skeleton", Kind::Str),
            Param::new("system", Kind::Bool),
            Param::new("password", Kind::Str).secret(),
            Param::new("update_password", Kind::Str).choices(&["always", "on_create"]),
            Param::new("password_lock", Kind::Bool),
            Param::new("expires", Kind::Float),
            Param::new("remove", Kind::Bool),
            Param::new("force", Kind::Bool),
            Param::new("local", Kind::Bool).only(
                false,
                "accounts are looked up by `getent` and made in the host's own files; leave `local` out",
            ),
            Param::new("umask", Kind::Str),
            Param::new("generate_ssh_key", Kind::Bool),
            Param::new("ssh_key_bits", Kind::Int),
            Param::new("ssh_key_type", Kind::Str).choices(&["dsa", "ecdsa", "ed25519", "rsa"]),
            Param::new("ssh_key_file", Kind::Path),
            Param::new("ssh_key_comment", Kind::Str),
            Param::new("ssh_key_passphrase", Kind::Str).secret(),
            Param::new("password_expire_max", Kind::Int),
            Param::new("password_expire_min", Kind::Int),
            Param::new("password_expire_warn", Kind::Int),
            Param::new("password_expire_account_disable", Kind::Int),
        ],
        summary: "adds, changes and removes users",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

/// Prints the supplementary groups and whether the home is missing.
fn look(name: &str) -> String {
    let name = quote::sh(name);
    format!(
        "id -Gn -- {name} 2>/dev/null || exit 0\n\
         getent passwd -- {name} | {{ IFS=: read -r _ _ _ _ _ h _; [ -e \"$h\" ] || echo no-home; }}"
    )
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    let name = account_name(args.str_or("name", ""))?.to_owned();
    if args.bool_or("append", false) && !args.has("groups") {
        return Err(Diagnostic::new(
            "`append` says how `groups` is meant, and `groups` is not given",
        ));
    }
    if let Some(hash) = args.str("password") {
        let hashed = hash.starts_with(['$', '!', '*', '_']) || hash.is_empty() || hash.len() == 13;
        if !hashed || hash.contains(['\n', ':']) {
            return Err(Diagnostic::new("`password` takes a hash, not the password itself")
                .help("make one with the filter `password_hash('sha512')`, or with `mkpasswd`; `!` locks the account"));
        }
    }
    key::check(args)?;
    let group = args.str("group").unwrap_or(&name).to_owned();
    let mut probes = vec![
        Probe::Entry {
            database: "passwd",
            key: name.clone(),
        },
        Probe::Entry {
            database: "group",
            key: group,
        },
        Probe::Run(Request::sh(look(&name))),
    ];
    let shadow = ["password", "password_lock", "expires"];
    if shadow.iter().any(|param| args.has(param)) || key::ages(args) || key::wanted(args) {
        probes.push(Probe::Entry {
            database: "shadow",
            key: name,
        });
    }
    if key::wanted(args) {
        probes.push(Probe::Run(key::look(args)));
    }
    Ok(probes)
}

/// A user as passwd has it.
struct Now<'a> {
    fields: &'a [String],
    groups: Vec<&'a str>,
    no_home: bool,
    shadow: Option<&'a Vec<String>>,
}

impl Now<'_> {
    fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", String::as_str)
    }
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let word = quote::sh(name);
    let absent = args.str_or("state", "present") == "absent";
    let Some(fields) = entry(seen, 0) else {
        if absent {
            return Ok(Decision::Same(outcome(
                json!({"name": name, "state": "absent"}),
            )));
        }
        return create(args, entry(seen, 1).is_some());
    };
    if absent {
        let (force, remove) = (args.bool_or("force", false), args.bool_or("remove", false));
        let script = format!(
            "userdel{}{} -- {word}",
            if force { " -f" } else { "" },
            if remove { " -r" } else { "" }
        );
        let shown =
            outcome(json!({"name": name, "state": "absent", "force": force, "remove": remove}));
        let diffs = vec![diff(format!("user {name}"), "present", "")];
        return Ok(Decision::Change(Change {
            diffs,
            requests: vec![args.request(script)],
            outcome: shown,
        }));
    }
    let looked = reply(seen, 2)?.out().into_owned();
    let mut lines = looked.lines();
    let groups = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let now = Now {
        fields,
        groups,
        no_home: lines.any(|line| line == "no-home"),
        shadow: entry(seen, 3),
    };
    let key = key::wanted(args).then(|| reply(seen, 4)).transpose()?;
    modify(args, &now, entry(seen, 1), key)
}

/// The outcome's keys that the task gives.
fn shown(args: &Args, now: Option<&Now>) -> Outcome {
    let now_field = |index: usize| now.map(|now| Value::from(now.field(index)));
    let number = |index: usize| {
        now.and_then(|now| now.field(index).parse::<i64>().ok())
            .map(Value::from)
    };
    let text = |name: &str, index: usize| {
        args.str(name)
            .map(Value::from)
            .or_else(|| now_field(index))
            .unwrap_or_else(unknown)
    };
    let mut shown = outcome(json!({
        "name": args.str_or("name", ""), "state": "present",
        "uid": args.int("uid").map(Value::from).or_else(|| number(2)).unwrap_or_else(unknown),
        "group": number(3).unwrap_or_else(unknown),
        "comment": text("comment", 4), "home": text("home", 5), "shell": text("shell", 6),
        "move_home": args.bool_or("move_home", false),
    }));
    if now.is_none() {
        shown.insert(
            "create_home".into(),
            args.bool_or("create_home", true).into(),
        );
        shown.insert("system".into(), args.bool_or("system", false).into());
    }
    if args.has("groups") {
        shown.insert("groups".into(), args.list("groups").join(",").into());
    }
    if args.has("password") {
        shown.insert("password".into(), "NOT_LOGGING_PASSWORD".into());
    }
    shown
}

/// The request that sets the hash.
fn set_password(args: &Args, hash: &str) -> Request {
    args.request("chpasswd -e")
        .stdin(format!("{}:{hash}\n", args.str_or("name", "")))
}

fn groups(args: &Args) -> Vec<String> {
    args.list("groups")
        .into_iter()
        .map(|group| group.trim().to_owned())
        .filter(|group| !group.is_empty())
        .collect()
}

/// `expires` in days since 1970, as shadow keeps it; negative takes it away.
fn expiry(args: &Args) -> Option<i64> {
    let value = args.get("expires")?.as_f64()?;
    #[allow(clippy::cast_possible_truncation)] // days fit
    Some(if value < 0.0 {
        -1
    } else {
        (value / 86400.0).floor() as i64
    })
}

fn create(args: &Args, group_exists: bool) -> Result<Decision> {
    let name = args.str_or("name", "");
    let mut words: Vec<String> = vec!["useradd".into()];
    let mut option = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    if let Some(uid) = args.int("uid") {
        option("-u", uid.to_string());
    }
    match args.str("group") {
        Some(group) if !group_exists && !args.check => {
            return Err(failed(format!("there is no group `{group}` on this host"))
                .help(format!("add a task `group: name={group}` before this one")));
        }
        Some(group) => option("-g", group.to_owned()),
        None => {}
    }
    let groups = groups(args);
    if !groups.is_empty() {
        option("-G", groups.join(","));
    }
    for (param, flag) in [
        ("comment", "-c"),
        ("home", "-d"),
        ("shell", "-s"),
        ("skeleton", "-k"),
    ] {
        if let Some(value) = args.str(param) {
            option(flag, value.to_owned());
        }
    }
    if let Some(days) = expiry(args) {
        option(
            "-e",
            if days < 0 {
                String::new()
            } else {
                days.to_string()
            },
        );
    }
    if let Some(umask) = args.str("umask") {
        option("-K", format!("UMASK={umask}"));
    }
    if args.str("group").is_none() && group_exists {
        words.push("-N".into());
    }
    if args.bool_or("non_unique", false) {
        words.push("-o".into());
    }
    words.push(
        if args.bool_or("create_home", true) {
            "-m"
        } else {
            "-M"
        }
        .into(),
    );
    if args.bool_or("system", false) {
        words.push("-r".into());
    }
    words.extend(["--".into(), name.to_owned()]);
    let mut requests = vec![args.request(quote::sh_join(words.iter().map(String::as_str)))];
    if let Some(hash) = args.str("password") {
        requests.push(set_password(args, hash));
    }
    if args.bool_or("password_lock", false) {
        requests.push(args.request(format!("usermod -L -- {}", quote::sh(name))));
    }
    let mut diffs = vec![diff(format!("user {name}"), "", "present")];
    let mut shown = shown(args, None);
    let (more, further) = key::requests(args, None, None, name);
    requests.extend(more);
    diffs.extend(further);
    if key::wanted(args) {
        key::foresee(&mut shown);
    }
    requests.push(args.request(format!("getent passwd -- {}", quote::sh(name))));
    Ok(Decision::Change(Change {
        diffs,
        requests,
        outcome: shown,
    }))
}

fn modify(
    args: &Args,
    now: &Now,
    group: Option<&Vec<String>>,
    key: Option<&Reply>,
) -> Result<Decision> {
    let name = args.str_or("name", "");
    let subject = format!("user {name}");
    let mut words: Vec<String> = Vec::new();
    let mut diffs: Vec<Diff> = Vec::new();
    let mut change = |flags: &[&str], value: String, what: &str, before: &str, after: &str| {
        words.extend(flags.iter().map(|flag| (*flag).to_owned()));
        words.push(value);
        diffs.push(diff(
            &subject,
            format!("{what} {before}"),
            format!("{what} {after}"),
        ));
    };
    if let Some(uid) = args
        .int("uid")
        .map(|uid| uid.to_string())
        .filter(|uid| uid != now.field(2))
    {
        let flags: &[&str] = if args.bool_or("non_unique", false) {
            &["-o", "-u"]
        } else {
            &["-u"]
        };
        change(flags, uid.clone(), "uid", now.field(2), &uid);
    }
    if let Some(wanted) = args.str("group") {
        let gid = group
            .and_then(|fields| fields.get(2))
            .map_or(wanted, String::as_str);
        if group.is_none() && !args.check {
            return Err(failed(format!("there is no group `{wanted}` on this host"))
                .help(format!("add a task `group: name={wanted}` before this one")));
        }
        if gid != now.field(3) {
            change(&["-g"], wanted.to_owned(), "group", now.field(3), wanted);
        }
    }
    if args.has("groups") {
        // `id -Gn` names the primary group first.
        let current: Vec<&str> = now.groups.iter().skip(1).copied().collect();
        let wanted = groups(args);
        let append = args.bool_or("append", false);
        let primary = now.groups.first().copied();
        let new: Vec<_> = wanted
            .iter()
            .filter(|group| !current.contains(&group.as_str()) && primary != Some(group))
            .collect();
        let extra = !append
            && current
                .iter()
                .any(|group| !wanted.iter().any(|wanted| wanted == group));
        if !new.is_empty() || extra {
            let flags: &[&str] = if append { &["-a", "-G"] } else { &["-G"] };
            let after = if append {
                format!("{},{}", current.join(","), wanted.join(","))
            } else {
                wanted.join(",")
            };
            change(
                flags,
                wanted.join(","),
                "groups",
                &current.join(","),
                after.trim_matches(','),
            );
        }
    }
    for (param, flag, index) in [("comment", "-c", 4), ("shell", "-s", 6)] {
        if let Some(value) = args.str(param).filter(|value| *value != now.field(index)) {
            change(&[flag], value.to_owned(), param, now.field(index), value);
        }
    }
    if let Some(home) = args.str("home").filter(|home| *home != now.field(5)) {
        let flags: &[&str] = if args.bool_or("move_home", false) {
            &["-m", "-d"]
        } else {
            &["-d"]
        };
        change(flags, home.to_owned(), "home", now.field(5), home);
    }
    let shadow = |index: usize| {
        now.shadow
            .and_then(|fields| fields.get(index))
            .map_or("", String::as_str)
    };
    if let Some(days) = expiry(args) {
        let wanted = if days < 0 {
            String::new()
        } else {
            days.to_string()
        };
        if wanted != shadow(7) {
            change(&["-e"], wanted.clone(), "expires", shadow(7), &wanted);
        }
    }
    let locked = shadow(1).starts_with('!');
    if let Some(lock) = args.bool("password_lock").filter(|lock| *lock != locked) {
        words.push(if lock { "-L" } else { "-U" }.to_owned());
        diffs.push(diff(
            &subject,
            if locked { "locked" } else { "not locked" },
            if lock { "locked" } else { "not locked" },
        ));
    }
    let mut requests = Vec::new();
    if !words.is_empty() {
        words.insert(0, "usermod".to_owned());
        words.extend(["--".to_owned(), name.to_owned()]);
        requests.push(args.request(quote::sh_join(words.iter().map(String::as_str))));
    }
    let stored = shadow(1).trim_start_matches('!');
    if let Some(hash) = args
        .str("password")
        .filter(|_| args.str_or("update_password", "always") == "always")
        && hash.trim_start_matches('!') != stored
    {
        requests.push(set_password(args, hash));
        diffs.push(diff(&subject, "password", "another password"));
    }
    if now.no_home && args.bool_or("create_home", true) && !args.has("home") {
        let (home, owner) = (
            quote::sh(now.field(5)),
            format!("{}:{}", now.field(2), now.field(3)),
        );
        requests.push(args.request(format!(
            "mkdir -p -- {home} && {{ [ ! -d /etc/skel ] || cp -rT /etc/skel {home}; }} && chmod 0755 -- {home} && chown -R {owner} -- {home}"
        )));
        diffs.push(diff(format!("home {}", now.field(5)), "", "directory"));
    }
    let (more, further) = key::requests(args, Some(now), key, &subject);
    requests.extend(more);
    diffs.extend(further);
    let mut shown = shown(args, Some(now));
    match key.filter(|reply| !reply.out().trim().is_empty()) {
        Some(there) => key::show(&mut shown, Some(there)),
        None if key::wanted(args) => key::foresee(&mut shown),
        None => {}
    }
    if requests.is_empty() {
        return Ok(Decision::Same(shown));
    }
    requests.push(args.request(format!("getent passwd -- {}", quote::sh(name))));
    Ok(Decision::Change(Change {
        diffs,
        requests,
        outcome: shown,
    }))
}

fn finish(args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    succeeded(replies)?;
    let mut shown = change.outcome.clone();
    if let Some(reply) = key::made(replies).filter(|_| key::wanted(args)) {
        key::show(&mut shown, Some(reply));
    }
    let last = replies
        .last()
        .map(|reply| reply.out().into_owned())
        .unwrap_or_default();
    let fields: Vec<&str> = last.trim_end_matches('\n').split(':').collect();
    if let [_, _, uid, gid, comment, home, shell] = fields[..] {
        for (name, value) in [
            ("uid", json!(uid.parse::<i64>().unwrap_or(-1))),
            ("group", json!(gid.parse::<i64>().unwrap_or(-1))),
            ("comment", json!(comment)),
            ("home", json!(home)),
            ("shell", json!(shell)),
        ] {
            shown.insert(name.into(), value);
        }
    }
    Ok(shown)
}

#[cfg(test)]
mod tests;
