//! Where the text of a template stands in its file, so that an error can point at the line.

use super::ast::Pos;
use crate::source::{SourceFile, Span};
use std::sync::Arc;

/// The place of a template's text.
#[derive(Debug, Clone)]
pub struct Origin {
    file: Arc<SourceFile>,
    line: usize,
    column: usize,
    /// Column that further lines begin at.
    indent: usize,
}

impl Origin {
    /// A template file, whose first lines may have been a header.
    pub fn file(file: &Arc<SourceFile>, header_lines: usize) -> Self {
        Self {
            file: file.clone(),
            line: 1 + header_lines,
            column: 1,
            indent: 1,
        }
    }

    /// A scalar of a YAML file: the text begins after the quote or below the block indicator.
    pub fn scalar(span: &Span) -> Self {
        let line = span.line_text();
        let mut origin = Self {
            file: span.file.clone(),
            line: span.line,
            column: span.column,
            indent: span.column,
        };
        match line.chars().nth(span.column.saturating_sub(1)) {
            Some('\'' | '"') => {
                origin.column += 1;
                origin.indent = span.column;
            }
            Some('|' | '>') => {
                let mut below = span.file.text.lines().skip(span.line).enumerate();
                if let Some((skipped, first)) = below.find(|(_, line)| !line.trim().is_empty()) {
                    origin.line += 1;
                    let indent = first.chars().take_while(|c| *c == ' ').count() + 1;
                    origin.column = if skipped == 0 { indent } else { 1 };
                    origin.indent = indent;
                }
            }
            _ => {}
        }
        origin
    }

    /// The place in the file of a place in the template.
    pub fn span(&self, pos: Pos) -> Span {
        let down = pos.line.saturating_sub(1);
        let line = (self.line + down).min(self.file.text.lines().count().max(1));
        let column = if down == 0 { self.column } else { self.indent } + pos.column;
        Span {
            file: self.file.clone(),
            line,
            column,
        }
    }
}
