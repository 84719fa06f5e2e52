//! The container provider: every host is a podman container that runs systemd. podman lives inside the lab's
//! namespaces, with storage, records and configuration of the lab's own; the machine's containers never meet it.

use super::cgroup::Cgroup;
use super::image::Recipe;
use super::keeper::{Keeper, Network, own_program};
use super::provider::{HostState, Provider};
use super::spec::{HostSpec, Kind};
use super::state::{Lab, Places, cache_dir, write_private};
use super::{cabling, image, program, run, while_doing};
use crate::base::{Diagnostic, Result, quote};
use fs_err as fs;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// podman inside one lab.
#[derive(Debug)]
pub struct Podman {
    keeper: Keeper,
    config: PathBuf,
    storage: PathBuf,
    /// A store of another one whose images may be used.
    images: Option<PathBuf>,
}

impl Podman {
    /// podman with the image store of all labs as its own; for importing.
    pub fn for_store(keeper: &Keeper, cache: &Path) -> Self {
        Self {
            keeper: keeper.clone(),
            config: cache.join("podman"),
            storage: image::store(cache),
            images: None,
        }
    }

    /// podman with the lab's storage, which borrows images from the store.
    pub fn for_lab(keeper: &Keeper, places: &Places) -> Self {
        Self {
            keeper: keeper.clone(),
            config: places.root.join("podman"),
            storage: places.root.join("storage"),
            images: Some(image::store(&cache_dir())),
        }
    }

    /// Writes podman's configuration. The machine's own is not read.
    fn configure(&self) -> Result<()> {
        let networks = self.config.join("networks");
        fs::create_dir_all(&networks).map_err(while_doing("cannot make podman's folder"))?;
        let text = |path: &PathBuf| serde_json::Value::from(path.to_string_lossy()).to_string();
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = {}\nrunroot = \"/run/containers/storage\"\n\
             [storage.options]\nadditionalimagestores = [ {} ]\n",
            text(&self.storage),
            self.images.as_ref().map(text).unwrap_or_default(),
        );
        let containers = format!(
            "[containers]\nlog_driver = \"k8s-file\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nruntime = \"crun\"\n\
             [network]\nnetwork_config_dir = {}\n",
            text(&networks),
        );
        write_private(&self.config.join("storage.conf"), &storage)?;
        write_private(&self.config.join("containers.conf"), &containers)
    }

    fn command(&self) -> Command {
        let mut command = self.keeper.enter(Network::Lab, "podman");
        command
            .env("CONTAINERS_CONF", self.config.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.config.join("storage.conf"))
            // These point at the caller's session, which is not in here.
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env_remove("NOTIFY_SOCKET");
        command
    }

    /// Takes a root file system into the store.
    pub fn import(&self, tar: &Path, image: &str) -> Result<()> {
        self.configure()?;
        run(self
            .command()
            .args(["import", "--quiet"])
            .arg(tar)
            .arg(image))
        .map(drop)
    }
}

impl Podman {
    /// Removes an image from the store.
    pub fn remove(&self, image: &str) -> Result<()> {
        self.configure()?;
        run(self.command().args(["rmi", "--force", image])).map(drop)
    }
}

/// The hosts of one lab as containers.
#[derive(Debug)]
pub struct Containers {
    podman: Podman,
    places: Places,
    image: String,
    with_python: bool,
    cgroup: String,
}

impl Containers {
    /// The containers of a lab that runs.
    pub fn new(keeper: &Keeper, places: &Places, lab: &Lab) -> Self {
        let podman = Podman::for_lab(keeper, places);
        Self {
            podman,
            places: places.clone(),
            image: lab.image.clone(),
            with_python: lab.with_python,
            cgroup: places.cgroup(),
        }
    }

    /// Writes what podman reads, with the way to this program in it.
    fn configure(&self) -> Result<()> {
        self.podman.configure()?;
        let hook = serde_json::json!({
            "version": "1.0.0",
            "hook": {"path": own_program()?, "args": ["hactl", "lab", "__wire", self.places.root]},
            "when": {"always": true},
            "stages": ["createRuntime"],
        });
        write_private(&self.hooks().join("wire.json"), &hook.to_string())
    }

    fn hooks(&self) -> PathBuf {
        self.places.root.join("podman/hooks")
    }

    fn podman(&self) -> Command {
        let mut command = self.podman.command();
        command.arg("--hooks-dir").arg(self.hooks());
        command
    }

    fn cgroup(&self, host: &HostSpec) -> Option<Cgroup> {
        let id = fs::read_to_string(self.places.container_id(&host.name)).ok()?;
        let folder = self.podman.keeper.file(&format!(
            "/sys/fs/cgroup/{}/libpod-{}",
            self.cgroup,
            id.trim()
        ));
        Some(Cgroup { folder })
    }

    fn create_and_start(&self, host: &HostSpec) -> Result<()> {
        let image = match &host.suite {
            None => self.image.clone(),
            suite => Recipe::new(Kind::Container, suite.as_deref(), self.with_python)?.image(),
        };
        let folder = self.places.host(&host.name);
        let mut command = self.podman();
        command
            // Not privileged for the sake of rights (a lab host may not set the clock: the image sees to that), but because
            // systemd, keepalived and the sysctls of a host's own network need them.
            .args([
                "run",
                "--detach",
                "--privileged",
                "--systemd=always",
                "--network=none",
                "--no-hosts",
                "--pids-limit=0",
                "--pull=never",
            ])
            .args(["--name", &host.name, "--hostname", &host.name])
            .arg(format!("--cgroup-parent=/{}", self.cgroup))
            .arg(format!(
                "--annotation={}={}",
                cabling::ANNOTATION,
                host.name
            ))
            .arg(format!("--volume={}:/lab:ro", folder.display()))
            .arg(format!(
                "--log-opt=path={}",
                self.places.console(&host.name).display()
            ))
            .arg("--cidfile")
            .arg(self.places.container_id(&host.name));
        // podman's defaults ask for more than some machines allow.
        for (name, resource) in [
            ("nofile", Resource::RLIMIT_NOFILE),
            ("nproc", Resource::RLIMIT_NPROC),
        ] {
            command.arg(format!("--ulimit={name}={0}:{0}", limit(resource)?));
        }
        run(command.arg(&image).arg("/sbin/init"))
            .map(drop)
            .map_err(|error| error.on(&host.name))
    }
}

/// A command in all namespaces of a host's first process, and in the host's cgroup: power cuts and freezes reach it, too.
fn enter(cgroup: &Cgroup, init: i32, words: &[String]) -> Command {
    let mut command = program("sh");
    command
        .args([
            "-c",
            "mkdir -p \"$1\" && echo 0 >\"$1/cgroup.procs\" && shift && exec nsenter \"$@\"",
            "sh",
        ])
        .arg(cgroup.folder.join("lab-exec"))
        .args(["--target", &init.to_string()])
        .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"])
        .args(["--root", "--", "env", "-i", ENVIRONMENT])
        .args(["HOME=/root", "container=podman"])
        .args(words);
    command
}

/// What root's processes of a host find programs by.
const ENVIRONMENT: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn frozen(host: &HostSpec) -> Diagnostic {
    Diagnostic::new("the host is frozen")
        .on(&host.name)
        .help("let it go on with `hactl lab thaw`")
}

/// The hard limit as podman writes it.
fn limit(resource: Resource) -> Result<String> {
    let (_, hard) = getrlimit(resource).map_err(while_doing("cannot read a limit"))?;
    // A limit of a million is what servers have; "unlimited" makes some programs walk through all of it.
    Ok(if hard == RLIM_INFINITY {
        "1048576".to_owned()
    } else {
        hard.min(1_048_576).to_string()
    })
}

impl Provider for Containers {
    fn patience(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn state(&self, host: &HostSpec) -> HostState {
        self.cgroup(host)
            .map_or(HostState::Absent, |cgroup| cgroup.state())
    }

    fn start(&self, host: &HostSpec) -> Result<()> {
        match self.state(host) {
            HostState::Running => return Ok(()),
            HostState::Frozen => return Err(frozen(host)),
            HostState::Absent | HostState::Dead => self.configure()?,
        }
        if self.cgroup(host).is_none() {
            return self.create_and_start(host);
        }
        run(self.podman().args(["start", &host.name]))
            .map(drop)
            .map_err(|error| error.on(&host.name))
    }

    fn kill(&self, host: &HostSpec) -> Result<()> {
        if matches!(self.state(host), HostState::Absent | HostState::Dead) {
            return Ok(());
        }
        cabling::unplug(&self.podman.keeper, host);
        if self.cgroup(host).is_none_or(|group| group.kill().is_err()) {
            run(self.podman().args(["kill", "--signal=KILL", &host.name]))
                .map_err(|error| error.on(&host.name))?;
        }
        let dead = self
            .cgroup(host)
            .is_none_or(|group| group.wait(HostState::Dead, Duration::from_secs(20)));
        if !dead {
            return Err(super::failed("the host does not die").on(&host.name));
        }
        // podman must know too, or it would refuse to start the host again.
        run(self.podman().args(["wait", &host.name]))
            .map(drop)
            .map_err(|error| error.on(&host.name))
    }

    fn stop(&self, host: &HostSpec) -> Result<()> {
        match self.state(host) {
            HostState::Absent | HostState::Dead => Ok(()),
            HostState::Frozen => Err(frozen(host)),
            HostState::Running => run(self.podman().args(["stop", "--time=60", &host.name]))
                .map(drop)
                .map_err(|error| error.on(&host.name)),
        }
    }

    fn freeze(&self, host: &HostSpec, frozen: bool) -> Result<()> {
        if matches!(self.state(host), HostState::Absent | HostState::Dead) {
            return Err(Diagnostic::new("a dead host cannot be frozen or thawed")
                .on(&host.name)
                .help("give it power with `hactl lab start`"));
        }
        self.cgroup(host)
            .ok_or_else(|| super::failed("there is no such container"))
            .and_then(|cgroup| cgroup.freeze(frozen))
            .map_err(|error| error.on(&host.name))
    }

    /// Without a terminal it enters the host directly: a fifth of what podman takes, and tests look very often.
    fn exec(&self, host: &HostSpec, tty: bool, words: &[String]) -> Command {
        if let Some(cgroup) = self.cgroup(host)
            && !tty
            && let Some(init) = cgroup.first()
        {
            return enter(&cgroup, init, words);
        }
        let mut command = self.podman();
        command.args(["exec", "--interactive"]);
        if tty {
            command.arg("--tty");
        }
        command.arg(&host.name).args(words);
        command
    }

    fn console(&self, host: &HostSpec) -> String {
        let text = fs::read_to_string(self.places.console(&host.name)).unwrap_or_default();
        quote::for_terminal(&text)
    }
}
