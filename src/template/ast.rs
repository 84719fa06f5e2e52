//! A parsed template. Owned, so that it can be kept and shared between threads.

use std::sync::Arc;

/// A place inside a template: line from 1, column from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pos {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 0.
    pub column: usize,
}

/// A whole template.
#[derive(Debug)]
pub struct Template {
    /// The statements.
    pub body: Vec<Stmt>,
}

/// A statement.
#[derive(Debug)]
pub enum Stmt {
    /// Text outside of tags.
    Raw(Arc<str>),
    /// `{{ … }}`.
    Emit(Expr),
    /// `{% for %}`.
    For(Arc<For>),
    /// `{% if %}`.
    If {
        /// The condition.
        test: Expr,
        /// When it holds.
        then: Vec<Stmt>,
        /// When it does not.
        otherwise: Vec<Stmt>,
    },
    /// `{% with %}`.
    With {
        /// The names and their values.
        assignments: Vec<(Target, Expr)>,
        /// The block.
        body: Vec<Stmt>,
    },
    /// `{% set a = … %}`.
    Set {
        /// What is set.
        target: Target,
        /// To what.
        value: Expr,
    },
    /// `{% set a %}…{% endset %}`.
    SetBlock {
        /// What is set.
        target: Target,
        /// A chain of filters over the captured text.
        filter: Option<Expr>,
        /// The block.
        body: Vec<Stmt>,
    },
    /// `{% filter %}`.
    Filter {
        /// The chain of filters over the captured text.
        filter: Expr,
        /// The block.
        body: Vec<Stmt>,
    },
    /// `{% block %}`.
    Block {
        /// Its name.
        name: Arc<str>,
        /// The block.
        body: Arc<Vec<Stmt>>,
    },
    /// `{% extends %}`.
    Extends(Expr),
    /// `{% include %}`.
    Include {
        /// A name or a list of names.
        name: Expr,
        /// Whether nothing is an answer.
        ignore_missing: bool,
    },
    /// `{% import … as … %}`.
    Import {
        /// The file.
        file: Expr,
        /// The name that the module gets.
        name: Arc<str>,
    },
    /// `{% from … import … %}`.
    FromImport {
        /// The file.
        file: Expr,
        /// Names and aliases.
        names: Vec<(Arc<str>, Arc<str>)>,
    },
    /// `{% macro %}`.
    Macro(Arc<Macro>),
    /// `{% call %}`.
    Call {
        /// The call.
        call: Expr,
        /// What `caller()` runs.
        body: Arc<Macro>,
    },
    /// `{% do %}`.
    Do(Expr),
    /// `{% continue %}`.
    Continue,
    /// `{% break %}`.
    Break,
}

/// `{% for %}`.
#[derive(Debug)]
pub struct For {
    /// The loop variables.
    pub target: Target,
    /// What is looped over.
    pub iter: Expr,
    /// `if …`.
    pub filter: Option<Expr>,
    /// The block.
    pub body: Vec<Stmt>,
    /// `{% else %}`.
    pub otherwise: Vec<Stmt>,
}

/// A macro or the block of a call.
#[derive(Debug)]
pub struct Macro {
    /// Its name.
    pub name: Arc<str>,
    /// The parameters; the last ones have the defaults.
    pub params: Vec<Arc<str>>,
    /// The defaults.
    pub defaults: Vec<Expr>,
    /// The block.
    pub body: Vec<Stmt>,
}

/// What can be assigned to.
#[derive(Debug)]
pub enum Target {
    /// A name.
    Name(Arc<str>),
    /// An attribute of a namespace.
    Attribute(Arc<str>, Arc<str>),
    /// Several.
    Tuple(Vec<Target>),
}

/// An expression with its place.
#[derive(Debug)]
pub struct Expr {
    /// Where it begins.
    pub pos: Pos,
    /// What it is.
    pub kind: Kind,
}

/// A literal.
#[derive(Debug, Clone)]
pub enum Literal {
    /// `none`.
    None,
    /// `true`, `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Str(Arc<str>),
}

/// The kinds of expressions.
#[derive(Debug)]
pub enum Kind {
    /// A literal.
    Const(Literal),
    /// A variable.
    Var(Arc<str>),
    /// The captured text of a filter block.
    Captured,
    /// `a.b`.
    Attr(Box<Expr>, Arc<str>),
    /// `a[b]`.
    Item(Box<Expr>, Box<Expr>),
    /// `a[b:c:d]`.
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    /// `not a`.
    Not(Box<Expr>),
    /// `-a`.
    Neg(Box<Expr>),
    /// `a + b`, `a and b`, `a == b`…
    Bin(Op, Box<Expr>, Box<Expr>),
    /// `a < b < c`.
    Compare(Box<Expr>, Vec<(Op, Expr)>),
    /// `a if b else c`.
    If(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    /// `a | f(…)`.
    Filter(Arc<str>, Box<Expr>, Args),
    /// `a is t(…)`.
    Test(Arc<str>, Box<Expr>, Args),
    /// `f(…)`.
    Call(Box<Expr>, Args),
    /// `[…]`.
    List(Vec<Expr>),
    /// `(…)`.
    Tuple(Vec<Expr>),
    /// `{…}`.
    Dict(Vec<(Expr, Expr)>),
}

/// The operators of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    And,
    Or,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
    Concat,
}

impl Op {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Op::And => "and",
            Op::Or => "or",
            Op::Eq => "==",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::In => "in",
            Op::NotIn => "not in",
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::Div => "/",
            Op::FloorDiv => "//",
            Op::Rem => "%",
            Op::Pow => "**",
            Op::Concat => "~",
        }
    }
}

/// The arguments of a call.
#[derive(Debug, Default)]
pub struct Args {
    /// By position; `true` when it is `*items`.
    pub positional: Vec<(bool, Expr)>,
    /// By name.
    pub named: Vec<(Arc<str>, Expr)>,
    /// `**entries`.
    pub entries: Vec<Expr>,
}

impl Expr {
    /// The expression as an error names it: `a.b['c']`.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match &self.kind {
            Kind::Var(name) => out.push_str(name),
            Kind::Attr(base, name) => {
                base.write(out);
                out.push('.');
                out.push_str(name);
            }
            Kind::Item(base, index) => {
                base.write(out);
                out.push('[');
                match &index.kind {
                    Kind::Const(Literal::Str(text)) => {
                        out.push('\'');
                        out.push_str(text);
                        out.push('\'');
                    }
                    Kind::Const(Literal::Int(number)) => out.push_str(&number.to_string()),
                    _ => index.write(out),
                }
                out.push(']');
            }
            Kind::Call(callee, _) => {
                callee.write(out);
                out.push_str("()");
            }
            _ => out.push('…'),
        }
    }
}
