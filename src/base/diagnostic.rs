//! One error as a person reads it: what, where (host, file:line:column with the line shown), why, and what to do.
//!
//! All floors return [`Diagnostic`]; only reporters draw it.

use super::span::Span;
use std::fmt;

/// The result type of every floor below the reporters.
pub type Result<T, E = Diagnostic> = std::result::Result<T, E>;

/// One error, with what a person needs to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong: lower case, names in backticks, no final dot.
    pub message: String,
    /// The place in a file, when one is to blame.
    pub at: Option<Span>,
    /// The host that it happened on.
    pub host: Option<String>,
    /// Further facts, one a line (a command, its stderr, the value found).
    pub notes: Vec<String>,
    /// What to do next.
    pub help: Option<String>,
    /// The exit code that this error leads to (`base::exit`).
    pub code: u8,
    /// The module, filter or test that is not there, when that is what is wrong.
    pub absent: Option<String>,
}

impl Diagnostic {
    /// A configuration error (exit code 1).
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            at: None,
            host: None,
            notes: Vec::new(),
            help: None,
            code: super::exit::USAGE,
            absent: None,
        }
    }

    /// An error with another exit code.
    pub fn with_code(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            ..Self::new(message)
        }
    }

    /// Nothing was done, on purpose. Becomes a [`Diagnostic`] by [`Refusal::help`] only: a refusal that does not say how to
    /// go on is a dead end, and this is read at night.
    pub fn refused(message: impl Into<String>) -> Refusal {
        Refusal(Self {
            code: super::exit::REFUSED,
            ..Self::new(message)
        })
    }

    /// Says where; the innermost place wins, so an error that has one keeps it.
    #[must_use]
    pub fn at(mut self, span: &Span) -> Self {
        self.at.get_or_insert_with(|| span.clone());
        self
    }

    /// Names the module, filter or test that is not there.
    #[must_use]
    pub fn lacking(mut self, name: &str) -> Self {
        self.absent = Some(name.to_owned());
        self
    }

    /// Names the host.
    #[must_use]
    pub fn on(mut self, host: &str) -> Self {
        self.host.get_or_insert_with(|| host.to_owned());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A refusal that does not say yet what to do instead.
#[derive(Debug, Clone)]
#[must_use]
pub struct Refusal(Diagnostic);

impl Refusal {
    /// Says where.
    pub fn at(self, span: &Span) -> Self {
        Self(self.0.at(span))
    }

    /// Names the host.
    pub fn on(self, host: &str) -> Self {
        Self(self.0.on(host))
    }

    /// Adds a fact.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self(self.0.note(note))
    }

    /// Says how to go on.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Diagnostic {
        self.0.help(help)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}: ")?;
        }
        write!(f, "{}", self.message)?;
        if let Some(span) = &self.at {
            write!(f, " ({span})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// Errors collected so that all of them can be shown at once.
#[derive(Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Keeps an error and goes on.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.0.contains(&diagnostic) {
            self.0.push(diagnostic);
        }
    }

    /// Keeps the error of a result, or gives its value.
    pub fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes those out that were found after the first `count`.
    pub fn split_off(&mut self, count: usize) -> Vec<Diagnostic> {
        self.0.split_off(count)
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What was found, in the order of finding.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }

    /// `value` when nothing was found, all errors otherwise.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Diagnostic>> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self.0)
        }
    }
}
