//! `hactl vault`.

use crate::sandbox::Sandbox;

/// A sandbox with two passwords, a plain file and an encrypted one.
fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.file("pw", "first test password\n");
    sandbox.file("pw2", "second test password\n");
    sandbox.file("plain.yml", "vault_key: the-plain-value\n");
    sandbox.file("secret.yml", "vault_key: the-plain-value\n");
    sandbox.hactl("vault encrypt --vault-password-file pw secret.yml");
    sandbox
}

#[test]
fn a_file_goes_there_and_back() {
    let mut sandbox = sandbox();
    let encrypted = sandbox.read("secret.yml");
    assert!(
        encrypted.starts_with("$ANSIBLE_VAULT;1.1;AES256\n")
            && !encrypted.contains("the-plain-value")
    );
    sandbox.hactl("vault view --vault-password-file pw secret.yml");
    sandbox.hactl("vault decrypt --vault-password-file pw secret.yml --output -");
    assert_eq!(sandbox.read("secret.yml"), encrypted);
    sandbox.hactl("vault decrypt --vault-password-file pw secret.yml");
    assert_eq!(sandbox.read("secret.yml"), "vault_key: the-plain-value\n");
    sandbox.list(".");
    sandbox.compare("vault-there-and-back");
}

#[test]
fn stdin_is_encrypted_to_stdout() {
    let mut sandbox = sandbox();
    let encrypted = sandbox.hactl_with("vault encrypt --vault-password-file pw -", "piped\n");
    let plain = sandbox.hactl_with("vault decrypt --vault-password-file pw -", &encrypted);
    assert_eq!(plain, "piped\n");
    sandbox.hactl_with(
        "vault encrypt-string --vault-password-file pw --name vault_token",
        "of one line\n",
    );
    sandbox.compare("vault-stdin");
}

#[test]
fn passwords_that_are_wrong_or_missing_say_what_to_do() {
    let mut sandbox = sandbox();
    sandbox.file("empty", "\n");
    sandbox.file("fails", "#!/bin/sh\necho 'agent is locked' >&2\nexit 7\n");
    for arguments in [
        "vault view secret.yml",
        "vault view --vault-password-file pw2 secret.yml",
        "vault view --vault-password-file absent secret.yml",
        "vault view --vault-password-file empty secret.yml",
        "vault view --vault-password-file ./fails secret.yml",
        "vault view --vault-password-file . secret.yml",
        "vault view --ask-vault-pass secret.yml",
    ] {
        sandbox.hactl(arguments);
    }
    assert!(!sandbox.transcript().contains("the-plain-value"));
    assert!(!sandbox.transcript().contains("test password"));
    sandbox.compare("vault-passwords");
}

#[test]
fn a_password_is_found_in_environment_program_and_project() {
    let mut sandbox = sandbox();
    sandbox.file("print", "#!/bin/sh\ncat pw\n");
    sandbox.hactl("vault view --vault-password-file print secret.yml");
    sandbox.file("project/.vault-password", "first test password\n");
    sandbox.hactl("-C project vault view secret.yml");
    sandbox.file(
        "other/ansible.cfg",
        "[defaults]\nvault_password_file = ../pw\n",
    );
    sandbox.hactl("-C other vault view secret.yml");
    sandbox.env("HACTL_VAULT_PASSWORD", "first test password");
    sandbox.hactl("vault view secret.yml");
    sandbox.compare("vault-password-sources");
}

#[test]
fn a_password_file_that_anybody_could_have_put_there_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let mut sandbox = sandbox();
    sandbox.file("shared/.vault-password", "first test password\n");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(sandbox.path().join("shared"), open).expect("mode");
    assert_eq!(sandbox.hactl("-C shared vault view secret.yml"), "");
}

#[test]
fn all_faulty_files_are_named_and_none_is_written() {
    let mut sandbox = sandbox();
    let before = sandbox.read("secret.yml");
    sandbox.file("damaged.yml", "$ANSIBLE_VAULT;1.1;AES256\n3132\n");
    sandbox.file("old.yml", "$ANSIBLE_VAULT;1.0;AES\n3132\n");
    sandbox.hactl("vault decrypt --vault-password-file pw secret.yml absent.yml plain.yml damaged.yml old.yml");
    assert_eq!(sandbox.read("secret.yml"), before);
    sandbox.hactl("vault encrypt --vault-password-file pw plain.yml secret.yml");
    assert_eq!(sandbox.read("plain.yml"), "vault_key: the-plain-value\n");
    sandbox.hactl("vault encrypt --vault-password-file pw --output both plain.yml pw2");
    sandbox.compare("vault-faulty-files");
}

#[test]
fn a_file_is_changed_in_the_editor() {
    let mut sandbox = sandbox();
    let before = sandbox.read("secret.yml");
    sandbox.env("EDITOR", "true");
    sandbox.hactl("vault edit --vault-password-file pw secret.yml");
    sandbox.env("EDITOR", "sh -c 'rm $0; exit 3'");
    sandbox.hactl("vault edit --vault-password-file pw secret.yml");
    sandbox.env("EDITOR", "no-such-editor");
    sandbox.hactl("vault edit --vault-password-file pw secret.yml");
    assert_eq!(sandbox.read("secret.yml"), before);
    // The editor's work folder is in XDG_RUNTIME_DIR, which is the sandbox: the listing shows that nothing is left.
    sandbox.env(
        "EDITOR",
        "sh -c 'stat -c %a $0 $(dirname $0) > modes; sed -i s/plain/edited/ $0'",
    );
    sandbox.hactl("vault edit --vault-password-file pw secret.yml");
    assert_eq!(sandbox.read("modes"), "600\n700\n");
    std::fs::remove_file(sandbox.path().join("modes")).expect("removed");
    sandbox.hactl("vault view --vault-password-file pw secret.yml");
    sandbox.list(".");
    sandbox.compare("vault-edit");
}

#[test]
fn a_new_file_never_replaces_one() {
    let mut sandbox = sandbox();
    sandbox.env("EDITOR", "sh -c 'echo made: here > $0'");
    sandbox.hactl("vault create --vault-password-file pw secret.yml");
    sandbox.hactl("vault create new.yml");
    sandbox.hactl("vault create --vault-password-file pw new.yml");
    sandbox.hactl("vault view --vault-password-file pw new.yml");
    sandbox.compare("vault-create");
}

#[test]
fn the_password_of_a_file_is_changed() {
    let mut sandbox = sandbox();
    sandbox.hactl("vault rekey --vault-password-file pw secret.yml");
    sandbox
        .hactl("vault rekey --vault-password-file pw --new-vault-password-file absent secret.yml");
    sandbox.hactl("vault view --vault-password-file pw secret.yml");
    sandbox.hactl("vault rekey --vault-password-file pw --new-vault-password-file pw2 secret.yml");
    sandbox.hactl("vault view --vault-password-file pw secret.yml");
    sandbox.hactl("vault view --vault-password-file pw2 secret.yml");
    sandbox.compare("vault-rekey");
}
