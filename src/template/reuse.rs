//! Macros, blocks, and templates made of other templates.

use super::FileKind;
use super::ast::{Expr, Kind, Macro, Stmt, Template};
use super::eval::Interp;
use super::filters::CallArgs;
use super::frame::Frame;
use super::objects::{Declared, Object};
use super::origin::Origin;
use super::parse::Form;
use super::val::{Entries, Key, Val};
use crate::base::{Diagnostic, Result};
use std::rc::Rc;
use std::sync::Arc;

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

    /// A macro, with what it can see.
    pub fn declare(&self, code: &Arc<Macro>) -> Val {
        self.session.keep(&self.frame);
        Val::Object(Object::Macro(Rc::new(Declared {
            code: code.clone(),
            origin: self.origin.clone(),
            form: self.form.clone(),
            frame: self.frame.clone(),
        })))
    }

    /// `{% call %}`.
    pub fn call_block(&mut self, call: &Expr, body: &Arc<Macro>) -> Result<()> {
        let Kind::Call(callee, args) = &call.kind else {
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
        if let Some((name, _)) = args.named.iter().find(|(name, _)| **name != *"caller")
            && !uses(code, "kwargs")
        {
            return Err(Diagnostic::new(format!(
                "the macro `{}` has no parameter `{name}`",
                code.name
            )));
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

    fn open(&self, name: &str, expr: &Expr) -> Result<(Arc<Template>, Origin)> {
        let form = match &self.form {
            Form::File(syntax) => Form::File(syntax.clone()),
            _ => Form::File(Box::default()),
        };
        let span = self.origin.span(expr.pos);
        let Some(path) = self.session.ctx.files.find(FileKind::Templates, name) else {
            return Err(Diagnostic::new(format!("there is no template `{name}`")).at(&span));
        };
        self.session
            .included(&path, &form)
            .map_err(|error| error.at(&span))
    }

    /// `{% include %}`.
    pub fn include(&mut self, name: &Expr, ignore_missing: bool) -> Result<()> {
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

    /// The names that an imported file sets.
    pub fn module(&mut self, file: &Expr) -> Result<Rc<Frame>> {
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
}

/// Whether the text of a macro mentions a name (`kwargs` must be mentioned to be given).
fn uses(code: &Macro, name: &str) -> bool {
    format!("{:?}", code.body).contains(&format!("Var(\"{name}\")"))
}
