//! What every other floor may use: exit codes, diagnostics, values, masking and quoting.
//!
//! Nothing here reads a file, opens a connection or prints.

pub mod diagnostic;
pub mod exit;
pub mod mask;
pub mod nearest;
pub mod python_regex;
pub mod quote;
pub mod span;
pub mod value;

pub use diagnostic::{Diagnostic, Diagnostics, Refusal, Result};
