//! What hactl takes from the project's `ansible.cfg`: the vault's password file, the folders of roles, and which of
//! hactl's own roles a playbook of the user's gets.
//!
//! Like Ansible, it never reads one from a folder in which anybody could have put it.

use crate::assets::{Embedded, Served};
use crate::base::nearest::nearest;
use crate::base::{Diagnostic, Result};
use crate::play::RolePlaces;
use crate::source::{Node, SourceFile, Span, load, parse};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// The section that only hactl reads; Ansible passes over it.
const OWN: &str = "hactl";
const EMBEDDED: &str = "embedded_roles";
const ALL: &str = "all";
/// Where Ansible looks when nothing is configured, and where `ansible-galaxy` puts roles.
const COMMON: &str = "~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles";

/// The settings of a project.
#[derive(Debug, Default)]
pub struct Config {
    settings: Vec<Setting>,
}

#[derive(Debug)]
struct Setting {
    section: String,
    key: String,
    value: String,
    span: Span,
}

impl Config {
    /// Reads the project's `ansible.cfg`; empty when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(project: &Path) -> Result<Self> {
        let path = project.join("ansible.cfg");
        if !path.is_file() || open_to_all(project) {
            return Ok(Self::default());
        }
        Ok(Self::parse(&load(&path)?))
    }

    /// The same, sound.
    ///
    /// # Errors
    /// When its section `[hactl]` says something that hactl does not know.
    pub fn known(self) -> Result<Self> {
        let unknown = |setting: &&Setting| setting.section == OWN && setting.key != EMBEDDED;
        match self.settings.iter().find(unknown) {
            Some(setting) => Err(Diagnostic::new(format!(
                "`[{OWN}]` has no setting `{}`",
                setting.key
            ))
            .at(&setting.span)
            .help(format!("it takes: {EMBEDDED}"))),
            None => Ok(self),
        }
    }

    fn parse(file: &Arc<SourceFile>) -> Self {
        let mut section = String::new();
        let mut settings = Vec::new();
        for (index, line) in file.text.lines().enumerate() {
            let text = line.split(';').next().unwrap_or_default().trim();
            if let Some(name) = text
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                name.trim().clone_into(&mut section);
                continue;
            }
            let Some((key, value)) = text
                .split_once(['=', ':'])
                .filter(|_| !text.starts_with('#'))
            else {
                continue;
            };
            settings.push(Setting {
                section: section.clone(),
                key: key.trim().to_lowercase(),
                value: value.trim().to_owned(),
                span: Span {
                    file: Arc::clone(file),
                    line: index + 1,
                    column: 1,
                },
            });
        }
        Self { settings }
    }

    fn setting(&self, section: &str, key: &str) -> Option<&Setting> {
        self.settings
            .iter()
            .rev()
            .find(|setting| setting.section == section && setting.key == key)
    }

    /// A setting of `[defaults]`.
    pub fn in_defaults(&self, key: &str) -> Option<&str> {
        self.setting("defaults", key)
            .map(|setting| setting.value.as_str())
    }

    /// The folders of roles besides the playbook's own: the environment's, else the file's, else Ansible's.
    fn role_folders(&self) -> Vec<String> {
        let (folders, here) = match std::env::var("ANSIBLE_ROLES_PATH") {
            Ok(named) if !named.is_empty() => (named, std::env::current_dir().ok()),
            _ => (
                self.in_defaults("roles_path").unwrap_or(COMMON).to_owned(),
                None,
            ),
        };
        let split = folders.split(':').map(str::trim);
        split
            .filter(|folder| !folder.is_empty())
            .map(|folder| {
                let path = super::vault::expand_home(Path::new(folder));
                let path = here.as_ref().map_or(path.clone(), |here| here.join(&path));
                path.to_string_lossy().into_owned()
            })
            .collect()
    }

    /// What of the binary a playbook of the user's own gets.
    ///
    /// # Errors
    /// When a role is named that hactl does not have.
    pub fn served(&self) -> Result<Served> {
        let Some(setting) = self.setting(OWN, EMBEDDED) else {
            return Ok(Served::Roles(BTreeSet::new()));
        };
        let own = Embedded::roles();
        let words = setting.value.split([',', ' ']).map(str::trim);
        let names: BTreeSet<String> = words
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if names.len() == 1 && names.contains(ALL) {
            return Ok(Served::All);
        }
        let names = with_needs(names);
        match names.iter().find(|name| !own.contains(*name)) {
            Some(name) => {
                let list: Vec<&str> = own.iter().map(String::as_str).collect();
                let error = Diagnostic::new(format!("hactl has no role `{name}` of its own"))
                    .at(&setting.span);
                Err(match nearest(name, own.iter().map(String::as_str)) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error.help(format!("write `{ALL}`, or some of: {}", list.join(", "))),
                })
            }
            None => Ok(Served::Roles(names)),
        }
    }

    /// Where roles are looked for.
    pub fn places(&self, withheld: Vec<String>, given: Vec<String>) -> RolePlaces {
        RolePlaces {
            folders: self.role_folders(),
            withheld,
            given,
        }
    }
}

/// The roles with those of hactl's that they take in.
fn with_needs(mut names: BTreeSet<String>) -> BTreeSet<String> {
    let mut open: Vec<String> = names.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let folders = ["tasks", "meta", "handlers"].map(|folder| format!("roles/{name}/{folder}/"));
        let paths = Embedded::paths().into_iter();
        let mut needed = BTreeSet::new();
        for path in paths.filter(|path| folders.iter().any(|folder| path.starts_with(folder))) {
            let text = Embedded::get(&path).unwrap_or_default();
            let file = SourceFile {
                text: String::from_utf8_lossy(&text).into_owned(),
                path,
            };
            if let Ok(node) = parse(&Arc::new(file)) {
                taken_in(&node, &mut needed);
            }
        }
        open.extend(needed.difference(&names).cloned());
        names.extend(needed);
    }
    names
}

/// The roles that tasks or dependencies name.
fn taken_in(node: &Node, found: &mut BTreeSet<String>) {
    for item in node.items().into_iter().flatten() {
        taken_in(item, found);
    }
    for (key, value) in node.entries() {
        let role = key
            .as_str()
            .is_some_and(|key| key.ends_with("include_role") || key.ends_with("import_role"));
        if role && let Some(name) = value.get("name").and_then(Node::as_str) {
            found.insert(name.to_owned());
        } else {
            taken_in(value, found);
        }
    }
}

/// Whether anybody may write to a folder.
fn open_to_all(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o002 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(&Arc::new(SourceFile {
            path: "ansible.cfg".to_owned(),
            text: text.to_owned(),
        }))
    }

    #[test]
    fn a_playbook_of_ones_own_gets_what_is_named() {
        let roles =
            |names: &[&str]| Served::Roles(names.iter().map(|name| (*name).to_owned()).collect());
        for (text, served) in [
            ("", roles(&[])),
            ("[defaults]\nembedded_roles = all\n", roles(&[])),
            ("[hactl]\nembedded_roles =\n", roles(&[])),
            ("[hactl]\n# embedded_roles = all\n", roles(&[])),
            (
                "[hactl]\nembedded_roles = all ; the whole stack\n",
                Served::All,
            ),
            (
                "[hactl]\nembedded_roles: haproxy, keepalived\n",
                roles(&["haproxy", "keepalived"]),
            ),
            // What a role takes in comes with it.
            (
                "[hactl]\nembedded_roles = sshd\n",
                roles(&["firewall", "guarded", "netplan", "sshd"]),
            ),
        ] {
            assert_eq!(config(text).served().expect(text), served, "{text}");
        }
        let error = config("[hactl]\nembedded_roles = haprxy\n")
            .served()
            .expect_err("no such role");
        assert_eq!(error.help.as_deref(), Some("did you mean `haproxy`?"));
    }

    #[test]
    fn folders_of_roles_are_those_of_the_file_or_those_of_ansible() {
        let named = config("[defaults]\nroles_path = roles:/srv/roles: ../shared\n");
        assert_eq!(named.role_folders(), ["roles", "/srv/roles", "../shared"]);
        let common = config("").role_folders();
        assert_eq!(
            common[1..],
            ["/usr/share/ansible/roles", "/etc/ansible/roles"]
        );
    }

    #[test]
    fn what_hactl_does_not_know_is_an_error_and_a_folder_open_to_all_is_not_trusted() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("ansible.cfg");
        std::fs::write(&path, "[hactl]\nroles = all\n").expect("written");
        let read = || Config::read(dir.path()).expect("read");
        let error = read().known().expect_err("unknown");
        assert_eq!(error.message, "`[hactl]` has no setting `roles`");
        let all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(dir.path(), all).expect("mode");
        assert!(read().settings.is_empty());
    }
}
