//! Tasks that ask nothing of the host: they are judged here, from what is known.
//!
//! They change the run's own variables at most, never the host.

use super::action::{self, Local};
use super::commit::put;
use super::event::{Event, Status};
use super::run::PlayRun;
use super::runner::{Flow, Runner};
use super::settle::{Settled, settle};
use super::state::HostState;
use super::unit::{Unit, Work};
use super::window::skipped;
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, exit};
use std::sync::Arc;

impl Runner {
    /// Units that ask nothing of the host.
    pub(super) fn local(&mut self, play: &PlayRun, unit: &Unit, last: Option<bool>) -> Flow {
        let settled = match &unit.work {
            Work::Skip { .. } | Work::Idle { .. } => Settled {
                status: Status::Skipped,
                result: skipped(unit),
                changed: false,
                error: None,
            },
            Work::Unknown { why } => self.unknown(unit, why),
            Work::Fail(error) => {
                let error = Diagnostic {
                    code: exit::FAILED,
                    ..error.clone()
                };
                settle(unit, Map::new(), false, Some(error), &self.shared.settings)
            }
            Work::Local(local) => self.act(unit, local),
            Work::File {
                path,
                content,
                mode,
                source,
            } => {
                let host = self.host.name.clone();
                self.tell(Event::File {
                    host,
                    path: path.clone(),
                    content: content.clone(),
                    mode: mode.clone(),
                    source: source.clone(),
                });
                self.settled(unit, Ok(Map::new()), false)
            }
            Work::Remote(_) | Work::Ask(_) => return Flow::Go,
        };
        self.owe_late(play, unit, &settled);
        self.commit(play, unit, settled, Vec::new(), last, 0)
    }

    /// Does what an action of the engine does, once.
    pub(super) fn act(&mut self, unit: &Unit, local: &Local) -> Settled {
        let mut outcome = Map::new();
        let mut error = None;
        match local {
            Local::Debug { result, .. } => outcome.extend(result.clone()),
            Local::SetFact { facts, cacheable } => {
                let owner = self.owner_of_facts(unit);
                let mut data = owner.data_mut();
                for (name, value) in facts {
                    data.put(name, value.clone(), put(unit));
                    if *cacheable {
                        data.facts.insert(name.clone(), value.clone());
                    }
                }
                drop(data);
                self.state.facts_set.extend(facts.clone());
                outcome.insert("ansible_facts".to_owned(), Value::Object(facts.clone()));
            }
            Local::IncludeVars { variables, files } => {
                let owner = self.owner_of_facts(unit);
                let mut data = owner.data_mut();
                for (name, node) in variables {
                    data.included.insert(name.clone(), node.clone());
                    let old = data.set.get(name).cloned();
                    data.note(name, old, put(unit));
                }
                drop(data);
                outcome.insert(
                    "ansible_included_var_files".to_owned(),
                    Value::from(files.clone()),
                );
            }
            Local::Failed { message, result } => {
                outcome.extend(result.clone());
                error = Some(action::failure(message));
            }
            Local::Held { .. }
            | Local::Pause { .. }
            | Local::Meta(_)
            | Local::WaitForConnection(_) => {}
        }
        settle(unit, outcome, false, error, &self.shared.settings)
    }

    /// Whose facts those are that a task finds or sets: with `delegate_facts`, of the host that it is delegated to.
    pub(super) fn owner_of_facts(&self, unit: &Unit) -> Arc<HostState> {
        let other = unit.keywords.delegate_to.as_ref();
        other
            .filter(|_| unit.keywords.delegate_facts)
            .and_then(|name| self.shared.globals.host(name))
            .unwrap_or_else(|| Arc::clone(&self.host))
    }
}
