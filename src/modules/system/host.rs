//! What a host calls itself and what it knows by name: `hostname`, `timezone`, `getent`, `modprobe`.

use super::support::{Simple, change, diff, done, failed, good_reply, outcome, reply};
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Decision, Kind, Param, Probe, Request, Seen, Spec};
use serde_json::json;

pub(super) static HOSTNAME: Simple = Simple {
    spec: &Spec {
        names: &["hostname", "ansible.builtin.hostname"],
        params: &[
            Param::new("name", Kind::Str).required(),
            Param::new("use", Kind::Str)
                .choices(&["debian", "systemd"])
                .idle("both set the same name in the same file"),
        ],
        summary: "sets the host's name",
        ..Spec::EMPTY
    },
    probe: |_| {
        Ok(vec![Probe::Run(Request::sh(
            "cat /proc/sys/kernel/hostname; cat /etc/hostname 2>/dev/null || true",
        ))])
    },
    diff: hostname,
    finish: done,
};

fn hostname(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let part = |part: &str| {
        let fits = part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        !part.is_empty()
            && part.len() < 64
            && fits
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if name.len() > 64 || !name.split('.').all(part) {
        return Err(Diagnostic::new(format!(
            "`{}` cannot be the name of a host",
            quote::for_terminal(name)
        ))
        .help("a name is letters, digits and hyphens, at most 64"));
    }
    let text = good_reply(seen, 0)?.out();
    let mut lines = text.lines();
    let (now, stored) = (
        lines.next().unwrap_or_default().trim(),
        lines.next().unwrap_or_default().trim(),
    );
    let facts = json!({
        "ansible_hostname": name.split('.').next(), "ansible_nodename": name, "ansible_fqdn": name,
        "ansible_domain": name.split_once('.').map_or("", |(_, domain)| domain),
    });
    let shown = outcome(json!({"name": name, "ansible_facts": facts}));
    if now == name && stored == name {
        return Ok(Decision::Same(shown));
    }
    let word = quote::sh(name);
    // In a container /etc/hostname is a mount, so it is written in place; hostnamectl fails without a bus.
    let script = format!(
        "hostnamectl set-hostname --static --transient -- {word} 2>/dev/null\n\
         [ \"$(cat /etc/hostname 2>/dev/null)\" = {word} ] || echo {word} >/etc/hostname || exit\n\
         [ \"$(cat /proc/sys/kernel/hostname)\" = {word} ] || hostname -- {word}"
    );
    let before = if now == stored {
        now.to_owned()
    } else {
        format!("{now} (in /etc/hostname: {stored})")
    };
    Ok(change(
        vec![diff("hostname", before, name)],
        args.request(script),
        shown,
    ))
}

pub(super) static TIMEZONE: Simple = Simple {
    spec: &Spec {
        names: &["timezone", "community.general.timezone"],
        params: &[
            Param::new("name", Kind::Str).required(),
            Param::new("hwclock", Kind::Str).aliases(&["rtc"]).refused(
                "`timedatectl set-local-rtc` as a `command` sets what the hardware clock keeps",
            ),
        ],
        summary: "sets the time zone",
        ..Spec::EMPTY
    },
    probe: |args| {
        let name = args.str_or("name", "");
        if name.is_empty() || name.starts_with(['/', '.', '-']) || name.contains("..") {
            return Err(Diagnostic::new(format!(
                "`{}` is not a time zone",
                quote::for_terminal(name)
            ))
            .help("a time zone is written as `Europe/Berlin` or `UTC`"));
        }
        let zone = quote::sh(&format!("/usr/share/zoneinfo/{name}"));
        Ok(vec![Probe::Run(Request::sh(format!(
            "[ -f {zone} ] && echo known || echo unknown\nreadlink /etc/localtime || echo\ncat /etc/timezone 2>/dev/null || true"
        )))])
    },
    diff: timezone,
    finish: done,
};

fn timezone(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let text = good_reply(seen, 0)?.out();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let line = |index: usize| lines.get(index).copied().unwrap_or_default();
    let linked = line(1).split_once("zoneinfo/").map_or("", |(_, zone)| zone);
    let stored = line(2);
    let shown = outcome(json!({"name": name}));
    // The link is what counts. Debian's own file may have an older name, for `timedatectl` does not write it.
    if linked == name || (linked.is_empty() && stored == name) {
        return Ok(Decision::Same(shown));
    }
    if line(0) != "known" && !args.check {
        return Err(
            failed(format!("this host does not know the time zone `{name}`")).help(
                "install the package `tzdata`, or check the name with `ls /usr/share/zoneinfo`",
            ),
        );
    }
    let (word, zone) = (
        quote::sh(name),
        quote::sh(&format!("/usr/share/zoneinfo/{name}")),
    );
    let script = format!(
        "ln -sfn -- {zone} /etc/.localtime.hactl && mv -fT -- /etc/.localtime.hactl /etc/localtime || exit\n\
         [ ! -e /etc/timezone ] || echo {word} >/etc/timezone"
    );
    Ok(change(
        vec![diff("time zone", linked, name)],
        args.request(script),
        shown,
    ))
}

pub(super) static GETENT: Simple = Simple {
    spec: &Spec {
        names: &["getent", "ansible.builtin.getent"],
        params: &[
            Param::new("database", Kind::Str).required(),
            Param::new("key", Kind::Str),
            Param::new("split", Kind::Str),
            Param::new("service", Kind::Str),
            Param::new("fail_key", Kind::Bool),
        ],
        read_only: true,
        summary: "reads an entry of passwd, group, hosts… as a fact",
        ..Spec::EMPTY
    },
    probe: |args| {
        let service = args
            .str("service")
            .map_or_else(String::new, |service| format!(" -s {}", quote::sh(service)));
        let key = args
            .str("key")
            .filter(|key| !key.is_empty())
            .map_or_else(String::new, |key| format!(" {}", quote::sh(key)));
        let database = quote::sh(args.str_or("database", ""));
        Ok(vec![Probe::Run(Request::sh(format!(
            "getent{service} -- {database}{key}"
        )))])
    },
    diff: getent,
    finish: done,
};

fn getent(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let reply = reply(seen, 0)?;
    let database = args.str_or("database", "");
    let mut entries = Map::new();
    match reply.code {
        0 => {
            let colon =
                matches!(database, "passwd" | "shadow" | "group" | "gshadow").then_some(":");
            let separator = args.str("split").or(colon);
            for line in reply.out().lines() {
                let fields: Vec<&str> = match separator {
                    Some(separator) => line.split(separator).collect(),
                    None => line.split_whitespace().collect(),
                };
                if let Some((key, rest)) = fields.split_first() {
                    entries.insert((*key).to_owned(), json!(rest));
                }
            }
        }
        2 if !args.bool_or("fail_key", true) => {
            entries.insert(args.str_or("key", "").to_owned(), Value::Null);
        }
        2 => {
            let key = args.str_or("key", "");
            return Err(failed(format!("`{key}` was not found in `{database}`"))
                .help("`fail_key: false` makes the fact empty instead of failing"));
        }
        _ => {
            return Err(failed(format!("`{database}` cannot be read with getent"))
                .note(quote::for_terminal(reply.err().trim())));
        }
    }
    Ok(Decision::Same(outcome(
        json!({"ansible_facts": {format!("getent_{database}"): entries}}),
    )))
}

pub(super) static MODPROBE: Simple = Simple {
    spec: &Spec {
        names: &["modprobe", "community.general.modprobe"],
        params: &[
            Param::new("name", Kind::Str).required(),
            Param::new("state", Kind::Str).choices(&["absent", "present"]),
            Param::new("params", Kind::Str),
            Param::new("persistent", Kind::Str).choices(&["absent", "disabled", "present"]),
        ],
        summary: "loads and unloads kernel modules",
        ..Spec::EMPTY
    },
    probe: |args| {
        let name = args.str_or("name", "");
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
            || name.starts_with('-')
        {
            return Err(Diagnostic::new(format!(
                "`{}` is not the name of a kernel module",
                quote::for_terminal(name)
            )));
        }
        let under = name.replace('-', "_");
        Ok(vec![Probe::Run(Request::sh(format!(
            "[ -d /sys/module/{under} ] && echo loaded || {{ sed 's/-/_/g' \"/lib/modules/$(uname -r)/modules.builtin\" 2>/dev/null | grep -q '/{under}\\.ko' && echo loaded || echo absent; }}\n\
             cat /etc/modules-load.d/{name}.conf 2>/dev/null || true"
        )))])
    },
    diff: modprobe,
    finish: done,
};

fn modprobe(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let name = args.str_or("name", "");
    let params = args.str_or("params", "");
    let text = good_reply(seen, 0)?.out();
    let (first, stored) = text.split_once('\n').unwrap_or((&text, ""));
    let loaded = first == "loaded";
    let present = args.str_or("state", "present") == "present";
    let (mut steps, mut diffs) = (Vec::new(), Vec::new());
    let subject = format!("kernel module {name}");
    if present != loaded {
        let verb = if present {
            format!("modprobe -- {name} {params}")
        } else {
            format!("modprobe -r -- {name}")
        };
        steps.push(verb.trim_end().to_owned());
        diffs.push(diff(
            &subject,
            first,
            if present { "loaded" } else { "absent" },
        ));
    }
    let kept = stored.lines().any(|line| line.trim() == name);
    match args.str_or("persistent", "disabled") {
        "present" if !kept => {
            let options = if params.is_empty() {
                String::new()
            } else {
                format!(
                    " && echo {} >/etc/modprobe.d/{name}.conf",
                    quote::sh(&format!("options {name} {params}"))
                )
            };
            steps.push(format!(
                "echo {name} >/etc/modules-load.d/{name}.conf{options}"
            ));
            diffs.push(diff(&subject, "not loaded at boot", "loaded at boot"));
        }
        "absent" if kept => {
            steps.push(format!(
                "rm -f /etc/modules-load.d/{name}.conf /etc/modprobe.d/{name}.conf"
            ));
            diffs.push(diff(&subject, "loaded at boot", "not loaded at boot"));
        }
        _ => {}
    }
    let shown = outcome(
        json!({"name": name, "params": params, "state": if present { "present" } else { "absent" }}),
    );
    if steps.is_empty() {
        return Ok(Decision::Same(shown));
    }
    Ok(change(diffs, args.request(steps.join(" || exit\n")), shown))
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, changed, said, same, see};
    use super::*;
    use crate::modules::Module;

    fn says(text: &str) -> Vec<Seen> {
        vec![Seen::Reply(said(text))]
    }

    #[test]
    fn names_zones_and_modules_change_only_when_they_differ() {
        let cases: &[(&Simple, Value, &str, bool)] = &[
            (&HOSTNAME, json!({"name": "db1"}), "db1\ndb1\n", false),
            (&HOSTNAME, json!({"name": "db1"}), "db1\nold\n", true),
            (&HOSTNAME, json!({"name": "db1"}), "old\n", true),
            (
                &TIMEZONE,
                json!({"name": "UTC"}),
                "known\n/usr/share/zoneinfo/UTC\nUTC\n",
                false,
            ),
            (
                &TIMEZONE,
                json!({"name": "UTC"}),
                "known\n../usr/share/zoneinfo/UTC\n",
                false,
            ),
            (
                &TIMEZONE,
                json!({"name": "UTC"}),
                "known\n/usr/share/zoneinfo/UTC\nEurope/Oslo\n",
                false,
            ),
            (
                &TIMEZONE,
                json!({"name": "UTC"}),
                "known\n/usr/share/zoneinfo/Europe/Oslo\nUTC\n",
                true,
            ),
            (&MODPROBE, json!({"name": "drbd"}), "loaded\n", false),
            (
                &MODPROBE,
                json!({"name": "drbd", "persistent": "present"}),
                "loaded\n",
                true,
            ),
            (
                &MODPROBE,
                json!({"name": "drbd", "persistent": "present"}),
                "loaded\ndrbd\n",
                false,
            ),
            (
                &MODPROBE,
                json!({"name": "drbd", "state": "absent"}),
                "loaded\n",
                true,
            ),
        ];
        for (module, raw, seen, changes) in cases {
            let decision = module
                .diff(&args(*module, raw.clone()), &says(seen))
                .expect("decides");
            assert_eq!(
                matches!(decision, Decision::Change(_)),
                *changes,
                "{raw} {seen:?}"
            );
        }
    }

    #[test]
    fn an_unknown_zone_is_told_only_when_applied() {
        let mut args = args(&TIMEZONE, json!({"name": "Mars/Base"}));
        assert!(
            TIMEZONE
                .diff(&args, &says("unknown\n\n"))
                .expect_err("unknown")
                .message
                .contains("Mars/Base")
        );
        args.check = true;
        changed(TIMEZONE.diff(&args, &says("unknown\n\n")).expect("planned"));
    }

    #[test]
    fn entries_become_facts() {
        let args1 = args(&GETENT, json!({"database": "passwd", "key": "root"}));
        let outcome = same(
            GETENT
                .diff(&args1, &see(&GETENT.probe(&args1).expect("probe")))
                .expect("root"),
        );
        assert_eq!(
            outcome["ansible_facts"]["getent_passwd"]["root"][1],
            json!("0")
        );
        for (fail, fine) in [(true, false), (false, true)] {
            let args = args(
                &GETENT,
                json!({"database": "passwd", "key": "no-such-user", "fail_key": fail}),
            );
            let decision = GETENT.diff(&args, &see(&GETENT.probe(&args).expect("probe")));
            assert_eq!(decision.is_ok(), fine);
        }
    }
}
