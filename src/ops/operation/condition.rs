//! What must hold before an operation may begin, as data: all of them are probed, and all that fail are shown at once.

use crate::base::Diagnostic;
use serde::Serialize;

/// A condition and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// A stable name.
    pub id: &'static str,
    /// What must hold, as a sentence without its dot.
    pub what: String,
    /// What was seen.
    pub observed: String,
    /// It holds.
    pub holds: bool,
    /// What to do when it does not.
    pub remedy: String,
    /// The flag that lets an operator go on without it, when one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<&'static str>,
    /// That flag was given: it does not hold, and the operation goes on.
    pub waived: bool,
}

/// The conditions of an operation, in the order of looking.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Conditions(pub Vec<Condition>);

impl Conditions {
    /// Adds one.
    pub fn add(
        &mut self,
        id: &'static str,
        what: impl Into<String>,
        holds: bool,
        observed: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Condition {
            id,
            what: what.into(),
            observed: observed.into(),
            holds,
            remedy: remedy.into(),
            flag: None,
            waived: false,
        });
    }

    /// Lets the last one be waived by a flag.
    pub fn unless(&mut self, flag: &'static str, given: bool) {
        if let Some(last) = self.0.last_mut() {
            last.flag = Some(flag);
            last.waived = given && !last.holds;
        }
    }

    /// The ones that neither hold nor are waived.
    pub fn failed(&self) -> Vec<&Condition> {
        self.0
            .iter()
            .filter(|condition| !condition.holds && !condition.waived)
            .collect()
    }

    /// Refuses when any fails: exit code 2, one error for each, nothing changed.
    ///
    /// # Errors
    /// For each condition that fails.
    pub fn demand(&self) -> Result<(), Vec<Diagnostic>> {
        let errors: Vec<Diagnostic> = self
            .failed()
            .into_iter()
            .map(|condition| {
                let help = match condition.flag {
                    Some(flag) => format!("{}; or go on without it: {flag}", condition.remedy),
                    None => condition.remedy.clone(),
                };
                Diagnostic::refused(format!("refused ({}): {}", condition.id, condition.what))
                    .note(format!("observed: {}", condition.observed))
                    .help(help)
            })
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_fail_are_named_and_flags_waive_only_what_fails() {
        let mut conditions = Conditions::default();
        conditions.add("a", "a holds", true, "yes", "-");
        conditions.unless("--without-a", true);
        conditions.add("b", "b holds", false, "no", "fix b");
        conditions.unless("--without-b", false);
        conditions.add("c", "c holds", false, "no", "fix c");
        conditions.unless("--without-c", true);
        conditions.add("d", "d holds", false, "no", "fix d");
        let errors = conditions.demand().expect_err("refused");
        assert_eq!(errors.len(), 2);
        assert!(
            errors
                .iter()
                .all(|error| error.code == crate::base::exit::REFUSED)
        );
        assert_eq!(
            errors[0].help.as_deref(),
            Some("fix b; or go on without it: --without-b")
        );
        assert!(!conditions.0[0].waived && conditions.0[2].waived);
    }
}
