//! `run_once`: one host of a batch runs the task, and the others take what it came to.
//!
//! No host goes on before it is known; a host that is lost meanwhile hands the task to the next one.

use super::run::PlayRun;
use super::runner::{Flow, Runner};
use super::state::Once;
use crate::base::value::Value;
use crate::base::{Diagnostic, exit};
use crate::play::Task;
use std::collections::HashMap;
use std::sync::Arc;

impl Runner {
    /// What all hosts of a batch call a `run_once` task that they pass: where it stands, and the how-manieth time it is.
    pub(super) fn once_key(&mut self, play: &PlayRun, task: &Task) -> (usize, String) {
        let index = play.layers.index;
        let batch = {
            let board = self.shared.globals.coordinator.board();
            board.plays[index]
                .batches
                .iter()
                .position(|batch| batch.contains(&self.host.name))
                .unwrap_or(0)
        };
        let place = format!(
            "{}:{}:{}",
            task.span.file.path, task.span.line, task.span.column
        );
        let count = self.state.once.entry(place.clone()).or_default();
        *count += 1;
        (index, format!("{batch} {count} {place}"))
    }

    /// Waits until the `run_once` task was run by another host, or claims it (`None`).
    pub(super) async fn somebody_else(
        &mut self,
        key: &(usize, String),
        task: &Arc<Task>,
    ) -> Option<Flow> {
        let name = self.host.name.clone();
        let result = self
            .shared
            .globals
            .coordinator
            .wait(|board| {
                let place = &board.plays[key.0];
                let batch = place.batches.iter().find(|batch| batch.contains(&name));
                let first = batch
                    .into_iter()
                    .flatten()
                    .find(|host| !board.lost.contains(*host) && !place.done.contains(*host));
                match board.once.get(key) {
                    Some(Once::Done {
                        failed,
                        result,
                        facts,
                    }) => Some(Some((*failed, result.clone(), facts.clone()))),
                    Some(Once::Claimed(by)) if *by != name && board.lost.contains(by) => {
                        board.once.insert(key.clone(), Once::Claimed(name.clone()));
                        Some(None)
                    }
                    None if first == Some(&name) => {
                        board.once.insert(key.clone(), Once::Claimed(name.clone()));
                        Some(None)
                    }
                    Some(Once::Claimed(_)) | None => None,
                }
            })
            .await;
        let (failed, result, facts) = result?;
        if let Some(register) = &task.keywords.register {
            self.register(register, result);
        }
        self.host.data_mut().set.extend(facts);
        if failed {
            self.state.failure = Some(
                Diagnostic::with_code(
                    exit::FAILED,
                    "the task that runs once failed on another host",
                )
                .at(&task.span),
            );
        }
        Some(if failed { Flow::Failed } else { Flow::Go })
    }

    /// Tells the others what it came to.
    pub(super) fn post_once(&self, key: (usize, String), task: &Arc<Task>, flow: Flow) {
        let data = self.host.data();
        let register = task.keywords.register.as_ref();
        let result = register
            .and_then(|name| data.set.get(name).cloned())
            .unwrap_or(Value::Null);
        // Facts that it set hold for all hosts of the batch.
        let facts: HashMap<String, Value> = self
            .state
            .facts_set
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        drop(data);
        self.shared.globals.coordinator.post(|board| {
            board.once.insert(
                key,
                Once::Done {
                    failed: flow == Flow::Failed,
                    result,
                    facts,
                },
            )
        });
    }
}
