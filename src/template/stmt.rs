//! Runs statements: loops, conditions, assignments, macros, blocks and other files.

use super::ast::{Expr, For, Stmt, Target};
use super::eval::Interp;
use super::filters::CallArgs;
use super::frame::Frame;
use super::objects::{Looping, Object};
use super::val::{Key, Val};
use crate::base::{Diagnostic, Result};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// How a run of statements ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// At its end.
    On,
    /// By `continue`.
    Continue,
    /// By `break`.
    Break,
}

impl Interp<'_> {
    pub(super) fn body(&mut self, body: &[Stmt]) -> Result<Flow> {
        for stmt in body {
            let flow = self.stmt(stmt)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) -> Result<Flow> {
        match stmt {
            Stmt::Raw(text) => self.out.push(Val::Str(text.clone()))?,
            Stmt::Emit(expr) => {
                let value = self.eval(expr)?;
                self.out
                    .push(value)
                    .map_err(|error| error.at(&self.origin.span(expr.pos)))?;
            }
            Stmt::For(code) => return self.run_for(code, None),
            Stmt::If {
                test,
                then,
                otherwise,
            } => {
                let value = self.eval(test)?;
                if value.is_unknown() {
                    self.out.unsure = true;
                    return Ok(Flow::On);
                }
                let holds = value
                    .truthy()
                    .map_err(|error| error.at(&self.origin.span(test.pos)))?;
                return self.body(if holds { then } else { otherwise });
            }
            Stmt::With { assignments, body } => {
                let inner = Frame::inside(Some(self.frame.clone()));
                for (target, value) in assignments {
                    let value = self.eval(value)?;
                    let outer = std::mem::replace(&mut self.frame, inner.clone());
                    let assigned = self.assign(target, value);
                    self.frame = outer;
                    assigned?;
                }
                return self.within(inner, |this| this.body(body));
            }
            Stmt::Set { target, value } => {
                let value = self.eval(value)?;
                self.assign(target, value)?;
            }
            Stmt::SetBlock {
                target,
                filter,
                body,
            } => {
                let value = self.capture(|this| this.body(body))?;
                let value = self.filtered(filter.as_ref(), value)?;
                self.assign(target, value)?;
            }
            Stmt::Filter { filter, body } => {
                let inner = Frame::inside(Some(self.frame.clone()));
                let value = self.capture(|this| this.within(inner, |this| this.body(body)))?;
                let value = self.filtered(Some(filter), value)?;
                self.out.push(value)?;
            }
            Stmt::Block { name, .. } => {
                let value = self.captured_block(name, 0)?;
                self.out.push(value)?;
            }
            Stmt::Extends(_) => {}
            Stmt::Include {
                name,
                ignore_missing,
            } => self.include(name, *ignore_missing)?,
            Stmt::Import { file, name } => {
                let module = self.module(file)?;
                self.frame.set(name, Val::Object(Object::Module(module)));
            }
            Stmt::FromImport { file, names } => {
                let module = self.module(file)?;
                for (name, alias) in names {
                    let value = module.get(name).unwrap_or_else(|| {
                        let error = Diagnostic::new(format!("the imported file has no `{name}`"));
                        Val::failed(error, &self.origin.span(file.pos))
                    });
                    self.frame.set(alias, value);
                }
            }
            Stmt::Macro(code) => {
                let value = self.declare(code);
                self.frame.set(&code.name, value);
            }
            Stmt::Call { call, body } => self.call_block(call, body)?,
            Stmt::Do(expr) => drop(self.eval(expr)?),
            Stmt::Continue => return Ok(Flow::Continue),
            Stmt::Break => return Ok(Flow::Break),
        }
        Ok(Flow::On)
    }

    pub(super) fn within<T>(
        &mut self,
        frame: Rc<Frame>,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = std::mem::replace(&mut self.frame, frame);
        let result = run(self);
        self.frame = outer;
        result
    }

    pub(super) fn capture<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<Val> {
        let outer = std::mem::take(&mut self.out);
        let result = run(self);
        let inner = std::mem::replace(&mut self.out, outer);
        result?;
        let value = inner.finish();
        Ok(if matches!(value, Val::None) {
            Val::from("")
        } else {
            value
        })
    }

    fn filtered(&mut self, filter: Option<&Expr>, value: Val) -> Result<Val> {
        let Some(filter) = filter else {
            return Ok(value);
        };
        self.captured.push(value);
        let result = self.eval(filter);
        self.captured.pop();
        result
    }

    fn assign(&mut self, target: &Target, value: Val) -> Result<()> {
        match target {
            Target::Name(name) => self.frame.set(name, value),
            Target::Attribute(name, attribute) => match self.frame.get(name) {
                Some(Val::Object(Object::Namespace(entries))) => {
                    entries
                        .borrow_mut()
                        .insert(Key::Str(attribute.clone()), value);
                }
                _ => {
                    return Err(Diagnostic::new(format!(
                        "`{name}` is not a namespace: its attributes cannot be set"
                    ))
                    .help(format!(
                        "make it one: {{% set {name} = namespace({attribute}=…) %}}"
                    )));
                }
            },
            Target::Tuple(targets) => {
                if value.is_unknown() {
                    return targets
                        .iter()
                        .try_for_each(|target| self.assign(target, Val::UNSURE));
                }
                let items = value.items()?;
                if items.len() != targets.len() {
                    return Err(Diagnostic::new(format!(
                        "cannot take {} values apart into {} names",
                        items.len(),
                        targets.len()
                    )));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item)?;
                }
            }
        }
        Ok(())
    }

    fn run_for(&mut self, code: &Arc<For>, recursion: Option<(Val, usize)>) -> Result<Flow> {
        let (iterable, depth) = match recursion {
            Some(recursion) => recursion,
            None => (self.eval(&code.iter)?, 0),
        };
        if iterable.is_unknown() {
            self.out.unsure = true;
            return Ok(Flow::On);
        }
        let place = |error: Diagnostic, this: &Self| error.at(&this.origin.span(code.iter.pos));
        let mut items = iterable.items().map_err(|error| place(error, self))?;
        if let Some(filter) = &code.filter {
            let mut kept = Vec::new();
            for item in items {
                let frame = Frame::inside(Some(self.frame.clone()));
                let chosen = self.within(frame, |this| {
                    this.assign(&code.target, item.clone())?;
                    this.eval(filter)
                })?;
                if chosen.is_unknown() {
                    self.out.unsure = true;
                } else if chosen
                    .truthy()
                    .map_err(|error| error.at(&self.origin.span(filter.pos)))?
                {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            let frame = Frame::inside(Some(self.frame.clone()));
            return self.within(frame, |this| this.body(&code.otherwise));
        }
        let looping = Rc::new(Looping {
            code: code.clone(),
            frame: self.frame.clone(),
            items,
            index: Cell::new(0),
            depth,
            last: RefCell::new(None),
        });
        let loop_name: Arc<str> = "loop".into();
        for (index, item) in looping.items.iter().enumerate() {
            looping.index.set(index);
            let frame = Frame::inside(Some(self.frame.clone()));
            frame.set(&loop_name, Val::Object(Object::Loop(looping.clone())));
            let flow = self.within(frame, |this| {
                this.assign(&code.target, item.clone())
                    .map_err(|error| place(error, this))?;
                this.body(&code.body)
            })?;
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    /// `loop(children)` in a recursive loop.
    pub fn recurse(&mut self, looping: &Rc<Looping>, args: &CallArgs) -> Result<Val> {
        let Some(items) = args.positional.first().cloned() else {
            return Err(Diagnostic::new("`loop()` needs what to loop over"));
        };
        let session = self.session.clone();
        session.deeper(|| {
            self.capture(|this| {
                this.within(looping.frame.clone(), |this| {
                    this.run_for(&looping.code, Some((items, looping.depth + 1)))
                })
            })
        })
    }
}
