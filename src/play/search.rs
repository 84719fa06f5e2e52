//! Finds the local files that tasks name, along Ansible's search path.

use super::loader::Loader;
use super::paths;
use super::types::{Include, Role, Task};
use crate::base::{Diagnostic, Result};
use crate::source::Span;

/// From where files are searched.
#[derive(Debug, Clone, Copy)]
pub struct Seeker<'a> {
    /// The role, its own folder first.
    pub role: Option<&'a Role>,
    /// Folder of the file of tasks.
    pub dir: &'a str,
    /// Folder of the playbook.
    pub playbook_dir: &'a str,
    /// For errors.
    pub span: &'a Span,
}

impl<'a> From<&'a Task> for Seeker<'a> {
    fn from(task: &'a Task) -> Self {
        Self {
            role: task.role.as_deref(),
            dir: &task.dir,
            playbook_dir: &task.playbook_dir,
            span: &task.span,
        }
    }
}

impl<'a> From<&'a Include> for Seeker<'a> {
    fn from(include: &'a Include) -> Self {
        Self {
            role: include.role.as_deref(),
            dir: &include.dir,
            playbook_dir: &include.playbook_dir,
            span: &include.span,
        }
    }
}

impl Loader {
    /// The path of a template.
    ///
    /// # Errors
    /// When there is none; names the places looked at.
    pub fn find_template<'a>(&self, seeker: impl Into<Seeker<'a>>, name: &str) -> Result<String> {
        self.find(seeker.into(), "templates", "template", name, &[""])
    }

    /// The path of a file or folder (`copy`, `script`, `unarchive`, `lookup('file')`).
    ///
    /// # Errors
    /// As [`Self::find_template`].
    pub fn find_file<'a>(&self, seeker: impl Into<Seeker<'a>>, name: &str) -> Result<String> {
        self.find(seeker.into(), "files", "file", name, &[""])
    }

    /// The path of a file or folder of variables (`include_vars`).
    ///
    /// # Errors
    /// As [`Self::find_template`].
    pub fn find_vars<'a>(&self, seeker: impl Into<Seeker<'a>>, name: &str) -> Result<String> {
        self.find(
            seeker.into(),
            "vars",
            "file of variables",
            name,
            &["", ".yml", ".yaml"],
        )
    }

    /// The first file or folder of exactly that name along the search path; `kind` is the folder that is looked into first,
    /// nothing for none.
    pub fn found<'a>(
        &self,
        seeker: impl Into<Seeker<'a>>,
        kind: &str,
        name: &str,
    ) -> Option<String> {
        self.places(seeker, kind, name)
            .into_iter()
            .find(|path| self.is_file(path) || self.is_dir(path))
    }

    /// All places where a file of a kind (`templates`, `files`, `vars`) may be, first one first.
    pub fn places<'a>(&self, seeker: impl Into<Seeker<'a>>, kind: &str, name: &str) -> Vec<String> {
        let seeker = seeker.into();
        let mut bases: Vec<&str> = seeker
            .role
            .map(|role| role.dir.as_str())
            .into_iter()
            .collect();
        bases.extend([seeker.dir, seeker.playbook_dir]);
        let mut places: Vec<String> = Vec::new();
        for base in bases {
            for place in [
                paths::join(&paths::join(base, kind), name),
                paths::join(base, name),
            ] {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        // The templates of hactl's roles lie beside hactl's playbook, wherever the user's own one lies.
        let given = |role: &Role| {
            let own = role.dir.strip_prefix("roles/");
            own.is_some_and(|name| self.roles.given.iter().any(|given| given == name))
        };
        let last = paths::join(kind, name);
        if kind == "templates" && seeker.role.is_some_and(given) && !places.contains(&last) {
            places.push(last);
        }
        places
    }

    fn find(
        &self,
        seeker: Seeker<'_>,
        kind: &str,
        what: &str,
        name: &str,
        endings: &[&str],
    ) -> Result<String> {
        let places = self.places(seeker, kind, name);
        for place in &places {
            for ending in endings {
                let path = format!("{place}{ending}");
                if self.is_file(&path) || (kind != "templates" && self.is_dir(&path)) {
                    return Ok(path);
                }
            }
        }
        let error = Diagnostic::new(format!("there is no {what} `{name}`")).at(seeker.span);
        Err(places.into_iter().fold(error, |error, place| {
            error.note(format!("looked for {place}"))
        }))
    }
}
