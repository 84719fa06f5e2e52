//! `hactl lab`.

mod image;
mod show;
mod wished;

use super::{Global, Outcome};
use crate::base::{Diagnostic, Result, exit};
use crate::lab::keeper::{self, Keeper};
use crate::lab::provider::{self, Provider};
use crate::lab::spec::Kind;
use crate::lab::state::{self, Cut, Lab, Places};
use crate::lab::up::{self, UpOptions};
use crate::lab::{self, LabName, access, cabling, gc, orphans, ready, relay, spec, trouble};
use crate::report;
use clap::Subcommand;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of all labs [default: /var/lib/hactl-lab for root]
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        env = "HACTL_LAB_DIR",
        hide_env_values = true
    )]
    dir: Option<PathBuf>,
    /// The lab's name; several labs can be up at once
    #[arg(long, short = 'n', value_name = "NAME", global = true, env = "HACTL_LAB", default_value = LabName::DEFAULT)]
    name: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes the hosts of an inventory or of `--hosts`; starts the dead ones of a lab that is up
    Up {
        /// An inventory or the name of a stack, like `-i`
        #[arg(conflicts_with = "hosts")]
        stack: Option<PathBuf>,
        /// Hosts and their addresses, all in the lab's own network
        #[arg(long, value_name = "NAME=ADDRESS,...")]
        hosts: Option<String>,
        /// What the hosts are [default: what the inventory's `lab_provider` says, else container]
        #[arg(long)]
        provider: Option<Kind>,
        #[command(flatten)]
        others: wished::Others,
        /// Hosts with Python from the start, for Ansible
        #[arg(long)]
        with_python: bool,
        /// The user that the inventory names
        #[arg(long, value_parser = access::LOGINS, default_value = "root")]
        login: String,
    },
    /// Ends a lab and removes all that it had
    Down {
        /// All labs of the folder
        #[arg(long)]
        all: bool,
    },
    /// Labs, their hosts and how they are
    #[command(visible_alias = "status")]
    List,
    /// What this machine has and lacks for a lab
    Doctor {
        /// Only the packages to install, for `apt-get install`
        #[arg(long)]
        packages: bool,
        /// What the hosts are to be [default: container]
        #[arg(long)]
        provider: Option<Kind>,
    },
    /// Logs in to a host, or runs a command on it by ssh
    Ssh {
        host: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Runs a command on a host as root, past its network
    Exec {
        host: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Relays stdin and stdout to a port in the lab (for ssh's ProxyCommand)
    Connect {
        /// A host of the lab, or any address in it
        host: String,
        port: u16,
        /// Hand the connection over on stdout (for ssh's ProxyUseFdpass)
        #[arg(long)]
        pass: bool,
    },
    /// Makes a port in the lab reachable on this machine's loopback address
    Forward {
        /// HOST:PORT in the lab
        target: String,
        /// Where to listen; port 0 takes a free one. The address is printed
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Sudden death: a host without power
    Kill { hosts: Vec<String> },
    /// Shuts a host down in order
    Stop { hosts: Vec<String> },
    /// Shuts a host down in order, starts it again and waits until it can be logged in to
    Reboot { hosts: Vec<String> },
    /// Gives power to a dead host and waits until it can be logged in to
    Start { hosts: Vec<String> },
    /// Stops all processes of a host
    Freeze { hosts: Vec<String> },
    /// Lets a frozen host go on
    Thaw { hosts: Vec<String> },
    /// Blocks all traffic between two hosts, or of one host with everyone, hactl too
    Cut { host: String, other: Option<String> },
    /// Takes cuts back: all, those of a host, or those between two
    Heal {
        host: Option<String>,
        other: Option<String>,
    },
    /// Delays what a host sends into the lab's network; 0 takes it back
    Latency { host: String, milliseconds: u32 },
    /// Fills the disk that a folder of a host is on
    DiskFull {
        host: String,
        #[arg(default_value = "/")]
        folder: String,
        /// Makes the room again
        #[arg(long)]
        undo: bool,
    },
    /// Sets a host's clock off from this machine's; 0 takes it back
    ClockSkew {
        host: String,
        #[arg(allow_negative_numbers = true)]
        seconds: f64,
    },
    /// Removes the images that labs start from; the next `up` builds anew
    Prune,
    /// Ends labs whose folder was removed, and removes images that no lab uses and no `up` would start from any more
    Gc,
    /// The folder of a lab: key, ssh_config, inventory.yml
    Path,
    #[command(name = "__keeper", hide = true)]
    Keeper { arguments: Vec<String> },
    #[command(name = "__init", hide = true)]
    Init { arguments: Vec<String> },
    #[command(name = "__wire", hide = true)]
    Wire { folder: PathBuf },
}

/// Runs the command.
pub fn run(global: &Global, args: Args) -> Outcome {
    let base = args.dir.map_or_else(state::base_dir, |dir| {
        std::path::absolute(&dir).unwrap_or(dir)
    });
    let name = LabName::new(&args.name).map_err(|error| vec![error])?;
    let places = Places::new(base, &name);
    if let Verb::Up {
        stack,
        hosts,
        provider,
        others,
        with_python,
        login,
    } = args.verb
    {
        let (hosts, provider) = wished::hosts(global, stack, hosts.as_deref(), provider, &others)?;
        return bring_up(
            global,
            &UpOptions {
                name,
                provider,
                hosts,
                with_python,
                login,
            },
            &places,
        )
        .map_err(|error| vec![error]);
    }
    dispatch(global, args.verb, &name, &places).map_err(|error| vec![error])
}

fn dispatch(global: &Global, verb: Verb, name: &LabName, places: &Places) -> Result<u8> {
    match verb {
        // Done by `run`, which has more than one error to give.
        Verb::Up { .. } => Ok(exit::USAGE),
        Verb::Down { all } => {
            let labs = if all {
                state::names(&places.base)
            } else {
                vec![name.clone()]
            };
            for name in labs {
                let was = up::down(&Places::new(places.base.clone(), &name))?;
                report::say(&if was {
                    format!("the lab `{name}` is down")
                } else {
                    format!("there is no lab `{name}`")
                });
            }
            Ok(exit::DONE)
        }
        Verb::List => show::list(global, places),
        Verb::Doctor { packages, provider } => show::doctor(global, packages, provider),
        Verb::Ssh { host, command } => {
            let (lab, _) = Lab::alive(places)?;
            let host = lab.host(&host)?;
            let mut ssh = Command::new("ssh");
            ssh.arg("-F")
                .arg(places.ssh_config())
                .arg(&host.name)
                .args(&command);
            become_program(&mut ssh)
        }
        Verb::Exec { host, command } => {
            let site = Site::open(places)?;
            let tty = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
            become_program(&mut site.provider.exec(site.lab.host(&host)?, tty, &command))
        }
        Verb::Connect { host, port, pass } => {
            let (lab, keeper) = Lab::alive(places)?;
            let stream = relay::connect(&keeper, relay::resolve(&lab, &host)?, port)?;
            if pass {
                relay::hand_over(&stream)?;
            } else {
                relay::relay_stdio(stream)?;
            }
            Ok(exit::DONE)
        }
        Verb::Forward { target, listen } => forward(places, &target, listen),
        Verb::Kill { hosts } => each(places, &hosts, |site, host| site.provider.kill(host)),
        Verb::Stop { hosts } => each(places, &hosts, |site, host| site.provider.stop(host)),
        Verb::Start { hosts } => each(places, &hosts, |site, host| {
            site.provider.start(host)?;
            ready::await_logins(&site.lab, &site.keeper, &*site.provider, &[host], &|line| {
                report::say(line)
            })
        }),
        Verb::Reboot { hosts } => each(places, &hosts, |site, host| {
            site.provider.reboot(host)?;
            ready::await_logins(&site.lab, &site.keeper, &*site.provider, &[host], &|line| {
                report::say(line)
            })
        }),
        Verb::Freeze { hosts } => each(places, &hosts, |site, host| {
            site.provider.freeze(host, true)
        }),
        Verb::Thaw { hosts } => each(places, &hosts, |site, host| {
            site.provider.freeze(host, false)
        }),
        Verb::Cut { host, other } => {
            let change = |lab: &Lab| {
                for name in std::iter::once(&host).chain(&other) {
                    lab.host(name)?;
                }
                Ok(cabling::with_cut(
                    &lab.cuts,
                    Cut {
                        host: host.clone(),
                        from: other.clone(),
                    },
                ))
            };
            up::set_cuts(places, change).map(|()| exit::DONE)
        }
        Verb::Heal { host, other } => {
            let change = |lab: &Lab| {
                for name in host.iter().chain(&other) {
                    lab.host(name)?;
                }
                Ok(cabling::without(
                    &lab.cuts,
                    host.as_deref(),
                    other.as_deref(),
                ))
            };
            up::set_cuts(places, change).map(|()| exit::DONE)
        }
        Verb::Latency { host, milliseconds } => each(places, &[host], |site, host| {
            trouble::latency(&*site.provider, host, milliseconds)
        }),
        Verb::DiskFull { host, folder, undo } => each(places, &[host], |site, host| {
            trouble::disk_full(site.lab.provider, &*site.provider, host, &folder, !undo)
        }),
        Verb::ClockSkew { host, seconds } => each(places, &[host], |site, host| {
            trouble::clock_skew(site.lab.provider, &*site.provider, host, seconds)
        }),
        Verb::Prune => prune(places),
        Verb::Gc => {
            for orphan in orphans::find() {
                orphan.end()?;
                report::say(&format!(
                    "ended the lab whose folder {} is gone",
                    orphan.folder.display()
                ));
            }
            let gone = gc::collect(&places.base, &state::cache_dir())?;
            for image in &gone {
                report::say(&format!("removed {image}"));
            }
            if gone.is_empty() {
                report::say("every image is in use or current");
            }
            Ok(exit::DONE)
        }
        Verb::Path => {
            report::out(&format!("{}\n", places.root.display()));
            Ok(exit::DONE)
        }
        Verb::Keeper { arguments } => keeper::start_inside(&arguments).map(|()| exit::DONE),
        Verb::Init { arguments } => keeper::be_first(&arguments).map(|()| exit::DONE),
        Verb::Wire { folder } => {
            let name = LabName::new(&folder.file_name().unwrap_or_default().to_string_lossy())?;
            let base = folder.parent().unwrap_or(&folder).to_owned();
            cabling::plug_in(&Places::new(base, &name)).map(|()| exit::DONE)
        }
    }
}

/// A lab that is up, with its hosts in reach.
struct Site {
    lab: Lab,
    keeper: Keeper,
    provider: Box<dyn Provider>,
}

impl Site {
    fn open(places: &Places) -> Result<Self> {
        let (lab, keeper) = Lab::alive(places)?;
        let provider = provider::of(&lab, &keeper, places);
        Ok(Self {
            lab,
            keeper,
            provider,
        })
    }
}

fn bring_up(global: &Global, options: &UpOptions, places: &Places) -> Result<u8> {
    let start = Instant::now();
    let done = up::up(options, places, &|line| report::say(line), || {
        report::say("interrupted: what was begun is taken down");
        std::process::exit(130)
    })?;
    let seconds = start.elapsed().as_secs_f32();
    if global.json {
        let value = serde_json::json!({"name": done.lab.name, "started": done.started, "inventory": places.inventory(), "ssh_config": places.ssh_config()});
        report::out(&format!("{value}\n"));
        return Ok(exit::DONE);
    }
    let (lab, count) = (&done.lab.name, done.started.len());
    report::say(&if count == 0 {
        format!("the lab `{lab}` is up; nothing to do")
    } else {
        format!(
            "the lab `{lab}` is up: {count} hosts started in {seconds:.1} s\ninventory: {}",
            places.inventory().display()
        )
    });
    Ok(exit::DONE)
}

fn each(
    places: &Places,
    hosts: &[String],
    act: impl Fn(&Site, &spec::HostSpec) -> Result<()> + Sync,
) -> Result<u8> {
    let site = Site::open(places)?;
    if hosts.is_empty() {
        return Err(Diagnostic::new("no host is named"));
    }
    let hosts: Vec<&spec::HostSpec> = hosts
        .iter()
        .map(|name| site.lab.host(name))
        .collect::<Result<_>>()?;
    provider::at_once(&hosts, |host| act(&site, host)).map(|()| exit::DONE)
}

fn prune(places: &Places) -> Result<u8> {
    for name in state::names(&places.base) {
        let lab = Lab::load(&Places::new(places.base.clone(), &name))?;
        if lab
            .and_then(|lab| lab.keeper)
            .is_some_and(|keeper| keeper.is_alive())
        {
            let help = format!("take it down first: `hactl lab down --name {name}`");
            return Err(
                Diagnostic::refused(format!("the lab `{name}` uses the images")).help(help),
            );
        }
    }
    lab::image::prune(&state::cache_dir()).map(|()| exit::DONE)
}

fn forward(places: &Places, target: &str, listen: SocketAddr) -> Result<u8> {
    let (lab, keeper) = Lab::alive(places)?;
    let bad = || Diagnostic::new(format!("`{target}` is not HOST:PORT"));
    let (host, port) = target.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    let address: Ipv4Addr = relay::resolve(&lab, host)?;
    let listener = relay::listen(listen)?;
    let local = listener
        .local_addr()
        .unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    report::out(&format!("{local}\n"));
    relay::forward(&listener, &keeper, address, port).map(|()| exit::DONE)
}

/// Becomes another program; its exit code is the command's.
fn become_program(command: &mut Command) -> Result<u8> {
    let error = command.exec();
    Err(Diagnostic::new(format!(
        "cannot run `{}`: {error}",
        command.get_program().to_string_lossy()
    )))
}
