//! The templates inside the binary that lie beside the playbook: whose they are, and which of them the user's folder has.
//!
//! Only names and places; what is in a template is never read here. Ansible looks into the role's own `templates/` first,
//! then beside the playbook: a file that lies in both would be another one than it looks, so each lies in one place.

use super::{Embedded, Project, Served, is_below};
use crate::source::{Disk, Files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

const FOLDER: &str = "templates";
/// The folders of a role in which tasks are.
const TASKS: [&str; 2] = ["tasks", "handlers"];

/// Templates that lay in a role before: role, name there, name now. A user's file of the old name is read by nothing.
const FORMER: &[(&str, &str, &str)] = &[
    ("common", "chrony.j2", "default/chrony.j2"),
    (
        "common",
        "journald.conf.j2",
        "systemd/journald.conf.d/50-limits.conf.j2",
    ),
    ("firewall", "firewall.nft.j2", "hactl/firewall.nft.j2"),
    (
        "firewall",
        "hactl-firewall.service.j2",
        "systemd/hactl-firewall.service.j2",
    ),
    ("haproxy", "haproxy.cfg.j2", "haproxy/haproxy.cfg.j2"),
    (
        "keepalived",
        "check-haproxy.j2",
        "keepalived/check-haproxy.j2",
    ),
    (
        "keepalived",
        "keepalived.conf.j2",
        "keepalived/keepalived.conf.j2",
    ),
    (
        "keepalived",
        "note-transition.j2",
        "keepalived/note-transition.j2",
    ),
    ("netplan", "01-netcfg.yaml.j2", "netplan/01-netcfg.yaml.j2"),
    ("nfs_server", "nfs.conf.j2", "nfs.conf.d/hactl.conf.j2"),
    (
        "postgresql",
        "cluster.conf.j2",
        "postgresql/conf.d/50-cluster.conf.j2",
    ),
    ("postgresql", "environment.j2", "postgresql/environment.j2"),
    (
        "postgresql",
        "guard.conf.j2",
        "systemd/postgresql@.service.d/50-guard.conf.j2",
    ),
    (
        "postgresql",
        "hactl-observer.service.j2",
        "systemd/hactl-observer.service.j2",
    ),
    (
        "postgresql",
        "pause-watch.service.j2",
        "systemd/postgresql-pause-watch.service.j2",
    ),
    ("postgresql", "pg_ctl.conf.j2", "postgresql/pg_ctl.conf.j2"),
    ("postgresql", "pg_hba.conf.j2", "postgresql/pg_hba.conf.j2"),
    (
        "postgresql",
        "pg_ident.conf.j2",
        "postgresql/pg_ident.conf.j2",
    ),
    (
        "postgresql",
        "postgresql.conf.j2",
        "postgresql/postgresql.conf.j2",
    ),
    ("postgresql", "start.conf.j2", "postgresql/start.conf.j2"),
    (
        "postgresql_backup",
        "pgbackrest.conf.j2",
        "pgbackrest/pgbackrest.conf.j2",
    ),
    (
        "postgresql_backup",
        "pgbackrest.service.j2",
        "systemd/pgbackrest.service.j2",
    ),
    (
        "postgresql_backup",
        "postgresql-backup-full.timer.j2",
        "systemd/postgresql-backup-full.timer.j2",
    ),
    (
        "postgresql_backup",
        "postgresql-backup-incr.timer.j2",
        "systemd/postgresql-backup-incr.timer.j2",
    ),
    (
        "postgresql_backup",
        "postgresql-backup@.service.j2",
        "systemd/postgresql-backup@.service.j2",
    ),
    ("sshd", "sshd.conf.j2", "ssh/sshd_config.d/00-hactl.conf.j2"),
    ("welcome_app", "env.j2", "welcome_app/env.j2"),
    (
        "welcome_app",
        "welcome_app.service.j2",
        "systemd/welcome_app.service.j2",
    ),
];

/// The templates of each role, by their names below `templates/`.
static OF_ROLES: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    let names: Vec<String> = Embedded::paths()
        .iter()
        .filter_map(|path| path.strip_prefix("templates/").map(str::to_owned))
        .collect();
    Embedded::roles()
        .into_iter()
        .map(|role| {
            let folders = TASKS.map(|folder| format!("roles/{role}/{folder}"));
            let paths = Embedded::paths().into_iter();
            let text: String = paths
                .filter(|path| folders.iter().any(|folder| is_below(path, folder)))
                .filter_map(|path| {
                    Some(String::from_utf8_lossy(&Embedded::get(&path)?).into_owned())
                })
                .collect();
            let own = names.iter().filter(|name| names_it(&text, name)).cloned();
            (role, own.collect())
        })
        .collect()
});

/// The text of all files in a folder.
fn text(files: &Project, folder: &Path, into: &mut String) {
    for path in files.list(folder).unwrap_or_default() {
        if files.is_dir(&path) {
            text(files, &path, into);
        } else if let Some(Ok(bytes)) = files.read_bytes(&path) {
            into.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

/// Whether a text names a file, and not another one whose path ends or begins alike.
fn names_it(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || "_-./@".contains(c);
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part))
}

impl Embedded {
    /// The templates beside the playbook that a role uses, by their names below `templates/`.
    pub fn templates_of(role: &str) -> BTreeSet<String> {
        OF_ROLES.get(role).cloned().unwrap_or_default()
    }
}

/// A template of the user's that nothing reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Where it lies.
    pub path: String,
    /// Where it would be read.
    pub now: String,
}

impl Project {
    /// The roles that this project gets from the binary.
    pub fn given(&self) -> Vec<String> {
        match &self.served {
            Served::All => Embedded::roles().into_iter().collect(),
            Served::Roles(names) => names.iter().cloned().collect(),
        }
    }

    /// Whether a template inside the binary, or a folder of some, is of a role that this project gets.
    pub(super) fn gives_template(&self, path: &str) -> bool {
        let given = self.given();
        given
            .iter()
            .filter_map(|role| OF_ROLES.get(role))
            .flatten()
            .any(|name| {
                let full = format!("{FOLDER}/{name}");
                full == path || is_below(&full, path)
            })
    }

    /// The user's files that are read instead of templates inside the binary; `beside` is the folder of the playbook.
    pub fn own_templates(&self, beside: &str) -> Vec<String> {
        let there = |path: &String| Disk.is_file(&self.on_disk(Path::new(path)));
        let mut own = BTreeSet::new();
        for role in self.given() {
            for name in OF_ROLES.get(&role).into_iter().flatten() {
                let beside = beside.trim_end_matches('/');
                let places = [
                    format!("roles/{role}/{FOLDER}/{name}"),
                    format!(
                        "{beside}{}{FOLDER}/{name}",
                        if beside.is_empty() { "" } else { "/" }
                    ),
                    format!("{FOLDER}/{name}"),
                ];
                own.extend(places.into_iter().find(there));
            }
        }
        own.into_iter().collect()
    }

    /// The user's files that lie where a template lay in earlier versions, and that no task of the role names.
    pub fn unread_templates(&self) -> Vec<Unread> {
        let given = self.given();
        let mut unread = Vec::new();
        for (role, old, new) in FORMER {
            let path = format!("roles/{role}/{FOLDER}/{old}");
            if !given.iter().any(|name| name == role)
                || !Disk.is_file(&self.on_disk(Path::new(&path)))
            {
                continue;
            }
            let mut said = String::new();
            for folder in TASKS {
                text(self, &Path::new("roles").join(role).join(folder), &mut said);
            }
            // A name that is put together may be any.
            if !names_it(&said, old) && !said.contains("}}.j2") {
                let now = format!("{FOLDER}/{new}");
                unread.push(Unread { path, now });
            }
        }
        unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = dir.path().join(path);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs_err::write(path, text).expect("written");
        }
        dir
    }

    #[test]
    fn every_template_has_one_role() {
        let all = Embedded::paths().into_iter();
        for path in all.filter(|path| path.starts_with("templates/")) {
            let name = path.trim_start_matches("templates/");
            let roles: Vec<&String> = OF_ROLES
                .iter()
                .filter(|(_, names)| names.contains(name))
                .map(|(role, _)| role)
                .collect();
            assert_eq!(roles.len(), 1, "{path} is used by {roles:?}");
        }
        let exports = BTreeSet::from(["exports.j2", "nfs.conf.d/hactl.conf.j2"].map(str::to_owned));
        assert_eq!(Embedded::templates_of("nfs_server"), exports);
        assert!(Embedded::templates_of("nfs_client").is_empty());
    }

    #[test]
    fn what_was_moved_lies_in_its_new_place_only() {
        for (role, old, new) in FORMER {
            assert!(Embedded::templates_of(role).contains(*new), "{new}");
            assert!(Embedded::get(&format!("roles/{role}/templates/{old}")).is_none());
            assert!(Embedded::get(&format!("roles/{role}/templates/{new}")).is_none());
        }
    }

    #[test]
    fn a_project_of_its_own_sees_the_templates_of_the_roles_that_it_names() {
        let dir = tempfile::tempdir().expect("a folder");
        let project = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Project::new(dir.path()).serving(Served::Roles(names))
        };
        let (haproxy, exports) = (
            Path::new("templates/haproxy/haproxy.cfg.j2"),
            Path::new("templates/exports.j2"),
        );
        let one = project(&["haproxy"]);
        assert!(one.is_file(haproxy) && !one.is_file(exports));
        assert_eq!(
            one.list(Path::new("templates")),
            Some(vec![PathBuf::from("templates/haproxy")])
        );
        assert!(!project(&[]).is_dir(Path::new("templates")));
        assert!(Project::new(dir.path()).is_file(exports));
    }

    #[test]
    fn templates_of_the_user_are_known_where_they_are_read() {
        let dir = folder(&[
            ("templates/exports.j2", ""),
            ("templates/haproxy/haproxy.cfg.j2", ""),
            ("plays/templates/haproxy/haproxy.cfg.j2", ""),
            (
                "roles/sshd/templates/ssh/sshd_config.d/00-hactl.conf.j2",
                "",
            ),
            ("templates/mine.j2", ""),
        ]);
        let project = Project::new(dir.path());
        let own = |beside| project.own_templates(beside).join(" ");
        let sshd = "roles/sshd/templates/ssh/sshd_config.d/00-hactl.conf.j2 templates/exports.j2";
        assert_eq!(own(""), format!("{sshd} templates/haproxy/haproxy.cfg.j2"));
        assert_eq!(
            own("plays"),
            format!("plays/templates/haproxy/haproxy.cfg.j2 {sshd}")
        );
        let none = Project::new(dir.path()).serving(Served::Roles(BTreeSet::new()));
        assert!(none.own_templates("").is_empty());
    }

    #[test]
    fn a_template_in_its_former_place_is_unread_unless_a_task_of_the_user_names_it() {
        let dir = folder(&[
            ("roles/haproxy/templates/haproxy.cfg.j2", ""),
            ("roles/nfs_server/templates/exports.j2", ""),
            ("roles/sshd/templates/sshd.conf.j2", ""),
            (
                "roles/sshd/tasks/write.yml",
                "- template: {src: sshd.conf.j2}",
            ),
            ("roles/keepalived/templates/check-haproxy.j2", ""),
            (
                "roles/keepalived/tasks/main.yml",
                "- template: {src: '{{ item }}.j2'}",
            ),
        ]);
        let unread = Project::new(dir.path()).unread_templates();
        let haproxy = Unread {
            path: "roles/haproxy/templates/haproxy.cfg.j2".to_owned(),
            now: "templates/haproxy/haproxy.cfg.j2".to_owned(),
        };
        assert_eq!(unread, [haproxy]);
        let none = Project::new(dir.path()).serving(Served::Roles(BTreeSet::new()));
        assert!(
            none.unread_templates().is_empty(),
            "its roles are all its own"
        );
    }
}
