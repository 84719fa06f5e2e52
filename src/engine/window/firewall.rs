//! What the tasks after one that closes ports let in: the rules of the firewall that are still to come in the host's play.
//!
//! Only what is certain counts: a task whose condition, loop or parameters are not known yet opens nothing. It asks nothing of
//! the host and changes nothing.

use super::{Items, Next, Walk};
use crate::engine::cursor::{Cursor, Step};
use crate::engine::unit::{self, Unit, Work};
use crate::modules;
use crate::play::Task;
use std::sync::Arc;

/// More steps than any play has: an include that takes itself in comes to an end here.
const MOST: usize = 20_000;

impl Walk<'_> {
    /// The rules that let something in, as ufw lists them, of the tasks from a position to the play's end.
    pub fn rules_to_come(&mut self, mut cursor: Cursor) -> Vec<String> {
        let mut rules = Vec::new();
        for _ in 0..MOST {
            let Some(step) = cursor.peek() else { break };
            match step {
                Step::Block(block) => cursor.enter(&block),
                Step::Include(include) => {
                    if matches!(self.include(&include, &mut cursor), Next::Stop) {
                        break;
                    }
                }
                Step::Task(task) if ends(&task) => break,
                Step::Task(task) => {
                    if task.action.module == "ufw" {
                        rules.extend(self.rules_of(&task, &cursor));
                    }
                    cursor.advance();
                }
                Step::Reraise => break,
                Step::RoleEnd(_) | Step::Flush | Step::HandlerDone(_) | Step::HandlersDone => {
                    cursor.advance();
                }
            }
        }
        rules
    }

    fn rules_of(&self, task: &Arc<Task>, cursor: &Cursor) -> Vec<String> {
        let keywords = &task.keywords;
        if !matches!(self.selects(keywords, cursor, task), Ok(true)) {
            return Vec::new();
        }
        let scope = self.scope(cursor, &keywords.vars, task.role.as_ref());
        let units: Vec<Unit> = match self.items(task, &scope) {
            Items::Single => vec![unit::prepare(task, scope, None, self.settings)],
            Items::Whole(_) => Vec::new(),
            Items::Many(items) => (cursor.item..items.len())
                .map(|index| self.item(task, &scope, &items, index))
                .collect(),
        };
        let rule = |unit: &Unit| match &unit.work {
            Work::Remote(remote) if unit.keywords.delegate_to.is_none() => {
                modules::opening(&remote.args)
            }
            _ => None,
        };
        units.iter().filter_map(rule).collect()
    }
}

/// Whether the play may end here for the host.
fn ends(task: &Task) -> bool {
    let what = task
        .action
        .free_form
        .as_ref()
        .and_then(|node| node.as_str());
    task.action.module == "meta" && what.is_none_or(|what| what.trim().starts_with("end_"))
}
