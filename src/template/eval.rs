//! Evaluates expressions.
//!
//! Undefined values pass through attributes, items and filters, and are an error when used; values that are
//! known after apply make whatever is computed from them unknown.

use super::ast::{Args, Expr, Kind, Literal, Op, Template};
use super::filters::{self, Call, CallArgs};
use super::frame::{Frame, Out};
use super::objects::Object;
use super::origin::Origin;
use super::parse::Form;
use super::session::{Session, is_template};
use super::val::{Entries, Key, Val, guarded};
use super::{Rendered, checks, globals, methods, ops, print};
use crate::base::{Diagnostic, Result};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Evaluates one template.
pub struct Interp<'s> {
    /// The evaluation that this is a part of.
    pub session: &'s Rc<Session>,
    /// Where the text stands.
    pub origin: Rc<Origin>,
    /// How the text is written.
    pub form: Form,
    /// The names set so far.
    pub frame: Rc<Frame>,
    /// What was put out so far.
    pub out: Out,
    /// The texts that filter blocks captured.
    pub captured: Vec<Val>,
    /// The blocks, those of the template that extends the others first.
    pub blocks: HashMap<Arc<str>, Vec<Arc<Vec<super::ast::Stmt>>>>,
}

impl<'s> Interp<'s> {
    /// A new evaluation of a template.
    pub fn new(session: &'s Rc<Session>, origin: Origin, form: Form) -> Self {
        Self {
            session,
            origin: Rc::new(origin),
            form,
            frame: Frame::inside(None),
            out: Out::default(),
            captured: Vec::new(),
            blocks: HashMap::new(),
        }
    }

    /// Runs a template to its value.
    pub fn run(mut self, template: &Template) -> Result<Val> {
        if let [super::ast::Stmt::Emit(expr)] = &template.body[..] {
            return self.eval(expr);
        }
        self.template(template)?;
        Ok(self.out.finish())
    }

    /// Runs a bare expression.
    pub fn run_expression(mut self, template: &Template) -> Result<Val> {
        match &template.body[..] {
            [super::ast::Stmt::Emit(expr)] => self.eval(expr),
            _ => Ok(Val::None),
        }
    }

    /// Runs a template file to its text.
    pub fn run_file(mut self, template: &Template) -> Result<(Rendered, bool)> {
        match self.template(template) {
            Err(_) if self.out.unsure => {}
            other => other?,
        }
        self.out.finish_file()
    }

    /// Evaluates an expression; lists and dictionaries are rendered all the way down.
    pub fn eval(&mut self, expr: &Expr) -> Result<Val> {
        let value = self.raw(expr)?;
        value.force()?;
        Ok(value)
    }

    fn raw(&mut self, expr: &Expr) -> Result<Val> {
        self.kind(expr).map_err(|error| {
            if error.at.is_some() {
                error
            } else {
                error.at(&self.origin.span(expr.pos))
            }
        })
    }

    fn kind(&mut self, expr: &Expr) -> Result<Val> {
        match &expr.kind {
            Kind::Const(Literal::Str(text))
                if self.form == Form::Expression && is_template(text) =>
            {
                // Conditions may hold templates in their texts: `'{{ a }}' == b`.
                Ok(self.session.scalar(text, &self.origin.span(expr.pos)))
            }
            Kind::Const(literal) => Ok(match literal {
                Literal::None => Val::None,
                Literal::Bool(flag) => Val::Bool(*flag),
                Literal::Int(number) => Val::Int(*number),
                Literal::Float(number) => Val::Float(*number),
                Literal::Str(text) => Val::Str(text.clone()),
            }),
            Kind::Var(name) => Ok(self.variable(name, expr)),
            Kind::Captured => Ok(self.captured.last().cloned().unwrap_or(Val::None)),
            Kind::Attr(base, name) => {
                let value = self.raw(base)?;
                Ok(self.attribute(&value, name, expr))
            }
            Kind::Item(base, index) => {
                let value = self.raw(base)?;
                let index = self.eval(index)?;
                Ok(self.item(&value, &index, expr))
            }
            Kind::Slice(base, bounds) => {
                let value = self.eval(base)?;
                let mut limits = [Val::None, Val::None, Val::None];
                for (limit, bound) in limits.iter_mut().zip(bounds) {
                    if let Some(bound) = bound {
                        *limit = self.eval(bound)?;
                    }
                }
                guarded(|| ops::slice(&value, &limits))
            }
            Kind::Not(inner) => {
                let value = self.eval(inner)?;
                guarded(|| Ok(Val::Bool(!value.truthy()?)))
            }
            Kind::Neg(inner) => {
                let value = self.eval(inner)?;
                guarded(|| ops::negate(&value))
            }
            Kind::Bin(Op::And, left, right) => self.both(left, right),
            Kind::Bin(Op::Or, left, right) => self.either(left, right),
            Kind::Bin(op, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                binary(*op, &left, &right)
            }
            Kind::Compare(first, rest) => {
                let mut left = self.eval(first)?;
                let mut result = Val::Bool(true);
                for (op, right) in rest {
                    let right = self.eval(right)?;
                    result = binary(*op, &left, &right)?;
                    if result.is_unknown() || !result.truthy()? {
                        break;
                    }
                    left = right;
                }
                Ok(result)
            }
            Kind::If(test, then, otherwise) => {
                let test = self.eval(test)?;
                if test.is_unknown() {
                    return Ok(Val::UNSURE);
                }
                match (test.truthy()?, otherwise) {
                    (true, _) => self.raw(then),
                    (false, Some(otherwise)) => self.raw(otherwise),
                    (false, None) => Ok(Val::nothing(
                        Diagnostic::new(
                            "the condition of the inline `if` does not hold and it has no `else`",
                        )
                        .at(&self.origin.span(expr.pos)),
                    )),
                }
            }
            Kind::Filter(name, input, args) => self.filter(name, input, args),
            Kind::Test(name, input, args) => self.test(name, input, args),
            Kind::Call(callee, args) => self.call(callee, args, expr),
            Kind::List(items) => items
                .iter()
                .map(|item| self.eval(item))
                .collect::<Result<_>>()
                .map(Val::list),
            Kind::Tuple(items) => items
                .iter()
                .map(|item| self.eval(item))
                .collect::<Result<_>>()
                .map(Val::tuple),
            Kind::Dict(pairs) => {
                let mut entries = Entries::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let key = self.eval(key)?;
                    let value = self.eval(value)?;
                    key.check()?;
                    let Some(key) = Key::of(&key) else {
                        if key.is_unknown() {
                            return Ok(Val::UNSURE);
                        }
                        return Err(Diagnostic::new(format!(
                            "{} cannot be a key of a dictionary",
                            key.kind()
                        )));
                    };
                    entries.insert(key, value);
                }
                Ok(Val::dict(entries))
            }
        }
    }

    fn both(&mut self, left: &Expr, right: &Expr) -> Result<Val> {
        let first = self.eval(left)?;
        if first.is_unknown() {
            // Whatever the left side is, a right side that does not hold decides.
            return Ok(match self.eval(right) {
                Ok(second) if !second.is_unknown() && second.truthy().is_ok_and(|holds| !holds) => {
                    second
                }
                _ => Val::UNSURE,
            });
        }
        if first.truthy()? {
            self.eval(right)
        } else {
            Ok(first)
        }
    }

    fn either(&mut self, left: &Expr, right: &Expr) -> Result<Val> {
        let first = self.eval(left)?;
        if first.is_unknown() {
            return Ok(match self.eval(right) {
                Ok(Val::Bool(true)) => Val::Bool(true),
                _ => Val::UNSURE,
            });
        }
        if first.truthy()? {
            Ok(first)
        } else {
            self.eval(right)
        }
    }

    /// The arguments of a call, evaluated.
    pub fn arguments(&mut self, args: &Args) -> Result<CallArgs> {
        let mut given = CallArgs::default();
        for (splat, expr) in &args.positional {
            let value = self.eval(expr)?;
            if *splat {
                given.positional.extend(value.items()?);
            } else {
                given.positional.push(value);
            }
        }
        for (name, expr) in &args.named {
            let value = self.eval(expr)?;
            given.named.push((name.clone(), value));
        }
        for expr in &args.entries {
            for (key, value) in self.eval(expr)?.entries()? {
                given.named.push((print::text(&key.val()).into(), value));
            }
        }
        Ok(given)
    }

    fn filter(&mut self, name: &Arc<str>, input: &Expr, args: &Args) -> Result<Val> {
        let input = self.eval(input)?;
        let args = self.arguments(args)?;
        filters::apply(self.session, name, input, args)
    }

    fn test(&mut self, name: &Arc<str>, input: &Expr, args: &Args) -> Result<Val> {
        let input = self.eval(input)?;
        let args = self.arguments(args)?;
        checks::apply(self.session, name, input, args)
    }

    fn call(&mut self, callee: &Expr, args: &Args, expr: &Expr) -> Result<Val> {
        if let Kind::Attr(base, method) = &callee.kind {
            let value = self.raw(base)?;
            value.force()?;
            if let Val::Undefined(_) = value {
                return Ok(value);
            }
            if value.is_unknown() {
                return Ok(Val::UNSURE);
            }
            let is_method = match &value {
                Val::Object(object) => !object.is_callable_attribute(method),
                _ => true,
            };
            if is_method {
                let args = self.arguments(args)?;
                if let Some(marker) = args.marker() {
                    return Ok(marker);
                }
                if let Val::Object(object) = &value {
                    return object.call(method, &args);
                }
                return guarded(|| methods::call(&value, method, &args));
            }
            let found = self.attribute(&value, method, callee);
            let args = self.arguments(args)?;
            return self.invoke(&found, args, expr);
        }
        let target = self.raw(callee)?;
        let args = self.lookup_arguments(&target, args)?;
        self.invoke(&target, args, expr)
    }

    /// The terms of `lookup()` may hold templates in their texts.
    fn lookup_arguments(&mut self, target: &Val, args: &Args) -> Result<CallArgs> {
        let mut given = self.arguments(args)?;
        if !matches!(
            target,
            Val::Object(Object::Builtin("lookup" | "query" | "q"))
        ) {
            return Ok(given);
        }
        for (index, (_, expr)) in args.positional.iter().enumerate() {
            if let Kind::Const(Literal::Str(text)) = &expr.kind
                && is_template(text)
                && let Some(slot) = given.positional.get_mut(index)
            {
                *slot = self.session.scalar(text, &self.origin.span(expr.pos));
            }
        }
        Ok(given)
    }

    /// Calls a value.
    pub fn invoke(&mut self, target: &Val, args: CallArgs, expr: &Expr) -> Result<Val> {
        match target {
            Val::Undefined(_) => Ok(target.clone()),
            Val::Unknown { .. } => Ok(Val::UNSURE),
            Val::Object(Object::Macro(declared)) => {
                let declared = declared.clone();
                self.session
                    .clone()
                    .deeper(|| self.call_macro(&declared, args, None))
            }
            Val::Object(Object::Loop(looping)) => {
                let looping = looping.clone();
                self.recurse(&looping, &args)
            }
            Val::Object(Object::Super(name, level)) => {
                let name = name.clone();
                let level = *level;
                self.captured_block(&name, level)
            }
            Val::Object(Object::Builtin(name)) => {
                let call = Call {
                    session: self.session,
                    name,
                    input: Val::None,
                    args,
                };
                globals::call(&call)
            }
            Val::Object(Object::Cell(kind, cell)) => super::objects::call_cell(*kind, cell, &args),
            other => Err(Diagnostic::new(format!(
                "`{}` cannot be called: it is {}",
                expr.describe(),
                other.kind()
            ))),
        }
    }
}

/// Applies an operator, with unknown operands.
fn binary(op: Op, left: &Val, right: &Val) -> Result<Val> {
    let empty = Val::from(String::new());
    let text = |side: &Val| match op {
        Op::Concat if side.is_nothing() => empty.clone(),
        _ => side.clone(),
    };
    match op {
        Op::Eq if left.is_nothing() || right.is_nothing() => {
            return Ok(Val::Bool(left.is_nothing() && right.is_nothing()));
        }
        Op::Ne if left.is_nothing() || right.is_nothing() => {
            return Ok(Val::Bool(!(left.is_nothing() && right.is_nothing())));
        }
        _ => {}
    }
    let (left, right) = (&text(left), &text(right));
    for side in [left, right] {
        if let Val::Undefined(missing) = side {
            return Err(missing.error.clone());
        }
    }
    if left.is_unknown() || right.is_unknown() {
        return Ok(Val::UNSURE);
    }
    guarded(|| ops::apply(op, left, right))
}
