//! The virtual address for people and as JSON (`hactl.vip/1`, `hactl.vip-move/1`; the schemas are in `docs/schema`).

use crate::base::mask::{mask, mask_value};
use crate::base::quote::for_terminal;
use crate::ops::entrance::vip::{Balancer, Gap, MoveStep, Moved, VipSnapshot};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Where it is, by two viewpoints, and what each host would need to take it.
pub fn text(seen: &VipSnapshot) -> String {
    let holders = seen.holders();
    let mut text = match holders.as_slice() {
        [] => format!("{} is on no host\n", seen.address),
        [one] => format!("{} is on {one}\n", seen.address),
        many => format!(
            "{} is on {} hosts: {}\n",
            seen.address,
            many.len(),
            many.join(", ")
        ),
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "host",
        "address",
        "priority",
        "flag",
        "keepalived",
        "HAProxy",
        "noted",
        "can take it",
    ]);
    for one in &seen.balancers {
        let noted = match (&one.state, &one.since) {
            (Some(state), Some(since)) => format!("{state} since {since}"),
            _ => "nothing".to_owned(),
        };
        let cells = if one.lost.is_some() {
            [one.host.as_str(), "?", "?", "?", "?", "?", "?"].map(str::to_owned)
        } else {
            [
                one.host.clone(),
                if one.holds { "here" } else { "-" }.to_owned(),
                one.priority
                    .map_or_else(|| "?".to_owned(), |p| p.to_string()),
                if one.flag.is_empty() {
                    "no file".to_owned()
                } else {
                    one.flag.clone()
                },
                one.keepalived.clone(),
                one.haproxy.clone(),
                noted,
            ]
        };
        table.add_row(cells.into_iter().chain([able(one)]));
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    for viewer in &seen.viewers {
        let place = match (&viewer.mac, seen.place_of(viewer)) {
            (_, Some(host)) => format!("finds it at {host}"),
            (Some(mac), None) => format!("finds it at {mac}, which is none of them"),
            (None, None) => "has no neighbour entry for it".to_owned(),
        };
        let answer = match &viewer.answer {
            Ok(status) => format!("a request there is answered with {status}"),
            Err(why) => format!("a request there fails: {why}"),
        };
        let _ = writeln!(text, "{} {place}; {answer}", viewer.host);
    }
    for line in faults(seen) {
        let _ = writeln!(text, "✖ {line}");
    }
    for_terminal(&mask(&text))
}

fn able(one: &Balancer) -> String {
    let obstacles = one.obstacles();
    match (one.holds, obstacles.as_slice()) {
        (true, []) => "has it".to_owned(),
        (false, []) => "yes".to_owned(),
        (_, wrong) => format!("no: {}", wrong.join("; ")),
    }
}

/// What is wrong with it: a move that was broken off, flags that nobody clears, more or less than one holder.
pub fn faults(seen: &VipSnapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    if seen.holders().len() != 1 {
        wrong.push("exactly one host should have it: hactl verify --only keepalived".to_owned());
    }
    if let Some(old) = seen.interrupted() {
        wrong.push(format!(
            "{}: a move was broken off ({}): `hactl vip move` ends it, `hactl maintenance off HOST` clears the flag",
            old.hosts.join(", "),
            old.by
        ));
    }
    let left = seen.interrupted().unwrap_or_default().hosts;
    for one in &seen.balancers {
        if one.is_flagged() && one.maintenance().is_none() && !left.contains(&one.host) {
            wrong.push(format!(
                "{}: its flag was set by hand: `hactl maintenance off {}` clears it",
                one.host, one.host
            ));
        }
    }
    if let [holder] = seen.holders().as_slice() {
        wrong.extend(seen.objection(holder));
    }
    wrong
}

/// The same as one document.
pub fn json(seen: &VipSnapshot) -> String {
    let balancers: Vec<Value> = seen
        .balancers
        .iter()
        .map(|one| {
            json!({
                "host": one.host, "reached": one.lost.is_none(), "holds": one.holds, "mac": one.mac, "priority": one.priority,
                "flag": one.flag, "keepalived": one.keepalived, "haproxy": one.haproxy, "check_exit_code": one.check,
                "noted_state": one.state, "noted_since": one.since, "obstacles": one.obstacles(), "maintenance": one.maintenance(),
            })
        })
        .collect();
    let viewers: Vec<Value> = seen
        .viewers
        .iter()
        .map(|viewer| {
            json!({
                "host": viewer.host, "mac": viewer.mac, "finds_it_at": seen.place_of(viewer), "status": viewer.answer.as_ref().ok(),
                "error": viewer.answer.as_ref().err(),
            })
        })
        .collect();
    document(&json!({
        "schema": "hactl.vip/1", "address": seen.address, "holders": seen.holders(), "balancers": balancers, "viewers": viewers,
        "faults": faults(seen),
    }))
}

/// What would be done.
pub fn plan(steps: &[MoveStep]) -> String {
    let mut text = String::new();
    for (number, step) in steps.iter().enumerate() {
        let _ = write!(text, "{:>2}. {}: {}", number + 1, step.host, step.what);
        if !step.command.is_empty() {
            let _ = write!(text, "  [{}]", step.command);
        }
        text.push('\n');
    }
    for_terminal(&mask(&text))
}

/// What would be done, as a document.
pub fn plan_json(steps: &[MoveStep]) -> String {
    let steps: Vec<Value> = steps
        .iter()
        .map(|step| json!({ "host": step.host, "what": step.what, "command": step.command }))
        .collect();
    document(&json!({ "schema": "hactl.vip-move/1", "dry_run": true, "steps": steps }))
}

/// A move that was made.
pub fn moved(address: &str, moved: &Moved) -> String {
    let mut text = format!("{address} moved from {} to {}\n", moved.from, moved.to);
    for gap in &moved.gaps {
        let _ = writeln!(
            text,
            "  {} saw no answer for {} ms at most ({} requests answered, {} not)",
            gap.viewer, gap.milliseconds, gap.answered, gap.failed
        );
    }
    for_terminal(&text)
}

/// How it ended, as a document.
pub fn ended_json(result: &str, holder: Option<&str>, moved: Option<&Moved>) -> String {
    document(&json!({
        "schema": "hactl.vip-move/1", "dry_run": false, "result": result, "holder": holder,
        "from": moved.map(|moved| &moved.from), "took_ms": moved.map(|moved| moved.milliseconds),
        "gaps": moved.map(|moved| gaps(&moved.gaps)),
    }))
}

/// Gaps as values.
pub fn gaps(gaps: &[Gap]) -> Vec<Value> {
    gaps.iter()
        .map(|gap| json!({ "viewer": gap.viewer, "gap_ms": gap.milliseconds, "answered": gap.answered, "failed": gap.failed }))
        .collect()
}

fn document(value: &Value) -> String {
    format!("{:#}\n", mask_value(value))
}
