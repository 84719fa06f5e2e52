//! Throw-away hosts on this machine: a lab is a handful of containers or virtual machines with systemd and sshd, in a
//! process, mount and network namespace of their own.
//!
//! A lab must never send a packet through the machine's own network, never touch a machine's file outside its state and
//! cache folders, and must leave nothing behind once it is down. Everything in a lab descends from one process, the
//! keeper; when that dies, the kernel ends all the rest.

pub mod access;
pub mod cabling;
mod cgroup;
mod clock;
pub mod doctor;
pub mod gc;
pub mod image;
pub mod keeper;
mod limits;
pub mod orphans;
pub mod podman;
pub mod provider;
pub mod ready;
pub mod relay;
pub mod spec;
pub mod state;
pub mod trouble;
pub mod up;
pub mod vm;

pub use spec::{HostSpec, LabName};
pub use state::{Lab, Places};

use crate::base::{Diagnostic, exit};
use std::fmt::{Display, Write as _};
use std::process::Command;

/// Something about the lab failed (exit code 3).
pub(crate) fn failed(message: impl Into<String>) -> Diagnostic {
    Diagnostic::with_code(exit::FAILED, message)
}

/// Turns an error of the system into a diagnostic that says what was being done, and all its causes.
pub(crate) fn while_doing<E: Into<anyhow::Error>>(
    what: impl Display,
) -> impl FnOnce(E) -> Diagnostic {
    move |error| {
        let error: anyhow::Error = error.into();
        failed(format!("{:#}", error.context(what.to_string())))
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A program of the machine, also when it is in one of the folders that many users' paths lack.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", doctor::search_path());
    command
}

/// Runs a program to its end and gives its stdout; what it said goes into the error.
pub(crate) fn run(command: &mut Command) -> crate::base::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(while_doing(format!("cannot run `{program}`")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let arguments: Vec<String> = command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let shown = crate::base::quote::sh_join(arguments.iter().map(String::as_str));
    let mut error = failed(format!("`{program}` failed ({})", output.status))
        .note(format!("{program} {shown}"));
    for stream in [&output.stderr, &output.stdout] {
        let text = String::from_utf8_lossy(stream);
        let tail: Vec<&str> = text.trim_end().lines().rev().take(15).collect();
        if !tail.is_empty() {
            error = error.note(tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
    Err(error)
}
