//! The provider of virtual machines: every host is a QEMU or a user-mode Linux in the lab's namespaces, with a kernel, disks
//! and adapters of its own. Its disk is a copy-on-write layer over the image, one that was built here or a cloud image that
//! was given.
//!
//! Neither runs anywhere but inside the lab's namespaces: it has no network but the lab's, and ends with the keeper.

mod accelerator;
mod cloud;
mod monitor;
pub mod qemu;
mod seed;
mod uml;

use super::cgroup::Cgroup;
use super::image::given::Given;
use super::image::{self, Recipe, user_mode};
use super::keeper::{Keeper, Network};
use super::provider::{HostState, Provider};
use super::spec::{HostSpec, Kind};
use super::state::{Lab, Places, cache_dir, make_dir};
use super::{cabling, failed, program, run, while_doing};
use crate::base::{Diagnostic, Result, quote};
use accelerator::Runner;
use fs_err as fs;
use qemu::{Machine, Start};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How far machines give way to other processes (`nice`).
const WAY: i32 = 5;

/// The hosts of one lab as virtual machines.
#[derive(Debug)]
pub struct Machines {
    keeper: Keeper,
    places: Places,
    lab: Lab,
}

impl Machines {
    /// The machines of a lab that runs.
    pub fn new(keeper: &Keeper, places: &Places, lab: &Lab) -> Self {
        Self {
            keeper: keeper.clone(),
            places: places.clone(),
            lab: lab.clone(),
        }
    }

    fn folder(&self, host: &HostSpec) -> PathBuf {
        self.places.machine(&host.name)
    }

    fn cgroup_path(&self, host: &HostSpec) -> String {
        format!("/sys/fs/cgroup/{}/vm-{}", self.places.cgroup(), host.name)
    }

    fn cgroup(&self, host: &HostSpec) -> Cgroup {
        Cgroup {
            folder: self.keeper.file(&self.cgroup_path(host)),
        }
    }

    /// Makes the host's disks over the image that it has for good from now on.
    fn create(&self, host: &HostSpec) -> Result<()> {
        let folder = self.folder(host);
        if folder.exists() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&folder);
        let new = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(above)
            .map_err(while_doing("cannot make the machine's folder"))?;
        let name = match &host.suite {
            None => self.lab.image.clone(),
            suite => Recipe::new(Kind::Vm, suite.as_deref(), self.lab.with_python)?.image(),
        };
        let image = image::machine(&cache_dir(), &name);
        std::os::unix::fs::symlink(&image, new.path().join("image"))
            .map_err(while_doing("cannot make the machine's folder"))?;
        if Self::runner(host, &image)? == Runner::UserMode {
            self.create_for_user_mode(host, new.path())?;
            let kept = new.keep();
            return fs::rename(&kept, &folder)
                .map_err(while_doing("cannot make the machine's folder"));
        }
        let disk = |name: &str| {
            let mut command = program("qemu-img");
            command.args(["create", "-q", "-f", "qcow2"]);
            (command, new.path().join(name))
        };
        let (mut command, file) = disk("root.qcow2");
        match &host.image {
            None => command
                .args(["-F", "raw", "-b"])
                .arg(image.join("disk.raw"))
                .arg(file),
            Some(given) => command
                .args(["-F", given.format.word(), "-b"])
                .arg(&given.file)
                .arg(file)
                .arg(given.disk_size().to_string()),
        };
        run(&mut command)?;
        for (index, size) in host.hardware.disks.iter().enumerate() {
            let (mut command, file) = disk(&format!("disk{index}.qcow2"));
            run(command.arg(file).arg(size.to_string()))?;
        }
        let kept = new.keep();
        fs::rename(&kept, &folder).map_err(while_doing("cannot make the machine's folder"))
    }

    /// What is to run a host that is made now.
    fn runner(host: &HostSpec, image: &Path) -> Result<Runner> {
        if host.image.is_some() || host.hardware.cpus > 1 {
            return accelerator::board_of(&cache_dir(), image).map(Runner::Qemu);
        }
        accelerator::choose(&cache_dir(), image, &|_| {})
    }

    /// Whether it was made for user mode; it stays what it is.
    fn is_user_mode(&self, host: &HostSpec) -> bool {
        self.folder(host).join(uml::SEED).exists()
    }

    /// The files of a host in user mode. The first disk makes itself: it holds what differs from the image's.
    fn create_for_user_mode(&self, host: &HostSpec, new: &Path) -> Result<()> {
        let kernel = user_mode::built(&cache_dir())
            .ok_or_else(|| failed("the kernel for hosts in user mode is gone"))?;
        let seed = new.join(uml::SEED);
        make_dir(&seed)?;
        fs::copy(kernel.join(user_mode::MODULES), seed.join("modules"))
            .map_err(while_doing("cannot copy the kernel's modules"))?;
        // It has the modules of this one, whatever is built later.
        std::os::unix::fs::symlink(kernel, new.join(uml::KERNEL))
            .map_err(while_doing("cannot make the machine's folder"))?;
        for (name, file) in seed::write(&self.lab, host, &self.places)? {
            fs::copy(file, seed.join(name))
                .map_err(while_doing("cannot write what the host is told"))?;
        }
        for (index, size) in host.hardware.disks.iter().enumerate() {
            fs::File::create(new.join(format!("disk{index}.raw")))
                .and_then(|file| file.set_len(*size))
                .map_err(while_doing("cannot make a disk"))?;
        }
        Ok(())
    }

    fn boot(&self, host: &HostSpec) -> Result<()> {
        let folder = self.folder(host);
        let image =
            fs::read_link(folder.join("image")).map_err(while_doing("the machine has no image"))?;
        if self.is_user_mode(host) {
            return self.boot_in_user_mode(host, &folder, &image);
        }
        let accelerator = accelerator::board_of(&cache_dir(), &image)?;
        let _ = fs::remove_file(folder.join("monitor"));
        let console = self.places.console(&host.name);
        let machine = Machine {
            host,
            architecture: std::env::consts::ARCH,
            accelerator,
            folder: &folder,
            start: self.way_to_start(host, &folder, image)?,
            console: &console,
        };
        cabling::plug_in_tap(&self.keeper, host)?;
        make_dir(&self.cgroup(host).folder)?;
        // In the cgroup before it is QEMU: nothing of it may be outside. An emulated processor takes all that it gets, so
        // it gives way to whatever else this machine has to do.
        let (name, ..) = qemu::board(std::env::consts::ARCH);
        let mut command = self.keeper.enter(Network::Lab, "sh");
        command
            .args([
                "-c",
                "echo 0 >\"$1/cgroup.procs\" && shift && exec nice -n \"$@\"",
                "sh",
            ])
            .arg(self.cgroup_path(host))
            .arg(WAY.to_string())
            .arg(name)
            .args(machine.arguments());
        run(&mut command)?;
        self.cgroup(host).give_way(WAY);
        Ok(())
    }

    fn boot_in_user_mode(&self, host: &HostSpec, folder: &Path, image: &Path) -> Result<()> {
        cabling::plug_in_tap(&self.keeper, host)?;
        cabling::plug_in_lane(&self.keeper, host, &uml::lane_port(host))?;
        make_dir(&self.cgroup(host).folder)?;
        make_dir(&folder.join("run"))?;
        // What was left by a kernel that was killed would be taken for one that runs.
        let _ = fs::remove_dir_all(folder.join("run/host"));
        // The guest's memory is a file in a file system that goes with the lab. Without a fixed address space the gap that the
        // machine leaves before the heap is different each time, and some guests hang in the fault of an address in it.
        let mut command = self.keeper.enter(Network::Lab, "sh");
        command
            .arg("-c")
            .arg(
                "echo 0 >\"$1/cgroup.procs\" && console=$2 && shift 2 && \
                 TMPDIR=/dev/shm setsid setarch -R nice -n \"$@\" </dev/null >>\"$console\" 2>&1 &",
            )
            .arg("sh")
            .arg(self.cgroup_path(host))
            .arg(self.places.console(&host.name))
            .arg(WAY.to_string())
            .arg(folder.join(uml::KERNEL).join(user_mode::KERNEL))
            .args(uml::arguments(host, &image.join("disk.raw"), folder));
        run(&mut command)?;
        self.cgroup(host).give_way(WAY);
        Ok(())
    }

    /// What the machine is started from, and told; `image` is the one that was built here.
    fn way_to_start(&self, host: &HostSpec, folder: &Path, image: PathBuf) -> Result<Start> {
        if host.image.is_none() {
            let seed = seed::write(&self.lab, host, &self.places)?;
            return Ok(Start::Kernel { image, seed });
        }
        let name = image.file_name().unwrap_or_default().to_string_lossy();
        let (release, _) = image::provenance(Kind::Vm, &name)
            .ok_or_else(|| failed(format!("`{name}` is of no release that is known")))?;
        Ok(Start::Disk {
            seed: cloud::write(&self.lab, host, &self.places, &release, folder)?,
            packages: image.join("disk.raw"),
            firmware: cloud::firmware(std::env::consts::ARCH)?,
        })
    }

    fn powered(&self, host: &HostSpec) -> Result<()> {
        match self.state(host) {
            HostState::Running => Ok(()),
            HostState::Frozen => Err(Diagnostic::new("the host is frozen")
                .on(&host.name)
                .help("let it go on with `hactl lab thaw`")),
            HostState::Absent | HostState::Dead => Err(Diagnostic::new("the host has no power")
                .on(&host.name)
                .help("give it power with `hactl lab start`")),
        }
    }

    /// What ssh needs for the way in past the host's network.
    fn lane(&self, host: &HostSpec, tty: bool, patience: u8) -> Command {
        let mut command = self.keeper.enter(Network::Lab, "ssh");
        let (address, port) = if self.is_user_mode(host) {
            (uml::lane_address(host), 22)
        } else {
            let (address, port) = qemu::lane(host);
            (address.to_string(), port)
        };
        command
            .args(["-F", "none", "-q"])
            .args(["-o", "BatchMode=yes"])
            .args(["-o", "IdentitiesOnly=yes"])
            .args(["-o", "StrictHostKeyChecking=yes"])
            .args(["-o", "GlobalKnownHostsFile=/dev/null"])
            .arg("-o")
            .arg(format!("ConnectTimeout={patience}"))
            .args(["-o", "ServerAliveInterval=15"])
            .arg("-o")
            .arg(format!("HostKeyAlias={}", host.name))
            .arg("-o")
            .arg(format!(
                "UserKnownHostsFile={}",
                self.places.known_hosts().display()
            ))
            .arg("-i")
            .arg(self.places.key())
            .args(["-p", &port.to_string(), if tty { "-t" } else { "-T" }])
            .arg(format!("root@{address}"));
        command
    }
}

/// Sees to what runs the machines of this image, and says it once. `work` is a folder that goes with the lab.
pub fn prepare(keeper: &Keeper, image: &Path, work: &Path, say: &dyn Fn(&str)) -> Result<()> {
    let cache = cache_dir();
    if accelerator::board_of(&cache, image)? == qemu::Accelerator::Tcg
        && let Err(why) = user_mode::ensure(keeper, &cache, work, say)?
    {
        say(&why);
    }
    accelerator::choose(&cache, image, say).map(drop)
}

/// How many times longer than others the machines of this image may take to answer here.
pub fn slowness(image: &str) -> u32 {
    let image = image::machine(&cache_dir(), image);
    match accelerator::choose(&cache_dir(), &image, &|_| {}) {
        Ok(Runner::Qemu(qemu::Accelerator::Tcg)) => 8,
        Ok(Runner::UserMode) => 3,
        _ => 1,
    }
}

impl Provider for Machines {
    fn patience(&self) -> Duration {
        // Many emulated machines that boot at once share the processors; what was built here starts only what it must.
        let given = self.lab.hosts.iter().any(|host| host.image.is_some());
        Duration::from_secs(if given { 900 } else { 600 })
    }

    fn await_ready(&self, host: &HostSpec, end: Instant) -> Result<Option<String>> {
        if host.image.is_none() {
            return Ok(None);
        }
        loop {
            let told = self
                .lane(host, false, 5)
                .args(["--", cloud::LOOK])
                .stdin(Stdio::null())
                .output()
                .map_err(while_doing("cannot ask how far the host is"))?;
            match told.status.code() {
                Some(0) => {
                    let note = String::from_utf8_lossy(&told.stdout).trim().to_owned();
                    return Ok((!note.is_empty()).then(|| quote::for_terminal(&note)));
                }
                Some(cloud::GAVE_UP) => {
                    return Err(failed("cloud-init did not make a host of the lab of it"));
                }
                _ if self.state(host) == HostState::Dead => {
                    return Err(failed("the host has died"));
                }
                _ if Instant::now() > end => {
                    return Err(failed("cloud-init is not done after all that time"));
                }
                // Until it has come that far nobody answers, and each try costs the host something.
                _ => std::thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    fn state(&self, host: &HostSpec) -> HostState {
        if self.folder(host).exists() {
            self.cgroup(host).state()
        } else {
            HostState::Absent
        }
    }

    fn start(&self, host: &HostSpec) -> Result<()> {
        match self.state(host) {
            HostState::Running => return Ok(()),
            HostState::Frozen => return self.powered(host),
            HostState::Absent | HostState::Dead => {}
        }
        let given = host.image.as_ref().map_or(Ok(()), Given::unchanged);
        given
            .and_then(|()| self.create(host))
            .and_then(|()| self.boot(host))
            .map_err(|error| error.on(&host.name))
    }

    fn kill(&self, host: &HostSpec) -> Result<()> {
        if matches!(self.state(host), HostState::Absent | HostState::Dead) {
            return Ok(());
        }
        cabling::unplug(&self.keeper, host);
        let cgroup = self.cgroup(host);
        cgroup.kill().map_err(|error| error.on(&host.name))?;
        if cgroup.wait(HostState::Dead, Duration::from_secs(20)) {
            Ok(())
        } else {
            Err(failed("the host does not die").on(&host.name))
        }
    }

    fn stop(&self, host: &HostSpec) -> Result<()> {
        if matches!(self.state(host), HostState::Absent | HostState::Dead) {
            return Ok(());
        }
        self.powered(host)?;
        if self.is_user_mode(host) {
            // It has no button for its power.
            run(self
                .lane(host, false, 20)
                .args(["--", "systemctl", "poweroff", "--no-block"]))
            .map_err(|error| error.on(&host.name))?;
        } else {
            monitor::command(&self.folder(host).join("monitor"), "system_powerdown")
                .map_err(|error| error.on(&host.name))?;
        }
        if self
            .cgroup(host)
            .wait(HostState::Dead, Duration::from_secs(180))
        {
            Ok(())
        } else {
            Err(
                failed("the host was asked to shut down and still runs after 3 minutes")
                    .on(&host.name)
                    .help("check it with `hactl lab exec`, or cut its power with `hactl lab kill`"),
            )
        }
    }

    fn freeze(&self, host: &HostSpec, frozen: bool) -> Result<()> {
        if matches!(self.state(host), HostState::Absent | HostState::Dead) {
            return self.powered(host);
        }
        self.cgroup(host)
            .freeze(frozen)
            .map_err(|error| error.on(&host.name))
    }

    fn exec(&self, host: &HostSpec, tty: bool, words: &[String]) -> Command {
        let mut command = self.lane(host, tty, 20);
        command
            .arg("--")
            .arg(quote::sh_join(words.iter().map(String::as_str)));
        command
    }

    fn console(&self, host: &HostSpec) -> String {
        let text = fs::read(self.places.console(&host.name)).unwrap_or_default();
        quote::for_terminal(&String::from_utf8_lossy(&text))
    }
}
