//! Commands that talk to many hosts: here to this machine, and to one that cannot be reached.

use crate::sandbox::Sandbox;

const HOSTS: &str = "[here]\nnear ansible_connection=local ansible_become=false\n\n[there]\n\
                     far ansible_host=192.0.2.7 ansible_port=2222 ansible_user=ops ansible_ssh_common_args='-o ProxyCommand=false'\n";

#[test]
fn a_command_runs_on_many_hosts() {
    let mut sandbox = Sandbox::new();
    sandbox.file("hosts", HOSTS);
    for arguments in [
        r#"-i hosts run near -- 'echo one; printf "two\033[31m\n"; echo three >&2'"#,
        "-i hosts run near -- sh -c 'exit 4'",
        "-i hosts run near --timeout 1 -- 'exec sleep 20'",
        "-i hosts run nobody -- true",
        "-i hosts run near",
        "-i hosts ssh far --print -- uptime -p",
        "-i hosts ssh all",
    ] {
        sandbox.hactl(arguments);
    }
    sandbox.compare("run");
}

#[test]
fn a_host_that_cannot_be_reached_has_its_own_exit_code() {
    let mut sandbox = Sandbox::new();
    sandbox.file("hosts", HOSTS);
    for (arguments, code) in [
        ("-i hosts run -- true", 5),
        ("-i hosts run -- false", 3),
        ("-i hosts facts far", 5),
        ("-i hosts --json verify --only common.reached", 5),
    ] {
        sandbox.hactl(arguments);
        assert!(
            sandbox.transcript().ends_with(&format!("exit {code}\n\n")),
            "{}",
            sandbox.transcript()
        );
        assert!(
            sandbox
                .transcript()
                .contains("cannot connect to ops@192.0.2.7 port 2222"),
            "{}",
            sandbox.transcript()
        );
    }
}

#[test]
fn documents_are_json() {
    let mut sandbox = Sandbox::new();
    sandbox.file("hosts", HOSTS);
    let mut read = |arguments: &str| -> serde_json::Value {
        serde_json::from_str(&sandbox.hactl(arguments)).expect("json")
    };
    let run = read("-i hosts --json run -- 'echo out; exit 3'");
    assert_eq!(run["schema"], "hactl.command/1");
    assert_eq!(
        (
            &run["hosts"]["near"]["exit_code"],
            &run["hosts"]["near"]["stdout"]
        ),
        (&3.into(), &"out\n".into())
    );
    assert!(run["hosts"]["far"]["unreachable"].is_string());
    let facts = read("-i hosts facts");
    assert_eq!(facts["hosts"]["near"]["system"], "Linux");
    assert!(facts["missing"]["far"].is_string());
}

#[test]
fn verify_says_what_it_checks() {
    let mut sandbox = Sandbox::new();
    sandbox.file("hosts", HOSTS);
    for arguments in [
        "verify --list",
        "verify --list --only haproxy",
        "verify --only haproxy.server",
        "verify --only nginx",
        "-i hosts -l near verify",
    ] {
        sandbox.hactl(arguments);
    }
    sandbox.compare("verify");
}
