//! `hactl inventory`: what is shown of hosts, groups and variables, and where an inventory is looked for.

use crate::sandbox::Sandbox;

const HOSTS: &str = "\
all:
  children:
    lb:
      hosts:
        lb[1:2]:
    sql:
      vars:
        port: 5432
      hosts:
        sql1: {ansible_host: 192.0.2.1}
        sql2:
          port: 6432
          password: !vault |
            $ANSIBLE_VAULT;1.1;AES256
            3031
";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("inventories/small/hosts.yml", HOSTS);
    sandbox.file(
        "inventories/small/group_vars/all.yml",
        "dns: [192.0.2.53]\nport: 1\n",
    );
    sandbox.file("group_vars/sql.yml", "template: \"{{ port }}\"\n");
    sandbox
}

#[test]
fn hosts_groups_and_variables_are_shown() {
    let mut sandbox = project();
    for arguments in [
        "inventory hosts",
        "inventory hosts 'all:!lb' --json",
        "inventory hosts sql -l sql2",
        "inventory graph",
        "inventory graph sql --vars",
        "inventory host sql2",
        "inventory host sql2 --yaml",
        "inventory list --limit lb1",
        "inventory list --yaml --limit sql",
        "inventory origin sql2",
        "inventory origin sql2 port",
        "inventory origin sql2 port --json",
    ] {
        sandbox.hactl(arguments);
    }
    sandbox.compare("inventory");
}

#[test]
fn an_inventory_is_found_by_path_by_name_and_alone() {
    let mut sandbox = project();
    sandbox.file("elsewhere/hosts.ini", "[web]\nweb1\n");
    for arguments in [
        "-i inventories/small inventory hosts lb",
        "-i small inventory hosts lb",
        "-i pg-ha inventory hosts haproxy",
        "-i elsewhere/hosts.ini inventory hosts",
        "-i web1,web2:2222, inventory hosts",
        "-i elsewhere,small inventory hosts",
        "-i elsewhere,smal inventory hosts",
        "-i elsewhere -i small inventory hosts",
        "-C elsewhere -i elsewhere/hosts.ini inventory hosts",
        "-C elsewhere -i hosts.ini inventory hosts",
        "-C elsewhere inventory hosts",
    ] {
        sandbox.hactl(arguments);
    }
    sandbox.compare("inventory-sources");
}

#[test]
fn mistakes_in_an_inventory_are_shown_all_at_once() {
    let mut sandbox = project();
    sandbox.file(
        "bad/hosts.yml",
        "web:\n  hosts:\n    - web1\n  child: {}\nsql:\n  vars: {a-b: 1}\n",
    );
    sandbox.file(
        "bad/more.ini",
        "[x:children]\nweb\nnosuch\n\n[web]\nweb1 a\n",
    );
    for arguments in [
        "-i bad inventory list",
        "-i nosuch inventory list",
        "inventory hosts sqll",
        "inventory host lb",
        "inventory graph nosuch",
        "inventory origin sql1 prot",
    ] {
        sandbox.hactl(arguments);
    }
    sandbox.compare("inventory-mistakes");
}
