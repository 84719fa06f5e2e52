//! Operations on a cluster as a person follows them: the conditions, the plan, each step as it is made, the end.

use crate::base::quote::for_terminal;
use crate::ops::operation::condition::Conditions;
use crate::ops::operation::journal::Notes;
use crate::ops::operation::{Event, Step};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::sync::Mutex;

/// Says what happens on stderr, and remembers it for `--json`.
#[derive(Debug)]
pub struct Teller {
    quiet: bool,
    bar: ProgressBar,
    /// What the step under way does.
    now: Mutex<String>,
    steps: Mutex<Vec<Value>>,
}

impl Teller {
    /// Says nothing when `quiet` (the JSON at the end has it all).
    pub fn new(quiet: bool) -> Self {
        // Hidden by itself when stderr is no terminal.
        let bar = if quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        Self {
            quiet,
            bar,
            now: Mutex::default(),
            steps: Mutex::default(),
        }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| super::say(&format!("  {text}")));
        }
    }

    /// Takes an event.
    pub fn tell(&self, event: &Event) {
        match event {
            Event::Begun { id, host, what } => {
                self.bar.set_message(format!("{id}: {host}: {what}"));
                if let Ok(mut now) = self.now.lock() {
                    now.clone_from(what);
                }
            }
            Event::Done {
                id, host, seconds, ..
            } => {
                let what = self.now.lock().map(|now| now.clone()).unwrap_or_default();
                self.say(&format!("✔ {id:<12} {host}: {what} ({seconds:.2} s)"));
            }
            Event::Failed { id, error } => self.say(&format!("✖ {id:<12} {error}")),
            Event::Undoing { id, host } => self.say(&format!("↶ {id:<12} {host}: is taken back")),
            Event::Says(text) => self.say(text),
        }
        let value = match event {
            Event::Begun { .. } | Event::Says(_) => return,
            Event::Done {
                id,
                host,
                seconds,
                at,
            } => {
                json!({"step": id, "host": host, "state": "done", "seconds": seconds, "at": at})
            }
            Event::Failed { id, error } => {
                json!({"step": id, "host": error.host, "state": "failed", "message": error.message, "notes": error.notes})
            }
            Event::Undoing { id, host } => json!({"step": id, "host": host, "state": "undone"}),
        };
        if let Ok(mut steps) = self.steps.lock() {
            steps.push(value);
        }
    }

    /// Takes the spinner away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// What was told, for `--json`.
    pub fn steps(&self) -> Value {
        self.steps
            .lock()
            .map_or(Value::Null, |steps| Value::Array(steps.clone()))
    }
}

/// The conditions, a line each.
pub fn conditions(conditions: &Conditions) -> String {
    conditions
        .0
        .iter()
        .map(|condition| {
            let mark = if condition.holds {
                "✔"
            } else if condition.waived {
                "~"
            } else {
                "✖"
            };
            let waived = if condition.waived {
                format!(" [{}]", condition.flag.unwrap_or_default())
            } else {
                String::new()
            };
            for_terminal(&format!(
                "{mark} {:<14} {}: {}{waived}",
                condition.id,
                condition.what,
                condition.observed.replace('\n', " ")
            )) + "\n"
        })
        .collect()
}

/// The plan: every step, and the commands that it runs.
pub fn plan(steps: &[Step], scripts: bool) -> String {
    let mut text = String::new();
    // What every script of a host begins with is shown once.
    let mut shown = std::collections::BTreeSet::new();
    for (index, step) in steps.iter().enumerate() {
        let back = if step.no_return {
            "   (nothing can be taken back from here on)"
        } else {
            ""
        };
        text.push_str(&format!(
            "{:>2}. {:<12} {}: {}{back}\n",
            index + 1,
            step.id,
            step.host,
            step.what
        ));
        if scripts {
            let script = (step.script)(&Notes::new());
            for line in script.lines() {
                let prelude = line.starts_with("set -eu;") || line.contains("() {");
                if prelude && !shown.insert((step.host.clone(), line.to_owned())) {
                    continue;
                }
                text.push_str(&format!("      {line}\n"));
            }
        }
    }
    for_terminal(&text)
}

/// The plan as JSON.
pub fn plan_json(steps: &[Step]) -> Value {
    steps
        .iter()
        .map(|step| {
            json!({
                "step": step.id, "host": step.host, "what": step.what, "no_return": step.no_return,
                "script": (step.script)(&Notes::new()), "can_be_undone": step.undo.is_some(),
            })
        })
        .collect()
}
