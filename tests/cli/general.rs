//! The command line itself.

use crate::sandbox::Sandbox;

#[test]
fn a_mistyped_command_or_flag_is_named_with_the_right_one() {
    let mut sandbox = Sandbox::new();
    for arguments in [
        "valut view x",
        "vault veiw x",
        "vault view --vault-pasword-file p x",
        "vault view",
        "init pg-ha",
    ] {
        sandbox.hactl(arguments);
    }
    sandbox.compare("mistyped");
}

#[test]
fn a_secret_is_not_taken_from_the_command_line() {
    let mut sandbox = Sandbox::new();
    sandbox.file("pw", "test password");
    sandbox.hactl("vault encrypt-string --vault-password-file pw 'a value'");
    sandbox.compare("encrypt-string-argument");
}
