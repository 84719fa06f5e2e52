//! The files of a new project: which exist, which differ, and writing those that are missing.
//!
//! Nothing that exists is ever written to, but for lines added to `.gitignore` and secrets added to `vault.yml`.

use crate::base::{Diagnostic, Result};
use crate::vault::store;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A path within the project, with its content.
pub(super) type Entry = (String, Vec<u8>);

/// A project folder that is being filled.
pub(super) struct Project {
    dir: PathBuf,
    wanted: BTreeMap<String, Vec<u8>>,
    /// Wanted only where nothing is.
    offered: BTreeSet<String>,
    /// What was written.
    pub(super) written: Vec<String>,
    /// What was there already.
    pub(super) kept: Vec<String>,
    /// What of the offered files was there already, with other content.
    pub(super) changed: Vec<String>,
}

impl Project {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            wanted: BTreeMap::new(),
            offered: BTreeSet::new(),
            written: Vec::new(),
            kept: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// Wants a file.
    pub(super) fn add(&mut self, path: &str, content: &[u8]) {
        self.wanted.insert(path.to_owned(), content.to_owned());
    }

    /// Wants a file unless there is one, whatever that holds.
    pub(super) fn offer(&mut self, path: &str, content: &[u8]) {
        self.add(path, content);
        self.offered.insert(path.to_owned());
    }

    /// Refuses when a wanted file exists with other content, unless those are to be kept.
    pub(super) fn check(&mut self, keep: bool) -> Result<()> {
        let mut differ = Vec::new();
        let mut missing = BTreeMap::new();
        for (path, content) in std::mem::take(&mut self.wanted) {
            let full = self.dir.join(&path);
            if full.symlink_metadata().is_err() {
                missing.insert(path, content);
                continue;
            }
            let same = std::fs::read(&full).is_ok_and(|found| found == content);
            if self.offered.contains(&path) {
                if !same {
                    self.changed.push(path.clone());
                }
                self.kept.push(path);
            } else if keep || same {
                self.kept.push(path);
            } else {
                differ.push(path);
            }
        }
        self.wanted = missing;
        if differ.is_empty() {
            return Ok(());
        }
        let refusal = Diagnostic::refused(format!(
            "`{}` has files that would be overwritten; nothing was written",
            self.dir.display()
        ));
        Err(differ.into_iter().fold(refusal, crate::base::Refusal::note).help(
            "`--keep` leaves them alone and writes only what is missing; or name another folder",
        ))
    }

    /// Sees to a line in `.gitignore`.
    pub(super) fn ignore(&mut self, name: &str) -> Result<()> {
        let path = self.folder_of(".gitignore")?;
        let old = if path.exists() {
            store::read_text(&path)?
        } else {
            String::new()
        };
        if old
            .lines()
            .any(|line| line.trim().trim_start_matches('/') == name)
        {
            self.kept.push(".gitignore".to_owned());
            return Ok(());
        }
        let gap = if old.is_empty() || old.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let append = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(&path)?;
            file.write_all(
                format!("{gap}# The password of the vault: never in the repository.\n{name}\n")
                    .as_bytes(),
            )
        };
        append().map_err(|error| unwritten(&path, &error))?;
        self.written.push(".gitignore".to_owned());
        Ok(())
    }

    /// Writes a file that only the owner may read; an older one is replaced.
    pub(super) fn secret(&mut self, name: &str, content: &[u8]) -> Result<()> {
        store::replace(&self.folder_of(name)?, content)?;
        self.written.push(name.to_owned());
        Ok(())
    }

    /// Writes what is missing.
    pub(super) fn write(&mut self) -> Result<()> {
        for (name, content) in std::mem::take(&mut self.wanted) {
            let path = self.folder_of(&name)?;
            let write = || std::fs::File::create_new(&path)?.write_all(&content);
            write().map_err(|error| unwritten(&path, &error))?;
            self.written.push(name);
        }
        self.written.sort();
        Ok(())
    }

    /// The inventory file that a person changes first.
    pub(super) fn hosts_file(&self, inventory: &str) -> String {
        let names = ["hosts.yml", "hosts.yaml", "hosts.ini", "hosts"];
        let found = names
            .iter()
            .find(|name| self.dir.join(inventory).join(name).is_file());
        found.copied().unwrap_or_default().to_owned()
    }

    /// The full path, its folder made.
    fn folder_of(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        let folder = path.parent().unwrap_or(&self.dir);
        std::fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
        Ok(path)
    }
}

/// The settings with which plain Ansible runs the project.
pub(super) fn ansible_cfg(stack: &str, stock: &[Entry], own_password: bool) -> String {
    let root = format!("inventories/{stack}/");
    let hosts = stock
        .iter()
        .filter_map(|(path, _)| path.strip_prefix(&root))
        .find(|name| name.starts_with("hosts"));
    let password = if own_password { "" } else { "# " };
    format!(
        "# For those who run this project with Ansible; hactl reads `vault_password_file`, `roles_path` and `[hactl]`.\n\
         [defaults]\n\
         inventory = {root}{}\n\
         roles_path = roles\n\
         {password}vault_password_file = {}\n\
         interpreter_python = auto_silent\n\
         retry_files_enabled = false\n\
         # The plays gather what they need.\n\
         gathering = explicit\n\
         \n\
         [ssh_connection]\n\
         pipelining = true\n\
         \n\
         # A playbook of your own gets those of hactl's roles that are named here, or `all`; without this, none.\n\
         # [hactl]\n\
         # embedded_roles = haproxy, keepalived\n",
        hosts.unwrap_or_default(),
        crate::cli::vault::PASSWORD_FILE,
    )
}

fn unwritten(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(format!("cannot write `{}`", path.display())).note(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_written() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("same"), "1").expect("written");
        std::fs::write(dir.path().join("mine"), "my own").expect("written");
        std::fs::write(dir.path().join("offered"), "my own").expect("written");
        let project = || {
            let mut project = Project::new(dir.path());
            for name in ["same", "mine", "sub/new"] {
                project.add(name, b"1");
            }
            for name in ["offered", "sub/offered"] {
                project.offer(name, b"1");
            }
            project
        };
        let error = project().check(false).expect_err("refused");
        assert_eq!(
            (error.code, error.notes),
            (crate::base::exit::REFUSED, vec!["mine".to_owned()])
        );
        assert!(!dir.path().join("sub").exists());

        let mut kept = project();
        kept.check(true).expect("kept");
        assert_eq!(kept.changed, ["offered"]);
        kept.write().expect("written");
        assert_eq!(
            (kept.written, kept.kept),
            (
                vec!["sub/new".to_owned(), "sub/offered".to_owned()],
                vec!["mine".to_owned(), "offered".to_owned(), "same".to_owned()]
            )
        );
        assert_eq!(
            std::fs::read_to_string(dir.path().join("mine")).expect("read"),
            "my own"
        );
    }

    #[test]
    fn the_password_is_ignored_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(".gitignore");
        std::fs::write(&path, "*.swp").expect("written");
        for _ in 0..2 {
            Project::new(dir.path())
                .ignore(".vault-password")
                .expect("ignored");
        }
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(
            text.lines()
                .filter(|line| *line == ".vault-password")
                .count(),
            1
        );
        assert!(text.starts_with("*.swp\n#"));
    }

    #[test]
    fn ansible_finds_inventory_and_password() {
        let stock = [("inventories/s/hosts.yml".to_owned(), Vec::new())];
        let own = ansible_cfg("s", &stock, true);
        assert!(
            own.contains("\ninventory = inventories/s/hosts.yml\n")
                && own.contains("\nvault_password_file = .vault-password\n")
        );
        assert!(ansible_cfg("s", &stock, false).contains("\n# vault_password_file"));
    }
}
