//! Where a host stands in a play: a stack of steps that blocks, includes and handlers are pushed onto.
//!
//! A cursor is cheap to clone, so that the runner can walk ahead of what is done and throw that walk away. It never
//! evaluates anything.

use super::place::Place;
use crate::base::value::Value;
use crate::play::{Block, Include, Item, Role, Task};
use crate::source::Node;
use std::collections::HashSet;
use std::sync::Arc;

/// One step, shareable between the walk ahead and the real one.
#[derive(Debug, Clone)]
pub enum Step {
    /// A module or an action.
    Task(Arc<Task>),
    /// Enter a block.
    Block(Arc<BlockSteps>),
    /// Resolve a dynamic include.
    Include(Arc<Include>),
    /// Run what was notified.
    Flush,
    /// A role's last task is done.
    RoleEnd(Arc<Role>),
    /// A handler pushed by a flush is done; its position in the play's table.
    HandlerDone(usize),
    /// All handlers pushed by a flush are done.
    HandlersDone,
    /// A block whose tasks failed has run its `always`: the failure goes on upwards.
    Reraise,
}

/// Steps in order.
pub type Steps = Arc<[Step]>;

/// A block with its parts as steps.
#[derive(Debug)]
pub struct BlockSteps {
    /// The block as loaded (its own item lists are empty).
    pub block: Block,
    tasks: Steps,
    rescue: Steps,
    always: Steps,
}

impl BlockSteps {
    /// What runs when one of its tasks fails.
    pub fn rescue(&self) -> &Steps {
        &self.rescue
    }

    /// All that it may run.
    pub fn parts(&self) -> [&Steps; 3] {
        [&self.tasks, &self.rescue, &self.always]
    }
}

/// Turns loaded items into steps.
pub fn steps(items: Vec<Item>) -> Steps {
    items
        .into_iter()
        .map(|item| match item {
            Item::Task(task) => Step::Task(Arc::from(task)),
            Item::Include(include) => Step::Include(Arc::from(include)),
            Item::Flush => Step::Flush,
            Item::RoleEnd(role) => Step::RoleEnd(role),
            Item::Block(mut block) => {
                let tasks = steps(std::mem::take(&mut block.tasks));
                let rescue = steps(std::mem::take(&mut block.rescue));
                let always = steps(std::mem::take(&mut block.always));
                Step::Block(Arc::new(BlockSteps {
                    block: *block,
                    tasks,
                    rescue,
                    always,
                }))
            }
        })
        .collect()
}

/// Whether a step belongs to an entry that has run: one that an import repeats which an include has run before.
fn has_run(step: &Step, ran: &HashSet<String>) -> bool {
    let role = match step {
        Step::Task(task) => &task.role,
        Step::Include(include) => &include.role,
        _ => return false,
    };
    let entry = role.as_ref().and_then(|role| role.entry.as_ref());
    entry.is_some_and(|entry| ran.contains(entry))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Tasks,
    Rescue,
    Always,
}

#[derive(Debug, Clone)]
enum Kind {
    Plain,
    Block {
        block: Arc<BlockSteps>,
        phase: Phase,
        failed: bool,
    },
}

#[derive(Debug, Clone)]
struct Frame {
    steps: Steps,
    index: usize,
    kind: Kind,
    vars: Arc<Vec<(String, Node)>>,
    /// The place of what it was entered by.
    below: Place,
}

/// What became of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A `rescue` section takes over.
    Rescued,
    /// An `always` section runs first; the failure comes up again after it.
    Always,
    /// Nothing takes it: the host has failed.
    Failed,
}

/// A position.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    frames: Vec<Frame>,
    /// Which item of the current task's loop is due.
    pub item: usize,
    /// The items of a loop that has begun: rendered once, whatever the items before have set since.
    pub items: Option<Arc<Vec<Value>>>,
    /// The roles that were included with `public: true`: the tasks after see their variables.
    pub public: Arc<Vec<Arc<Role>>>,
    /// The entries of `roles:` and of dependencies that have run.
    pub ran: Arc<HashSet<String>>,
}

impl Cursor {
    /// At the first step.
    pub fn new(steps: Steps) -> Self {
        Self::below(steps, Place::default())
    }

    /// At the first step of a list that stands below a place.
    pub fn below(steps: Steps, place: Place) -> Self {
        let mut cursor = Self::default();
        cursor.push(steps, Arc::default(), place);
        cursor
    }

    /// At one step of a list, which is the last one to be taken.
    pub fn only(steps: &Steps, index: usize) -> Self {
        let mut cursor = Self::new(steps.iter().take(index + 1).cloned().collect());
        if let Some(frame) = cursor.frames.last_mut() {
            frame.index = index;
        }
        cursor
    }

    /// Where the step stands that was looked at.
    pub fn place(&self) -> Place {
        let Some(frame) = self.frames.last() else {
            return Place::end();
        };
        let rest = frame.steps.get(frame.index..).unwrap_or_default();
        // Handlers have the place of their definition, whichever of them were notified.
        if matches!(frame.steps.last(), Some(Step::HandlersDone)) {
            let handler = rest.iter().find_map(|step| match step {
                Step::HandlerDone(index) => Some(*index),
                _ => None,
            });
            return handler.map_or_else(
                || frame.below.at(u32::MAX as usize),
                |handler| frame.below.at(handler),
            );
        }
        match &frame.kind {
            Kind::Plain => frame.below.at(frame.index),
            Kind::Block { phase, .. } => frame.below.at(*phase as usize).at(frame.index),
        }
    }

    /// The step that is due, leaving finished lists and roles that have run behind; `None` at the end.
    pub fn peek(&mut self) -> Option<Step> {
        let handling = self.is_handling();
        loop {
            let frame = self.frames.last_mut()?;
            if let Some(step) = frame.steps.get(frame.index) {
                if !handling && has_run(step, &self.ran) {
                    frame.index += 1;
                    continue;
                }
                return Some(step.clone());
            }
            match &mut frame.kind {
                Kind::Block { block, phase, .. }
                    if *phase != Phase::Always && !block.always.is_empty() =>
                {
                    frame.steps = Arc::clone(&block.always);
                    frame.index = 0;
                    *phase = Phase::Always;
                }
                // Stays until [`Cursor::fail`] leaves it: whoever looks twice sees it twice.
                Kind::Block { failed: true, .. } => return Some(Step::Reraise),
                _ => {
                    self.frames.pop();
                }
            }
        }
    }

    /// Past the step that is due.
    pub fn advance(&mut self) {
        self.item = 0;
        self.items = None;
        if let Some(frame) = self.frames.last_mut() {
            if let Some(Step::RoleEnd(role)) = frame.steps.get(frame.index)
                && let Some(entry) = &role.entry
            {
                Arc::make_mut(&mut self.ran).insert(entry.clone());
            }
            frame.index += 1;
        }
    }

    /// Steps to take before going on here, with variables that hold for them; they stand below that place.
    pub fn push(&mut self, steps: Steps, vars: Arc<Vec<(String, Node)>>, below: Place) {
        self.frames.push(Frame {
            steps,
            index: 0,
            kind: Kind::Plain,
            vars,
            below,
        });
    }

    /// The handlers that are still to come in the list of the step that is due.
    pub fn handlers_left(&self) -> Vec<usize> {
        let left = self
            .frames
            .last()
            .and_then(|frame| frame.steps.get(frame.index..))
            .unwrap_or_default();
        left.iter()
            .filter_map(|step| {
                if let Step::HandlerDone(index) = step {
                    Some(*index)
                } else {
                    None
                }
            })
            .collect()
    }

    /// Other steps instead of what is left of the list of the step that is due.
    pub fn replace(&mut self, steps: Steps) {
        if let Some(frame) = self.frames.last_mut() {
            frame.steps = steps;
            frame.index = 0;
        }
    }

    /// Whether the step belongs to handlers that a flush has started.
    pub fn is_handling(&self) -> bool {
        self.frames
            .iter()
            .any(|frame| matches!(frame.steps.last(), Some(Step::HandlersDone)))
    }

    /// Enters the block that is due.
    pub fn enter(&mut self, block: &Arc<BlockSteps>) {
        let below = self.place();
        self.advance();
        let kind = Kind::Block {
            block: Arc::clone(block),
            phase: Phase::Tasks,
            failed: false,
        };
        self.frames.push(Frame {
            steps: Arc::clone(&block.tasks),
            index: 0,
            kind,
            vars: Arc::default(),
            below,
        });
    }

    /// Variables of the includes around the step, outermost first.
    pub fn include_vars(&self) -> Vec<Arc<Vec<(String, Node)>>> {
        self.frames
            .iter()
            .filter(|frame| !frame.vars.is_empty())
            .map(|frame| Arc::clone(&frame.vars))
            .collect()
    }

    /// The step that is due has failed: unwinds to whoever takes it.
    pub fn fail(&mut self) -> Fate {
        self.item = 0;
        self.items = None;
        while let Some(frame) = self.frames.last_mut() {
            if let Kind::Block {
                block,
                phase,
                failed,
            } = &mut frame.kind
            {
                if *phase == Phase::Tasks && !block.rescue.is_empty() {
                    frame.steps = Arc::clone(&block.rescue);
                    frame.index = 0;
                    *phase = Phase::Rescue;
                    return Fate::Rescued;
                }
                if *phase != Phase::Always && !block.always.is_empty() {
                    frame.steps = Arc::clone(&block.always);
                    frame.index = 0;
                    *phase = Phase::Always;
                    *failed = true;
                    return Fate::Always;
                }
            }
            self.frames.pop();
        }
        Fate::Failed
    }

    /// Leaves everything: the play ends here for the host.
    pub fn end(&mut self) {
        self.frames.clear();
    }

    /// Skips to the end of the role that the step belongs to.
    pub fn end_role(&mut self) {
        loop {
            match self.peek() {
                None | Some(Step::RoleEnd(_)) => return,
                Some(_) => self.advance(),
            }
        }
    }
}
