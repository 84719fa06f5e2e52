//! Where a lab keeps what it knows: `lab.json`, keys, configuration, and the lock that lets one command at a time
//! change a lab. Knows files only; whether the lab lives is the keeper's business.

use super::keeper::Keeper;
use super::spec::{HostSpec, Kind, LabName};
use super::{failed, while_doing};
use crate::base::{Diagnostic, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder of all labs.
pub fn base_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("HACTL_LAB_DIR").filter(|dir| !dir.is_empty()) {
        return absolute(Path::new(&dir));
    }
    default_base_dir()
}

/// The folder of all labs when the environment does not name one.
pub fn default_base_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/hactl-lab");
    }
    xdg("XDG_STATE_HOME", ".local/state").join("hactl/labs")
}

/// Where images are kept, for all labs.
pub fn cache_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("HACTL_LAB_CACHE").filter(|dir| !dir.is_empty()) {
        return absolute(Path::new(&dir));
    }
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/cache/hactl-lab");
    }
    xdg("XDG_CACHE_HOME", ".cache").join("hactl/lab")
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn xdg(variable: &str, below_home: &str) -> PathBuf {
    match std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        Some(path) => path,
        None => {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(below_home)
        }
    }
}

/// The files of one lab.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder of all labs.
    pub base: PathBuf,
    /// The lab's own folder.
    pub root: PathBuf,
}

impl Places {
    /// The files of the lab of this name.
    pub fn new(base: PathBuf, name: &LabName) -> Self {
        Self {
            root: base.join(name.as_str()),
            base,
        }
    }

    /// What the lab is.
    pub fn record(&self) -> PathBuf {
        self.root.join("lab.json")
    }

    /// The private key that opens every host.
    pub fn key(&self) -> PathBuf {
        self.root.join("id_ed25519")
    }

    /// The hosts' own keys.
    pub fn known_hosts(&self) -> PathBuf {
        self.root.join("known_hosts")
    }

    /// For `ssh -F`.
    pub fn ssh_config(&self) -> PathBuf {
        self.root.join("ssh_config")
    }

    /// For `hactl -i` and `ansible-playbook -i`.
    pub fn inventory(&self) -> PathBuf {
        self.root.join("inventory.yml")
    }

    /// The password of the user `opspw`.
    pub fn opspw_password(&self) -> PathBuf {
        self.root.join("opspw-password")
    }

    /// What a host finds under `/lab` at its first boot.
    pub fn host(&self, name: &str) -> PathBuf {
        self.root.join("hosts").join(name)
    }

    /// The container's id.
    pub fn container_id(&self, name: &str) -> PathBuf {
        self.root.join("ids").join(name)
    }

    /// The console of a host: what its systemd said while it booted.
    pub fn console(&self, name: &str) -> PathBuf {
        self.root.join("console").join(format!("{name}.log"))
    }

    /// What a virtual machine has: disks, monitor, the image that it was made from.
    pub fn machine(&self, name: &str) -> PathBuf {
        self.root.join("machines").join(name)
    }

    /// The name of the lab's cgroup. Labs of one name in two folders, or in two roots, share the kernel's tree.
    pub fn cgroup(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.root.as_os_str().as_encoded_bytes());
        // Two roots on one machine (a chroot, a container) have equal paths, but not equal folders.
        if let Ok(data) = std::fs::metadata(&self.root) {
            hash.update(format!("{}:{}", data.dev(), data.ino()));
        }
        let digest = super::hex(&hash.finalize()[..5]);
        format!("hactl-lab-{digest}")
    }

    /// Makes the folders, readable by their owner alone.
    pub fn create(&self) -> Result<()> {
        for dir in [
            "",
            "hosts",
            "ids",
            "console",
            "machines",
            "podman",
            "podman/hooks",
            "podman/networks",
        ] {
            make_dir(&self.root.join(dir))?;
        }
        Ok(())
    }

    /// Waits for other commands that change this lab, and keeps them out while the file is held.
    pub fn lock(&self) -> Result<File> {
        make_dir(&self.base)?;
        let path = self.lock_path();
        loop {
            let file = lock_file(&path)?;
            // The one before may have removed the file while this one waited for it.
            let number = |data: std::io::Result<Metadata>| data.map(|data| data.ino()).ok();
            if number(file.metadata()) == number(std::fs::metadata(&path)) {
                return Ok(file);
            }
        }
    }

    /// Removes the lock and, when it is empty, the folder of all labs. Only for who holds the lock and does nothing
    /// to the lab afterwards.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.lock_path());
        let _ = std::fs::remove_dir(&self.base);
    }

    fn lock_path(&self) -> PathBuf {
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        self.base.join(format!(".{name}.lock"))
    }
}

/// Makes a folder, and those above it, for its owner alone.
pub fn make_dir(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(while_doing(format!(
            "cannot make the folder `{}`",
            dir.display()
        )))
}

/// Takes a lock; it is given back when the file is dropped.
pub fn lock_file(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(while_doing(format!("cannot open `{}`", path.display())))?;
    file.lock()
        .map_err(while_doing(format!("cannot lock `{}`", path.display())))?;
    Ok(file)
}

/// Writes a file that only its owner may read, and replaces it as a whole.
pub fn write_private(path: &Path, content: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(while_doing(format!("cannot write `{}`", path.display())))
}

/// What is known of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lab {
    /// The form of this record.
    pub version: u32,
    pub name: LabName,
    /// The process that everything descends from; absent until it runs.
    pub keeper: Option<Keeper>,
    /// What the hosts are.
    #[serde(default)]
    pub provider: Kind,
    pub hosts: Vec<HostSpec>,
    /// The image that the hosts run.
    pub image: String,
    /// Whether the hosts have Python from the start.
    pub with_python: bool,
    /// The user that the inventory names.
    pub login: String,
    /// Pairs that cannot hear each other; a host alone cannot hear anyone.
    #[serde(default)]
    pub cuts: Vec<Cut>,
}

/// A cut cable, as `cut` made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    pub host: String,
    /// Absent: cut off from everyone, and from hactl.
    pub from: Option<String>,
}

impl Lab {
    /// The form that this hactl reads and writes.
    pub const VERSION: u32 = 1;

    /// Reads the record; `None` when there is no such lab.
    pub fn load(places: &Places) -> Result<Option<Self>> {
        let path = places.record();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(format!("cannot read `{}`: {error}", path.display()))),
        };
        let lab: Self = serde_json::from_str(&text).map_err(while_doing(format!(
            "`{}` is not the record of a lab",
            path.display()
        )))?;
        if lab.version != Self::VERSION {
            return Err(failed(format!(
                "the lab `{}` was made by another version of hactl",
                lab.name
            ))
            .help("take it down with that version"));
        }
        Ok(Some(lab))
    }

    /// Writes the record.
    pub fn save(&self, places: &Places) -> Result<()> {
        let text =
            serde_json::to_string_pretty(self).map_err(while_doing("cannot write lab.json"))?;
        write_private(&places.record(), &(text + "\n"))
    }

    /// The record of a lab whose keeper lives; an error that says what to do otherwise.
    pub fn alive(places: &Places) -> Result<(Self, Keeper)> {
        let name = places
            .root
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let down = || {
            Diagnostic::new(format!("the lab `{name}` is not up"))
                .help(format!("start it with `hactl lab up --name {name}`"))
        };
        let lab = Self::load(places)?.ok_or_else(down)?;
        let keeper = lab
            .keeper
            .clone()
            .filter(Keeper::is_alive)
            .ok_or_else(down)?;
        Ok((lab, keeper))
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> Result<&HostSpec> {
        self.hosts
            .iter()
            .find(|host| host.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = self.hosts.iter().map(|host| host.name.as_str()).collect();
                Diagnostic::new(format!("the lab `{}` has no host `{name}`", self.name))
                    .help(format!("its hosts are {}", names.join(", ")))
            })
    }
}

/// The names of the labs in a folder, in order.
pub fn names(base: &Path) -> Vec<LabName> {
    let mut names: Vec<LabName> = std::fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| LabName::new(&entry.file_name().to_string_lossy()).ok())
        .collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names
}
