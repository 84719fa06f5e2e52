//! `run_once`: one host of a batch runs the task, and the others take what it came to.
//!
//! No host goes on before it is known. Of a host that is lost meanwhile the next one takes the task over, unless the hosts
//! keep step (`strategy: linear`): then the task has failed for all, as in Ansible.

use super::place::Place;
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
    pub(super) fn once_key(&mut self, play: &PlayRun, task: &Task, at: &Place) -> (usize, String) {
        let index = play.layers.index;
        let batch = {
            let board = self.shared.globals.coordinator.board();
            board.plays[index].batch(&self.host.name)
        };
        if self.state.pace.is_some() {
            return (index, format!("{batch} {at:?}"));
        }
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
        at: &Place,
    ) -> Option<Flow> {
        let name = self.host.name.clone();
        let step = self.state.pace.as_ref().map(|pace| pace.key);
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
                    .filter(|host| board.is_active(key.0, host))
                    // Where the hosts keep step all are here that come here.
                    .find(|host| {
                        step.is_none_or(|step| {
                            let standing = board.orders[&step].standing.get(*host);
                            standing.is_some_and(|standing| standing.at == *at)
                        })
                    });
                match board.once.get(key) {
                    Some(Once::Done {
                        failed,
                        result,
                        facts,
                    }) => Some(Some((*failed, result.clone(), facts.clone()))),
                    // As in Ansible: it is not run again, and nobody goes on without it.
                    Some(Once::Claimed(by)) if step.is_some() && board.lost.contains(by) => {
                        Some(Some((true, Value::Null, HashMap::new())))
                    }
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
        // Where the hosts keep step, whoever ran it has told all of them.
        if step.is_none() {
            let register = task.keywords.register.clone().map(|name| (name, result));
            for (name, value) in register.into_iter().chain(facts) {
                self.host.data_mut().put(&name, value, None);
            }
        }
        if failed && step.is_none() {
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
    pub(super) fn post_once(
        &mut self,
        key: (usize, String),
        task: &Arc<Task>,
        at: &Place,
        flow: Flow,
    ) {
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
        // What is for all anyhow (`pause`) tells nobody else.
        let told = task.keywords.run_once.is_some();
        if let Some(pace) = self.state.pace.as_mut().filter(|_| told) {
            let register = register.map(|name| (name.clone(), result.clone()));
            for (name, value) in register.into_iter().chain(facts.clone()) {
                let put = Some((pace.key, at.clone()));
                let others = pace.mates.iter().filter(|host| **host != self.host.name);
                for other in others.filter_map(|host| self.shared.globals.hosts.get(host)) {
                    other.data_mut().put(&name, value.clone(), put.clone());
                }
                // What they have looked at behind it may depend on that.
                pace.applied = true;
            }
        }
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
