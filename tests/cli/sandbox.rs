//! An empty folder to run hactl in, and the transcript of what was run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What varies from run to run, and what stands for it in a snapshot.
const FILTERS: &[(&str, &str)] = &[
    (r"(?m)^( *)[0-9a-f]{1,80}$(\n *[0-9a-f]{1,80}$)+", "$1[HEX]"),
    (r"\b\d+ files written", "[N] files written"),
    (r"hactl \d+\.\d+\.\d+", "hactl [VERSION]"),
];

/// An empty folder; everything is run in it, with an environment that holds nothing of the person who tests.
pub struct Sandbox {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    transcript: String,
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self {
            dir,
            env: Vec::new(),
            transcript: String::new(),
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file; text that begins with `#!` becomes executable.
    pub fn file(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("a file with text")
    }

    /// Sets a variable for the commands that follow.
    pub fn env(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.transcript, "$ export {name}={value}");
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Runs `hactl` with words as a shell would split them, and gives its stdout.
    pub fn hactl(&mut self, arguments: &str) -> String {
        self.hactl_with(arguments, "")
    }

    /// The same, with text on stdin.
    pub fn hactl_with(&mut self, arguments: &str, stdin: &str) -> String {
        // A session of its own has no terminal: a prompt is an error here and never waits for the person who tests.
        let mut child = Command::new("setsid")
            .arg("--wait")
            .arg(assert_cmd::cargo::cargo_bin!("hactl"))
            .args(shlex::split(arguments).expect("words"))
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.path())
            .env("NO_COLOR", "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("hactl starts");
        // What is not read is no fault: a command may fail before it reads.
        let _ = child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(stdin.as_bytes());
        let output = child.wait_with_output().expect("hactl ends");
        let stdout = String::from_utf8(output.stdout).expect("text on stdout");
        let stderr = String::from_utf8(output.stderr).expect("text on stderr");
        let code = output
            .status
            .code()
            .map_or_else(|| "none".to_owned(), |code| code.to_string());

        let _ = writeln!(self.transcript, "$ hactl {arguments}");
        for (name, text) in [("", &stdout), ("2> ", &stderr)] {
            for line in text.lines() {
                let _ = writeln!(self.transcript, "{name}{line}");
            }
        }
        let _ = writeln!(self.transcript, "exit {code}\n");
        stdout
    }

    /// Everything that was shown so far.
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Takes a transcript over, to compare a part of one.
    pub fn take(&mut self, transcript: &str) {
        self.transcript.push_str(transcript);
    }

    /// Adds the files below a folder to the transcript, with their modes.
    pub fn list(&mut self, folder: &str) {
        let mut files = Vec::new();
        walk(&self.path().join(folder), &mut files);
        files.sort();
        let _ = writeln!(self.transcript, "$ find {folder} -type f");
        for path in files {
            let mode = std::fs::metadata(&path)
                .expect("a file")
                .permissions()
                .mode()
                & 0o777;
            // Only what is private is told.
            let private = if mode == 0o600 { "0600" } else { "    " };
            let name = path.strip_prefix(self.path()).expect("below the sandbox");
            let _ = writeln!(self.transcript, "{private} {}", name.display());
        }
        self.transcript.push('\n');
    }

    /// Compares the transcript with its snapshot.
    pub fn compare(&self, name: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter(&regex::escape(&self.path().display().to_string()), "[DIR]");
        for (pattern, stand_in) in FILTERS {
            settings.add_filter(pattern, *stand_in);
        }
        settings.bind(|| insta::assert_snapshot!(name, self.transcript));
    }
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}
