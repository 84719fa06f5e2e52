//! `hactl init`.

use crate::sandbox::Sandbox;

const VAULT: &str = "inventories/pg-ha/group_vars/all/vault.yml";

/// The values of a decrypted `vault.yml`.
fn values(plain: &str) -> Vec<&str> {
    plain
        .lines()
        .filter_map(|line| Some(line.split_once(": '")?.1.trim_end_matches('\'')))
        .collect()
}

/// Runs hactl without keeping the output: it shows secrets.
fn plain(sandbox: &Sandbox, folder: &str) -> String {
    let mut other = Sandbox::new();
    other.file("vault.yml", &sandbox.read(&format!("{folder}/{VAULT}")));
    other.file(
        ".vault-password",
        &sandbox.read(&format!("{folder}/.vault-password")),
    );
    other.hactl("vault view vault.yml")
}

#[test]
fn a_new_project_has_secrets_of_its_own() {
    let mut sandbox = Sandbox::new();
    sandbox.hactl("init pg-ha demo");
    sandbox.compare("init");
    sandbox.list("demo");
    for private in [VAULT, ".vault-password"] {
        assert!(
            sandbox
                .transcript()
                .contains(&format!("\n0600 demo/{private}\n")),
            "{private}"
        );
    }
    assert!(
        !sandbox.transcript().contains("secrets.schema.yml"),
        "Ansible would read it as an inventory"
    );
    assert!(!sandbox.transcript().contains("demo/roles"));

    sandbox.hactl("init pg-ha other --json");
    let (first, second) = (plain(&sandbox, "demo"), plain(&sandbox, "other"));
    assert!(
        values(&first).len() >= 3 && values(&first).len() == values(&second).len(),
        "{first}"
    );
    for value in values(&first) {
        assert!(value.len() >= 8 && !second.contains(value));
        assert!(!sandbox.transcript().contains(value), "a secret was shown");
    }
    for folder in ["demo", "other"] {
        let password = sandbox.read(&format!("{folder}/.vault-password"));
        assert!(
            !sandbox.transcript().contains(password.trim()),
            "the vault password was shown"
        );
    }
}

#[test]
fn a_new_project_is_sound() {
    for stack in ["pg-ha", "pg-nfs"] {
        let mut sandbox = Sandbox::new();
        sandbox.hactl(&format!("init {stack} demo"));
        sandbox.hactl(&format!("-C demo check -i inventories/{stack}"));
        let said = sandbox.transcript();
        // The stack with one load balancer is told so; nothing of it may be taken for a slip of the pen.
        assert!(
            said.contains("\n2> 0 errors, ") && !said.contains("misspelt"),
            "{said}"
        );
    }
}

#[test]
fn files_that_exist_are_never_overwritten() {
    let mut sandbox = Sandbox::new();
    sandbox.hactl("init pg-hb demo");
    sandbox.file("demo/ansible.cfg", "[defaults]\n# mine\n");
    sandbox.file("demo/inventories/pg-ha/hosts.yml", "all:\n");
    sandbox.hactl("init pg-ha demo");
    sandbox.list("demo");
    sandbox.hactl("init pg-ha demo --keep --json");
    assert_eq!(sandbox.read("demo/inventories/pg-ha/hosts.yml"), "all:\n");
    assert_eq!(sandbox.read("demo/ansible.cfg"), "[defaults]\n# mine\n");
    let refused = sandbox
        .transcript()
        .split("$ hactl init pg-ha demo --keep")
        .next()
        .expect("text")
        .to_owned();
    let mut shown = Sandbox::new();
    shown.take(&refused);
    shown.compare("init-refused");
}

#[test]
fn missing_secrets_are_added_and_the_others_kept() {
    let mut sandbox = Sandbox::new();
    sandbox.hactl("init pg-ha demo");
    let all = plain(&sandbox, "demo");
    let (name, value) = all
        .lines()
        .find_map(|line| line.split_once(": "))
        .expect("a secret");
    sandbox.file(
        &format!("demo/{VAULT}"),
        &format!("{name}: {value}\nmine: kept\n"),
    );
    sandbox.hactl(&format!("-C demo vault encrypt demo/{VAULT}"));
    sandbox.hactl("init pg-ha demo");
    let again = plain(&sandbox, "demo");
    assert!(
        again.starts_with(&format!("{name}: {value}\nmine: kept\n")),
        "{again}"
    );
    assert_eq!(values(&again).len(), values(&all).len());
}

#[test]
fn a_given_password_is_used_and_no_other_is_made() {
    let mut sandbox = Sandbox::new();
    sandbox.file("pw", "a given test password");
    sandbox.hactl("init pg-ha demo --vault-password-file pw");
    assert!(!sandbox.path().join("demo/.vault-password").exists());
    assert!(
        sandbox
            .hactl(&format!("vault view --vault-password-file pw demo/{VAULT}"))
            .contains("vault_")
    );
    assert!(
        sandbox
            .read("demo/ansible.cfg")
            .contains("\n# vault_password_file")
    );
}

#[test]
fn an_encrypted_file_without_its_password_stops_before_anything_is_written() {
    let mut sandbox = Sandbox::new();
    sandbox.file("pw", "a given test password");
    sandbox.file(&format!("demo/{VAULT}"), "vault_mine: kept\n");
    sandbox.hactl(&format!(
        "vault encrypt --vault-password-file pw demo/{VAULT}"
    ));
    sandbox.hactl("init pg-ha demo");
    sandbox.list("demo");
    sandbox.compare("init-no-password");
}

#[test]
fn roles_are_written_for_plain_ansible() {
    let mut sandbox = Sandbox::new();
    sandbox.hactl("init pg-ha demo --roles");
    for name in [
        "site.yml",
        "roles",
        "templates/haproxy/haproxy.cfg.j2",
        "inventories/pg-ha/hosts.yml",
        "ansible.cfg",
    ] {
        assert!(sandbox.path().join("demo").join(name).exists(), "{name}");
    }
}
