//! The inventory against what `ansible-inventory` prints for the same files, and its errors.

use super::{Inventory, Level};
use crate::base::{Diagnostic, Result};
use crate::source::{Disk, Files, SourceFile, parse, to_yaml};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/inventory")
}

fn no_vault(_: &str) -> Result<Vec<u8>> {
    Err(Diagnostic::new("no password"))
}

/// Files in memory.
#[derive(Default)]
struct Memory(BTreeMap<PathBuf, String>);

impl Memory {
    fn of(files: &[(&str, &str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
                .collect(),
        )
    }
}

impl Files for Memory {
    fn read_bytes(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        self.0.get(path).map(|text| Ok(text.clone().into_bytes()))
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.0
            .keys()
            .any(|file| file != path && file.starts_with(path))
    }

    fn list(&self, dir: &Path) -> Option<Vec<PathBuf>> {
        let inside = self
            .0
            .keys()
            .filter_map(|file| file.strip_prefix(dir).ok()?.components().next());
        let mut found: Vec<PathBuf> = inside.map(|first| dir.join(first)).collect();
        found.dedup();
        (!found.is_empty()).then_some(found)
    }
}

fn load_case(case: &Path) -> Inventory {
    let sources = fs_err::read_to_string(case.join("sources")).expect("sources");
    let sources: Vec<PathBuf> = sources
        .lines()
        .map(|line| {
            if line.contains(',') {
                line.into()
            } else {
                case.join(line)
            }
        })
        .collect();
    Inventory::load(&Disk, &sources, &case.join("play"), &no_vault).expect("an inventory")
}

fn cases() -> Vec<PathBuf> {
    let cases = Disk.list(&data()).expect("cases");
    assert!(cases.len() >= 4, "the cases are there");
    cases
}

#[test]
fn inventories_are_what_ansible_makes_of_them() {
    for case in cases() {
        let inventory = load_case(&case);
        let expected = fs_err::read_to_string(case.join("expected.json")).expect("json");
        let expected: Value = serde_json::from_str(&expected).expect("json");
        let found = inventory.to_ansible_json(None);
        for (section, lists) in expected.as_object().expect("an object") {
            assert_eq!(&found[section], lists, "{}: {section}", case.display());
        }
        assert_eq!(found, expected, "{}", case.display());
    }
}

#[test]
fn trees_are_drawn_as_ansible_draws_them() {
    for case in cases() {
        let inventory = load_case(&case);
        for (name, with_vars) in [("expected.graph", false), ("expected.vars.graph", true)] {
            // One case has a vaulted value, which Ansible can only draw with its password.
            let Ok(expected) = fs_err::read_to_string(case.join(name)) else {
                assert!(with_vars && case.ends_with("tree"));
                continue;
            };
            let found = inventory.graph("all", with_vars).expect("all");
            assert_eq!(found, expected, "{}", case.display());
        }
        assert_eq!(inventory.graph("nosuch", false), None);
    }
}

#[test]
fn the_yaml_form_reads_as_that_of_ansible() {
    for case in cases() {
        let expected = fs_err::read_to_string(case.join("expected.yml")).expect("yaml");
        let read = |text: String| {
            let file = Arc::new(SourceFile {
                path: "t.yml".to_owned(),
                text,
            });
            // Ansible drops the tag `!unsafe` here; we keep it.
            let json = super::export::ansible_json(&parse(&file).expect("yaml")).to_string();
            json.replace(
                r#"{"__ansible_unsafe":"{{ no template }}"}"#,
                r#""{{ no template }}""#,
            )
        };
        assert_eq!(
            read(to_yaml(&load_case(&case).to_ansible_yaml(None))),
            read(expected),
            "{}",
            case.display()
        );
    }
}

fn memory(files: &[(&str, &str)]) -> Result<Inventory, Vec<Diagnostic>> {
    Inventory::load(
        &Memory::of(files),
        &[PathBuf::from("inv")],
        Path::new("."),
        &no_vault,
    )
}

fn stack() -> Inventory {
    memory(&[(
        "inv/hosts.yml",
        "all:
  children:
    lb: {hosts: {lb1: , lb2: }}
    app: {hosts: {app1: , app2: , app3: }}
    db: {hosts: {db1: , db2: , 10.0.0.9: }}
    site1: {hosts: {lb1: , app1: , db1: }}
    apps_of_old: {}
",
    )])
    .expect("an inventory")
}

#[test]
fn patterns_select_as_in_ansible() {
    let inventory = stack();
    for (pattern, hosts) in [
        ("all", "lb1 lb2 app1 app2 app3 db1 db2 10.0.0.9"),
        ("*", "lb1 lb2 app1 app2 app3 db1 db2 10.0.0.9"),
        ("lb*", "lb1 lb2"),
        ("db1", "db1"),
        ("db:lb", "db1 db2 10.0.0.9 lb1 lb2"),
        ("db,lb", "db1 db2 10.0.0.9 lb1 lb2"),
        (" db , lb1 ", "db1 db2 10.0.0.9 lb1"),
        ("lb:&site1", "lb1"),
        ("all:!db", "lb1 lb2 app1 app2 app3"),
        ("!db", "lb1 lb2 app1 app2 app3"),
        ("!db1,all,&site1", "lb1 app1"),
        ("~(lb|db)[0-9]", "lb1 lb2 db1 db2"),
        ("~b", ""),
        ("app[0]", "app1"),
        ("app[-1]", "app3"),
        ("app[1:2]", "app2 app3"),
        ("app[1:]", "app2 app3"),
        ("app[5:9]", ""),
        ("app?", "app1 app2 app3"),
        ("[ad]*1", "app1 db1"),
        ("10.0.0.9", "10.0.0.9"),
        ("10.0.*", "10.0.0.9"),
        ("apps_of_old", ""),
        ("localhost", "localhost"),
        ("ungrouped", ""),
    ] {
        assert_eq!(
            inventory.matching(pattern).expect(pattern).join(" "),
            hosts,
            "{pattern}"
        );
    }
    assert_eq!(
        inventory
            .select_limited("db", Some("site1"))
            .expect("hosts"),
        ["db1"]
    );
    assert_eq!(inventory.matching("nosuch:db1").expect("hosts"), ["db1"]);
    for (pattern, message, help) in [
        ("appp", "`appp` matches no host", "did you mean `app`?"),
        ("all:!db3", "`db3` matches no host", "did you mean `db"),
        (
            "app[9]",
            "`app[9]` is beyond the 3 hosts",
            "the first is `[0]`",
        ),
        ("~(", "`~(` is not a host pattern", ""),
        (
            "zzzzzz",
            "`zzzzzz` matches no host",
            "known are: all, ungrouped, lb",
        ),
        (
            "all,!",
            "a `!` or `&` in a host pattern must be followed",
            "",
        ),
    ] {
        let error = inventory.select(pattern).expect_err(pattern);
        assert!(error.message.starts_with(message), "{pattern}: {error}");
        assert!(
            error.help.unwrap_or_default().starts_with(help),
            "{pattern}"
        );
    }
}

#[test]
fn variables_know_where_they_come_from() {
    let inventory = load_case(&data().join("tree"));
    let origins = inventory.origins("dba", Some("port"));
    let levels: Vec<(&Level, bool)> = origins
        .iter()
        .map(|(_, _, origin, hidden)| (&origin.level, *hidden))
        .collect();
    assert_eq!(
        levels,
        [
            (&Level::GroupVars("db".to_owned()), true),
            (&Level::HostVars, true),
            (&Level::PlaybookHostVars, false)
        ]
    );
    let vars = inventory.variables("dba");
    let (_, _, origin) = vars
        .iter()
        .find(|(name, ..)| name == "winner")
        .expect("winner");
    assert!(
        origin
            .to_string()
            .ends_with("tree/group_vars/db.yml:2 (inventory group_vars, db)"),
        "{origin}"
    );
    assert_eq!(
        inventory.host_groups("dba"),
        ["alpha", "db", "heavy", "omega", "site2"]
    );
    let magic = inventory.magic("web01.example.org");
    assert_eq!(magic["inventory_hostname_short"], "web01");
    assert_eq!(
        magic["groups"]["db"],
        serde_json::json!(["dba", "dbb", "web02.example.org"])
    );
    let local: Vec<String> = inventory
        .variables("localhost")
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert!(
        local.contains(&"ansible_connection".to_owned()) && local.contains(&"from".to_owned()),
        "{local:?}"
    );
    assert!(inventory.variables("nosuch").is_empty());
}

#[test]
fn all_errors_are_found_and_named() {
    for (name, text, expected) in [
        (
            "a.yml",
            "web:\n  hosts:\n    - w1\n",
            "3:5 `hosts` of the group `web` must be a mapping, not a list",
        ),
        (
            "a.yml",
            "web:\n  host: {w1: }\n",
            "2:3 the group `web` has the unknown key `host`",
        ),
        (
            "a.yml",
            "web: [w1]\n",
            "1:6 the group `web` must be a mapping, not a list",
        ),
        (
            "a.yml",
            "- web\n",
            "1:1 an inventory is a mapping of groups, not a list",
        ),
        (
            "a.yml",
            "plugin: x\n",
            "1:9 this configures an inventory plugin",
        ),
        ("a.yml", "", "1:1 the inventory is empty"),
        (
            "a.yml",
            "a: {children: {b: {children: {a: }}}}\n",
            "1:16 the group `b` cannot be under `a`: that is a cycle",
        ),
        (
            "a.yml",
            "a: {hosts: {12: }}\n",
            "1:13 the name of a host must be text, not an integer",
        ),
        (
            "a.yml",
            "a: {hosts: {w1: yes}}\n",
            "1:17 the host `w1` holds variables: a mapping, not a boolean",
        ),
        (
            "a.yml",
            "a: {hosts: {'w[3:1]': }}\n",
            "1:13 in the host range `w[3:1]`, the first comes after",
        ),
        (
            "a.yml",
            "a: {vars: {x-y: 1}}\n",
            "1:12 `x-y` cannot be the name of a variable",
        ),
        (
            "a.yml",
            "a: {vars: {ansible_group_priority: x}}\n",
            "1:36 `ansible_group_priority` is an integer, not text",
        ),
        (
            "a.ini",
            "[web:child]\n",
            "1:1 the section `[web:child]` is of an unknown kind",
        ),
        ("a.ini", "[we b]\n", "1:1 `[we b]` is not a section"),
        (
            "a.ini",
            "[a:vars]\nx=1\n",
            "1:1 the group `a` in a `:vars` section is declared nowhere",
        ),
        (
            "a.ini",
            "[a:children]\nb\n",
            "2:1 the group `b` in a `:children` section is declared nowhere",
        ),
        (
            "a.ini",
            "[a:children]\nb\n[b:children]\na\n",
            "4:1 the group `a` cannot be under `b`: that is a cycle",
        ),
        ("a.ini", "[a]\nw1 x\n", "2:4 `x` is not `name=value`"),
        ("a.ini", "[a]\nw1 x='y\n", "2:1 a quote is not closed"),
        (
            "a.ini",
            "[a]\nw1 p=ab#c\n",
            "2:1 a `#` inside a value begins a comment",
        ),
        (
            "a.ini",
            "all:\n",
            "1:1 this looks like YAML in an INI inventory",
        ),
        ("a.toml", "x\n", "`inv/a.toml` is TOML"),
        ("script", "#!/bin/sh\n", "`inv/script` is a program"),
        (
            "group_vars/all.yml",
            "- a\n",
            "1:1 a file of variables is a mapping, not a list",
        ),
        (
            "group_vars/all.yml",
            "a: 1\na: 2\n",
            "2:1 the key `a` is set twice",
        ),
        (
            "group_vars/all.yml",
            "$ANSIBLE_VAULT;1.1;AES256\n",
            "1:1 no password",
        ),
    ] {
        let path = format!("inv/{name}");
        let errors = memory(&[(&path, text), ("inv/z.ini", "[z]\n")]).expect_err(text);
        let found = errors.iter().map(|error| {
            let at = error
                .at
                .as_ref()
                .map(|at| format!("{}:{} ", at.line, at.column))
                .unwrap_or_default();
            format!("{at}{}", error.message)
        });
        let found: Vec<String> = found.collect();
        assert!(
            found.len() == 1 && found.iter().all(|line| line.starts_with(expected)),
            "{text:?}: {found:#?}"
        );
    }
    let both =
        memory(&[("inv/a.yml", "a: 1\nb: 2\n"), ("inv/b.yml", "c: 3\n")]).expect_err("three");
    assert_eq!(both.len(), 3);
    let twice = memory(&[
        ("inv/h.ini", "h"),
        ("inv/group_vars/all.yml", "a: 1"),
        ("inv/group_vars/all/x.yml", "b: 1"),
    ]);
    assert!(
        twice
            .expect_err("both")
            .iter()
            .any(|error| error.message.starts_with("both `inv/group_vars/all`"))
    );
    let missing = Inventory::load(
        &Memory::default(),
        &[PathBuf::from("nosuch")],
        Path::new("."),
        &no_vault,
    );
    assert_eq!(
        missing.expect_err("missing")[0].message,
        "there is no inventory `nosuch`"
    );
}

#[test]
fn vaulted_files_are_decrypted_and_their_lines_never_shown() {
    let files = Memory::of(&[
        ("inv/h.ini", "h\n"),
        (
            "inv/group_vars/all/vault.yml",
            "$ANSIBLE_VAULT;1.1;AES256\n3031\n",
        ),
        ("inv/group_vars/all/secrets.schema.yml", "- not read\n"),
    ]);
    let load = |clear: &'static str| {
        let decrypt = move |_: &str| Ok(clear.as_bytes().to_vec());
        Inventory::load(&files, &[PathBuf::from("inv")], Path::new("."), &decrypt)
    };
    let inventory = load("vault_pass: correct-horse-battery\n").expect("decrypted");
    let vars = inventory.variables("h");
    assert_eq!(vars[0].1.as_str(), Some("correct-horse-battery"));
    assert_eq!(vars[0].1.span.line_text(), "");
    assert_eq!(
        crate::base::mask::mask("x correct-horse-battery y"),
        "x ******** y"
    );
    let errors = load("vault_pass: a: b\n").expect_err("wrong");
    let at = errors[0].at.as_ref().expect("a place");
    assert_eq!((at.line, at.line_text()), (1, ""));
}

#[test]
fn what_is_no_host_does_not_pass_as_one() {
    for (file, text, message) in [
        (
            "hosts.ini",
            "[web]\na\n[prod]\nweb\n",
            "`web` is a group, and stands here as a host",
        ),
        (
            "hosts.yml",
            "web: {hosts: {a: {}}}\nprod: {hosts: {web: {}}}\n",
            "`web` is a group, and stands here as a host",
        ),
        (
            "hosts.yml",
            "web: {hosts: {a b: {}}}\n",
            "`a b` is not the name of one host",
        ),
        ("hosts.ini", "a,b\n", "`a,b` is not the name of one host"),
        ("hosts.ini", "a b\n", "`b` is not `name=value`"),
    ] {
        let files = Memory::of(&[(file, text)]);
        let errors = Inventory::load(&files, &[PathBuf::from(file)], Path::new(""), &no_vault)
            .expect_err(text);
        assert_eq!(errors[0].message, message, "{text}");
        assert!(errors[0].at.is_some(), "{text}");
    }
    // A group of one host that has its name is none of these.
    let files = Memory::of(&[("hosts.ini", "[db]\ndb\n")]);
    assert!(
        Inventory::load(
            &files,
            &[PathBuf::from("hosts.ini")],
            Path::new(""),
            &no_vault
        )
        .is_ok()
    );
}
