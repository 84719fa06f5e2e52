//! How a lab is logged in to: keys, the hosts' own keys, an `ssh_config`, and an inventory fragment with which hactl and
//! Ansible reach its hosts.

use super::keeper::own_program;
use super::spec::Kind;
use super::state::{Lab, Places, default_base_dir, make_dir, write_private};
use super::{program, run, vm, while_doing};
use crate::base::{Diagnostic, Result, quote};
use fs_err as fs;
use rand::RngExt;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// The users that a lab host has.
pub const LOGINS: [&str; 3] = ["root", "ops", "opspw"];

/// Makes what is not there yet: the key pair, a password, and a key for each host.
pub fn prepare(lab: &Lab, places: &Places) -> Result<()> {
    make_key(&places.key(), &format!("hactl lab {}", lab.name))?;
    if !places.opspw_password().exists() {
        write_private(&places.opspw_password(), &(password() + "\n"))?;
    }
    let key = read(&places.key().with_extension("pub"))?;
    let mut known = String::new();
    for host in &lab.hosts {
        let folder = places.host(&host.name);
        make_dir(&folder)?;
        make_key(&folder.join("ssh_host_ed25519_key"), &host.name)?;
        write_private(&folder.join("authorized_keys"), &key)?;
        write_private(
            &folder.join("opspw-password"),
            &read(&places.opspw_password())?,
        )?;
        let public = read(&folder.join("ssh_host_ed25519_key.pub"))?;
        let key: Vec<&str> = public.split_whitespace().take(2).collect();
        let login = lab.name.login_name(&host.name);
        let _ = writeln!(
            known,
            "{},{login},{} {}",
            host.name,
            host.address,
            key.join(" ")
        );
    }
    write_private(&places.known_hosts(), &known)
}

/// Writes `ssh_config` and the inventory fragment.
pub fn publish(lab: &Lab, places: &Places) -> Result<()> {
    let options = options(&Login::new(lab, places)?);
    write_private(&places.ssh_config(), &ssh_config(lab, &options))?;
    let password = if lab.login == "opspw" {
        Some(read(&places.opspw_password())?.trim().to_owned())
    } else {
        None
    };
    let inventory = inventory(lab, &options, password);
    let text =
        serde_yaml::to_string(&inventory).map_err(while_doing("cannot write the inventory"))?;
    write_private(
        &places.inventory(),
        &format!(
            "# The lab `{}`: give it to hactl or Ansible after the real inventory, with another -i.\n{text}",
            lab.name
        ),
    )
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(while_doing("lab keys"))
}

fn make_key(path: &Path, comment: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    run(program("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(path))
    .map(drop)
}

fn password() -> String {
    let letters = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut random = rand::rng();
    (0..24)
        .map(|_| char::from(letters[random.random_range(0..letters.len())]))
        .collect()
}

/// What ssh must know to get in.
struct Login {
    command: String,
    known_hosts: String,
    key: String,
}

impl Login {
    fn new(lab: &Lab, places: &Places) -> Result<Self> {
        let program = own_program()?;
        let mut words = vec![
            program.to_string_lossy().into_owned(),
            "lab".to_owned(),
            "connect".to_owned(),
            "--pass".to_owned(),
        ];
        if places.base != default_base_dir() {
            words.extend([
                "--dir".to_owned(),
                places.base.to_string_lossy().into_owned(),
            ]);
        }
        words.extend(["--name".to_owned(), lab.name.to_string()]);
        let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        let login = Self {
            command: quote::sh_join(words.iter().map(String::as_str)) + " %h %p",
            known_hosts: text(places.known_hosts()),
            key: text(places.key()),
        };
        // ssh, shells and Ansible each cut these words apart by rules of their own; a plain path is one word for all.
        let plain = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/._-+@=,: %".contains(&b))
        };
        if !plain(&login.command)
            || !plain(&login.known_hosts)
            || login.known_hosts.contains([' ', '%'])
        {
            return Err(Diagnostic::new(format!(
                "the path `{}` or `{}` has blanks or special letters",
                places.root.display(),
                program.display()
            ))
            .help("name another folder in HACTL_LAB_DIR"));
        }
        Ok(login)
    }
}

/// Options of ssh, as keyword and value.
fn options(login: &Login) -> Vec<(&'static str, String)> {
    vec![
        ("ProxyCommand", login.command.clone()),
        ("ProxyUseFdpass", "yes".to_owned()),
        ("UserKnownHostsFile", login.known_hosts.clone()),
        ("GlobalKnownHostsFile", "/dev/null".to_owned()),
        ("StrictHostKeyChecking", "yes".to_owned()),
        ("IdentityFile", login.key.clone()),
        ("IdentitiesOnly", "yes".to_owned()),
    ]
}

fn ssh_config(lab: &Lab, options: &[(&str, String)]) -> String {
    let mut text = String::new();
    for host in &lab.hosts {
        let _ = writeln!(
            text,
            "Host {} {}\n    HostName {}",
            host.name,
            host.address,
            lab.name.login_name(&host.name)
        );
    }
    let _ = writeln!(text, "Host *\n    User {}", lab.login);
    for (key, value) in options {
        let _ = writeln!(text, "    {key} {value}");
    }
    text
}

fn inventory(lab: &Lab, options: &[(&str, String)], password: Option<String>) -> Value {
    let arguments: Vec<String> = options
        .iter()
        .map(|(key, value)| {
            format!(
                "-o {key}={}",
                if value.contains(' ') {
                    format!("\"{value}\"")
                } else {
                    value.clone()
                }
            )
        })
        .collect();
    let hosts: Map<String, Value> = lab
        .hosts
        .iter()
        .map(|host| {
            (
                host.name.clone(),
                json!({
                    "ansible_host": lab.name.login_name(&host.name),
                    "cluster_address": host.address.to_string(),
                }),
            )
        })
        .collect();
    let mut vars = json!({
        "ansible_user": lab.login,
        "ansible_ssh_common_args": arguments.join(" "),
        "hactl_lab": lab.name.as_str(),
    });
    let patience = match lab.provider {
        Kind::Vm => vm::slowness(&lab.image),
        Kind::Container => 1,
    };
    if patience > 1 {
        vars["hactl_patience"] = json!(patience);
    }
    if lab.with_python {
        vars["ansible_python_interpreter"] = json!("/usr/bin/python3");
    }
    if let Some(password) = password {
        vars["ansible_become_password"] = json!(password);
    }
    json!({"all": {"hosts": hosts, "vars": vars}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::spec::{Kind, LabName, parse_hosts};

    fn lab(login: &str) -> Lab {
        Lab {
            version: Lab::VERSION,
            name: LabName::new("x").unwrap(),
            keeper: None,
            provider: Kind::Container,
            hosts: parse_hosts("a=10.0.0.2").unwrap(),
            image: String::new(),
            with_python: false,
            login: login.to_owned(),
            cuts: Vec::new(),
        }
    }

    fn login() -> Login {
        Login {
            command: "/bin/hactl lab connect --name x %h %p".to_owned(),
            known_hosts: "/s/known".to_owned(),
            key: "/s/key".to_owned(),
        }
    }

    #[test]
    fn the_inventory_leads_through_the_lab_and_pins_the_keys() {
        let value = inventory(&lab("ops"), &options(&login()), Some("pw".to_owned()));
        assert_eq!(
            value["all"]["hosts"]["a"],
            json!({"ansible_host": "a.x.lab.invalid", "cluster_address": "10.0.0.2"}),
            "a name that resolves nowhere: without the login there is no way to any machine"
        );
        let vars = &value["all"]["vars"];
        assert_eq!(
            (&vars["ansible_user"], &vars["ansible_become_password"]),
            (&json!("ops"), &json!("pw"))
        );
        let arguments = shlex::split(vars["ansible_ssh_common_args"].as_str().unwrap()).unwrap();
        assert_eq!(
            arguments[..2],
            ["-o", "ProxyCommand=/bin/hactl lab connect --name x %h %p"]
        );
        assert!(
            arguments.contains(&"StrictHostKeyChecking=yes".to_owned())
                && arguments.contains(&"UserKnownHostsFile=/s/known".to_owned())
        );
    }

    #[test]
    fn the_ssh_config_names_hosts_by_name_and_address() {
        let text = ssh_config(&lab("root"), &options(&login()));
        assert!(text.starts_with("Host a 10.0.0.2\n    HostName a.x.lab.invalid\nHost *\n    User root\n    ProxyCommand /bin/hactl lab connect --name x %h %p\n"), "{text}");
    }

    #[test]
    fn a_folder_that_cannot_be_one_word_is_refused() {
        let places = Places::new("/tmp/a b".into(), &LabName::new("x").unwrap());
        assert!(Login::new(&lab("root"), &places).is_err());
    }
}
