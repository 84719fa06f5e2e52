//! The playbooks, roles, templates and inventories inside the binary, and the user's folder over them.
//!
//! A file of the same path in the user's folder wins. Only reads. A file from the binary is shown as `embedded:PATH`,
//! never with a path of the machine that built it. A playbook of the user's own gets nothing from here, but for roles
//! that its configuration names ([`Served`]): a role is never another one than the user meant.

mod templates;

pub use templates::Unread;

use crate::base::{Diagnostic, Result};
use crate::source::{Disk, Files};
use rust_embed::Embed;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

#[derive(Embed)]
#[folder = "roles"]
#[prefix = "roles/"]
#[exclude = "*.pyc"]
#[allow_missing = true]
struct Roles;

#[derive(Embed)]
#[folder = "templates"]
#[prefix = "templates/"]
#[allow_missing = true]
struct Templates;

#[derive(Embed)]
#[folder = "inventories"]
#[prefix = "inventories/"]
#[allow_missing = true]
struct Inventories;

const SITE: &[u8] = include_bytes!("../site.yml");

/// The files inside the binary.
#[derive(Debug, Clone, Copy, Default)]
pub struct Embedded;

impl Embedded {
    /// The bytes of a file; the path is relative to the project.
    pub fn get(path: &str) -> Option<Cow<'static, [u8]>> {
        if path == "site.yml" {
            return Some(Cow::Borrowed(SITE));
        }
        [Roles::get, Templates::get, Inventories::get]
            .iter()
            .find_map(|get| get(path))
            .map(|file| file.data)
    }

    /// The paths of all files, sorted.
    pub fn paths() -> Vec<String> {
        let mut paths: Vec<String> = Roles::iter()
            .chain(Templates::iter())
            .chain(Inventories::iter())
            .map(Cow::into_owned)
            .chain(["site.yml".to_owned()])
            .collect();
        paths.sort();
        paths
    }

    /// The stacks that have an inventory inside the binary.
    pub fn stacks() -> Vec<String> {
        Self::below("inventories").into_iter().collect()
    }

    /// The roles inside the binary.
    pub fn roles() -> BTreeSet<String> {
        Self::below("roles")
    }

    fn is_dir(path: &str) -> bool {
        path.is_empty() || Self::paths().iter().any(|file| is_below(file, path))
    }

    /// The names in a folder.
    fn below(dir: &str) -> BTreeSet<String> {
        Self::paths()
            .iter()
            .filter_map(|file| {
                let rest = if dir.is_empty() {
                    file
                } else {
                    file.strip_prefix(dir)?.strip_prefix('/')?
                };
                rest.split('/').next().map(str::to_owned)
            })
            .collect()
    }
}

fn is_below(file: &str, dir: &str) -> bool {
    file.strip_prefix(dir)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// What of the binary a project sees besides the inventories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// Everything: the project runs an embedded playbook.
    All,
    /// These roles: the project has a playbook of its own.
    Roles(BTreeSet<String>),
}

/// The user's folder over the embedded files.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    served: Served,
}

impl Project {
    /// For the user's folder (`--project`).
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            served: Served::All,
        }
    }

    /// The same with less of the binary below it.
    #[must_use]
    pub fn serving(self, served: Served) -> Self {
        Self { served, ..self }
    }

    /// The roles inside the binary that this project does not see.
    pub fn withheld(&self) -> Vec<String> {
        let all = Embedded::roles();
        match &self.served {
            Served::All => Vec::new(),
            Served::Roles(names) => all
                .into_iter()
                .filter(|name| !names.contains(name))
                .collect(),
        }
    }

    /// The user's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path is on the disk.
    pub fn on_disk(&self, path: &Path) -> PathBuf {
        if self.root == Path::new(".") {
            path.to_owned()
        } else {
            self.root.join(path)
        }
    }

    /// The path inside the binary; none for paths that lead out of the project, and for what is not served. An absolute one
    /// (`role_path`, `inventory_dir`) may lead into it.
    fn inside(&self, path: &Path) -> Option<String> {
        self.relative(path).filter(|path| self.serves(path))
    }

    fn serves(&self, path: &str) -> bool {
        let Served::Roles(names) = &self.served else {
            return true;
        };
        let mut parts = path.split('/');
        match (parts.next(), parts.next()) {
            (Some("" | "inventories"), _) => true,
            (Some("roles"), None) => !names.is_empty(),
            (Some("roles"), Some(role)) => names.contains(role),
            (Some("templates"), _) => self.gives_template(path),
            _ => false,
        }
    }

    fn relative(&self, path: &Path) -> Option<String> {
        let path = if path.is_absolute() {
            let root = std::fs::canonicalize(&self.root)
                .or_else(|_| std::path::absolute(&self.root))
                .ok()?;
            path.strip_prefix(root).ok()?.to_owned()
        } else {
            path.to_owned()
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(part) => parts.push(part.to_str()?),
                Component::ParentDir => {
                    parts.pop()?;
                }
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(parts.join("/"))
    }
}

impl Files for Project {
    fn read_bytes(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        if let Some(found) = Disk.read_bytes(&self.on_disk(path)) {
            return Some(found.map_err(|error| {
                Diagnostic::new(format!("`{}` cannot be read", path.display())).note(error.message)
            }));
        }
        Embedded::get(&self.inside(path)?).map(|data| Ok(data.into_owned()))
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.on_disk(path).is_dir()
            || self
                .inside(path)
                .is_some_and(|path| Embedded::is_dir(&path))
    }

    fn list(&self, dir: &Path) -> Option<Vec<PathBuf>> {
        if !self.is_dir(dir) {
            return None;
        }
        let disk = Disk.list(&self.on_disk(dir)).unwrap_or_default();
        let mut names: BTreeSet<std::ffi::OsString> = disk
            .iter()
            .filter_map(|path| path.file_name())
            .map(std::ffi::OsStr::to_owned)
            .collect();
        if let Some(inside) = self.inside(dir) {
            let served = Embedded::below(&inside).into_iter().filter(|name| {
                let path = if inside.is_empty() {
                    name.clone()
                } else {
                    format!("{inside}/{name}")
                };
                self.serves(&path)
            });
            names.extend(served.map(Into::into));
        }
        Some(names.into_iter().map(|name| dir.join(name)).collect())
    }

    fn shown(&self, path: &Path) -> String {
        if !self.on_disk(path).is_file()
            && let Some(inside) = self
                .inside(path)
                .filter(|inside| Embedded::get(inside).is_some())
        {
            return format!("embedded:{inside}");
        }
        path.display().to_string()
    }

    fn is_file(&self, path: &Path) -> bool {
        self.on_disk(path).is_file()
            || (!self.on_disk(path).is_dir()
                && self
                    .inside(path)
                    .is_some_and(|path| Embedded::get(&path).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_the_user_lies_over_the_binary() {
        let dir = tempfile::tempdir().expect("a folder");
        let project = Project::new(dir.path());
        let site = Path::new("./roles/../site.yml");
        let embedded = project.read(site).expect("embedded").expect("read");
        assert_eq!(embedded.path, "embedded:site.yml");
        fs_err::write(dir.path().join("site.yml"), "- hosts: all\n").expect("written");
        let own = project
            .read(Path::new("site.yml"))
            .expect("there")
            .expect("read");
        assert_eq!(
            (own.path.as_str(), own.text.as_str()),
            ("site.yml", "- hosts: all\n")
        );
        assert!(project.read(Path::new("/site.yml")).is_none());
        // `role_path` is absolute, for roles of the binary too.
        let absolute = fs_err::canonicalize(dir.path()).expect("a folder");
        let role = absolute.join("roles/common");
        assert!(project.is_dir(&role) && project.is_file(&role.join("tasks/main.yml")));
        assert!(!project.is_dir(&absolute.join("roles/none")));
    }

    #[test]
    fn a_project_of_its_own_sees_only_the_roles_that_it_names() {
        let dir = tempfile::tempdir().expect("a folder");
        fs_err::create_dir_all(dir.path().join("roles/haproxy/tasks")).expect("made");
        let own = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Project::new(dir.path()).serving(Served::Roles(names))
        };
        let none = own(&[]);
        for path in [
            "site.yml",
            "roles/sshd/tasks/main.yml",
            "roles/haproxy/meta/main.yml",
        ] {
            assert!(!none.is_file(Path::new(path)), "{path}");
        }
        assert!(
            !none.is_dir(Path::new("roles/sshd")) && none.is_dir(Path::new("inventories/pg-ha"))
        );
        let list = |project: &Project| project.list(Path::new("roles")).expect("a folder");
        assert_eq!(list(&none), [PathBuf::from("roles/haproxy")]);
        assert!(none.withheld().contains(&"haproxy".to_owned()));

        let one = own(&["sshd"]);
        assert!(one.is_file(Path::new("roles/sshd/tasks/main.yml")));
        assert!(
            !one.is_file(Path::new("roles/haproxy/meta/main.yml"))
                && !one.is_file(Path::new("site.yml"))
        );
        assert_eq!(
            list(&one),
            ["roles/haproxy", "roles/sshd"].map(PathBuf::from)
        );
        assert!(!one.withheld().contains(&"sshd".to_owned()));
    }

    #[test]
    fn folders_are_merged() {
        let dir = tempfile::tempdir().expect("a folder");
        fs_err::create_dir_all(dir.path().join("roles/zz_own/tasks")).expect("made");
        let project = Project::new(dir.path());
        let roles = project.list(Path::new("roles")).expect("a folder");
        assert!(
            roles.contains(&PathBuf::from("roles/zz_own")) && roles.len() > 1,
            "{roles:?}"
        );
        assert!(project.is_dir(Path::new("roles/zz_own")) && project.is_dir(&roles[0]));
        assert!(!project.is_dir(Path::new("roles/none")) && !project.is_file(Path::new("roles")));
    }
}
