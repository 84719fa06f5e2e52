//! One evaluation: the variables rendered so far and what is being rendered right now.
//!
//! A session lives as long as one call from outside; what it remembers is never carried to another host or task.

use super::ast::Pos;
use super::eval::Interp;
use super::frame::Frame;
use super::header::{self, FileOptions};
use super::objects::Object;
use super::origin::Origin;
use super::parse::{self, Form};
use super::val::{Cells, Entries, Key, Val};
use super::{Context, Rendered, Variable, Variables};
use crate::base::value::UNKNOWN;
use crate::base::{Diagnostic, Result};
use crate::source::{Node, SourceFile, Span, Yaml};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// How deep templates, macros and includes may be nested.
const DEPTH: usize = 100;

/// One level needs less than this much of the stack.
const LEVEL: usize = 512 * 1024;

/// One evaluation.
pub struct Session {
    /// What the template can reach.
    pub ctx: Context,
    rendered: RefCell<HashMap<Arc<str>, Val>>,
    rendering: RefCell<Vec<Arc<str>>>,
    scopes: RefCell<HashMap<Arc<str>, Rc<Session>>>,
    frames: RefCell<Vec<Rc<Frame>>>,
    depth: Rc<Cell<usize>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Macros hold the frame that holds them.
        for frame in self.frames.borrow().iter() {
            frame.clear();
        }
    }
}

impl Session {
    /// A new evaluation.
    pub fn new(ctx: &Context) -> Rc<Self> {
        Self::with_depth(ctx.clone(), Rc::new(Cell::new(0)))
    }

    fn with_depth(ctx: Context, depth: Rc<Cell<usize>>) -> Rc<Self> {
        Rc::new(Self {
            ctx,
            rendered: RefCell::default(),
            rendering: RefCell::default(),
            scopes: RefCell::default(),
            frames: RefCell::default(),
            depth,
        })
    }

    /// Keeps a frame alive as long as the session.
    pub fn keep(&self, frame: &Rc<Frame>) {
        self.frames.borrow_mut().push(frame.clone());
    }

    /// Runs something one level deeper.
    pub fn deeper<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.depth.get() >= DEPTH {
            return Err(
                Diagnostic::new(format!("templates are nested more than {DEPTH} deep"))
                    .help("look for a macro, an include or a variable that leads back to itself"),
            );
        }
        self.depth.set(self.depth.get() + 1);
        let result = stacker::maybe_grow(LEVEL, 8 * LEVEL, run);
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// A variable, rendered; nothing when there is none of that name.
    pub fn variable(self: &Rc<Self>, name: &str) -> Option<Val> {
        if let Some(found) = self.rendered.borrow().get(name) {
            return Some(found.clone());
        }
        let variable = self.ctx.variables.lookup(name);
        if variable.is_none() && name == "vars" {
            return Some(Val::Object(Object::Scope(self.clone())));
        }
        let name: Arc<str> = name.into();
        let value = match variable? {
            Variable::Data(data) => Val::from_data(data),
            Variable::Scope(scope) => self.scope(&name, &scope),
            Variable::Unsettled => Val::UNSURE,
            Variable::Template(node) => {
                if let Some(error) = self.cycle(&name) {
                    return Some(Val::failed(error, &node.span));
                }
                self.rendering.borrow_mut().push(name.clone());
                let value = self.node(node);
                self.rendering.borrow_mut().pop();
                value
            }
        };
        self.rendered.borrow_mut().insert(name, value.clone());
        Some(value)
    }

    fn cycle(&self, name: &Arc<str>) -> Option<Diagnostic> {
        let rendering = self.rendering.borrow();
        let start = rendering.iter().position(|other| other == name)?;
        let mut chain: Vec<&str> = rendering.iter().skip(start).map(|name| &**name).collect();
        chain.push(name);
        Some(
            Diagnostic::new(format!("the variable `{name}` leads back to itself"))
                .note(chain.join(" → "))
                .help("give one of these variables another name, or a value that does not use the others"),
        )
    }

    fn scope(self: &Rc<Self>, name: &Arc<str>, variables: &Arc<dyn Variables>) -> Val {
        let scope = self
            .scopes
            .borrow_mut()
            .entry(name.clone())
            .or_insert_with(|| {
                let ctx = Context {
                    variables: variables.clone(),
                    ..self.ctx.clone()
                };
                Self::with_depth(ctx, self.depth.clone())
            })
            .clone();
        Val::Object(Object::Scope(scope))
    }

    /// A node as a value. Lists and mappings are rendered item by item when they are read.
    pub fn node(self: &Rc<Self>, node: Node) -> Val {
        let span = node.span;
        match node.yaml {
            Yaml::Null => Val::None,
            Yaml::Bool(flag) => Val::Bool(flag),
            Yaml::Int(number) => Val::Int(number),
            Yaml::Float(number) => Val::Float(number),
            Yaml::String(text) => self.scalar(&text, &span),
            Yaml::Unsafe(text) => Val::text(text),
            Yaml::Vault(cipher) => match (self.ctx.decrypt)(&cipher) {
                Ok(text) => Val::text(text),
                Err(error) => Val::failed(error, &span),
            },
            Yaml::Sequence(items) => {
                let items = items.into_iter().map(|item| self.later(item)).collect();
                Val::List(Rc::new(Cells {
                    items: RefCell::new(items),
                    lazy: Cell::new(true),
                }))
            }
            Yaml::Mapping(pairs) => {
                let mut entries = Entries::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let place = key.span.clone();
                    let key = self.node(key);
                    if let Val::Undefined(_) = key {
                        return key;
                    }
                    let Some(key) = Key::of(&key) else {
                        let error = Diagnostic::new(format!("a key cannot be {}", key.kind()));
                        return Val::failed(error, &place);
                    };
                    entries.insert(key, self.later(value));
                }
                Val::Dict(Rc::new(Cells {
                    items: RefCell::new(entries),
                    lazy: Cell::new(true),
                }))
            }
        }
    }

    fn later(self: &Rc<Self>, node: Node) -> Val {
        match &node.yaml {
            Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Unsafe(_) => {
                self.node(node)
            }
            Yaml::String(text) if !is_template(text) => self.node(node),
            _ => Val::Lazy(Rc::new(Lazy {
                session: Rc::downgrade(self),
                state: RefCell::new(State::Waiting(node)),
            })),
        }
    }

    /// A text of a YAML file. An error becomes an undefined value: it may turn out that nobody needs it.
    pub fn scalar(self: &Rc<Self>, text: &str, span: &Span) -> Val {
        if !is_template(text) {
            return Val::text(text);
        }
        let origin = Origin::scalar(span);
        let result = self.deeper(|| {
            let template = parse::parse(text, &Form::Scalar)
                .map_err(|fault| fault.diagnostic.clone().at(&origin.span(fault.pos)))?;
            Interp::new(self, origin.clone(), Form::Scalar).run(&template)
        });
        match result {
            Ok(Val::Str(rendered)) => {
                let missing = newlines(text).saturating_sub(newlines(&rendered));
                if missing > 0 {
                    Val::text(format!("{rendered}{}", "\n".repeat(missing)))
                } else {
                    Val::Str(rendered)
                }
            }
            Ok(value) => value,
            Err(error) => Val::failed(error, &origin.span(Pos { line: 1, column: 0 })),
        }
    }

    /// A bare expression.
    pub fn expression(self: &Rc<Self>, text: &str, span: &Span) -> Result<Val> {
        let origin = Origin::scalar(span);
        self.deeper(|| {
            let template = parse::parse(text, &Form::Expression).map_err(|fault| {
                let error = fault.diagnostic.clone().at(&origin.span(fault.pos));
                if text.contains("{{") {
                    return error.help("a condition is a bare expression: take the braces away");
                }
                error
            })?;
            Interp::new(self, origin.clone(), Form::Expression).run_expression(&template)
        })
        .map_err(|error| error.at(span))
    }

    /// A template file.
    pub fn file(
        self: &Rc<Self>,
        source: &Arc<SourceFile>,
        options: &FileOptions,
    ) -> Result<Rendered> {
        let normal = source.text.replace("\r\n", "\n").replace('\r', "\n");
        let header = header::read(&normal, options).map_err(|error| {
            error.at(&Span {
                file: source.clone(),
                line: 1,
                column: 1,
            })
        })?;
        let origin = Origin::file(source, header.lines);
        let form = Form::File(Box::new(header.syntax));
        let template = parse::parse(header.body, &form)
            .map_err(|fault| fault.diagnostic.clone().at(&origin.span(fault.pos)))?;
        let interp = Interp::new(self, origin, form);
        let (mut rendered, is_text) = self.deeper(|| interp.run_file(&template))?;
        if is_text {
            let missing = newlines(header.body).saturating_sub(newlines(&rendered.text));
            rendered.text.push_str(&"\n".repeat(missing));
        }
        if header.newline != "\n" {
            rendered.text = rendered.text.replace('\n', &header.newline);
        }
        rendered.unknown |= rendered.text.contains(UNKNOWN);
        Ok(rendered)
    }

    /// Renders another template file as a value, for `lookup('template')`.
    pub fn included(
        self: &Rc<Self>,
        path: &str,
        form: &Form,
    ) -> Result<(Arc<super::ast::Template>, Origin)> {
        let bytes = self.ctx.files.read(path)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Diagnostic::new(format!("`{path}` is not UTF-8 text")))?
            .replace("\r\n", "\n");
        let source = Arc::new(SourceFile {
            path: path.to_owned(),
            text,
        });
        let origin = Origin::file(&source, 0);
        let template = parse::parse(&source.text, form)
            .map_err(|fault| fault.diagnostic.clone().at(&origin.span(fault.pos)))?;
        Ok((template, origin))
    }

    /// The known name that is nearest to a misspelt one.
    pub fn nearest(&self, name: &str, locals: impl Iterator<Item = String>) -> Option<String> {
        super::nearest::nearest(name, self.ctx.variables.names().into_iter().chain(locals))
    }
}

fn newlines(text: &str) -> usize {
    text.chars().rev().take_while(|c| *c == '\n').count()
}

/// Whether a text may be a template.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// A part of a list or mapping that is rendered when it is read.
pub struct Lazy {
    session: Weak<Session>,
    state: RefCell<State>,
}

enum State {
    Waiting(Node),
    Running(Span),
    Done(Val),
}

impl Lazy {
    /// The rendered value; an error becomes an undefined value.
    pub fn settle(&self) -> Val {
        let state = std::mem::replace(&mut *self.state.borrow_mut(), State::Done(Val::None));
        let (span, value) = match state {
            State::Done(value) => {
                *self.state.borrow_mut() = State::Done(value.clone());
                return value;
            }
            State::Running(span) => {
                let error = Diagnostic::new("this value leads back to itself");
                *self.state.borrow_mut() = State::Running(span.clone());
                return Val::failed(error, &span);
            }
            State::Waiting(node) => {
                let span = node.span.clone();
                *self.state.borrow_mut() = State::Running(span.clone());
                let value = self.session.upgrade().map(|session| session.node(node));
                (span, value)
            }
        };
        let value =
            value.unwrap_or_else(|| Val::failed(Diagnostic::new("the evaluation is over"), &span));
        *self.state.borrow_mut() = State::Done(value.clone());
        value
    }
}
