//! `hactl ssh`: log in to a host the way the inventory says.

use super::{Global, Outcome, fleet};
use crate::base::{Diagnostic, exit};
use crate::connection::Target;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host
    pub host: String,
    /// Show the command instead of running it
    #[arg(long)]
    pub print: bool,
    /// What to run there instead of a login shell, as ssh takes it
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
}

/// Runs the command; does not return when ssh starts.
pub fn run(global: &Global, args: Args) -> Outcome {
    let reach = fleet::ConnectArgs {
        forks: 1,
        accept_new_host_keys: false,
        ask_become_pass: false,
    };
    let site = fleet::site(global, &reach, &args.host, &[])?;
    let [host] = site.hosts.as_slice() else {
        return Err(vec![Diagnostic::new(format!(
            "`{}` means {} hosts, expected one",
            args.host,
            site.hosts.len()
        ))]);
    };
    let mut words = argv(&host.target);
    words.extend(args.arguments);
    if args.print {
        crate::report::out(&format!(
            "{}\n",
            crate::base::quote::sh_join(words.iter().map(String::as_str))
        ));
        return Ok(exit::DONE);
    }
    let (program, rest) = words
        .split_first()
        .ok_or_else(|| vec![Diagnostic::new("no command")])?;
    let error = Command::new(program).args(rest).exec();
    Err(vec![
        Diagnostic::with_code(exit::FAILED, format!("cannot start `{program}`: {error}"))
            .on(&host.name),
    ])
}

/// The ssh command line that enters a host.
fn argv(target: &Target) -> Vec<String> {
    if target.local {
        let shell = std::env::var("SHELL").unwrap_or_else(|_| "sh".to_owned());
        return vec![shell];
    }
    let mut words = vec!["ssh".to_owned()];
    let mut flag = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    if let Some(config) = &target.config {
        flag("-F", config.display().to_string());
    }
    for option in &target.options {
        flag("-o", option.clone());
    }
    if let Some(port) = target.port {
        flag("-p", port.to_string());
    }
    if let Some(user) = &target.user {
        flag("-l", user.clone());
    }
    if let Some(key) = &target.key {
        flag("-i", key.display().to_string());
    }
    if let Some(jump) = &target.jump {
        flag("-J", jump.clone());
    }
    words.extend(["--".to_owned(), target.address.clone()]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_the_inventory_says() {
        let target = Target {
            host: "db1".into(),
            address: "192.0.2.7".into(),
            port: Some(2222),
            user: Some("ops".into()),
            key: Some("/k/id".into()),
            options: vec!["ProxyCommand hactl lab connect %h %p".into()],
            config: Some("/k/config".into()),
            jump: Some("gate".into()),
            ..Target::default()
        };
        let words = [
            "ssh",
            "-F",
            "/k/config",
            "-o",
            "ProxyCommand hactl lab connect %h %p",
            "-p",
            "2222",
            "-l",
            "ops",
            "-i",
            "/k/id",
            "-J",
            "gate",
            "--",
            "192.0.2.7",
        ];
        assert_eq!(argv(&target), words);
    }
}
