//! What interrupted runs owe a host: this project's for the plays to take up, others' said and left, all dropped on demand.
//!
//! A handler of another project is never run, whatever it is called.

use super::event::Event;
use super::greet;
use super::runner::Runner;

impl Runner {
    /// Keeps what this project owes; says what others do. `--forget-handlers` drops both.
    pub(super) fn sort_owed(&mut self) {
        let settings = &self.shared.settings;
        if settings.render || self.owed.is_empty() {
            return;
        }
        let own = greet::field(&settings.identity);
        let shown = |owner: &str, handlers: &[String]| {
            let mut fields = owner.split('\t');
            let project = fields.next().unwrap_or_default();
            format!(
                "{} ({project}, play `{}`)",
                handlers.join(", "),
                fields.next_back().unwrap_or("?")
            )
        };
        if settings.forget_handlers {
            let all: Vec<String> = self
                .owed
                .iter()
                .map(|(owner, names)| shown(owner, names))
                .collect();
            let verb = if settings.check {
                "would be dropped"
            } else {
                "dropped"
            };
            self.note(format!(
                "what earlier runs owe is {verb}: {}",
                all.join("; ")
            ));
            self.owed.clear();
            if !settings.check {
                self.state
                    .bookkeeping
                    .push(greet::forget(&self.state_dir()));
            }
            return;
        }
        let is_own = |owner: &String| owner.split('\t').next() == Some(own.as_str());
        let others: Vec<String> = self
            .owed
            .iter()
            .filter(|(owner, _)| !is_own(owner))
            .map(|(owner, names)| shown(owner, names))
            .collect();
        self.owed.retain(|owner, _| is_own(owner));
        if !others.is_empty() {
            self.note(format!(
                "an interrupted run of another project still owes: {}; deploy that project, or drop them with --forget-handlers",
                others.join("; ")
            ));
        }
    }

    fn note(&self, text: String) {
        self.tell(Event::Note {
            host: Some(self.host.name.clone()),
            text,
        });
    }
}
