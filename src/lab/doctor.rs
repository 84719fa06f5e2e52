//! What this machine must have for a lab, and what it lacks. Looks only; installs nothing.

use super::keeper;
use super::spec::Kind;
use crate::base::{Diagnostic, Result};
use std::path::Path;
use std::process::Stdio;

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorFinding {
    pub what: &'static str,
    /// What was found, or what is wrong.
    pub found: std::result::Result<String, String>,
    /// The Debian and Ubuntu package that brings it.
    pub package: Option<&'static str>,
}

/// Programs that every lab needs, and the package that has them.
const PROGRAMS: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
];

/// What a kind of host needs beside.
fn programs(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Container => &[("podman", "podman"), ("crun", "crun"), ("conmon", "conmon")],
        Kind::Vm if cfg!(target_arch = "aarch64") => &[
            ("qemu-system-aarch64", "qemu-system-arm"),
            ("qemu-img", "qemu-utils"),
            ("mkfs.ext4", "e2fsprogs"),
        ],
        Kind::Vm => &[
            ("qemu-system-x86_64", "qemu-system-x86"),
            ("qemu-img", "qemu-utils"),
            ("mkfs.ext4", "e2fsprogs"),
        ],
    }
}

/// What later versions of podman do not start without, though a lab does not use it.
const BESIDE: &str = "netavark";

/// Looks for all that a lab of these kinds needs.
pub fn examine(kinds: &[Kind]) -> Vec<DoctorFinding> {
    let mut findings = vec![DoctorFinding {
        what: "root",
        found: if nix::unistd::geteuid().is_root() {
            Ok("yes".to_owned())
        } else {
            Err("labs need root: run hactl with sudo".to_owned())
        },
        package: None,
    }];
    for (program, package) in needed(kinds) {
        let found = which::which_in(program, Some(search_path()), "/")
            .map(|path| path.display().to_string());
        findings.push(DoctorFinding {
            what: program,
            found: found.map_err(|_| "not installed".to_owned()),
            package: Some(package),
        });
    }
    findings.push(DoctorFinding {
        what: "namespaces",
        found: namespaces(),
        package: None,
    });
    findings.push(DoctorFinding {
        what: "cgroups v2",
        found: cgroups(),
        package: None,
    });
    if kinds.contains(&Kind::Container) {
        findings.push(DoctorFinding {
            what: "overlay filesystem",
            found: overlay(),
            package: None,
        });
    }
    if kinds.contains(&Kind::Vm) {
        findings.push(DoctorFinding {
            what: "tap adapters",
            found: taps(),
            package: None,
        });
    }
    findings
}

fn needed(kinds: &[Kind]) -> Vec<(&'static str, &'static str)> {
    let own = kinds.iter().flat_map(|&kind| programs(kind));
    PROGRAMS.iter().chain(own).copied().collect()
}

fn taps() -> std::result::Result<String, String> {
    match std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        Ok(_) => Ok("/dev/net/tun".to_owned()),
        Err(error) => Err(format!("/dev/net/tun cannot be opened: {error}")),
    }
}

/// Nothing, or an error that names all that is missing and how to get it.
pub fn require(kinds: &[Kind]) -> Result<()> {
    verdict(&examine(kinds))
}

fn verdict(findings: &[DoctorFinding]) -> Result<()> {
    let missing: Vec<&DoctorFinding> = findings
        .iter()
        .filter(|finding| finding.found.is_err())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut error = Diagnostic::new("this machine lacks what a lab needs");
    let mut packages: Vec<&str> = Vec::new();
    for finding in missing {
        if let Err(problem) = &finding.found {
            error = error.note(format!("{}: {problem}", finding.what));
        }
        packages.extend(
            finding
                .package
                .filter(|package| !packages.contains(package)),
        );
    }
    Err(if packages.is_empty() {
        error
    } else {
        error.help(install_line(&packages))
    })
}

/// The line that installs packages.
pub fn install_line(packages: &[&str]) -> String {
    format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

/// The packages that a lab of these kinds needs.
pub fn packages(kinds: &[Kind]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = needed(kinds).iter().map(|&(_, package)| package).collect();
    packages.dedup();
    if kinds.contains(&Kind::Container) {
        packages.push(BESIDE);
    }
    packages
}

/// Where programs are; `sbin` is missing in the path of many users.
pub(crate) fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}

fn namespaces() -> std::result::Result<String, String> {
    let status = super::program("unshare")
        .args(["--mount", "--pid", "--net", "--ipc", "--fork", "true"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok("mount, pid, net, ipc".to_owned()),
        _ => Err("this user may not make namespaces (root on the machine itself is needed, or a privileged container)".to_owned()),
    }
}

fn cgroups() -> std::result::Result<String, String> {
    if keeper::is_cgroup2("/sys/fs/cgroup") {
        return Ok("the machine's own tree".to_owned());
    }
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.ends_with("\tcgroup2")) {
        return Ok("mounted for each lab (the machine mixes v1 and v2)".to_owned());
    }
    Err("the kernel has no cgroups v2".to_owned())
}

fn overlay() -> std::result::Result<String, String> {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let loadable = Path::new("/lib/modules")
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    if known.lines().any(|line| line.ends_with("\toverlay")) {
        Ok("yes".to_owned())
    } else if loadable {
        Ok("as a module".to_owned())
    } else {
        Err("the kernel has no overlayfs".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_named_once_with_the_line_that_installs_it() {
        let finding = |what, found: std::result::Result<&str, &str>, package| DoctorFinding {
            what,
            found: found.map(str::to_owned).map_err(str::to_owned),
            package,
        };
        assert!(verdict(&[finding("ip", Ok("x"), Some("iproute2"))]).is_ok());
        let error = verdict(&[
            finding("ssh", Err("not installed"), Some("openssh-client")),
            finding("ssh-keygen", Err("not installed"), Some("openssh-client")),
            finding("root", Err("no"), None),
            finding("ip", Ok("x"), Some("iproute2")),
        ])
        .unwrap_err();
        assert_eq!(
            error.help.as_deref(),
            Some("apt-get install -y --no-install-recommends openssh-client")
        );
        assert_eq!(
            error.notes,
            [
                "ssh: not installed",
                "ssh-keygen: not installed",
                "root: no"
            ]
        );
    }
}
