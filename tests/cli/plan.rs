//! Plans without hosts: what is reached, what is not known yet, and texts that Ansible takes although they look odd.

use crate::sandbox::Sandbox;

fn project(site: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("hosts.ini", "web1 ansible_host=192.0.2.10\n");
    sandbox.file("site.yml", site);
    sandbox
}

/// Tasks for other systems, and modules that hactl lacks, are mistakes where a host gets there, and nowhere else.
#[test]
fn what_hactl_cannot_do_is_judged_by_who_gets_there() {
    let mut sandbox = project(
        "- name: Mine
  hosts: all
  roles: [web]
  tasks:
    - name: Red Hat
      ansible.builtin.dnf: {name: httpd}
      when: ansible_facts.os_family == 'RedHat'
    - name: CentOS
      yum: {name: httpd}
      when: ansible_distribution == 'CentOS'
    - name: Container
      community.docker.docker_container: {name: x}
      when: use_docker | default(false) | bool
    - name: By what a command says
      ansible.builtin.command: uname
      register: said
      changed_when: false
    - name: Helm
      helm: {name: x}
      when: said.stdout == 'x'
    - block:
        - ansible.builtin.debug: {msg: x}
      rescue:
        - pkgng: {name: x}
    - name: Unreached source
      ansible.builtin.copy: {src: nowhere, dest: /x, mode: '0644'}
      when: ansible_os_family == 'RedHat'
    - name: Reached source
      ansible.builtin.copy: {src: nowhere-either, dest: /x, mode: '0644'}
      when: ansible_os_family == 'Debian'
    - name: Chosen later
      ansible.builtin.include_tasks: '{{ chosen_later }}.yml'
      when: ansible_kernel is version('99', '>')
",
    );
    sandbox.file(
        "hosts.ini",
        "web1 ansible_host=192.0.2.10\nweb2 ansible_host=192.0.2.11 use_docker=true\n",
    );
    sandbox.file(
        "roles/web/tasks/main.yml",
        "- ansible.builtin.include_vars: '{{ ansible_os_family }}.yml'
- ansible.builtin.include_tasks: '{{ ansible_os_family }}.yml'
- ansible.builtin.set_fact: {way: '{{ family }}'}
- community.general.zypper: {name: x}
  when: way == 'suse'
",
    );
    sandbox.file("roles/web/vars/Debian.yml", "family: debian\n");
    sandbox.file(
        "roles/web/tasks/Debian.yml",
        "- ansible.builtin.debug: {msg: hi}\n",
    );
    sandbox.file("roles/web/tasks/Windows.yml", "- win_feature: {name: x}\n");
    sandbox.hactl("check -i hosts.ini");
    sandbox.hactl("deploy --check --offline -i hosts.ini -l web2");
    // Certain whatever the host is: told before anything is connected to.
    sandbox.file("site.yml", "- hosts: all\n  tasks:\n    - yum: {name: httpd}\n      ignore_errors: true\n    - copi: {}\n");
    sandbox.hactl("deploy -i hosts.ini");
    sandbox.file(
        "site.yml",
        "- hosts: all\n  tasks:\n    - yum: {name: httpd}\n      ignore_errors: true\n",
    );
    sandbox.hactl("deploy -i hosts.ini");
    sandbox.compare("plan_reached");
}

#[test]
fn what_tasks_before_bring_is_known_to_come() {
    let mut sandbox = project(
        "- name: Mine
  hosts: all
  tasks:
    - name: Package
      ansible.builtin.apt: {name: haproxy}
    - name: Its defaults
      ansible.builtin.lineinfile: {path: /etc/default/haproxy, regexp: ^ENABLED, line: ENABLED=1}
    - name: Units
      ansible.builtin.service_facts:
    - name: Off when there
      ansible.builtin.systemd_service: {name: x.service, state: stopped}
      when: \"'x.service' in services\"
    - name: Set under what is not known
      ansible.builtin.set_fact: {later: true}
      when: \"'x.service' in services\"
    - name: Uses it
      ansible.builtin.debug: {msg: '{{ later }}'}
      when: later
    - name: Variables under what is not known
      ansible.builtin.include_vars: more.yml
      when: \"'x.service' in services\"
    - name: Uses them
      ansible.builtin.debug: {msg: '{{ more }}'}
    - name: Tasks under what is not known
      ansible.builtin.include_tasks: inside.yml
      when: \"'x.service' in services\"
    - name: Uses what they set
      ansible.builtin.debug: {msg: '{{ inside }}'}
    - name: Bring it here
      ansible.builtin.fetch: {src: /etc/hostname, dest: brought, flat: true}
    - name: Give it to all
      ansible.builtin.copy: {src: brought, dest: /etc/brought, mode: '0644'}
    - name: Never
      ansible.builtin.copy: {src: nowhere, dest: /etc/never, mode: '0644'}
      when: false
    - name: Python
      ansible.builtin.debug: {msg: 'python{{ ansible_python.version.major }}'}
",
    );
    sandbox.file("vars/more.yml", "more: 1\n");
    sandbox.file("inside.yml", "- ansible.builtin.set_fact: {inside: 1}\n");
    sandbox.hactl("check -i hosts.ini");
    sandbox.hactl("deploy --check --offline --all -i hosts.ini");
    sandbox.compare("plan_known_to_come");
}

#[test]
fn what_ansible_takes_is_taken() {
    let mut sandbox = project(
        "- name: 2024
  hosts: all
  vars_files: [vars.yml]
  vars: {who: world, nope: false}
  tasks:
    - name: On
      ansible.builtin.debug: {msg: \"hello {{ who\u{a0}}}\"}
    - name: Show
      ansible.builtin.debug:
        msg: \"{{ one }} {{ two }} {{ three | length }}\"
    - name: Left of its key
      ansible.builtin.set_fact:
        four: \"{{
      [1, 2, 3] | sum
    }}\"
    - name: Show it
      ansible.builtin.debug: {msg: '{{ four }}{{ 1 if nope }}.'}
    - name: Nothing as text
      ansible.builtin.debug: {msg: \"{{ ('x' if nope) ~ 'y' }} {{ ('x' if nope) | length }} {{ ('x' if nope) is defined }} {{ ['a', 'b' if nope] | join(',') }}\"}
    - name: Nothing as a value
      ansible.builtin.debug: {msg: \"{{ 'x' if nope }}\"}
",
    );
    sandbox.file(
        "vars.yml",
        "one: \"{{\n'a' ~ 'b'\n}}\"\ntwo: [\"{% if true %}\nx{% endif %}\"]\nthree: [\n  1, 2\n]\n",
    );
    sandbox.hactl("deploy --check --offline --all -i hosts.ini");
    sandbox.compare("plan_taken");
}

#[test]
fn what_files_without_a_known_name_and_a_host_bring_is_not_known() {
    let mut sandbox = project(
        "- name: Mine
  hosts: all
  vars: {mine: site}
  tasks:
    - name: Accounts
      ansible.builtin.getent: {database: passwd, key: root}
    - name: 'Of {{ mine }}: {{ getent_passwd.root[4] }}, {{ [mine, \"}}\"] | join }}'
      ansible.builtin.debug: {msg: '{{ getent_passwd.root[4] }}'}
    - name: Which it is the host knows
      ansible.builtin.include_vars: '{{ ansible_facts.distribution }}.yml'
    - name: Uses what it brings
      ansible.builtin.debug: {msg: '{{ brought }}'}
    - name: Only when it is there
      ansible.builtin.debug: {msg: x}
      when: brought is defined
    - name: Has other names at hand
      ansible.builtin.debug: {msg: '{{ mine }} {{ ansible_become_user is defined }}'}
    - name: In a file
      ansible.builtin.copy: {content: '{{ brought }}', dest: /etc/brought, mode: '0644'}
",
    );
    sandbox.file("vars/Debian.yml", "brought: 1\n");
    sandbox.hactl("deploy --check --offline --all -i hosts.ini");
    // Before that file nothing is taken for granted.
    sandbox.file("site.yml", "- hosts: all\n  tasks:\n    - debug: {msg: '{{ brought }}'}\n    - include_vars: '{{ ansible_facts.distribution }}.yml'\n");
    sandbox.hactl("deploy --check --offline --all -i hosts.ini");
    sandbox.compare("plan_brought");
}

/// Where a host gets there all that is wrong is told at once.
#[test]
fn all_that_a_reached_task_cannot_have_is_told() {
    let mut sandbox = project(
        "- name: Mine
  hosts: all
  tasks:
    - name: Reached
      ansible.builtin.lineinfile: {nonsense: 1, folly: 2}
      when: ansible_os_family == 'Debian'
    - name: Misses two
      community.general.ini_file: {option: x, unheard_of: 1}
      when: ansible_os_family == 'Debian'
",
    );
    sandbox.hactl("check -i hosts.ini");
    sandbox.compare("plan_unfit");
}
