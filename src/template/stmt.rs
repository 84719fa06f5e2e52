//! Runs statements: loops, conditions, assignments, macros, blocks and other files.

use super::FileKind;
use super::ast::{Expr, For, Macro, Stmt, Target, Template};
use super::eval::{Frame, Interp};
use super::filters::CallArgs;
use super::objects::{Declared, Looping, Object};
use super::parse::Form;
use super::val::{Entries, Key, Val};
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
    /// Runs a template with the blocks and parents that it has.
    pub fn template(&mut self, template: &Template) -> Result<()> {
        self.collect_blocks(&template.body);
        let parent = template.body.iter().find_map(|stmt| {
            if let Stmt::Extends(name) = stmt {
                Some(name)
            } else {
                None
            }
        });
        let Some(parent) = parent else {
            return self.body(&template.body).map(drop);
        };
        let kept = std::mem::take(&mut self.out);
        let ran = template
            .body
            .iter()
            .filter(|stmt| !matches!(stmt, Stmt::Extends(_) | Stmt::Block { .. }))
            .try_for_each(|stmt| self.stmt(stmt).map(drop));
        self.out = kept;
        ran?;
        let name = self.eval(parent)?.string()?;
        let session = self.session.clone();
        session.deeper(|| {
            let (template, origin) = self.open(&name, parent)?;
            let outer = std::mem::replace(&mut self.origin, Rc::new(origin));
            let result = self.template(&template);
            self.origin = outer;
            result
        })
    }

    fn collect_blocks(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::Block { name, body } => {
                    self.blocks
                        .entry(name.clone())
                        .or_default()
                        .push(body.clone());
                    self.collect_blocks(body);
                }
                Stmt::If {
                    then, otherwise, ..
                } => {
                    self.collect_blocks(then);
                    self.collect_blocks(otherwise);
                }
                Stmt::For(code) => self.collect_blocks(&code.body),
                Stmt::With { body, .. } => self.collect_blocks(body),
                _ => {}
            }
        }
    }

    fn body(&mut self, body: &[Stmt]) -> Result<Flow> {
        for stmt in body {
            let flow = self.stmt(stmt)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<Flow> {
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

    fn within<T>(
        &mut self,
        frame: Rc<Frame>,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = std::mem::replace(&mut self.frame, frame);
        let result = run(self);
        self.frame = outer;
        result
    }

    fn capture<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<Val> {
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

    fn declare(&self, code: &Arc<Macro>) -> Val {
        self.session.keep(&self.frame);
        Val::Object(Object::Macro(Rc::new(Declared {
            code: code.clone(),
            origin: self.origin.clone(),
            form: self.form.clone(),
            frame: self.frame.clone(),
        })))
    }

    fn call_block(&mut self, call: &Expr, body: &Arc<Macro>) -> Result<()> {
        let super::ast::Kind::Call(callee, args) = &call.kind else {
            return Ok(());
        };
        let caller = self.declare(body);
        let target = self.eval(callee)?;
        let Val::Object(Object::Macro(declared)) = target else {
            return Err(
                Diagnostic::new(format!("`{}` is not a macro", callee.describe()))
                    .at(&self.origin.span(call.pos)),
            );
        };
        let args = self.arguments(args)?;
        let session = self.session.clone();
        let value = session.deeper(|| self.call_macro(&declared, args, Some(caller)))?;
        self.out.push(value)
    }

    /// Runs a macro.
    pub fn call_macro(
        &mut self,
        declared: &Declared,
        mut args: CallArgs,
        caller: Option<Val>,
    ) -> Result<Val> {
        let code = &declared.code;
        let frame = Frame::inside(Some(declared.frame.clone()));
        let mut inner = Interp::new(
            self.session,
            (*declared.origin).clone(),
            declared.form.clone(),
        );
        inner.frame = frame.clone();
        let required = code.params.len() - code.defaults.len();
        let mut rest = std::mem::take(&mut args.positional).into_iter();
        for (index, name) in code.params.iter().enumerate() {
            let named = args.named.iter().position(|(given, _)| given == name);
            let value = if let Some(value) = rest.next() {
                value
            } else if let Some(place) = named {
                args.named.remove(place).1
            } else if let Some(default) = index
                .checked_sub(required)
                .and_then(|place| code.defaults.get(place))
            {
                inner.eval(default)?
            } else {
                let error = Diagnostic::new(format!(
                    "the parameter `{name}` of `{}` was not given",
                    code.name
                ));
                Val::undefined(&**name, error)
            };
            frame.set(name, value);
        }
        if let Some((name, _)) = args.named.iter().find(|(name, _)| **name != *"caller") {
            if !uses(code, "kwargs") {
                return Err(Diagnostic::new(format!(
                    "the macro `{}` has no parameter `{name}`",
                    code.name
                )));
            }
        }
        let caller = caller.or_else(|| {
            let place = args
                .named
                .iter()
                .position(|(name, _)| **name == *"caller")?;
            Some(args.named.remove(place).1)
        });
        if let Some(caller) = caller {
            frame.set(&"caller".into(), caller);
        }
        frame.set(&"varargs".into(), Val::tuple(rest.collect()));
        let named: Entries = args
            .named
            .into_iter()
            .map(|(name, value)| (Key::Str(name), value))
            .collect();
        frame.set(&"kwargs".into(), Val::dict(named));
        inner.body(&code.body)?;
        let value = inner.out.finish();
        Ok(if matches!(value, Val::None) {
            Val::from("")
        } else {
            value
        })
    }

    /// What a block gives; `level` counts the templates that overrode it.
    pub fn captured_block(&mut self, name: &Arc<str>, level: usize) -> Result<Val> {
        let Some(body) = self
            .blocks
            .get(name)
            .and_then(|bodies| bodies.get(level))
            .cloned()
        else {
            return Err(Diagnostic::new(format!("there is no other block `{name}`")));
        };
        let frame = Frame::inside(Some(self.frame.clone()));
        frame.set(
            &"super".into(),
            Val::Object(Object::Super(name.clone(), level + 1)),
        );
        let session = self.session.clone();
        session.deeper(|| self.capture(|this| this.within(frame, |this| this.body(&body))))
    }

    fn open(&self, name: &str, expr: &Expr) -> Result<(Arc<Template>, super::origin::Origin)> {
        let form = match &self.form {
            Form::File(syntax) => Form::File(syntax.clone()),
            _ => Form::File(Box::default()),
        };
        let span = self.origin.span(expr.pos);
        let Some(path) = self.session.ctx.files.find(FileKind::Templates, name) else {
            return Err(Diagnostic::new(format!("there is no template `{name}`")).at(&span));
        };
        self.session
            .included(&path, form)
            .map_err(|error| error.at(&span))
    }

    fn include(&mut self, name: &Expr, ignore_missing: bool) -> Result<()> {
        let names = self.eval(name)?;
        let names = if names.is_sequence() {
            names.items()?
        } else {
            vec![names]
        };
        let mut error = None;
        for choice in names {
            let choice = choice.string()?;
            if self
                .session
                .ctx
                .files
                .find(FileKind::Templates, &choice)
                .is_none()
            {
                error.get_or_insert_with(|| {
                    Diagnostic::new(format!("there is no template `{choice}`"))
                        .at(&self.origin.span(name.pos))
                });
                continue;
            }
            let (template, origin) = self.open(&choice, name)?;
            let mut inner = Interp::new(self.session, origin, self.form.clone());
            inner.frame = Frame::inside(Some(self.frame.clone()));
            let session = self.session.clone();
            session.deeper(|| inner.template(&template))?;
            self.out.unsure |= inner.out.unsure;
            return self.out.push(inner.out.finish());
        }
        if ignore_missing {
            Ok(())
        } else {
            error.map_or(Ok(()), Err)
        }
    }

    fn module(&mut self, file: &Expr) -> Result<Rc<Frame>> {
        let name = self.eval(file)?.string()?;
        let (template, origin) = self.open(&name, file)?;
        let mut inner = Interp::new(self.session, origin, self.form.clone());
        // Names set around the import can be seen; what the file sets stays in the file.
        inner.frame = Frame::inside(Some(self.frame.clone()));
        let session = self.session.clone();
        session.deeper(|| inner.template(&template))?;
        self.session.keep(&inner.frame);
        Ok(inner.frame)
    }

    /// Calls a method of an object.
    pub fn object_method(&mut self, object: &Object, method: &str, args: &CallArgs) -> Result<Val> {
        match object {
            Object::Loop(looping) => looping.method(method, args),
            Object::Cell(kind, cell) if method == "next" => {
                super::objects::call_cell(*kind, cell, args)
            }
            Object::Cell(_, cell) if method == "reset" => {
                cell.1.set(0);
                Ok(Val::None)
            }
            Object::Time(_) if method == "strftime" => {
                super::filters::time::format(&Val::Object(object.clone()), args)
            }
            Object::Time(_) if method == "timestamp" => {
                super::filters::time::timestamp(&Val::Object(object.clone()))
            }
            Object::Time(_) if method == "isoformat" => Ok(Val::from(
                Val::Object(object.clone()).string()?.replace(' ', "T"),
            )),
            Object::Delta(seconds) if method == "total_seconds" => Ok(Val::Float(*seconds)),
            Object::Scope(_) => match method {
                "keys" => Ok(Val::list(object.items()?)),
                "get" => {
                    let found = args.positional.first().and_then(|name| match name {
                        Val::Str(name) => object.attribute(name),
                        _ => None,
                    });
                    Ok(found
                        .or_else(|| args.positional.get(1).cloned())
                        .unwrap_or(Val::None))
                }
                _ => super::methods::call(&Val::dict(object.entries()?), method, args),
            },
            Object::Namespace(entries) => {
                super::methods::call(&Val::dict(entries.borrow().clone()), method, args)
            }
            other => Err(Diagnostic::new(format!(
                "a {} has no method `{method}`",
                other.kind()
            ))),
        }
    }
}

/// Whether the text of a macro mentions a name (`kwargs` must be mentioned to be given).
fn uses(code: &Macro, name: &str) -> bool {
    format!("{:?}", code.body).contains(&format!("Var(\"{name}\")"))
}
