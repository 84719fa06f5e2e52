//! What the hosts of a run would get to that hactl cannot do, and what cannot be told before the run. Asks no host.

use crate::base::Diagnostic;
use crate::base::value::{Map, Value};
use crate::cli::{Global, project};
use crate::connection::HostKeys;
use crate::engine::{Operator, Plan, STATE, Settings, Start};
use crate::play::Playbook;
use crate::play::lint::Severity;
use crate::report::findings::Finding;
use tokio::sync::mpsc;

/// What the hosts may be: hactl works on no others.
const DISTRIBUTIONS: &[&str] = &["Debian", "Ubuntu"];

/// The findings about a playbook and the hosts of the inventory.
pub(super) fn run(global: &Global, opened: &project::Opened, playbook: Playbook) -> Vec<Finding> {
    let lacking = playbook.lacking.len();
    let unheard = playbook.unheard.clone();
    let plan = match plan(global, opened, playbook) {
        Ok(plan) => plan,
        Err(errors) => {
            let errors = errors.iter();
            return errors
                .map(|error| Finding::error("playbook", error))
                .collect();
        }
    };
    let kinds: Vec<Map<String, Value>> = DISTRIBUTIONS
        .iter()
        .map(|name| Map::from_iter([("distribution".to_owned(), Value::from(*name))]))
        .collect();
    let survey = plan.survey(&kinds);
    let of = |severity, diagnostic: Diagnostic| Finding {
        severity,
        id: "playbook".to_owned(),
        diagnostic,
    };
    let (errors, doubts) = (survey.errors(), survey.doubts());
    let rest = lacking.saturating_sub(survey.modules());
    let mut found: Vec<Finding> = errors
        .into_iter()
        .map(|error| of(Severity::Error, error))
        .chain(doubts.into_iter().map(|doubt| of(Severity::Warn, doubt)))
        .chain(unheard.into_iter().map(|one| of(Severity::Warn, one)))
        .collect();
    found.extend(survey.unread.into_values().map(|(span, title)| {
        let note = Diagnostic::new(format!(
            "not judged: which file or role `{title}` is, is known during the run"
        ));
        of(Severity::Note, note.at(&span))
    }));
    if rest > 0 {
        let tasks = if rest == 1 { "task is" } else { "tasks are" };
        let text = format!(
            "{rest} {tasks} for other systems, or for modules that hactl does not have; no host of the inventory gets there"
        );
        found.push(of(Severity::Note, Diagnostic::new(text)));
    }
    found
}

fn plan(
    global: &Global,
    opened: &project::Opened,
    playbook: Playbook,
) -> Result<Plan, Vec<Diagnostic>> {
    let (events, _) = mpsc::unbounded_channel();
    let settings = Settings {
        check: true,
        diff: false,
        offline: true,
        forks: 1,
        tags: Vec::new(),
        skip_tags: Vec::new(),
        force_handlers: false,
        one_by_one: false,
        render: false,
        count_processes: false,
        host_keys: HostKeys::Strict,
        loader: opened.loader.clone(),
        decrypt: opened.decrypt.clone(),
        operator: Operator {
            name: String::new(),
            break_lock: false,
        },
        state: STATE.to_owned(),
        identity: String::new(),
        forget_handlers: false,
        project: global.project.clone(),
    };
    let magic = project::magic(global, opened, true, false, &[], &[], 1);
    let start = Start {
        inventory: &opened.inventory,
        playbook,
        limit: global.limit.as_deref(),
        extra: opened.extra.clone(),
        magic,
    };
    Plan::new(start, settings, events)
}
