//! What `verify` found: lines by component, then the faults with what to do; as JSON (`hactl.verify/1`; the schema is in
//! `docs/schema/verify.json`); as JUnit.

use super::junit::{self, Case};
use crate::base::mask::{mask, mask_value};
use crate::base::{Diagnostic, Result};
use crate::ops::verify::{Finding, Outcome, Status};
use console::{Style, measure_text_width};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// How it is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Warnings count as faults.
    pub strict: bool,
    /// Every place of every check.
    pub verbose: bool,
}

/// Everything for a person.
pub fn text(outcome: &Outcome, options: Options) -> String {
    let mut text = String::new();
    let groups = by_check(outcome);
    let width = groups
        .iter()
        .map(|group| measure_text_width(group[0].check.what))
        .max()
        .unwrap_or_default();
    let signs = if outcome
        .findings
        .all()
        .iter()
        .any(|finding| finding.status == Status::Unknown)
    {
        11
    } else {
        6
    };
    let mut component = "";
    for group in &groups {
        let check = group[0].check;
        if check.component() != component {
            if !component.is_empty() {
                text.push('\n');
            }
            component = check.component();
            let _ = writeln!(text, "{}", Style::new().bold().apply_to(component));
        }
        let worst = group
            .iter()
            .map(|finding| finding.status)
            .max_by_key(|status| rank(*status))
            .unwrap_or(Status::Pass);
        let good = group
            .iter()
            .filter(|finding| finding.status == Status::Pass)
            .count();
        let note = match group.as_slice() {
            [one] if one.status == Status::Pass => one.observed.clone(),
            [one] => one.check.id.to_owned(),
            many if good == many.len() => format!("{good} of {good}"),
            many => format!("{good} of {} · {}", many.len(), check.id),
        };
        let pad = " ".repeat(width.saturating_sub(measure_text_width(check.what)));
        let _ = writeln!(
            text,
            "  {}  {}{pad}  {}",
            console::pad_str(&sign(worst), signs, console::Alignment::Left, None),
            check.what,
            Style::new().dim().apply_to(shorten(&note))
        );
        if options.verbose {
            for finding in group {
                let _ = writeln!(
                    text,
                    "      {}  {}: {}",
                    finding.status.word(),
                    place(finding),
                    finding.observed
                );
            }
        }
    }
    faults(&mut text, outcome);
    let _ = writeln!(text, "\n{}", summary(outcome, options));
    mask(&text)
}

/// The checks with what was found of each, in order.
fn by_check(outcome: &Outcome) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in outcome.findings.all() {
        match groups
            .iter_mut()
            .find(|group| group[0].check.id == finding.check.id)
        {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    // A check that a later component made belongs to its own.
    let order: Vec<&str> = groups
        .iter()
        .map(|group| group[0].check.component())
        .collect();
    let place = |group: &Vec<&Finding>| {
        order
            .iter()
            .position(|name| *name == group[0].check.component())
    };
    groups.sort_by_key(place);
    groups
}

fn faults(text: &mut String, outcome: &Outcome) {
    let bad: Vec<&Finding> = outcome
        .findings
        .all()
        .iter()
        .filter(|finding| finding.status != Status::Pass)
        .collect();
    let mut lost: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &bad {
        if let Some(host) = &finding.lost {
            lost.entry(host).or_default().push(finding);
        }
    }
    let dim = Style::new().dim();
    let mut known: Vec<&Finding> = bad
        .iter()
        .copied()
        .filter(|finding| finding.lost.is_none())
        .collect();
    // The gravest last: that is what stays on the screen.
    known.sort_by_key(|finding| rank(finding.status));
    if !bad.is_empty() {
        text.push('\n');
    }
    for (host, findings) in lost {
        // The finding of the connection itself says why.
        let first = findings.iter().find(|finding| {
            finding.place == host && !finding.observed.ends_with("was not reached")
        });
        let why = first.map_or("", |finding| finding.observed.as_str());
        let _ = writeln!(text, "{}  {host} was not reached", sign(Status::Unknown));
        if !why.is_empty() {
            let _ = writeln!(text, "    {}  {why}", dim.apply_to("observed"));
        }
        let ids: Vec<&str> = findings.iter().map(|finding| finding.check.id).collect();
        let _ = writeln!(
            text,
            "    {}  {} checks could not be made there",
            dim.apply_to("so      "),
            ids.len()
        );
        let remedy = first
            .or(findings.first())
            .map_or("", |finding| finding.remedy.as_str());
        let _ = writeln!(text, "    {}  {remedy}", dim.apply_to("remedy  "));
    }
    // One cause makes many things unknown: it is said once.
    let mut unknown: Vec<(&str, &str, Vec<&Finding>)> = Vec::new();
    for finding in known
        .iter()
        .filter(|finding| finding.status == Status::Unknown)
    {
        match unknown
            .iter_mut()
            .find(|(place, why, _)| *place == finding.place && *why == finding.observed)
        {
            Some((.., group)) => group.push(finding),
            None => unknown.push((&finding.place, &finding.observed, vec![finding])),
        }
    }
    for (_, why, group) in unknown.iter().filter(|(.., group)| group.len() > 1) {
        let ids: Vec<&str> = group.iter().map(|finding| finding.check.id).collect();
        let _ = writeln!(
            text,
            "{}  {} checks{}",
            sign(Status::Unknown),
            ids.len(),
            on(group[0])
        );
        let _ = writeln!(text, "    {}  {}", dim.apply_to("which   "), ids.join(", "));
        let _ = writeln!(text, "    {}  {why}", dim.apply_to("observed"));
    }
    let alone = |finding: &Finding| {
        finding.status != Status::Unknown
            || unknown
                .iter()
                .any(|(.., group)| group.len() == 1 && std::ptr::eq(group[0], finding))
    };
    for finding in known.into_iter().filter(|finding| alone(finding)) {
        let _ = writeln!(
            text,
            "{}  {}{}",
            sign(finding.status),
            finding.check.id,
            on(finding)
        );
        for (label, value) in [
            ("expected", &finding.expected),
            ("observed", &finding.observed),
            ("remedy  ", &finding.remedy),
        ] {
            let _ = writeln!(text, "    {}  {value}", dim.apply_to(label));
        }
    }
}

fn summary(outcome: &Outcome, options: Options) -> String {
    let counts = counts(outcome);
    let many = |count: usize, one: &str, more: &str| {
        format!("{count} {}", if count == 1 { one } else { more })
    };
    let mut parts = vec![format!("{} passed", counts[&Status::Pass.word()])];
    for (status, one, more) in [
        (Status::Fail, "fault", "faults"),
        (Status::Warn, "warning", "warnings"),
        (Status::Unknown, "not known", "not known"),
    ] {
        if counts[&status.word()] > 0 {
            parts.push(many(counts[&status.word()], one, more));
        }
    }
    let code = outcome.exit_code(options.strict);
    let (style, verdict) = match code {
        crate::base::exit::DONE => (Style::new().green().bold(), "healthy"),
        crate::base::exit::INCOMPLETE => (
            Style::new().yellow().bold(),
            "stopped before every check had run",
        ),
        crate::base::exit::UNREACHABLE => (
            Style::new().yellow().bold(),
            "not everything could be checked",
        ),
        _ => (Style::new().red().bold(), "not healthy"),
    };
    format!(
        "{}: {} ({} hosts, {:.1} s)",
        style.apply_to(verdict),
        parts.join(", "),
        outcome.hosts,
        outcome.seconds
    )
}

fn counts(outcome: &Outcome) -> BTreeMap<&'static str, usize> {
    let mut counts: BTreeMap<&'static str, usize> =
        [Status::Pass, Status::Fail, Status::Warn, Status::Unknown]
            .into_iter()
            .map(|status| (status.word(), 0))
            .collect();
    for finding in outcome.findings.all() {
        *counts.entry(finding.status.word()).or_default() += 1;
    }
    counts
}

fn rank(status: Status) -> u8 {
    match status {
        Status::Pass => 0,
        Status::Warn => 1,
        Status::Unknown => 2,
        Status::Fail => 3,
    }
}

/// A mark and a word: the colour only underlines them.
fn sign(status: Status) -> String {
    let (mark, word, style) = match status {
        Status::Pass => ("✔", "pass", Style::new().green()),
        Status::Fail => ("✖", "FAIL", Style::new().red().bold()),
        Status::Warn => ("!", "warn", Style::new().yellow()),
        Status::Unknown => ("?", "not known", Style::new().magenta()),
    };
    style.apply_to(format!("{mark} {word}")).to_string()
}

fn place(finding: &Finding) -> &str {
    if finding.place.is_empty() {
        "the service"
    } else {
        &finding.place
    }
}

fn on(finding: &Finding) -> String {
    if finding.place.is_empty() {
        String::new()
    } else {
        format!(" on {}", finding.place)
    }
}

fn shorten(text: &str) -> String {
    console::truncate_str(text, 60, "…").into_owned()
}

/// Everything as one JSON document.
pub fn json(outcome: &Outcome, options: Options) -> String {
    let checks: Vec<_> = outcome
        .findings
        .all()
        .iter()
        .map(|finding| {
            json!({
                "id": finding.check.id,
                "component": finding.check.component(),
                "severity": match finding.check.severity {
                    crate::ops::verify::Severity::Fail => "fail",
                    crate::ops::verify::Severity::Warn => "warn",
                },
                "what": finding.check.what,
                "place": finding.place,
                "status": finding.status.word(),
                "expected": finding.expected,
                "observed": finding.observed,
                "remedy": finding.remedy,
                "unreachable": finding.lost,
            })
        })
        .collect();
    let document = json!({
        "schema": "hactl.verify/1",
        "healthy": outcome.exit_code(options.strict) == crate::base::exit::DONE,
        "hosts": outcome.hosts,
        "looks": outcome.looks,
        "seconds": outcome.seconds,
        "counts": counts(outcome),
        "checks": checks,
    });
    format!("{:#}\n", mask_value(&document))
}

/// Writes everything as JUnit: every check in every place is a case.
///
/// # Errors
/// When the file cannot be written.
pub fn write_junit(path: &Path, outcome: &Outcome, options: Options) -> Result<()> {
    let mut suites: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for finding in outcome.findings.all() {
        let bad = match finding.status {
            Status::Pass => false,
            Status::Warn => options.strict,
            Status::Fail | Status::Unknown => true,
        };
        let details = format!(
            "expected: {}\nobserved: {}\nremedy: {}",
            finding.expected, finding.observed, finding.remedy
        );
        suites
            .entry(finding.check.component())
            .or_default()
            .push(Case {
                class: finding.check.id.to_owned(),
                name: format!("{}{}", finding.check.what, on(finding)),
                seconds: 0.0,
                failure: bad.then(|| {
                    (
                        format!("{}: {}", finding.status.word(), finding.observed),
                        details,
                    )
                }),
                skipped: false,
            });
    }
    fs_err::write(path, junit::document(&suites))
        .map_err(|error| Diagnostic::new(format!("cannot write the JUnit report: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::verify::{Check, Findings, Verdict};

    static ONE: Check = Check::fail("haproxy.one", "one thing holds", "fix one");
    static TWO: Check = Check::warn("haproxy.two", "another thing holds", "fix two");
    static DB: Check = Check::fail("postgresql.db", "the database holds", "fix it");
    static REACHED: Check = Check::fail("common.reached", "every host answers", "start it");

    fn outcome() -> Outcome {
        let mut findings = Findings::default();
        findings.add(&REACHED, "lb3", Verdict::Unreached("lb3".into()));
        if let Some(last) = findings.last_mut() {
            "cannot connect to 192.0.2.3: timed out".clone_into(&mut last.observed);
        }
        findings.add(&DB, "", Verdict::Good("db1 is the primary".into()));
        findings.add(&ONE, "lb1", Verdict::Good("fine".into()));
        findings.add(
            &ONE,
            "lb2",
            Verdict::bad("it holds", "it \u{1b}[31mdoes not"),
        );
        findings.add(&ONE, "lb3", Verdict::Unreached("lb3".into()));
        findings.add(&TWO, "lb1", Verdict::bad("two", "none").advise("do this"));
        // Made by another component, and shown with its own.
        findings.add(&DB, "db2", Verdict::Unknown("no answer in time".into()));
        Outcome {
            findings,
            hosts: 4,
            looks: 1,
            seconds: 1.25,
            stopped: false,
        }
    }

    #[test]
    fn faults_come_last_with_what_to_do() {
        insta::assert_snapshot!(console::strip_ansi_codes(&text(
            &outcome(),
            Options::default()
        )));
    }

    #[test]
    fn the_document_says_everything() {
        insta::assert_snapshot!(json(&outcome(), Options::default()));
    }

    #[test]
    fn warnings_fail_a_case_only_when_strict() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (strict, failures) in [(false, 4), (true, 5)] {
            write_junit(
                file.path(),
                &outcome(),
                Options {
                    strict,
                    verbose: false,
                },
            )
            .expect("written");
            let text = fs_err::read_to_string(file.path()).expect("read");
            assert_eq!(text.matches("<failure").count(), failures, "{text}");
        }
    }
}
