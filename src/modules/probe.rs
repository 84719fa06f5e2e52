//! What can be asked of a host, and how the answers look.

use crate::base::{Diagnostic, Result, exit, quote};
use std::collections::BTreeMap;

/// Something to see on a host, without changing it. Probes of one kind in one batch become one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A path: kind, owner, mode, size, digest, perhaps content. Answered by [`Seen::File`].
    File(FileProbe),
    /// Debian packages by name (no version, no architecture). Answered by [`Seen::Packages`].
    Packages(Vec<String>),
    /// A systemd unit by full name (`haproxy.service`): properties by `systemctl show`
    /// (`LoadState ActiveState SubState UnitFileState FragmentPath NeedDaemonReload MainPID`). Answered by [`Seen::Properties`].
    Unit(String),
    /// A line of `getent DATABASE KEY` (`passwd`, `group`, `shadow`), split at colons. Answered by [`Seen::Entry`].
    Entry { database: &'static str, key: String },
    /// Anything else: a command that must not change the host. Answered by [`Seen::Reply`].
    Run(Request),
}

/// Which path, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProbe {
    /// Absolute path on the host.
    pub path: String,
    /// Follow a symbolic link (`stat -L`).
    pub follow: bool,
    /// What of the content is needed.
    pub content: Content,
}

/// How much of a file's content a probe brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// None, not even a digest.
    None,
    /// The SHA-256 digest.
    Digest,
    /// The digest, and the content (up to 1 MiB) only when the digest is not this one (lower-case hex).
    UnlessDigest(String),
    /// The content, whatever its size.
    Whole,
}

/// A command for a host: a script for `sh`, run as root unless `user` says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The script, POSIX `sh`. Values that come from outside are quoted with `base::quote::sh`.
    pub script: String,
    /// What it reads on standard input; nothing otherwise. Binary-safe. Secrets go here, never into the script.
    pub stdin: Vec<u8>,
    /// Run as this user (environment HOME, USER, LOGNAME set); root when absent.
    pub user: Option<String>,
    /// Environment on top of the shell's. Values may be secret: they are passed on stdin of the wire, never in argv.
    pub environment: Vec<(String, String)>,
    /// Directory to run in.
    pub chdir: Option<String>,
    /// End it after so many seconds.
    pub timeout_seconds: Option<u64>,
}

impl Request {
    /// A script without input, as root.
    pub fn sh(script: impl Into<String>) -> Self {
        Self {
            script: script.into(),
            ..Self::default()
        }
    }

    /// A command given as words; quoting is done here.
    pub fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self::sh(quote::sh_join(words))
    }

    /// With standard input.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// As another user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// Exit code; 124 after a timeout, 128+n after a signal.
    pub code: i32,
    /// Standard output, exact bytes.
    pub stdout: Vec<u8>,
    /// Standard error, exact bytes.
    pub stderr: Vec<u8>,
    /// Wall time in milliseconds, measured on this side.
    pub milliseconds: u64,
}

impl Reply {
    /// Standard output as text, invalid UTF-8 replaced.
    pub fn out(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Standard error as text, invalid UTF-8 replaced.
    pub fn err(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }
}

/// The answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// To [`Probe::File`]; `None`: there is nothing at that path.
    File(Option<SeenFile>),
    /// To [`Probe::Packages`]: what dpkg knows, by name; a name that dpkg does not know is absent.
    Packages(BTreeMap<String, Package>),
    /// To [`Probe::Unit`].
    Properties(BTreeMap<String, String>),
    /// To [`Probe::Entry`]; `None`: no such entry.
    Entry(Option<Vec<String>>),
    /// To [`Probe::Run`].
    Reply(Reply),
}

/// A path as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenFile {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, with setuid, setgid and sticky (`0o1777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Owner's name, or the number as text.
    pub owner: String,
    /// Group's name, or the number as text.
    pub group: String,
    /// Bytes.
    pub size: u64,
    /// Inode.
    pub inode: u64,
    /// Hard links.
    pub links: u64,
    /// Device number.
    pub device: u64,
    /// Last change of the content, seconds since 1970.
    pub mtime: i64,
    /// Last access, seconds since 1970.
    pub atime: i64,
    /// Last change of the inode, seconds since 1970.
    pub ctime: i64,
    /// Target of a symbolic link as written.
    pub target: Option<String>,
    /// SHA-256 in lower-case hex, when asked for and a regular file.
    pub sha256: Option<String>,
    /// Content, when asked for (see [`Content`]) and a regular file.
    pub content: Option<Vec<u8>>,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link (only when not followed, or dangling).
    Link,
    /// A socket, device or pipe.
    Other,
}

/// A package as dpkg knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `installed`, `config-files`, `half-configured`…
    pub status: String,
    /// Version.
    pub version: String,
    /// `hold`, `install`, `deinstall`: what dpkg is told to want.
    pub want: String,
}

/// A step of a change, for plans: which command would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The command as shown (secrets are not in it).
    pub command: String,
}

/// Fails with the first reply that failed.
///
/// # Errors
/// Exit code and stderr of that reply.
pub fn all_succeeded(replies: &[Reply]) -> Result<()> {
    match replies.iter().find(|reply| reply.code != 0) {
        None => Ok(()),
        Some(reply) => Err(failure(reply)),
    }
}

/// What programs say when a disk is full.
pub const DISK_FULL: &str = "No space left on device";
/// What to do about it.
pub const DISK_FULL_HELP: &str =
    "look with `df -h` and `df -i` on the host, make room, and run again";

/// The error that a failed reply means: the last lines of its stderr (or stdout).
pub fn failure(reply: &Reply) -> Diagnostic {
    let text = if reply.stderr.is_empty() {
        reply.out()
    } else {
        reply.err()
    };
    let text = quote::for_terminal(text.trim_end());
    if text.contains(DISK_FULL) {
        return Diagnostic::with_code(exit::FAILED, "a disk of the host is full")
            .note(text)
            .help(DISK_FULL_HELP);
    }
    Diagnostic::with_code(
        exit::FAILED,
        format!("the command ended with exit code {}", reply.code),
    )
    .note(text)
}
