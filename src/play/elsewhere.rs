//! The modules that Ansible knows and hactl lacks: of which collection each is, and what to use instead.
//!
//! A task of one is no mistake by itself, for roles hold tasks for systems that no host of the run has: only a host
//! that reaches it makes it one (`engine::survey`). A name that nobody knows is a mistake wherever it stands.

use crate::base::Diagnostic;

/// What stands for the module of such a task.
pub const UNSUPPORTED: &str = "unsupported";

/// One collection a line, with the short names that lead to it.
const TABLE: &str = include_str!("elsewhere/modules.txt");

/// What to use in place of modules; the first line that fits a name or a collection holds.
pub(super) const INSTEAD: &[(&[&str], &str)] = &[
    (
        &[
            "yum",
            "dnf",
            "dnf5",
            "zypper",
            "pacman",
            "apk",
            "pkgng",
            "pkg5",
            "portage",
            "openbsd_pkg",
            "homebrew",
            "homebrew_cask",
            "homebrew_tap",
            "macports",
            "opkg",
            "rhsm_repository",
            "redhat_subscription",
            "swdepot",
        ],
        "hosts of hactl have apt: use `apt`, or `package`; keep tasks for other systems behind `when`",
    ),
    (
        &[
            "yum_repository",
            "rpm_key",
            "zypper_repository",
            "copr",
            "apt_key",
            "apt_rpm",
        ],
        "use `deb822_repository` or `apt_repository`, which take the key as well; keep tasks for other systems behind `when`",
    ),
    (
        &["firewalld", "firewalld_info", "iptables", "nftables"],
        "use `ufw`, or a file of rules with `template` and `validate`",
    ),
    (
        &[
            "seboolean",
            "selinux",
            "sefcontext",
            "seport",
            "selinux_permissive",
            "selogin",
        ],
        "Debian and Ubuntu have no SELinux by default: keep the task behind `when: ansible_selinux.status is defined`",
    ),
    (
        &[
            "ansible.windows",
            "community.windows",
            "microsoft.ad",
            "chocolatey.chocolatey",
        ],
        "hactl works on Debian and Ubuntu only: keep tasks for Windows behind `when`",
    ),
    (
        &["community.docker", "containers.podman"],
        "use `command: docker …` with `creates` or `changed_when`, or a unit of systemd that runs the container",
    ),
    (
        &["kubernetes.core", "helm", "helm_info", "helm_repository"],
        "use `command: kubectl …` or `command: helm …` with `changed_when`",
    ),
    (
        &["community.mysql"],
        "use `command: mysql …` with `changed_when`",
    ),
    (&["git"], "use `command: git clone …` with `creates`"),
    (&["subversion", "hg"], "use `command` with `creates`"),
    (
        &["pip"],
        "install the Debian package, or use `command: pip install …` with `changed_when`",
    ),
    (
        &["reboot"],
        "use `command: systemctl reboot`, then `wait_for_connection`",
    ),
    (
        &["sysvinit", "runit", "openrc", "supervisorctl"],
        "use `service` or `systemd_service`",
    ),
    (
        &["synchronize"],
        "use `copy`, `unarchive`, or `command: rsync …` with `delegate_to`",
    ),
    (&["set_stats"], "use `register` and `set_fact`"),
    (&["expect"], "use `command` with `stdin`"),
];

/// The whole name of a module that hactl lacks; none when nobody knows the name. Only for names that hactl does not have.
pub fn full_name(name: &str) -> Option<String> {
    let short = name
        .strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .unwrap_or(name);
    if short.contains('.') {
        // A collection of whose modules there is no list: whoever writes it in full means it.
        let parts: Vec<&str> = short.split('.').collect();
        let words = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        return (parts.len() >= 3 && parts.iter().all(words)).then(|| short.to_owned());
    }
    if short.starts_with("win_") {
        return Some(format!("ansible.windows.{short}"));
    }
    TABLE.lines().find_map(|line| {
        let (collection, names) = line.split_once(' ')?;
        names
            .split(' ')
            .any(|known| known == short)
            .then(|| format!("{collection}.{short}"))
    })
}

/// What is wrong with reaching a task of such a module.
pub fn lack(name: &str) -> Option<Diagnostic> {
    let full = full_name(name)?;
    let (collection, short) = full.rsplit_once('.')?;
    let instead = INSTEAD
        .iter()
        .find(|(names, _)| names.contains(&short) || names.contains(&collection))
        .map_or(
            "use `command` or `shell` with `creates` or `changed_when`, or keep the task behind `when`",
            |(_, instead)| instead,
        );
    let error = Diagnostic::new(format!("hactl does not have the module `{name}`"));
    let error = if full == name {
        error.note(format!("it is of the collection {collection}"))
    } else {
        error.note(format!("it is `{full}`, of the collection {collection}"))
    };
    Some(error.help(instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_has_its_collection_and_something_instead() {
        for (name, full, instead) in [
            ("yum", Some("ansible.builtin.yum"), "use `apt`"),
            (
                "ansible.builtin.dnf",
                Some("ansible.builtin.dnf"),
                "use `apt`",
            ),
            ("pkgng", Some("community.general.pkgng"), "use `apt`"),
            ("helm", Some("community.general.helm"), "helm"),
            ("firewalld", Some("ansible.posix.firewalld"), "`ufw`"),
            (
                "win_feature",
                Some("ansible.windows.win_feature"),
                "Windows",
            ),
            (
                "docker_container",
                Some("community.docker.docker_container"),
                "docker",
            ),
            ("my.own.thing", Some("my.own.thing"), "`command`"),
            ("ansible.builtin.copi", None, ""),
            ("copi", None, ""),
            ("a.b", None, ""),
        ] {
            assert_eq!(full_name(name).as_deref(), full, "{name}");
            let said = lack(name).map(|error| error.help.unwrap_or_default());
            assert!(said.unwrap_or_default().contains(instead), "{name}");
        }
    }

    #[test]
    fn what_stands_in_the_table_is_lacking_or_is_found_before() {
        for line in TABLE.lines() {
            let (collection, names) = line.split_once(' ').expect("a collection and its names");
            assert!(collection.contains('.') && !names.is_empty(), "{line}");
        }
    }
}
