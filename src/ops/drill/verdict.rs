//! Whether a drill's figures are within its limits. Pure. What is not known is not good.

use super::metrics::{Figures, Gap};
use super::plan::{Limits, Loss};
use super::record::Expectation;

/// What had to hold of the figures.
pub fn judge(figures: &Figures, limits: &Limits, synchronous: bool) -> Vec<Expectation> {
    let mut found = vec![
        within("write gap", figures.write_gap, limits.write_gap),
        within("read gap", figures.read_gap, limits.read_gap),
    ];
    let may_lose = limits.loss == Loss::NotYetCopied && !synchronous;
    found.push(numbers(
        "acknowledged writes lost",
        figures.lost.as_deref(),
        may_lose,
    ));
    // Of a row that is there, whatever else was lost.
    found.push(numbers(
        "acknowledged images lost or damaged",
        figures.images_lost.as_deref(),
        false,
    ));
    found.push(numbers("duplicates", figures.duplicates.as_deref(), false));
    found.push(Expectation::of(
        figures.changes <= limits.changes,
        "changes of the acknowledging database",
        format!("at most {}", limits.changes),
        figures.changes.to_string(),
    ));
    let two = figures.overlaps.first();
    found.push(Expectation::of(
        limits.two || two.is_none(),
        "two primaries seen",
        if limits.two {
            "may be: no client reaches one of them"
        } else {
            "never"
        },
        two.map_or_else(
            || "never".to_owned(),
            |two| {
                format!(
                    "{} and {} at {:.1} s",
                    two.host,
                    two.other,
                    two.at.as_secs_f64()
                )
            },
        ),
    ));
    found
}

fn within(what: &str, gap: Option<Gap>, limit: f64) -> Expectation {
    let observed = gap.map_or_else(
        || "not known".to_owned(),
        |gap| {
            let open = if gap.to.is_none() {
                ", and not over"
            } else {
                ""
            };
            format!("{:.2} s{open}", gap.length.as_secs_f64())
        },
    );
    Expectation::of(
        gap.is_some_and(|gap| gap.to.is_some() && gap.length.as_secs_f64() <= limit),
        what,
        format!("at most {limit} s"),
        observed,
    )
}

fn numbers(what: &str, found: Option<&[u64]>, allowed: bool) -> Expectation {
    let expected = if allowed {
        "what the standby had not yet"
    } else {
        "none"
    };
    let observed = match found {
        None => "not known".to_owned(),
        Some([]) => "none".to_owned(),
        Some(numbers) => {
            let shown: Vec<String> = numbers.iter().take(5).map(u64::to_string).collect();
            let more = if numbers.len() > 5 { ", …" } else { "" };
            format!("{} (seq {}{more})", numbers.len(), shown.join(", "))
        }
    };
    let holds = found.is_some_and(|numbers| allowed || numbers.is_empty());
    Expectation::of(holds, what, expected, observed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::drill::metrics::Overlap;
    use std::time::Duration;

    fn good() -> Figures {
        let gap = Some(Gap {
            from: Duration::from_secs(1),
            to: Some(Duration::from_secs(3)),
            length: Duration::from_secs(2),
        });
        Figures {
            write_gap: gap,
            read_gap: gap,
            lost: Some(vec![]),
            images_lost: Some(vec![]),
            duplicates: Some(vec![]),
            changes: 1,
            ..Figures::default()
        }
    }

    #[test]
    fn each_limit_can_be_missed() {
        let limits = Limits {
            write_gap: 2.5,
            read_gap: 2.5,
            loss: Loss::Nothing,
            changes: 1,
            two: false,
        };
        let missed = |figures: &Figures, limits: &Limits, synchronous| -> Vec<String> {
            judge(figures, limits, synchronous)
                .into_iter()
                .filter(|expectation| !expectation.holds)
                .map(|expectation| expectation.what)
                .collect()
        };
        assert!(missed(&good(), &limits, false).is_empty());
        let strict = Limits {
            write_gap: 1.9,
            ..limits
        };
        assert_eq!(missed(&good(), &strict, false), ["write gap"]);
        assert!(missed(&good(), &strict.patient(2), false).is_empty());
        let mut open = good();
        open.read_gap = open.read_gap.map(|gap| Gap { to: None, ..gap });
        assert_eq!(missed(&open, &limits, false), ["read gap"]);
        let unknown = Figures {
            write_gap: None,
            lost: None,
            images_lost: None,
            duplicates: None,
            ..good()
        };
        assert_eq!(
            missed(&unknown, &limits, false),
            [
                "write gap",
                "acknowledged writes lost",
                "acknowledged images lost or damaged",
                "duplicates"
            ]
        );
        let lost = Figures {
            lost: Some(vec![4]),
            ..good()
        };
        let lossy = Limits {
            loss: Loss::NotYetCopied,
            ..limits
        };
        assert_eq!(missed(&lost, &limits, false), ["acknowledged writes lost"]);
        assert!(missed(&lost, &lossy, false).is_empty());
        assert_eq!(missed(&lost, &lossy, true), ["acknowledged writes lost"]);
        let damaged = Figures {
            images_lost: Some(vec![4]),
            ..good()
        };
        assert_eq!(
            missed(&damaged, &lossy, false),
            ["acknowledged images lost or damaged"]
        );
        let twice = Figures {
            duplicates: Some(vec![4]),
            changes: 2,
            overlaps: vec![Overlap {
                host: "a".to_owned(),
                other: "b".to_owned(),
                at: Duration::ZERO,
            }],
            ..good()
        };
        assert_eq!(
            missed(&twice, &lossy, false),
            [
                "duplicates",
                "changes of the acknowledging database",
                "two primaries seen"
            ]
        );
    }
}
