//! Opens the master and the shell: through ssh, or on this machine.

use super::master::{configuration, short_folder};
use super::shell::Shell;
use super::target::{HostKeys, Target};
use crate::base::{Diagnostic, Result, exit, quote};
use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::timeout;

/// An open connection: the shell that batches go through.
pub struct Connection {
    /// The shell.
    pub shell: Shell,
    /// Seconds that opening it took.
    pub seconds: f64,
}

impl Connection {
    /// Connects and becomes root where the target says so.
    ///
    /// # Errors
    /// Exit code 5 with what ssh said: host down, key refused, host key unknown or changed; 3 when sudo refuses.
    pub async fn open(target: &Target) -> Result<Self> {
        let started = std::time::Instant::now();
        let shell = if target.local {
            local(&target.host, None)?
        } else {
            remote(target).await?
        };
        Ok(Self {
            shell,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// A shell on this machine.
pub(super) fn local(host: &str, directory: Option<&std::path::Path>) -> Result<Shell> {
    let error = |error: std::io::Error| {
        Diagnostic::with_code(exit::UNREACHABLE, format!("cannot start `sh`: {error}")).on(host)
    };
    let mut command = tokio::process::Command::new("sh");
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    let mut child = command.spawn().map_err(error)?;
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(input), Some(output), Some(talk)) = streams else {
        return Err(Diagnostic::with_code(exit::UNREACHABLE, "`sh` has no pipes").on(host));
    };
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(|| "root".to_owned(), |u| u.name);
    let mut shell = Shell::new(host, &user, input, output, talk);
    shell.keep(child);
    Ok(shell)
}

async fn remote(target: &Target) -> Result<Shell> {
    let (session, directory) = master(target).await?;
    let shell = open_shell(target, &session).await;
    shell.map(|mut shell| {
        shell.keep(directory);
        shell.keep(session);
        shell
    })
}

/// The master of a host, and the folder that it lives in.
pub(super) async fn master(
    target: &Target,
) -> Result<(std::sync::Arc<Session>, tempfile::TempDir)> {
    let directory = tempfile::Builder::new()
        .prefix("hactl-ssh")
        .tempdir_in(short_folder(std::env::temp_dir()))
        .map_err(|error| {
            Diagnostic::with_code(
                exit::UNREACHABLE,
                format!("cannot make a folder for ssh's control socket: {error}"),
            )
            .on(&target.host)
        })?;
    let config = directory.path().join("config");
    fs_err::write(&config, configuration(target)).map_err(|error| {
        Diagnostic::with_code(exit::UNREACHABLE, error.to_string()).on(&target.host)
    })?;
    let mut builder = SessionBuilder::default();
    builder
        .known_hosts_check(match target.host_keys {
            HostKeys::Strict => KnownHosts::Strict,
            HostKeys::AcceptNew => KnownHosts::Add,
        })
        .connect_timeout(target.patient(Duration::from_secs(target.timeout_seconds)))
        .server_alive_interval(target.patient(Duration::from_secs(5)))
        // A master whose hactl was killed goes away by itself.
        .control_persist(ControlPersist::IdleFor(
            NonZeroUsize::MIN.saturating_add(19),
        ))
        .control_directory(directory.path())
        .config_file(&config);
    if let Some(user) = &target.user {
        builder.user(user.clone());
    }
    if let Some(port) = target.port {
        builder.port(port);
    }
    if let Some(key) = &target.key {
        builder.keyfile(key);
    }
    if let Some(jump) = &target.jump {
        builder.jump_hosts(jump.split(','));
    }
    let patience = target.patient(Duration::from_secs(target.timeout_seconds * 2));
    let session = timeout(patience, builder.connect_mux(&target.address))
        .await
        .map_err(|_| {
            unreachable_host(
                target,
                &format!("no connection within {} s", patience.as_secs()),
            )
        })?
        .map_err(|error| unreachable_host(target, &chain(&error)))?;
    Ok((std::sync::Arc::new(session), directory))
}

const PROMPT: &str = "hactl-sudo-password:";

async fn open_shell(target: &Target, session: &std::sync::Arc<Session>) -> Result<Shell> {
    // With sudo the shell says whose it is before anything is sent, so that a password never reaches a shell.
    // What the login says before (a banner, a `.bashrc`) may end without a newline, or hold anything: the word is new
    // for each shell, and is found wherever in a line it stands.
    let ready = format!("hactl-ready-{:032x}", rand::random::<u128>());
    let greeting = format!("echo {ready} $(id -un); exec sh");
    let greeting = quote::sh(&greeting);
    let command = match (&target.become_password, target.r#become) {
        (_, false) => format!("exec sh -c {greeting}"),
        (None, true) => format!(
            "if [ $(id -u) = 0 ]; then exec sh -c {greeting}; else exec sudo -n -H -- sh -c {greeting}; fi"
        ),
        (Some(_), true) => {
            format!(
                "if [ $(id -u) = 0 ]; then exec sh -c {greeting}; else exec sudo -S -H -p {PROMPT} -- sh -c {greeting}; fi"
            )
        }
    };
    let failed = |error: &dyn std::error::Error| unreachable_host(target, &chain(error));
    let mut child = session
        .clone()
        .arc_raw_command("sh")
        .raw_arg("-c")
        .raw_arg(quote::sh(&command))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .await
        .map_err(|error| failed(&error))?;
    let streams = (
        child.stdin().take(),
        child.stdout().take(),
        child.stderr().take(),
    );
    let (Some(input), Some(output), Some(talk)) = streams else {
        return Err(unreachable_host(target, "the session has no pipes"));
    };
    let mut shell = Shell::new(&target.host, "root", input, output, talk);
    shell.keep(child);
    let patience = target.patient(Duration::from_secs(30));
    let login = timeout(patience, greet(target, &mut shell, &ready))
        .await
        .map_err(|_| {
            let problem = format!("no answer within {} s", patience.as_secs());
            sudo_failed(target, &problem, &shell.talk())
        })??;
    shell.login(&login);
    Ok(shell)
}

/// Waits for the greeting, answering sudo's prompt once; gives the user that the shell runs as.
async fn greet(target: &Target, shell: &mut Shell, ready: &str) -> Result<String> {
    let talk = shell.talk_handle();
    let prompts = || talk.lock().map_or(0, |talk| talk.matches(PROMPT).count());
    let mut answered = false;
    loop {
        let line = {
            let line = shell.raw_line();
            tokio::pin!(line);
            loop {
                tokio::select! {
                    line = &mut line => break Some(line),
                    () = tokio::time::sleep(Duration::from_millis(20)), if target.become_password.is_some() => {
                        if prompts() > usize::from(answered) { break None; }
                    }
                }
            }
        };
        match line {
            None if answered => {
                return Err(sudo_failed(
                    target,
                    "sudo refused the password",
                    &shell.talk(),
                ));
            }
            None => {
                let password = target.become_password.clone().unwrap_or_default();
                answered = true;
                shell
                    .raw(format!("{password}\n").as_bytes())
                    .await
                    .map_err(|error| unreachable_host(target, &error.to_string()))?;
            }
            Some(Ok(None)) => {
                let talk = shell.last_words().await;
                return Err(sudo_failed(target, "the shell ended at once", &talk));
            }
            Some(Ok(Some(line))) => {
                if let Some((_, user)) = line.rsplit_once(ready) {
                    return Ok(user.trim().to_owned());
                }
            }
            Some(Err(error)) => return Err(unreachable_host(target, &error.to_string())),
        }
    }
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            let _ = write!(text, ": {inner_text}");
        }
        source = inner.source();
    }
    text
}

fn sudo_failed(target: &Target, what: &str, talk: &str) -> Diagnostic {
    let talk = talk.replace(PROMPT, "").trim().to_owned();
    let user = target.user.as_deref().unwrap_or("the login user");
    let (message, help) = if talk.contains("password is required")
        || talk.contains("a terminal is required")
    {
        (
            format!("sudo wants a password for `{user}`, and none is given"),
            "set `ansible_become_password` (vaulted) or allow NOPASSWD for this user".to_owned(),
        )
    } else if talk.contains("not in the sudoers")
        || talk.contains("may not run sudo")
        || talk.contains("not allowed to")
    {
        (
            format!("`{user}` may not use sudo"),
            format!("add `{user}` to sudoers, or log in as root with `ansible_user`"),
        )
    } else if talk.contains("incorrect password")
        || talk.contains("try again")
        || what.contains("refused the password")
    {
        (
            format!("sudo refused the password of `{user}`"),
            "check `ansible_become_password`".to_owned(),
        )
    } else if talk.contains("sudo: not found") || talk.contains("sudo: command not found") {
        (
            "sudo is not installed".to_owned(),
            "install sudo, or log in as root with `ansible_user`".to_owned(),
        )
    } else {
        (
            format!("no root shell: {what}"),
            format!("try by hand: hactl ssh {} -- sudo -n true", target.host),
        )
    };
    let error = Diagnostic::with_code(exit::FAILED, message)
        .on(&target.host)
        .help(help);
    if talk.is_empty() {
        error
    } else {
        error.note(talk)
    }
}

pub(super) fn unreachable_host(target: &Target, said: &str) -> Diagnostic {
    let user = target
        .user
        .as_deref()
        .map(|user| format!("{user}@"))
        .unwrap_or_default();
    let place = format!("{user}{}", target.address);
    let port = target
        .port
        .map(|port| format!(" port {port}"))
        .unwrap_or_default();
    let (message, help) = if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        (
            format!("the host key of {place}{port} is not the one in known_hosts"),
            "find out why before anything else; if the machine was reinstalled: ssh-keygen -R ADDRESS".to_owned(),
        )
    } else if said.contains("Host key verification failed") || said.contains("host key is known") {
        (
            format!("the host key of {place}{port} is not known"),
            "compare it and add it to known_hosts (ssh to it once), or run with --accept-new-host-keys".to_owned(),
        )
    } else if said.contains("Permission denied") {
        let key = target
            .key
            .as_ref()
            .map_or_else(String::new, |key| format!(" with {}", key.display()));
        (
            format!("{place}{port} refused the login{key}"),
            "check `ansible_user`, `ansible_ssh_private_key_file` and the host's authorized_keys"
                .to_owned(),
        )
    } else {
        (
            format!("cannot connect to {place}{port}"),
            format!("is it up? try: hactl ssh {} -- true", target.host),
        )
    };
    let error = Diagnostic::with_code(exit::UNREACHABLE, message)
        .on(&target.host)
        .help(help);
    // What ssh's parts say to each other when the master is gone tells a reader nothing.
    let said: Vec<&str> = said
        .lines()
        .map(|line| line.trim().trim_start_matches("failed to connect to the remote host: "))
        .filter(|line| !line.is_empty() && !line.starts_with("mm_") && !line.starts_with("mux_"))
        .map(|line| match line {
            "proxy dialer did not pass back a connection" => {
                "its ProxyCommand made no connection: the host is down, or cannot be reached from there"
            }
            line if line.starts_with("failed to connect to the ssh multiplex server") => {
                "ssh gave the connection up: the host took it and then stopped answering (a slow one may be given longer \
                 with `hactl_patience`)"
            }
            line => line,
        })
        .collect();
    if said.is_empty() {
        error
    } else {
        error.note(said.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sudo that says why it refuses in pieces, the last of them after its stdout is closed.
    #[tokio::test]
    async fn the_reason_is_waited_for() {
        let mut child = tokio::process::Command::new("sh")
            .arg("-c")
            .arg("printf sudo >&2; exec 1>&-; read -r _; printf ': a password is required' >&2")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("sh");
        let (Some(mut input), Some(output), Some(talk)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            panic!("no pipes");
        };
        let mut shell = Shell::new("h", "root", tokio::io::sink(), output, talk);
        let target = Target::default();
        let (greeted, ()) = tokio::join!(greet(&target, &mut shell, "ready"), async {
            // Only when the greeting is known to be missing.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut input, b"\n").await;
        });
        let error = greeted.expect_err("refused");
        assert!(
            error.message.starts_with("sudo wants a password"),
            "{error:?}"
        );
    }
    /// Whatever a login says first, with or without a newline at its end, the greeting is found.
    #[tokio::test]
    async fn a_banner_may_be_anything() {
        for banner in [
            "",
            "Welcome to db1",
            "Welcome\n\n  to db1 \n",
            "\n\n",
            "ready? not yet ",
            r"\377\000 \033[1mhactl-ready root\033[0m",
        ] {
            let mut child = tokio::process::Command::new("sh")
                .args([
                    "-c",
                    "printf \"$1\"; echo ready-7 root; exec sh",
                    "sh",
                    banner,
                ])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("sh");
            let (Some(input), Some(output), Some(talk)) =
                (child.stdin.take(), child.stdout.take(), child.stderr.take())
            else {
                panic!("no pipes");
            };
            let mut shell = Shell::new("h", "root", input, output, talk);
            let target = Target::default();
            let greeted = greet(&target, &mut shell, "ready-7");
            let greeted = timeout(Duration::from_secs(10), greeted).await;
            assert_eq!(
                greeted.expect("in time").expect("a shell"),
                "root",
                "{banner:?}"
            );
        }
    }
}
