//! Small projects of a few lines, for what does not need the whole stack.

use crate::bench::{Bench, program};
use crate::command::{Run, Running, run, start};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project folder with a `site.yml` of its own.
pub struct Scratch<'a> {
    bench: &'a Bench,
    dir: PathBuf,
    inventories: Vec<PathBuf>,
}

impl<'a> Scratch<'a> {
    /// An empty one; the name is that of the case.
    pub fn new(bench: &'a Bench, name: &str) -> Self {
        let dir = bench.room.join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a folder");
        Self {
            bench,
            dir,
            inventories: Vec::new(),
        }
    }

    /// Writes a file of the project.
    pub fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
        self
    }

    /// The project's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Variables of one host that win over those of the lab.
    pub fn host(&mut self, host: &str, variables: &serde_json::Value) -> &mut Self {
        let text = serde_json::json!({"all": {"hosts": {host: variables}}}).to_string();
        let path = self.dir.join(format!("{host}.json"));
        std::fs::write(&path, text).expect("a file");
        self.inventories.push(path);
        self
    }

    /// `hactl` on this project.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .arg("-C")
            .arg(&self.dir)
            .arg("-i")
            .arg(self.bench.fragment());
        for path in &self.inventories {
            command.arg("-i").arg(path);
        }
        command.args(arguments);
        command
    }

    /// Runs it.
    pub fn hactl(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// Starts it.
    pub fn start(&self, arguments: &[&str]) -> Running {
        start(&mut self.command(arguments))
    }
}
