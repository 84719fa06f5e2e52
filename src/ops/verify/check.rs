//! Checks as data, and what became of them.

use crate::base::{Diagnostic, quote::for_terminal};

/// How bad it is when a check does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The service is broken, or will be at the next failure.
    Fail,
    /// Worth a look.
    Warn,
}

/// Something that must hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// `component.name`.
    pub id: &'static str,
    /// How bad it is when it does not hold.
    pub severity: Severity,
    /// What holds, as a sentence without its dot.
    pub what: &'static str,
    /// What to do when it does not.
    pub remedy: &'static str,
}

impl Check {
    /// A check whose failure is a fault.
    pub const fn fail(id: &'static str, what: &'static str, remedy: &'static str) -> Self {
        Self {
            id,
            severity: Severity::Fail,
            what,
            remedy,
        }
    }

    /// A check whose failure is a warning.
    pub const fn warn(id: &'static str, what: &'static str, remedy: &'static str) -> Self {
        Self {
            id,
            severity: Severity::Warn,
            what,
            remedy,
        }
    }

    /// The part of the id before the dot.
    pub fn component(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }
}

/// What became of a check in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    Pass,
    /// It does not hold, and that is a fault.
    Fail,
    /// It does not hold, and that is a warning.
    Warn,
    /// It could not be found out. Never counted as passed.
    Unknown,
}

impl Status {
    /// Its word in all outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
        }
    }
}

/// A check, a place, and what became of it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: &'static Check,
    /// The host, or who looked at whom; empty for the service as a whole.
    pub place: String,
    /// What became of it.
    pub status: Status,
    /// What should be.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// What to do.
    pub remedy: String,
    /// It is unknown because this host could not be reached.
    pub lost: Option<String>,
}

/// What was seen of one thing, before severity and place are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds; what was seen.
    Good(String),
    /// It does not hold.
    Bad {
        /// What should be.
        expected: String,
        /// What was seen.
        observed: String,
        /// What to do, when there is better advice than the check's own.
        remedy: Option<String>,
    },
    /// It could not be found out, and why.
    Unknown(String),
    /// A host that had to be asked was not reached.
    Unreached(String),
}

impl Verdict {
    /// It holds when the condition does.
    pub fn of(holds: bool, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        if holds {
            Self::Good(observed.into())
        } else {
            Self::bad(expected, observed)
        }
    }

    /// It does not hold.
    pub fn bad(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self::Bad {
            expected: expected.into(),
            observed: observed.into(),
            remedy: None,
        }
    }

    /// With advice that fits better than the check's own.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        if let Self::Bad { remedy, .. } = &mut self {
            *remedy = Some(advice.into());
        }
        self
    }
}

/// All that was found.
#[derive(Debug, Clone, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds what was found of a check in a place.
    pub fn add(&mut self, check: &'static Check, place: impl Into<String>, verdict: Verdict) {
        let mut finding = Finding {
            check,
            place: place.into(),
            status: Status::Pass,
            expected: String::new(),
            observed: String::new(),
            remedy: String::new(),
            lost: None,
        };
        match verdict {
            Verdict::Good(observed) => finding.observed = observed,
            Verdict::Bad {
                expected,
                observed,
                remedy,
            } => {
                finding.status = match check.severity {
                    Severity::Fail => Status::Fail,
                    Severity::Warn => Status::Warn,
                };
                finding.expected = expected;
                finding.observed = observed;
                finding.remedy = remedy.unwrap_or_else(|| check.remedy.to_owned());
            }
            Verdict::Unknown(why) => {
                finding.status = Status::Unknown;
                check.what.clone_into(&mut finding.expected);
                finding.observed = why;
                "find out why it could not be looked at; what is not known does not count as good"
                    .clone_into(&mut finding.remedy);
            }
            Verdict::Unreached(host) => {
                finding.status = Status::Unknown;
                check.what.clone_into(&mut finding.expected);
                finding.observed = format!("{host} was not reached");
                finding.remedy = format!("make {host} reachable");
                finding.lost = Some(host);
            }
        }
        // What a host said is shown to a person sooner or later.
        finding.observed = for_terminal(&finding.observed);
        self.0.push(finding);
    }

    /// The one that was added last, to say more about it.
    pub fn last_mut(&mut self) -> Option<&mut Finding> {
        self.0.last_mut()
    }

    /// All of them, in the order of the components.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }

    /// Keeps those that are wanted.
    pub fn retain(&mut self, wanted: impl Fn(&Check) -> bool) {
        self.0.retain(|finding| wanted(finding.check));
    }

    /// What was found of one check, by place; for tests and for callers that look for one thing.
    pub fn of(&self, id: &str) -> Vec<(&str, Status)> {
        self.0
            .iter()
            .filter(|finding| finding.check.id == id)
            .map(|finding| (finding.place.as_str(), finding.status))
            .collect()
    }
}

/// Why a host could not be asked, in one line.
pub fn reason(error: &Diagnostic) -> String {
    let mut text = error.message.clone();
    if let Some(note) = error.notes.first().and_then(|note| note.lines().last()) {
        text.push_str(": ");
        text.push_str(note.trim());
    }
    text
}
