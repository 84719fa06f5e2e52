//! Runs and checks as JUnit XML, for CI.

use super::run::{Summary, word};
use crate::base::mask;
use crate::engine::Status;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One case of a suite.
#[derive(Debug, Clone)]
pub struct Case {
    /// The group that it belongs to (a host, a component).
    pub class: String,
    /// Its name.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
    /// What went wrong: a line and details.
    pub failure: Option<(String, String)>,
    /// Not run.
    pub skipped: bool,
}

/// A run.
pub fn run(summary: &Summary) -> String {
    let mut suites: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for end in &summary.tasks {
        let name = end
            .item
            .as_ref()
            .map_or_else(|| end.task.clone(), |item| format!("{} ({item})", end.task));
        let failure = (end.status == Status::Failed).then(|| {
            let error = end.error.as_ref();
            (
                error.map(|error| error.message.clone()).unwrap_or_default(),
                error
                    .map(|error| error.notes.join("\n"))
                    .unwrap_or_default(),
            )
        });
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one task")]
        let seconds = end.milliseconds as f64 / 1000.0;
        suites.entry(&end.host).or_default().push(Case {
            class: format!("{}.{}", end.host, word(end.status)),
            name,
            seconds,
            failure,
            skipped: end.status == Status::Skipped,
        });
    }
    for (host, counts) in &summary.hosts {
        if let Some(why) = &counts.lost {
            suites.entry(host).or_default().push(Case {
                class: host.clone(),
                name: "connection".to_owned(),
                seconds: 0.0,
                failure: Some((why.clone(), String::new())),
                skipped: false,
            });
        }
    }
    document(&suites)
}

/// The document of some suites.
pub fn document(suites: &BTreeMap<&str, Vec<Case>>) -> String {
    let mut text =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"hactl\">\n");
    for (name, cases) in suites {
        let failures = cases.iter().filter(|case| case.failure.is_some()).count();
        let skipped = cases.iter().filter(|case| case.skipped).count();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">",
            escape(name),
            cases.len()
        );
        for case in cases {
            let _ = write!(
                text,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
                escape(&case.class),
                escape(&case.name),
                case.seconds
            );
            match &case.failure {
                Some((message, details)) => {
                    let _ = writeln!(
                        text,
                        "><failure message=\"{}\">{}</failure></testcase>",
                        escape(message),
                        escape(details)
                    );
                }
                None if case.skipped => text.push_str("><skipped/></testcase>\n"),
                None => text.push_str("/>\n"),
            }
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn escape(text: &str) -> String {
    mask::mask(text)
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .flat_map(|c| match c {
            '&' => "&amp;".chars().collect::<Vec<_>>(),
            '<' => "&lt;".chars().collect(),
            '>' => "&gt;".chars().collect(),
            '"' => "&quot;".chars().collect(),
            '\n' => "&#10;".chars().collect(),
            other => vec![other],
        })
        .collect()
}
