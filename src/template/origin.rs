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
    /// Lines of the file are one line of the text: in quotes, below `>`, and in text without either.
    folded: bool,
}

impl Origin {
    /// A template file, whose first lines may have been a header.
    pub fn file(file: &Arc<SourceFile>, header_lines: usize) -> Self {
        Self {
            file: file.clone(),
            line: 1 + header_lines,
            column: 1,
            indent: 1,
            folded: false,
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
            folded: true,
        };
        match line.chars().nth(span.column.saturating_sub(1)) {
            Some('\'' | '"') => {
                origin.column += 1;
                origin.indent = span.column;
            }
            Some(style @ ('|' | '>')) => {
                origin.folded = style == '>';
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
        if self.folded
            && let Some((line, column)) = self.unfold(pos)
        {
            return Span {
                file: self.file.clone(),
                line,
                column,
            };
        }
        let down = pos.line.saturating_sub(1);
        let line = (self.line + down).min(self.file.text.lines().count().max(1));
        let column = if down == 0 { self.column } else { self.indent } + pos.column;
        Span {
            file: self.file.clone(),
            line,
            column,
        }
    }

    /// The same where lines are folded: each stands for a blank, each empty one for the end of a line.
    fn unfold(&self, pos: Pos) -> Option<(usize, usize)> {
        let mut down = pos.line.saturating_sub(1);
        let mut left = pos.column;
        let mut column = self.column;
        let mut lines = (self.line..).zip(self.file.text.lines().skip(self.line.saturating_sub(1)));
        let (mut number, mut line) = lines.next()?;
        loop {
            let length = line
                .trim_end()
                .chars()
                .skip(column.saturating_sub(1))
                .count();
            if down == 0 && left <= length {
                return Some((number, column + left));
            }
            let mut empty = 0;
            (number, line) = lines.next()?;
            while line.trim().is_empty() {
                empty += 1;
                (number, line) = lines.next()?;
            }
            if down == 0 {
                left = left.checked_sub(length + 1)?;
            }
            down = down.saturating_sub(empty);
            column = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_in_texts_of_several_lines() {
        // The mistake is always at the `@`, which stands in the text as it does in the file.
        for (text, line) in [
            ("k: \"a @\"", 1),
            ("k: \"a\n  b @\"", 2),
            ("k: 'a\n\n  b\n    c @'", 4),
            ("k: >-\n  a\n  b @\n", 3),
            ("k: |\n  a\n  b @\n", 3),
            ("k: a\n  b @ c", 2),
        ] {
            let file = Arc::new(SourceFile {
                path: "f".to_owned(),
                text: text.to_owned(),
            });
            let node = crate::source::parse(&file).expect(text);
            let value = node.get("k").expect("the key");
            let read = value.as_str().expect("text");
            let before = &read[..read.find('@').expect("the mistake")];
            let pos = Pos {
                line: before.matches('\n').count() + 1,
                column: before.rsplit('\n').next().unwrap_or("").chars().count(),
            };
            let found = Origin::scalar(&value.span).span(pos);
            let column = text
                .lines()
                .nth(line - 1)
                .and_then(|line| line.find('@'))
                .expect("the mistake");
            assert_eq!((found.line, found.column), (line, column + 1), "{text}");
        }
    }
}
