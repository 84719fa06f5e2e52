//! Turns the borrowed tree of the parser into an owned one that can be kept.
//!
//! Besides `parse`, the only file that names the parser.

use super::ast::{Args, Expr, For, Kind, Literal, Macro, Op, Pos, Stmt, Target};
use super::parse::SyntaxFault;
use crate::base::{Diagnostic, Result};
use minijinja::machinery::{self, ast};
use std::sync::Arc;

fn pos(span: machinery::Span) -> Pos {
    Pos {
        line: span.start_line.into(),
        column: span.start_col.into(),
    }
}

/// Makes an owned template of what the parser read.
pub struct Lower<'a> {
    /// The template text.
    pub source: &'a str,
    /// Whether texts are taken as written, backslashes and all.
    pub raw: bool,
    /// Whether they are in `{{ }}`.
    pub raw_variables: bool,
    /// The delimiters of blocks.
    pub block: (String, String),
    /// Whether the line feed after a block is dropped.
    pub trim: bool,
}

impl Lower<'_> {
    /// The statements of a block.
    pub fn body(&mut self, stmts: &[ast::Stmt]) -> Result<Vec<Stmt>, SyntaxFault> {
        stmts
            .iter()
            .filter_map(|stmt| self.stmt(stmt).transpose())
            .collect()
    }

    fn stmt(&mut self, stmt: &ast::Stmt) -> Result<Option<Stmt>, SyntaxFault> {
        Ok(Some(match stmt {
            ast::Stmt::Template(_) => return Ok(None),
            ast::Stmt::EmitRaw(raw) => match self.raw_block_break(raw.span()) {
                Some(first) => Stmt::Raw(format!("{first}{}", raw.raw).into()),
                None => Stmt::Raw(raw.raw.into()),
            },
            ast::Stmt::EmitExpr(emit) => {
                self.raw = self.raw_variables;
                let expr = self.expr(&emit.expr);
                self.raw = false;
                Stmt::Emit(expr?)
            }
            ast::Stmt::ForLoop(node) => Stmt::For(Arc::new(For {
                target: target(&node.target)?,
                iter: self.expr(&node.iter)?,
                filter: node
                    .filter_expr
                    .as_ref()
                    .map(|expr| self.expr(expr))
                    .transpose()?,
                body: self.body(&node.body)?,
                otherwise: self.body(&node.else_body)?,
            })),
            ast::Stmt::IfCond(node) => Stmt::If {
                test: self.expr(&node.expr)?,
                then: self.body(&node.true_body)?,
                otherwise: self.body(&node.false_body)?,
            },
            ast::Stmt::WithBlock(node) => Stmt::With {
                assignments: node
                    .assignments
                    .iter()
                    .map(|(name, value)| Ok((target(name)?, self.expr(value)?)))
                    .collect::<Result<_, _>>()?,
                body: self.body(&node.body)?,
            },
            ast::Stmt::Set(node) => Stmt::Set {
                target: target(&node.target)?,
                value: self.expr(&node.expr)?,
            },
            ast::Stmt::SetBlock(node) => Stmt::SetBlock {
                target: target(&node.target)?,
                filter: node
                    .filter
                    .as_ref()
                    .map(|expr| self.expr(expr))
                    .transpose()?,
                body: self.body(&node.body)?,
            },
            ast::Stmt::AutoEscape(node) => {
                // Nothing is ever escaped here, so the block is what it holds.
                let test = Expr {
                    pos: pos(node.span()),
                    kind: Kind::Const(Literal::Bool(true)),
                };
                Stmt::If {
                    test,
                    then: self.body(&node.body)?,
                    otherwise: Vec::new(),
                }
            }
            ast::Stmt::FilterBlock(node) => Stmt::Filter {
                filter: self.expr(&node.filter)?,
                body: self.body(&node.body)?,
            },
            ast::Stmt::Block(node) => Stmt::Block {
                name: node.name.into(),
                body: Arc::new(self.body(&node.body)?),
            },
            ast::Stmt::Extends(node) => Stmt::Extends(self.expr(&node.name)?),
            ast::Stmt::Include(node) => Stmt::Include {
                name: self.expr(&node.name)?,
                ignore_missing: node.ignore_missing,
            },
            ast::Stmt::Import(node) => Stmt::Import {
                file: self.expr(&node.expr)?,
                name: name_of(&node.name)?,
            },
            ast::Stmt::FromImport(node) => Stmt::FromImport {
                file: self.expr(&node.expr)?,
                names: node
                    .names
                    .iter()
                    .map(|(name, alias)| {
                        let name = name_of(name)?;
                        Ok((name.clone(), alias.as_ref().map_or(Ok(name), name_of)?))
                    })
                    .collect::<Result<_, _>>()?,
            },
            ast::Stmt::Macro(node) => Stmt::Macro(Arc::new(self.declaration(node)?)),
            ast::Stmt::CallBlock(node) => {
                let call = Expr {
                    pos: pos(node.call.span()),
                    kind: self.call(&node.call)?,
                };
                Stmt::Call {
                    call,
                    body: Arc::new(self.declaration(&node.macro_decl)?),
                }
            }
            ast::Stmt::Do(node) => Stmt::Do(Expr {
                pos: pos(node.call.span()),
                kind: self.call(&node.call)?,
            }),
            ast::Stmt::Continue(_) => Stmt::Continue,
            ast::Stmt::Break(_) => Stmt::Break,
        }))
    }

    /// The line feed after `{% raw %}`, which the parser trims and Jinja2 does not.
    fn raw_block_break(&self, span: machinery::Span) -> Option<&'static str> {
        let (before, after) = self.source.split_at_checked(span.start_offset as usize)?;
        let tag = before.strip_suffix(&self.block.1)?;
        let inside = tag.get(tag.rfind(&self.block.0)? + self.block.0.len()..)?;
        let is_raw = inside.trim_start_matches(['-', '+']).trim() == "raw";
        (self.trim && is_raw && after.starts_with('\n')).then_some("\n")
    }

    fn declaration(&mut self, node: &ast::Macro) -> Result<Macro, SyntaxFault> {
        Ok(Macro {
            name: node.name.into(),
            params: node.args.iter().map(name_of).collect::<Result<_, _>>()?,
            defaults: self.exprs(&node.defaults)?,
            body: self.body(&node.body)?,
        })
    }

    fn exprs(&mut self, exprs: &[ast::Expr]) -> Result<Vec<Expr>, SyntaxFault> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn boxed(&mut self, expr: &ast::Expr) -> Result<Box<Expr>, SyntaxFault> {
        self.expr(expr).map(Box::new)
    }

    fn maybe(&mut self, expr: Option<&ast::Expr>) -> Result<Option<Box<Expr>>, SyntaxFault> {
        expr.map(|expr| self.boxed(expr)).transpose()
    }

    /// An expression.
    pub fn expr(&mut self, expr: &ast::Expr) -> Result<Expr, SyntaxFault> {
        let kind = match expr {
            ast::Expr::Var(var) => Kind::Var(var.id.into()),
            ast::Expr::Const(node) => Kind::Const(self.literal(&node.value, node.span())),
            ast::Expr::Slice(node) => Kind::Slice(
                self.boxed(&node.expr)?,
                [
                    self.maybe(node.start.as_ref())?,
                    self.maybe(node.stop.as_ref())?,
                    self.maybe(node.step.as_ref())?,
                ],
            ),
            ast::Expr::UnaryOp(node) => match node.op {
                ast::UnaryOpKind::Not => Kind::Not(self.boxed(&node.expr)?),
                ast::UnaryOpKind::Neg => Kind::Neg(self.boxed(&node.expr)?),
            },
            ast::Expr::BinOp(node) => Kind::Bin(
                binary(node.op),
                self.boxed(&node.left)?,
                self.boxed(&node.right)?,
            ),
            ast::Expr::Compare(node) => Kind::Compare(
                self.boxed(&node.expr)?,
                node.ops
                    .iter()
                    .map(|op| Ok((comparison(op.op), self.expr(&op.expr)?)))
                    .collect::<Result<_, _>>()?,
            ),
            ast::Expr::IfExpr(node) => Kind::If(
                self.boxed(&node.test_expr)?,
                self.boxed(&node.true_expr)?,
                self.maybe(node.false_expr.as_ref())?,
            ),
            ast::Expr::Filter(node) => {
                let input = match &node.expr {
                    Some(input) => self.expr(input)?,
                    None => Expr {
                        pos: pos(node.span()),
                        kind: Kind::Captured,
                    },
                };
                Kind::Filter(
                    plugin_name(node.name),
                    Box::new(input),
                    self.args(&node.args)?,
                )
            }
            ast::Expr::Test(node) => Kind::Test(
                plugin_name(node.name),
                self.boxed(&node.expr)?,
                self.args(&node.args)?,
            ),
            ast::Expr::GetAttr(node) => Kind::Attr(self.boxed(&node.expr)?, node.name.into()),
            ast::Expr::GetItem(node) => {
                Kind::Item(self.boxed(&node.expr)?, self.boxed(&node.subscript_expr)?)
            }
            ast::Expr::Call(node) => self.call(node)?,
            ast::Expr::List(node) => Kind::List(self.exprs(&node.items)?),
            ast::Expr::Tuple(node) => Kind::Tuple(self.exprs(&node.items)?),
            ast::Expr::Map(node) => Kind::Dict(
                node.keys
                    .iter()
                    .zip(&node.values)
                    .map(|(key, value)| Ok((self.expr(key)?, self.expr(value)?)))
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Expr {
            pos: pos(expr.span()),
            kind,
        })
    }

    fn call(&mut self, node: &ast::Call) -> Result<Kind, SyntaxFault> {
        Ok(Kind::Call(self.boxed(&node.expr)?, self.args(&node.args)?))
    }

    fn args(&mut self, args: &[ast::CallArg]) -> Result<Args, SyntaxFault> {
        let mut lowered = Args::default();
        for arg in args {
            match arg {
                ast::CallArg::Pos(expr) => lowered.positional.push((false, self.expr(expr)?)),
                ast::CallArg::PosSplat(expr) => lowered.positional.push((true, self.expr(expr)?)),
                ast::CallArg::Kwarg(name, expr) => {
                    lowered.named.push(((*name).into(), self.expr(expr)?));
                }
                ast::CallArg::KwargSplat(expr) => lowered.entries.push(self.expr(expr)?),
            }
        }
        Ok(lowered)
    }

    fn literal(&self, value: &minijinja::Value, span: machinery::Span) -> Literal {
        if let Some(text) = value.as_str() {
            let written = self
                .source
                .get(span.start_offset as usize..span.end_offset as usize);
            return match written {
                Some(written) if self.raw && written.contains('\\') => {
                    Literal::Str(unescaped(written).into())
                }
                _ => Literal::Str(text.into()),
            };
        }
        if value.is_none() {
            return Literal::None;
        }
        if let Ok(flag) = bool::try_from(value.clone())
            && value.kind() == minijinja::value::ValueKind::Bool
        {
            return Literal::Bool(flag);
        }
        match value.as_i64() {
            Some(number) if value.is_integer() => Literal::Int(number),
            _ => Literal::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        }
    }
}

/// The texts of one or more adjacent literals, with every backslash kept.
fn unescaped(written: &str) -> String {
    let mut out = String::new();
    let mut chars = written.chars();
    while let Some(quote) = chars.find(|c| *c == '\'' || *c == '"') {
        while let Some(c) = chars.next() {
            if c == quote {
                break;
            }
            out.push(c);
            if c == '\\'
                && let Some(next) = chars.next()
            {
                out.push(next);
            }
        }
    }
    out
}

/// `ansible.builtin.bool` is `bool`.
fn plugin_name(name: &str) -> Arc<str> {
    let name: String = name.split_whitespace().collect();
    name.rsplit('.').next().unwrap_or(&name).into()
}

fn name_of(expr: &ast::Expr) -> Result<Arc<str>, SyntaxFault> {
    match expr {
        ast::Expr::Var(var) => Ok(var.id.into()),
        other => Err(SyntaxFault {
            pos: pos(other.span()),
            diagnostic: Diagnostic::new(format!("expected a name, got a {}", other.description())),
        }),
    }
}

fn target(expr: &ast::Expr) -> Result<Target, SyntaxFault> {
    Ok(match expr {
        ast::Expr::List(list) => {
            Target::Tuple(list.items.iter().map(target).collect::<Result<_, _>>()?)
        }
        ast::Expr::Tuple(list) => {
            Target::Tuple(list.items.iter().map(target).collect::<Result<_, _>>()?)
        }
        ast::Expr::GetAttr(attr) => Target::Attribute(name_of(&attr.expr)?, attr.name.into()),
        other => Target::Name(name_of(other)?),
    })
}

fn binary(op: ast::BinOpKind) -> Op {
    match op {
        ast::BinOpKind::Eq => Op::Eq,
        ast::BinOpKind::Ne => Op::Ne,
        ast::BinOpKind::Lt => Op::Lt,
        ast::BinOpKind::Lte => Op::Le,
        ast::BinOpKind::Gt => Op::Gt,
        ast::BinOpKind::Gte => Op::Ge,
        ast::BinOpKind::ScAnd => Op::And,
        ast::BinOpKind::ScOr => Op::Or,
        ast::BinOpKind::Add => Op::Add,
        ast::BinOpKind::Sub => Op::Sub,
        ast::BinOpKind::Mul => Op::Mul,
        ast::BinOpKind::Div => Op::Div,
        ast::BinOpKind::FloorDiv => Op::FloorDiv,
        ast::BinOpKind::Rem => Op::Rem,
        ast::BinOpKind::Pow => Op::Pow,
        ast::BinOpKind::Concat => Op::Concat,
        ast::BinOpKind::In => Op::In,
    }
}

fn comparison(op: ast::CompareOpKind) -> Op {
    match op {
        ast::CompareOpKind::Eq => Op::Eq,
        ast::CompareOpKind::Ne => Op::Ne,
        ast::CompareOpKind::Lt => Op::Lt,
        ast::CompareOpKind::Lte => Op::Le,
        ast::CompareOpKind::Gt => Op::Gt,
        ast::CompareOpKind::Gte => Op::Ge,
        ast::CompareOpKind::In => Op::In,
        ast::CompareOpKind::NotIn => Op::NotIn,
    }
}
