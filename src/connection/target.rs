//! Where a host is and how it is entered: read from the inventory's `ansible_*` variables once.

use crate::base::value::{Map, Value, to_bool, to_text};
use crate::base::{Diagnostic, Result};
use std::path::PathBuf;
use std::time::Duration;

/// The most that `hactl_patience` may say.
const MOST_PATIENCE: u32 = 20;

/// What to do about a host whose key is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostKeys {
    /// Refuse it.
    #[default]
    Strict,
    /// Take it and keep it (`--accept-new-host-keys`); a *changed* key is refused all the same.
    AcceptNew,
}

/// Where a host is and how it is entered.
#[derive(Clone, Default)]
pub struct Target {
    /// The inventory's name.
    pub host: String,
    /// Name or address for ssh.
    pub address: String,
    /// Port, when the inventory names one.
    pub port: Option<u16>,
    /// Login user, when the inventory names one.
    pub user: Option<String>,
    /// Private key, when the inventory names one.
    pub key: Option<PathBuf>,
    /// `-o` options from `ansible_ssh_common_args` and `ansible_ssh_extra_args`, as lines of an ssh_config.
    pub options: Vec<String>,
    /// The configuration that is read in place of the user's and the system's (`-F`).
    pub config: Option<PathBuf>,
    /// Jump hosts (`-J`).
    pub jump: Option<String>,
    /// Become root.
    pub r#become: bool,
    /// Password for sudo.
    pub become_password: Option<String>,
    /// This machine itself (`ansible_connection: local`).
    pub local: bool,
    /// Unknown host keys.
    pub host_keys: HostKeys,
    /// Seconds to wait for the connection.
    pub timeout_seconds: u64,
    /// How many times longer than others this host may take to connect and to answer (`hactl_patience`); 0 counts as 1.
    pub patience: u32,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({} at {})", self.host, self.address)
    }
}

impl Target {
    /// From a host's rendered variables.
    ///
    /// # Errors
    /// Options that hactl cannot pass on, a password instead of a key, another connection plugin.
    pub fn from_variables(host: &str, variables: &Map<String, Value>) -> Result<Self> {
        let text = |name: &str| {
            variables
                .get(name)
                .filter(|v| !v.is_null())
                .map(to_text)
                .filter(|t| !t.is_empty())
        };
        let first = |names: &[&str]| names.iter().find_map(|name| text(name));
        let mut target = Self {
            host: host.to_owned(),
            address: first(&["ansible_ssh_host", "ansible_host"])
                .unwrap_or_else(|| host.to_owned()),
            user: first(&["ansible_ssh_user", "ansible_user"]),
            key: first(&["ansible_ssh_private_key_file", "ansible_private_key_file"])
                .map(PathBuf::from),
            r#become: variables
                .get("ansible_become")
                .and_then(to_bool)
                .unwrap_or(true),
            become_password: first(&[
                "ansible_become_password",
                "ansible_become_pass",
                "ansible_sudo_pass",
            ]),
            timeout_seconds: 10,
            ..Self::default()
        };
        if let Some(port) = first(&["ansible_ssh_port", "ansible_port"]) {
            target.port = Some(port.parse().map_err(|_| {
                Diagnostic::new(format!(
                    "`ansible_port` is `{port}`, expected a port number"
                ))
                .on(host)
            })?);
        }
        if let Some(patience) = text("hactl_patience") {
            target.patience = patience
                .parse()
                .ok()
                .filter(|times| (1..=MOST_PATIENCE).contains(times))
                .ok_or_else(|| {
                    Diagnostic::new(format!(
                        "`hactl_patience` is `{patience}`, expected a number from 1 to {MOST_PATIENCE}: how many times longer \
                         than others the host may take to answer"
                    ))
                    .on(host)
                })?;
        }
        match text("ansible_connection").as_deref() {
            None | Some("ssh" | "smart" | "openssh") => {}
            Some("local") => target.local = true,
            Some(other) => {
                return Err(Diagnostic::new(format!(
                    "`ansible_connection: {other}` is not known; hactl has ssh and local"
                ))
                .on(host));
            }
        }
        if text("ansible_password")
            .or_else(|| text("ansible_ssh_pass"))
            .is_some()
            && !target.local
        {
            return Err(Diagnostic::new(
                "`ansible_password` is set, but hactl logs in with keys only",
            )
            .on(host)
            .help(format!("install a key: ssh-copy-id {}", target.address)));
        }
        if let Some(method) = text("ansible_become_method").filter(|method| method != "sudo") {
            return Err(Diagnostic::new(format!(
                "`ansible_become_method: {method}` is not known; hactl has sudo"
            ))
            .on(host));
        }
        for name in [
            "ansible_ssh_args",
            "ansible_ssh_common_args",
            "ansible_ssh_extra_args",
        ] {
            if let Some(args) = text(name) {
                target.ssh_arguments(name, &args)?;
            }
        }
        Ok(target)
    }

    /// A time limit as it is for this host.
    pub fn patient(&self, limit: Duration) -> Duration {
        limit * self.patience.max(1)
    }

    /// What the inventory says about host keys and hactl does not do: it checks them, always.
    pub fn unheeded(&self) -> Option<&str> {
        let also = match self.host_keys {
            HostKeys::Strict => "yes",
            HostKeys::AcceptNew => "accept-new",
        };
        self.options.iter().map(String::as_str).find(|option| {
            option.split_once(' ').is_some_and(|(key, value)| {
                key.eq_ignore_ascii_case("StrictHostKeyChecking")
                    && ![also, "yes", "true", "ask"].contains(&&*value.trim().to_lowercase())
            })
        })
    }

    fn ssh_arguments(&mut self, name: &str, args: &str) -> Result<()> {
        let error = |what: String| Diagnostic::new(format!("`{name}`: {what}"));
        let host = self.host.clone();
        let on = |error: Diagnostic| error.on(&host);
        let words = shlex::split(args)
            .ok_or_else(|| error("unbalanced quotes".to_owned()).on(&self.host))?;
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (flag, rest) = word.split_at(word.len().min(2));
            let mut value = || {
                if rest.is_empty() {
                    words.next()
                } else {
                    Some(rest.to_owned())
                }
                .ok_or_else(|| error(format!("`{flag}` needs a value")).on(&self.host))
            };
            match flag {
                "-o" => {
                    let option = value()?;
                    let (key, value) = option.split_once(['=', ' ']).ok_or_else(|| {
                        error(format!("`-o {option}`: expected Key=Value")).on(&self.host)
                    })?;
                    self.options
                        .push(format!("{} {}", key.trim(), value.trim()));
                }
                "-F" => self.config = Some(configuration(&value()?).map_err(&error).map_err(on)?),
                "-i" => self.key = Some(value()?.into()),
                "-J" => self.jump = Some(value()?),
                "-l" => self.user = Some(value()?),
                "-p" => self.port = value()?.parse().ok(),
                "-C" => self.options.push("Compression yes".to_owned()),
                "-A" => self.options.push("ForwardAgent yes".to_owned()),
                _ => {
                    return Err(error(format!("hactl does not pass on `{word}`"))
                        .on(&self.host)
                        .help("use -o Key=Value, -F, -i, -J, -l, -p, -C, -A, or put it into ~/.ssh/config"));
                }
            }
        }
        Ok(())
    }
}

/// What is said once a command about a host key option that is not followed.
///
/// Nothing when all that the inventory wishes is done.
pub fn unheeded_note<'a>(targets: impl Iterator<Item = &'a Target>) -> Option<String> {
    let mut found = targets
        .filter(|target| !target.local)
        .filter_map(|target| Some((target.unheeded()?, &target.host)));
    let (option, host) = found.next()?;
    let others = match found.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!(
        "`{option}` in the inventory ({host}{others}) is not followed: host keys are checked; --accept-new-host-keys takes those of new hosts"
    ))
}

/// The file that `-F` names, as an absolute path: an `Include` is relative to another folder than ssh is.
fn configuration(name: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(name).map_err(|error| format!("`-F {name}`: {error}"))?;
    // ssh itself ends when it is missing; an `Include` would pass over it.
    if name == "none" || path.exists() {
        Ok(if name == "none" { name.into() } else { path })
    } else {
        Err(format!(
            "there is no ssh configuration `{}`",
            path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(pairs: &[(&str, &str)]) -> Result<Target> {
        let variables = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Value::from(*v)))
            .collect();
        Target::from_variables("db1", &variables)
    }

    #[test]
    fn ssh_arguments_become_configuration() {
        let target = target(&[
            ("ansible_host", "192.0.2.7"),
            ("ansible_port", "2222"),
            (
                "ansible_ssh_common_args",
                r#"-o ProxyCommand="hactl lab connect %h %p" -oServerAliveInterval=3 -J gate"#,
            ),
        ])
        .expect("good");
        assert_eq!(
            target.options,
            [
                "ProxyCommand hactl lab connect %h %p",
                "ServerAliveInterval 3"
            ]
        );
        assert_eq!(
            (target.jump.as_deref(), target.port),
            (Some("gate"), Some(2222))
        );
    }

    #[test]
    fn a_configuration_of_its_own_must_be_there() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let given = |path: &str| target(&[("ansible_ssh_common_args", &format!("-F {path}"))]);
        let found = given(file).expect("there").config;
        assert_eq!(found.as_deref(), Some(std::path::Path::new(file)));
        assert_eq!(given("Cargo.toml").expect("there").config, found);
        let error = given("/nonexistent/ssh_config").expect_err("missing");
        assert_eq!(
            error.message,
            "`ansible_ssh_common_args`: there is no ssh configuration `/nonexistent/ssh_config`"
        );
    }

    #[test]
    fn what_is_not_followed_about_host_keys_is_said_once() {
        let of = |args: &str| target(&[("ansible_ssh_extra_args", args)]).expect("good");
        let note = |targets: &[Target]| unheeded_note(targets.iter());
        assert_eq!(note(&[of("-o StrictHostKeyChecking=yes"), of("-C")]), None);
        let loose = [
            of("-o stricthostkeychecking=no"),
            of("-oStrictHostKeyChecking=accept-new"),
        ];
        let said = note(&loose).expect("said");
        assert!(
            said.starts_with(
                "`stricthostkeychecking no` in the inventory (db1 and 1 more) is not followed"
            ),
            "{said}"
        );
    }

    #[test]
    fn a_slow_host_may_take_longer() {
        let limit = Duration::from_secs(3);
        assert_eq!(target(&[]).expect("good").patient(limit), limit);
        let slow = target(&[("hactl_patience", "4")]).expect("good");
        assert_eq!(slow.patient(limit), 4 * limit);
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused() {
        for (pairs, message) in [
            (
                vec![("ansible_ssh_args", "-Z")],
                "`ansible_ssh_args`: hactl does not pass on `-Z`",
            ),
            (
                vec![("ansible_port", "ssh")],
                "`ansible_port` is `ssh`, expected a port number",
            ),
            (
                vec![("ansible_password", "x")],
                "`ansible_password` is set, but hactl logs in with keys only",
            ),
            (
                vec![("ansible_connection", "winrm")],
                "`ansible_connection: winrm` is not known; hactl has ssh and local",
            ),
            (
                vec![("hactl_patience", "0")],
                "`hactl_patience` is `0`, expected a number from 1 to 20: how many times longer than others the host may take to \
                 answer",
            ),
        ] {
            assert_eq!(target(&pairs).expect_err("refused").message, message);
        }
    }
}
