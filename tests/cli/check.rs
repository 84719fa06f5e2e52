//! `hactl check`: all mistakes at once, the rules, and the forms for machines.

use crate::sandbox::Sandbox;

const HOSTS: &str = "\
all:
  children:
    keepalived:
      hosts:
        lb1: {ansible_host: 192.0.2.11, keepalived_priority: 100}
        lb2: {ansible_host: 192.0.2.11, keepalived_priority: 100}
    postgresql:
      hosts:
        db1: {ansible_host: 192.0.2.31}
  vars:
    keepalived_vip: 198.51.100.10/24
    keepalived_router_id: 300
    keepalived_auth_pass: too-long-for-vrrp
    postgresql_wal_keep_size: 64
    postgresql_initial_primary: db9
";

const SITE: &str = "\
- hosts: keepalived
  tasks:
    - name: Say something
      ansible.builtin.debug:
        msg: hello
- hosts: postgresql
";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("inventories/own/hosts.yml", HOSTS);
    sandbox.file("site.yml", SITE);
    sandbox
}

#[test]
fn weaknesses_are_found() {
    let mut sandbox = project();
    sandbox.hactl("check -i own");
    sandbox.compare("check_weaknesses");
}

#[test]
fn mistakes_of_playbook_and_inventory_come_together() {
    let mut sandbox = project();
    sandbox.file(
        "site.yml",
        "- hosts: all\n  tasks:\n    - copi: {src: a, dest: /b}\n    - template: {src: none.j2, dst: /b}\n      wen: true\n",
    );
    sandbox.file("group_vars/all.yml", "a: [1\n");
    sandbox.hactl("check -i own");
    sandbox.hactl("check -i own --json");
    sandbox.compare("check_mistakes");
}

/// A role of the binary is none of a project with a playbook of its own, unless the project asks for it.
#[test]
fn hactls_own_roles_come_only_when_they_are_named() {
    let mut sandbox = Sandbox::new();
    sandbox.file("hosts.ini", "web1 ansible_host=192.0.2.10\n");
    sandbox.file(
        "site.yml",
        "- name: Mine\n  hosts: all\n  roles:\n    - sshd\n    - haproxi\n    - haproxy\n",
    );
    // One of the same name in the project is not filled up from the binary.
    sandbox.file(
        "roles/haproxy/tasks/main.yml",
        "- name: Mine\n  ansible.builtin.debug:\n    msg: mine\n",
    );
    sandbox.hactl("check -i hosts.ini");
    sandbox.hactl("deploy --offline --check -i hosts.ini");
    sandbox.file("shared/sshd/tasks/main.yml", "[]\n");
    sandbox.file(
        "site.yml",
        "- name: Mine\n  hosts: all\n  roles: [sshd, haproxy]\n",
    );
    sandbox.file("ansible.cfg", "[defaults]\nroles_path = shared\n");
    sandbox.hactl("deploy --list-tasks -i hosts.ini");
    sandbox.file("ansible.cfg", "[hactl]\nembedded_roles = sshd\n");
    let listed = sandbox.hactl("deploy --list-tasks -i hosts.ini");
    assert!(listed.contains("sshd : Change it"), "{listed}");
    sandbox.file("ansible.cfg", "[hactl]\nembedded_role = sshd\n");
    sandbox.hactl("check -i hosts.ini");
    sandbox.compare("check_own_roles");
}

#[test]
fn a_sound_project_passes() {
    let mut sandbox = project();
    sandbox.file(
        "inventories/own/hosts.yml",
        "keepalived: {hosts: {a: {ansible_host: 192.0.2.1}, b: {ansible_host: 192.0.2.2}}, vars: {keepalived_vip: 192.0.2.9/24, keepalived_router_id: 7, keepalived_auth_pass: '{{ pass }}', pass: 12345678}}\n",
    );
    sandbox.hactl("check -i own --junit findings.xml");
    let junit = sandbox.read("findings.xml");
    assert!(
        junit.contains("name=\"keepalived/vip\"") && !junit.contains("<failure"),
        "{junit}"
    );
    sandbox.compare("check_sound");
}

#[test]
fn warnings_fail_only_when_asked() {
    let mut sandbox = project();
    sandbox.file(
        "inventories/own/hosts.yml",
        "postgresql: {hosts: {db1: {}}}\n",
    );
    sandbox.hactl("check -i own");
    sandbox.hactl("check -i own --strict --json --junit findings.xml");
    assert!(
        sandbox
            .read("findings.xml")
            .contains("<failure message=\"`postgresql` has one host only")
    );
    sandbox.compare("check_strict");
}
