//! How a template file is written: the options of the task and the `#jinja2:` line that begins the file.

use super::parse::Syntax;
use crate::base::value::to_bool;
use crate::base::{Diagnostic, Result};
use std::borrow::Cow;

/// The options of the template module. What is not given has Ansible's value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// `trim_blocks` (on).
    pub trim_blocks: Option<bool>,
    /// `lstrip_blocks` (off).
    pub lstrip_blocks: Option<bool>,
    /// `newline_sequence` (`\n`).
    pub newline_sequence: Option<String>,
    /// `variable_start_string`.
    pub variable_start_string: Option<String>,
    /// `variable_end_string`.
    pub variable_end_string: Option<String>,
    /// `block_start_string`.
    pub block_start_string: Option<String>,
    /// `block_end_string`.
    pub block_end_string: Option<String>,
    /// `comment_start_string`.
    pub comment_start_string: Option<String>,
    /// `comment_end_string`.
    pub comment_end_string: Option<String>,
}

/// The head of a template file.
pub struct Header<'a> {
    /// The syntax of the rest.
    pub syntax: Syntax,
    /// How lines end in what is written.
    pub newline: Cow<'static, str>,
    /// The rest.
    pub body: &'a str,
    /// How many lines the header took.
    pub lines: usize,
}

const PREFIX: &str = "#jinja2:";

/// Applies the options and the header line.
pub fn read<'a>(text: &'a str, options: &FileOptions) -> Result<Header<'a>> {
    let mut header = Header {
        syntax: Syntax::default(),
        newline: Cow::Borrowed("\n"),
        body: text,
        lines: 0,
    };
    let given = [
        ("variable_start_string", &options.variable_start_string),
        ("variable_end_string", &options.variable_end_string),
        ("block_start_string", &options.block_start_string),
        ("block_end_string", &options.block_end_string),
        ("comment_start_string", &options.comment_start_string),
        ("comment_end_string", &options.comment_end_string),
        ("newline_sequence", &options.newline_sequence),
    ];
    for (name, text) in given {
        if let Some(text) = text {
            set(&mut header, name, text)?;
        }
    }
    if let Some(flag) = options.trim_blocks {
        header.syntax.trim_blocks = flag;
    }
    if let Some(flag) = options.lstrip_blocks {
        header.syntax.lstrip_blocks = flag;
    }
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return Ok(header);
    };
    let Some((line, body)) = rest.split_once('\n') else {
        return Err(Diagnostic::new(format!(
            "nothing follows the `{PREFIX}` line"
        )));
    };
    header.body = body;
    header.lines = 1;
    for pair in line.split(',') {
        let Some((name, value)) = pair.split_once(':') else {
            return Err(Diagnostic::new(format!(
                "expected `name: value` in the `{PREFIX}` line, got `{}`",
                pair.trim()
            )));
        };
        let value = value.trim();
        let quoted = ['\'', '"']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        set(
            &mut header,
            name.trim(),
            &quoted
                .unwrap_or(value)
                .replace("\\n", "\n")
                .replace("\\r", "\r"),
        )?;
    }
    Ok(header)
}

fn set(header: &mut Header, name: &str, value: &str) -> Result<()> {
    let flag = || {
        to_bool(&value.into()).ok_or_else(|| {
            Diagnostic::new(format!(
                "expected True or False for `{name}`, got `{value}`"
            ))
        })
    };
    let syntax = &mut header.syntax;
    let text = value.to_owned();
    match name {
        "variable_start_string" => syntax.variable.0 = text,
        "variable_end_string" => syntax.variable.1 = text,
        "block_start_string" => syntax.block.0 = text,
        "block_end_string" => syntax.block.1 = text,
        "comment_start_string" => syntax.comment.0 = text,
        "comment_end_string" => syntax.comment.1 = text,
        "line_statement_prefix" => syntax.line_statement_prefix = Some(text),
        "line_comment_prefix" => syntax.line_comment_prefix = Some(text),
        "newline_sequence" => header.newline = Cow::Owned(text),
        "trim_blocks" => syntax.trim_blocks = flag()?,
        "lstrip_blocks" => syntax.lstrip_blocks = flag()?,
        "keep_trailing_newline" => syntax.keep_trailing_newline = flag()?,
        other => {
            return Err(Diagnostic::new(format!(
                "`{other}` is not an option of the `{PREFIX}` line"
            )));
        }
    }
    Ok(())
}
