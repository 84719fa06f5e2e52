//! Reporters: the only floor, with `cli`, that prints. stdout is data, stderr is talk.

pub mod backup;
pub mod diagnostics;
pub mod diff;
pub mod drill;
pub mod findings;
pub mod history;
pub mod json;
pub mod junit;
pub mod maintenance;
pub mod operation;
pub mod run;
pub mod status;
pub mod verify;
pub mod vip;

pub use diagnostics::{diagnostics, warnings};

use std::io::Write;

/// Writes data to stdout; a closed pipe is not an error.
pub fn out(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Says a line on stderr, masked and made safe for the terminal.
pub fn say(line: &str) {
    let line = crate::base::quote::for_terminal(&crate::base::mask::mask(line));
    let _ = writeln!(std::io::stderr(), "{line}");
}
