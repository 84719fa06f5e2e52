//! Places in files that people write. Only the value; reading is the business of `source`.

use std::fmt;
use std::sync::Arc;

/// A file that was read, kept so that an error can show the line.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as the user knows it (relative to the project, or `embedded:roles/...`).
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A place in a file. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Span {
    /// The text of the line, without its end.
    pub fn line_text(&self) -> &str {
        self.file
            .text
            .lines()
            .nth(self.line.saturating_sub(1))
            .unwrap_or("")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.path, self.line, self.column)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
