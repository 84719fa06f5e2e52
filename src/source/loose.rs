//! Texts that go on further left than their key, as PyYAML allows inside quotes and brackets: pushed to the right for the
//! parser, which wants them there. Blanks at the beginning of such a line are no part of any value.

use std::borrow::Cow;

/// No file has more such lines by accident.
const MOST: usize = 1_000;

/// What the parser complained of: line (from 1), column (from 0), its words.
pub(super) struct Complaint {
    pub line: usize,
    pub column: usize,
    pub info: String,
}

/// A text, with what was pushed to the right in it.
pub(super) struct Loose<'a> {
    text: Cow<'a, str>,
    /// By line (from 0): how many blanks were added.
    added: Vec<usize>,
    rounds: usize,
}

impl<'a> Loose<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            added: Vec::new(),
            rounds: 0,
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The column in the text as it was written.
    pub fn column(&self, line: usize, column: usize) -> usize {
        let added = self.added.get(line.saturating_sub(1)).copied();
        column.saturating_sub(added.unwrap_or_default())
    }

    /// Mends what the parser complained of; whether there was something to mend.
    pub fn mend(&mut self, complaint: &Complaint) -> bool {
        self.rounds += 1;
        let Some(first) = complaint
            .line
            .checked_sub(1)
            .filter(|_| self.rounds <= MOST)
        else {
            return false;
        };
        let lines = match complaint.info.as_str() {
            "invalid indentation in quoted scalar" => {
                let Some(last) = self.end_of_quote(first, complaint.column) else {
                    return false;
                };
                first + 1..last + 1
            }
            // Said of nothing but what stands in brackets.
            "invalid indentation" => first..first + 1,
            _ => return false,
        };
        let wide = self
            .text
            .lines()
            .map(|line| line.len() - line.trim_start().len())
            .max()
            .unwrap_or_default()
            + 1;
        if lines.is_empty() {
            return false;
        }
        let mut text = String::with_capacity(self.text.len() + wide * lines.len());
        for (number, line) in self.text.split_inclusive('\n').enumerate() {
            if self.added.len() <= number {
                self.added.push(0);
            }
            if lines.contains(&number) && !line.trim().is_empty() {
                text.extend(std::iter::repeat_n(' ', wide));
                if let Some(added) = self.added.get_mut(number) {
                    *added += wide;
                }
            }
            text.push_str(line);
        }
        self.text = Cow::Owned(text);
        true
    }

    /// The line in which a text ends that is opened with a quote.
    fn end_of_quote(&self, line: usize, column: usize) -> Option<usize> {
        let mut lines = self.text.split('\n').enumerate().skip(line);
        let (_, first) = lines.next()?;
        let mut chars = first.chars().skip(column);
        let open = chars.next().filter(|c| matches!(c, '"' | '\''))?;
        let mut rest: String = chars.collect();
        let mut number = line;
        loop {
            let mut chars = rest.chars().peekable();
            while let Some(c) = chars.next() {
                if open == '"' && c == '\\' {
                    chars.next();
                } else if c == open {
                    // A quote that is written twice is one inside the text.
                    if open == '\'' && chars.peek() == Some(&open) {
                        chars.next();
                    } else {
                        return Some(number);
                    }
                }
            }
            let (next, text) = lines.next()?;
            (number, rest) = (next, text.to_owned());
        }
    }
}
