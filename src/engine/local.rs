//! Tasks that ask nothing of the host: they are judged here, from what is known.
//!
//! They change the run's own variables at most, never the host.

use super::action::{self, Local};
use super::event::{Event, Status};
use super::run::PlayRun;
use super::runner::{Flow, Runner};
use super::settle::{Settled, settle};
use super::unit::{Unit, Work};
use super::window::skipped;
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, exit};

impl Runner {
    /// Units that ask nothing of the host.
    pub(super) fn local(&mut self, play: &PlayRun, unit: &Unit, last: Option<bool>) -> Flow {
        let settled = match &unit.work {
            Work::Skip { condition } => Settled {
                status: Status::Skipped,
                result: skipped(unit, condition),
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
            } => {
                let host = self.host.name.clone();
                self.tell(Event::File {
                    host,
                    path: path.clone(),
                    content: content.clone(),
                    mode: mode.clone(),
                });
                self.settled(unit, Ok(Map::new()), false)
            }
            Work::Remote(_) => return Flow::Go,
        };
        self.owe_late(play, unit, &settled);
        self.commit(play, unit, settled, Vec::new(), last, 0)
    }

    fn act(&mut self, unit: &Unit, local: &Local) -> Settled {
        let mut outcome = Map::new();
        let mut error = None;
        match local {
            Local::Debug { result, .. } => outcome.extend(result.clone()),
            Local::SetFact(facts) => {
                let mut data = self.host.data_mut();
                for (name, value) in facts {
                    data.set.insert(name.clone(), value.clone());
                }
                outcome.insert("ansible_facts".to_owned(), Value::Object(Map::new()));
            }
            Local::IncludeVars(variables) => self
                .host
                .data_mut()
                .included
                .extend(variables.iter().cloned()),
            Local::Failed { message, result } => {
                outcome.extend(result.clone());
                error = Some(action::failure(message));
            }
            Local::Held { .. }
            | Local::Pause { .. }
            | Local::Meta(_)
            | Local::WaitForConnection(_)
            | Local::Group { .. } => {}
        }
        settle(unit, outcome, false, error, &self.shared.settings)
    }
}
