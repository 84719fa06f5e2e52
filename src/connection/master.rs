//! What an ssh master is given: its configuration, and the folder that its socket lies in.
//!
//! Opens nothing.

use super::target::Target;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where the folder of a control socket is made: `TMPDIR`, unless the socket's path would not fit into an address. Its
/// name is random and it is made for one user, wherever it is.
pub(super) fn short_folder(wished: PathBuf) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    // An address takes 107 bytes; the two folders, the socket and what ssh appends while it binds need 64.
    if wished.as_os_str().as_bytes().len() <= 107 - 64 {
        wished
    } else {
        PathBuf::from("/tmp")
    }
}

/// The ssh configuration of one master: the inventory's options win, then the user's own files, then hactl's wishes.
pub(super) fn configuration(target: &Target) -> String {
    let mut text = String::from("Host *\n");
    for option in &target.options {
        let _ = writeln!(text, "  {option}");
    }
    // As for ssh itself, `-F` stands in place of the user's and the system's files.
    if let Some(file) = &target.config {
        if file != Path::new("none") {
            let _ = writeln!(text, "  Include \"{}\"", file.display());
        }
        text.push_str(WISHES);
        return text;
    }
    if let Some(home) = std::env::var_os("HOME") {
        let file = Path::new(&home).join(".ssh/config");
        if file.exists() {
            let _ = writeln!(text, "  Include {}", file.display());
        }
    }
    if Path::new("/etc/ssh/ssh_config").exists() {
        text.push_str("  Include /etc/ssh/ssh_config\n");
    }
    text.push_str(WISHES);
    text
}

/// Saves 60 ms of this machine's CPU a connection against the hybrid exchange that is OpenSSH's first choice.
const WISHES: &str =
    "Host *\n  KexAlgorithms ^curve25519-sha256\n  ServerAliveCountMax 3\n  LogLevel ERROR\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_fits_wherever_temporary_files_lie() {
        for (wished, taken) in [
            ("/tmp", "/tmp"),
            ("/var/tmp/of/somebody", "/var/tmp/of/somebody"),
            ("/home/somebody/builds/project/with/a/long/path/tmp", "/tmp"),
        ] {
            assert_eq!(short_folder(wished.into()), Path::new(taken));
        }
    }

    #[test]
    fn a_configuration_of_the_inventory_stands_in_place_of_the_others() {
        let target = Target {
            options: vec!["ServerAliveInterval 3".into()],
            config: Some("/k/my config".into()),
            ..Target::default()
        };
        let text = configuration(&target);
        assert_eq!(
            text.lines().take(3).collect::<Vec<_>>(),
            [
                "Host *",
                "  ServerAliveInterval 3",
                "  Include \"/k/my config\""
            ]
        );
        assert_eq!(text.matches("Include").count(), 1, "{text}");
        assert!(
            !configuration(&Target {
                config: Some("none".into()),
                ..target
            })
            .contains("Include")
        );
    }
}
