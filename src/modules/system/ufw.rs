//! The simple firewall: `ufw`.
//!
//! `ufw --dry-run` tells whether a rule is there. Nothing that would close the port of SSH for good is applied: it is refused
//! before, where no task that comes after lets SSH in.

use super::support::{Simple, diff, failed, outcome, reply, succeeded};
use crate::base::{Diagnostic, Result, quote};
use crate::modules::{Args, Change, Decision, Kind, Outcome, Param, Probe, Reply, Seen, Spec};
use serde_json::json;
use std::fmt::Write as _;

pub(super) static UFW: Simple = Simple {
    spec: &Spec {
        names: &["ufw", "community.general.ufw"],
        params: &[
            Param::new("state", Kind::Str).choices(&["disabled", "enabled", "reloaded", "reset"]),
            Param::new("default", Kind::Str)
                .aliases(&["policy"])
                .choices(&["allow", "deny", "reject"]),
            Param::new("direction", Kind::Str)
                .choices(&["in", "incoming", "out", "outgoing", "routed"]),
            Param::new("logging", Kind::Str)
                .choices(&["full", "high", "low", "medium", "off", "on"]),
            Param::new("rule", Kind::Str).choices(&["allow", "deny", "limit", "reject"]),
            Param::new("route", Kind::Bool),
            Param::new("log", Kind::Bool),
            Param::new("insert", Kind::Int),
            Param::new("interface", Kind::Str).aliases(&["if"]),
            Param::new("interface_in", Kind::Str).aliases(&["if_in"]),
            Param::new("interface_out", Kind::Str).aliases(&["if_out"]),
            Param::new("from_ip", Kind::Str).aliases(&["from", "src"]),
            Param::new("from_port", Kind::Str),
            Param::new("to_ip", Kind::Str).aliases(&["dest", "to"]),
            Param::new("to_port", Kind::Str).aliases(&["port"]),
            Param::new("proto", Kind::Str)
                .aliases(&["protocol"])
                .choices(&[
                    "ah", "any", "esp", "gre", "igmp", "ipv6", "tcp", "udp", "vrrp",
                ]),
            Param::new("name", Kind::Str).aliases(&["app"]),
            Param::new("delete", Kind::Bool),
            Param::new("comment", Kind::Str),
        ],
        summary: "opens and closes ports",
        ..Spec::EMPTY
    },
    probe,
    diff: decide,
    finish,
};

/// The words of a rule after `ufw`.
fn rule(args: &Args) -> Option<Vec<String>> {
    let rule = args.str("rule")?;
    let mut words: Vec<String> = Vec::new();
    let mut add = |text: &[&str]| words.extend(text.iter().map(|word| (*word).to_owned()));
    if args.bool_or("route", false) {
        add(&["route"]);
    }
    if args.bool_or("delete", false) {
        add(&["delete"]);
    } else if let Some(at) = args.int("insert") {
        add(&["insert", &at.to_string()]);
    }
    add(&[rule]);
    match args.str("direction") {
        Some("in" | "incoming") => add(&["in"]),
        Some("out" | "outgoing") => add(&["out"]),
        _ => {}
    }
    if let Some(interface) = args.str("interface") {
        add(&["on", interface]);
    }
    if let Some(interface) = args.str("interface_in") {
        add(&["in", "on", interface]);
    }
    if let Some(interface) = args.str("interface_out") {
        add(&["out", "on", interface]);
    }
    if args.bool_or("log", false) {
        add(&["log"]);
    }
    add(&["from", args.str_or("from_ip", "any")]);
    if let Some(port) = args.str("from_port") {
        add(&["port", port]);
    }
    add(&["to", args.str_or("to_ip", "any")]);
    if let Some(port) = args.str("to_port") {
        add(&["port", port]);
    }
    if let Some(protocol) = args.str("proto").filter(|protocol| *protocol != "any") {
        add(&["proto", protocol]);
    }
    if let Some(name) = args.str("name") {
        add(&["app", name]);
    }
    if let Some(comment) = args
        .str("comment")
        .filter(|_| !args.bool_or("delete", false))
    {
        add(&["comment", comment]);
    }
    Some(words)
}

fn default_direction(args: &Args) -> &'static str {
    match args.str("direction") {
        Some("out" | "outgoing") => "outgoing",
        Some("routed") => "routed",
        _ => "incoming",
    }
}

fn probe(args: &Args) -> Result<Vec<Probe>> {
    if !["state", "default", "logging", "rule"]
        .iter()
        .any(|param| args.has(param))
    {
        return Err(Diagnostic::new(
            "`ufw` needs one of `state`, `default`, `logging`, `rule`",
        ));
    }
    let mut script = String::from(
        "export LC_ALL=C\ncommand -v ufw >/dev/null || exit 127\nufw status verbose || exit\n",
    );
    script.push_str("grep -E '^DEFAULT_(INPUT|OUTPUT|FORWARD)_POLICY=' /etc/default/ufw\ngrep '^LOGLEVEL=' /etc/ufw/ufw.conf\n");
    if let Some(words) = rule(args) {
        let _ = writeln!(
            script,
            "echo @@\ncat /etc/ufw/user.rules /etc/ufw/user6.rules\necho @@\nufw --dry-run {}",
            quote::sh_join(words.iter().map(String::as_str))
        );
    }
    Ok(vec![Probe::Run(args.request(script))])
}

fn decide(args: &Args, seen: &[Seen]) -> Result<Decision> {
    let reply = reply(seen, 0)?;
    let mut change = Change {
        outcome: outcome(json!({"commands": []})),
        ..Change::default()
    };
    if reply.code != 0 && args.check {
        change
            .diffs
            .push(diff("firewall", "no ufw to ask yet", "as wished"));
        return Ok(Decision::Change(change));
    }
    if reply.code == 127 {
        return Err(failed("this host has no `ufw`").help("install the package `ufw` first"));
    }
    if reply.code != 0 {
        return Err(
            failed("ufw did not take the rule").note(quote::for_terminal(reply.err().trim()))
        );
    }
    let text = reply.out();
    let (status, dry) = text.split_once("@@\n").unwrap_or((&text, ""));
    let active = status.lines().any(|line| line == "Status: active");
    let value = |key: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or_default();
        line.trim_matches('"').to_lowercase()
    };
    let mut commands: Vec<Vec<String>> = Vec::new();
    let mut command =
        |words: &[&str]| commands.push(words.iter().map(|word| (*word).to_owned()).collect());
    if let Some(words) = rule(args) {
        let (now, dry) = dry.split_once("@@\n").unwrap_or(("", dry));
        let (now, then) = (tuples(now), tuples(dry));
        let shown = then.iter().any(Option::is_some);
        // What is not shown is not touched.
        let equal = now
            .iter()
            .zip(&then)
            .all(|(now, then)| then.is_none() || now == then);
        let skipped = dry.lines().any(|line| line.starts_with("Skipping"));
        let idle = if shown {
            equal
        } else {
            skipped || dry.contains("Could not delete")
        };
        if !idle {
            command(&words.iter().map(String::as_str).collect::<Vec<_>>());
            change
                .diffs
                .push(diff("firewall rule", "", words.join(" ")));
        }
    }
    if let Some(policy) = args.str("default") {
        let direction = default_direction(args);
        let key = match direction {
            "outgoing" => "DEFAULT_OUTPUT_POLICY=",
            "routed" => "DEFAULT_FORWARD_POLICY=",
            _ => "DEFAULT_INPUT_POLICY=",
        };
        let now = match value(key).as_str() {
            "accept" => "allow",
            "drop" => "deny",
            "reject" => "reject",
            _ => "",
        };
        if now != policy {
            command(&["default", policy, direction]);
            change.diffs.push(diff(
                format!("firewall default for {direction}"),
                now,
                policy,
            ));
        }
    }
    if let Some(level) = args.str("logging") {
        let now = value("LOGLEVEL=");
        let wanted = if level == "on" { "low" } else { level };
        if now != wanted {
            command(&["logging", level]);
            change.diffs.push(diff("firewall logging", now, level));
        }
    }
    match args.str("state") {
        Some("enabled") if !active => {
            command(&["enable"]);
            change.diffs.push(diff("firewall", "off", "on"));
        }
        Some("disabled") if active => {
            command(&["disable"]);
            change.diffs.push(diff("firewall", "on", "off"));
        }
        Some("reloaded") if active => {
            command(&["reload"]);
            change.diffs.push(diff("firewall", "on", "reloaded"));
        }
        Some("reset") => {
            command(&["reset"]);
            change.diffs.push(diff("firewall", "", "reset"));
        }
        _ => {}
    }
    if commands.is_empty() {
        return Ok(Decision::Same(change.outcome));
    }
    let shown: Vec<String> = commands
        .iter()
        .map(|words| format!("ufw {}", words.join(" ")))
        .collect();
    change.outcome.insert("commands".into(), json!(shown));
    change.requests.push(args.request(script(&commands)));
    Ok(Decision::Change(change))
}

/// The commands, after a look whether SSH stays open when they are what closes ports. The rules that tasks after this one
/// bring are read from standard input.
///
/// Where only one of those lets SSH in, its port is held open besides ufw until that rule is there: a run that is cut off in
/// between can come back. When the session ends without the rule the firewall is switched off again by the host itself.
fn script(commands: &[Vec<String>]) -> String {
    let mut script = String::from("export LC_ALL=C\n");
    let closes = commands.iter().any(|words| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["enable", ..] | ["default", "deny" | "reject", "incoming"]
        )
    });
    if closes {
        // What this connection came in on; sshd's configuration when sudo hid it.
        script.push_str(
            "later=$(cat)\nset -- $SSH_CONNECTION\np=${4:-$(sshd -T 2>/dev/null | awk '$1 == \"port\" { print $2; exit }')}\np=${p:-22}\n\
             lets() {\nl=$(grep -v 'proto udp')\n\
             printf '%s\\n' \"$l\" | grep -Eq \"^ufw (allow|limit) (in )?((log|log-all) )?(.* port )?([0-9:]+,)*$p(,[0-9:,]+)?(/tcp)?( |$)\" && return\n\
             [ \"$p\" = 22 ] && printf '%s\\n' \"$l\" | grep -Eqi '^ufw (allow|limit) .*(ssh)' && return\n\
             printf '%s\\n' \"$l\" | grep -Eq '^ufw allow (in )?(on [^ ]+ |from [^ ]+ )*(to any)?$'\n}\n\
             open() { ufw show added | lets; }\n",
        );
        let _ = writeln!(
            script,
            "hold() {{ for t in iptables ip6tables; do $t -w \"$@\" -p tcp --dport \"$p\" -m comment --comment {HELD} -j ACCEPT || [ $t = ip6tables ] || return; done; }}"
        );
        script.push_str(
            "if ! open; then\n\
             printf '%s\\n' \"$later\" | lets || { echo \"hactl: ssh $p\" >&2; exit 77; }\n\
             s=$$; while [ \"$s\" -gt 1 ] && ! grep -q '^sshd' \"/proc/$s/comm\"; do s=$(awk '$1 == \"PPid:\" { print $2 }' \"/proc/$s/status\"); done\n\
             [ \"$s\" -gt 1 ] || s=$$\n\
             hold -I INPUT || exit\n\
             ( trap '' HUP\nwhile kill -0 \"$s\" && ! open; do sleep 2; done\nopen || ufw --force disable\nhold -D INPUT ) </dev/null >/dev/null 2>&1 &\n\
             fi\n",
        );
    }
    for words in commands {
        let _ = writeln!(
            script,
            "ufw {}{} || exit",
            if asks(words) { "--force " } else { "" },
            quote::sh_join(words.iter().map(String::as_str))
        );
    }
    script
}

/// What the rule is called that holds the port of SSH open in the meantime.
const HELD: &str = "hactl-until-ufw-lets-ssh-in";

/// The rule that a task brings, as ufw lists it, when it may let SSH in: none that is taken away, is for what is passed on or
/// goes out, or is not for TCP.
pub fn opening(args: &Args) -> Option<String> {
    let opens = matches!(args.str("rule"), Some("allow" | "limit"))
        && !args.bool_or("delete", false)
        && !args.bool_or("route", false)
        && !matches!(args.str("direction"), Some("out" | "outgoing"))
        && !args.has("interface_out")
        && matches!(args.str("proto"), None | Some("any" | "tcp"));
    let words = rule(args).filter(|_| opens)?;
    // Where among the others it stands is not listed.
    let at = if args.has("insert") { 2 } else { 0 };
    Some(format!("ufw {}", words.get(at..)?.join(" ")))
}

/// Whether ufw would ask before doing this.
fn asks(words: &[String]) -> bool {
    matches!(
        words.first().map(String::as_str),
        Some("enable" | "disable" | "reset")
    ) || words.iter().take(2).any(|word| word == "delete")
}

/// The rules in a table as ufw keeps them, of IPv4 and of IPv6; `None` for a family that is not shown.
fn tuples(text: &str) -> [Option<Vec<&str>>; 2] {
    let mut all = [None, None];
    for table in text.split("*filter\n").skip(1) {
        let family = usize::from(table.contains(":ufw6-"));
        let lines = table.lines().filter(|line| line.starts_with("### tuple"));
        all[family] = Some(lines.collect());
    }
    all
}

fn finish(_args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
    if let Some(reply) = replies.iter().find(|reply| reply.code == 77) {
        let said = reply.err();
        let port = said
            .lines()
            .find_map(|line| line.strip_prefix("hactl: ssh "))
            .unwrap_or("22");
        return Err(Diagnostic::refused(format!(
            "no rule of the firewall lets SSH in on port {port}, so it is not closed"
        ))
        .help(format!(
            "add a task to this play, best before this one: `ufw: rule=allow port={port} proto=tcp`"
        )));
    }
    succeeded(replies)?;
    Ok(change.outcome.clone())
}

#[cfg(test)]
mod tests {
    use super::super::support::testing::{args, changed, said, same};
    use super::*;
    use crate::modules::Module;

    const OFF: &str = "Status: inactive\nDEFAULT_INPUT_POLICY=\"DROP\"\nDEFAULT_OUTPUT_POLICY=\"ACCEPT\"\nLOGLEVEL=low\n";

    #[test]
    fn the_firewall_changes_only_where_it_differs() {
        let cases = [
            (
                json!({"rule": "allow", "port": 22, "proto": "tcp"}),
                "@@\n@@\nSkipping adding existing rule\nSkipping adding existing rule (v6)\n",
                None,
            ),
            (
                json!({"rule": "allow", "port": 80, "proto": "tcp", "from": "10.0.0.0/8", "comment": "web x"}),
                "@@\n*filter\n",
                Some("ufw allow from 10.0.0.0/8 to any port 80 proto tcp comment 'web x' || exit"),
            ),
            (
                json!({"rule": "allow", "port": "80", "delete": true}),
                "@@\n*filter\n### tuple ### x\n@@\n*filter\n### tuple ### x\n",
                None,
            ),
            (json!({"default": "deny"}), "", None),
            (
                json!({"default": "allow", "direction": "incoming"}),
                "",
                Some("ufw default allow incoming || exit"),
            ),
            (json!({"logging": "on"}), "", None),
            (
                json!({"state": "enabled"}),
                "",
                Some("ufw --force enable || exit"),
            ),
            (json!({"state": "disabled"}), "", None),
        ];
        for (raw, more, wanted) in cases {
            let seen = [Seen::Reply(said(&format!("{OFF}{more}")))];
            let decision = UFW.diff(&args(&UFW, raw.clone()), &seen).expect("decides");
            match wanted {
                None => drop(same(decision)),
                Some(wanted) => assert_eq!(
                    changed(decision).requests[0].script.lines().last(),
                    Some(wanted),
                    "{raw}"
                ),
            }
        }
    }

    #[test]
    fn ssh_is_never_closed() {
        let args = args(&UFW, json!({"state": "enabled"}));
        let change = changed(UFW.diff(&args, &[Seen::Reply(said(OFF))]).expect("decides"));
        assert!(change.requests[0].script.contains("exit 77"));
        let reply = Reply {
            code: 77,
            stderr: b"hactl: ssh 2222\n".to_vec(),
            ..Reply::default()
        };
        let error = UFW.finish(&args, &change, &[reply]).expect_err("refused");
        assert!(error.message.contains("2222") && error.code == crate::base::exit::REFUSED);
    }
}
