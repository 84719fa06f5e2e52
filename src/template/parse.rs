//! Reads template text with the parser of `minijinja` and keeps what was read.
//!
//! With `lower`, the only file that names the parser. Evaluation is ours, because Ansible's (Python's printing, undefined
//! values that may be chained but not used, values that are known after apply) is not that of the library.

use super::ast::{Pos, Stmt, Template};
use super::blanks;
use super::lower::Lower;
use crate::base::{Diagnostic, Result};
use minijinja::machinery::{self, ast};
use minijinja::syntax::SyntaxConfig;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// How many parsed templates are kept.
const KEPT: usize = 20_000;

/// How template text is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Syntax {
    /// `{%`, `%}`.
    pub block: (String, String),
    /// `{{`, `}}`.
    pub variable: (String, String),
    /// `{#`, `#}`.
    pub comment: (String, String),
    /// A line that begins with this is a statement.
    pub line_statement_prefix: Option<String>,
    /// What follows this on a line is a comment.
    pub line_comment_prefix: Option<String>,
    /// Drops the line feed after a block.
    pub trim_blocks: bool,
    /// Drops the blanks before a block that begins a line.
    pub lstrip_blocks: bool,
    /// Keeps the last line feed.
    pub keep_trailing_newline: bool,
}

impl Default for Syntax {
    fn default() -> Self {
        let pair = |open: &str, close: &str| (open.to_owned(), close.to_owned());
        Self {
            block: pair("{%", "%}"),
            variable: pair("{{", "}}"),
            comment: pair("{#", "#}"),
            line_statement_prefix: None,
            line_comment_prefix: None,
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: false,
        }
    }
}

/// What the text is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Form {
    /// A YAML scalar: backslashes in the texts of `{{ }}` are themselves.
    Scalar,
    /// A template file.
    File(Box<Syntax>),
    /// A bare expression.
    Expression,
}

/// A syntax error inside a template.
pub struct SyntaxFault {
    /// Where.
    pub pos: Pos,
    /// What.
    pub diagnostic: Diagnostic,
}

type Parsed = Result<Arc<Template>, Arc<SyntaxFault>>;

type Kept = HashMap<(Form, Arc<str>), Parsed>;

static KEEP: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

/// Parses text, or gives what was parsed before.
pub fn parse(source: &str, form: &Form) -> Parsed {
    let key = (form.clone(), Arc::<str>::from(source));
    if let Ok(keep) = KEEP.lock()
        && let Some(found) = keep.get(&key)
    {
        return found.clone();
    }
    let parsed = read(source, form).map(Arc::new).map_err(Arc::new);
    if let Ok(mut keep) = KEEP.lock() {
        if keep.len() >= KEPT {
            keep.clear();
        }
        keep.insert(key, parsed.clone());
    }
    parsed
}

fn read(source: &str, form: &Form) -> Result<Template, SyntaxFault> {
    let default = Syntax::default();
    let syntax = if let Form::File(syntax) = form {
        syntax
    } else {
        &default
    };
    let source = if *form == Form::Expression {
        blanks::expression(source)
    } else {
        blanks::plain(source, syntax)
    };
    let source = &*source;
    let mut lower = Lower {
        source,
        raw: false,
        raw_variables: *form == Form::Scalar,
        block: syntax.block.clone(),
        trim: syntax.trim_blocks,
    };
    if *form == Form::Expression {
        let expr = machinery::parse_expr(source).map_err(|error| fault(&error, source))?;
        return Ok(Template {
            body: vec![Stmt::Emit(lower.expr(&expr)?)],
        });
    }
    let config = config(syntax).map_err(|error| fault(&error, source))?;
    let parsed =
        machinery::parse(source, "template", config).map_err(|error| fault(&error, source))?;
    let ast::Stmt::Template(template) = &parsed else {
        return Ok(Template { body: Vec::new() });
    };
    Ok(Template {
        body: lower.body(&template.children)?,
    })
}

fn config(syntax: &Syntax) -> Result<SyntaxConfig, minijinja::Error> {
    let mut builder = SyntaxConfig::builder();
    builder
        .block_delimiters(syntax.block.0.clone(), syntax.block.1.clone())
        .variable_delimiters(syntax.variable.0.clone(), syntax.variable.1.clone())
        .comment_delimiters(syntax.comment.0.clone(), syntax.comment.1.clone())
        .trim_blocks(syntax.trim_blocks)
        .lstrip_blocks(syntax.lstrip_blocks)
        .keep_trailing_newline(syntax.keep_trailing_newline);
    if let Some(prefix) = &syntax.line_statement_prefix {
        builder.line_statement_prefix(prefix.clone());
    }
    if let Some(prefix) = &syntax.line_comment_prefix {
        builder.line_comment_prefix(prefix.clone());
    }
    builder.build()
}

fn fault(error: &minijinja::Error, source: &str) -> SyntaxFault {
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    let before = error
        .range()
        .and_then(|range| source.get(..range.start))
        .unwrap_or("");
    let column = before.rsplit('\n').next().unwrap_or("").chars().count();
    SyntaxFault {
        pos: Pos {
            line: error.line().unwrap_or(1),
            column,
        },
        diagnostic: Diagnostic::new(format!("the template cannot be read: {detail}")),
    }
}
