//! Asks for a password on the terminal, without echo. It never touches stdin or stdout, which may carry data.

use super::Secret;
use crate::base::{Diagnostic, Result};
use std::io;

/// Asks once, or twice when a typing error would lock the data away.
pub(super) fn ask(prompt: &str, confirm: bool) -> Result<Secret> {
    let first = ask_once(prompt)?;
    if first.is_empty() {
        return Err(Diagnostic::new("the password is empty"));
    }
    if confirm && ask_once(&format!("{prompt} (again)"))? != first {
        return Err(Diagnostic::new("the two passwords differ"));
    }
    Ok(first)
}

fn ask_once(prompt: &str) -> Result<Secret> {
    let read = || -> io::Result<String> {
        let tty = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")?
            .into_file();
        let terminal = console::Term::read_write_pair(tty.try_clone()?, tty);
        terminal.write_str(&format!("{prompt}: "))?;
        terminal.read_secure_line()
    };
    read()
        .map(|text| Secret::new(text.trim()))
        .map_err(|error| {
            Diagnostic::new("cannot ask for a password: there is no terminal")
                .note(error.to_string())
                .help("give it by a file or a program instead of the prompt")
        })
}
