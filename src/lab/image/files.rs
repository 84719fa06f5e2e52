//! What goes into an image beside packages: the files under `lab/image`, which are part of this program.

use crate::lab::spec::Kind;

pub(super) const CUSTOMIZE: &str = include_str!("../../../lab/image/customize.sh");
pub(super) const BASE: &str = include_str!("../../../lab/image/base.txt");
pub(in crate::lab) const PYTHON: &str = include_str!("../../../lab/image/python.txt");
pub(super) const REPOSITORY: &str = include_str!("../../../lab/image/repository.txt");

/// A path in the image, and what is in the file.
type Files = &'static [(&'static str, &'static str)];

/// What one kind of host has of its own.
pub(super) struct Own {
    /// The script that fits the system to its life.
    pub fit: &'static str,
    /// Packages.
    pub base: &'static str,
    /// The sections of the repository whose packages stay compressed there; virtual machines have these installed.
    pub packed: &'static str,
    files: Files,
}

impl Own {
    /// All files, those of both kinds first.
    pub fn all(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        SHARED.iter().chain(self.files)
    }
}

pub(super) fn of(kind: Kind) -> &'static Own {
    match kind {
        Kind::Container => &CONTAINER,
        Kind::Vm => &VM,
    }
}

/// The script that makes a lab host of a given cloud image.
pub(in crate::lab) const CLOUD_SETUP: (&str, &str) = (
    "usr/local/lib/hactl-lab/setup",
    include_str!("../../../lab/image/cloud/setup.sh"),
);

/// What a machine of a given cloud image gets beside it; the rest is for systems that were built here.
const CLOUD: &[&str] = &[
    "etc/sudoers.d/lab",
    "etc/apt/apt.conf.d/90lab",
    "etc/dpkg/dpkg.cfg.d/lab",
    "usr/local/lib/hactl-lab/lane-up",
    "usr/local/lib/hactl-lab/lane-command",
    "usr/local/lib/hactl-lab/lane-sshd",
    "etc/systemd/system/lab-lane.service",
    "etc/systemd/system/ssh.service.d/lab.conf",
];

/// All files of a machine of a given cloud image.
pub(in crate::lab) fn of_cloud() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    VM.all()
        .filter(|(path, _)| CLOUD.contains(path))
        .chain([&CLOUD_SETUP])
}

/// What the mode of a file in an image is.
pub(in crate::lab) fn mode(path: &str, content: &str) -> u32 {
    if path.starts_with("etc/sudoers.d/") {
        0o440
    } else if content.starts_with("#!") {
        0o755
    } else {
        0o644
    }
}

const SHARED: Files = &[
    (
        "etc/sudoers.d/lab",
        include_str!("../../../lab/image/sudoers"),
    ),
    (
        "etc/apt/apt.conf.d/90lab",
        include_str!("../../../lab/image/apt.conf"),
    ),
    (
        "etc/dpkg/dpkg.cfg.d/lab",
        include_str!("../../../lab/image/dpkg.cfg"),
    ),
];

const CONTAINER: Own = Own {
    fit: include_str!("../../../lab/image/container/fit.sh"),
    base: "",
    packed: "all",
    files: &[
        (
            "usr/local/lib/hactl-lab/setup",
            include_str!("../../../lab/image/container/setup.sh"),
        ),
        (
            "usr/local/lib/hactl-lab/chrony.env",
            include_str!("../../../lab/image/container/chrony.env"),
        ),
        (
            "etc/systemd/system/lab-setup.service",
            include_str!("../../../lab/image/container/setup.service"),
        ),
        (
            "etc/systemd/system/ssh.service.d/lab.conf",
            include_str!("../../../lab/image/container/ssh.conf"),
        ),
        (
            "etc/systemd/system/chrony.service.d/lab.conf",
            include_str!("../../../lab/image/container/chrony.conf"),
        ),
        (
            "etc/systemd/system.conf.d/lab.conf",
            include_str!("../../../lab/image/container/manager.conf"),
        ),
    ],
};

const VM: Own = Own {
    fit: include_str!("../../../lab/image/vm/fit.sh"),
    base: include_str!("../../../lab/image/vm/base.txt"),
    packed: "libs localization perl python text utils",
    files: &[
        (
            "usr/local/lib/hactl-lab/setup",
            include_str!("../../../lab/image/vm/setup.sh"),
        ),
        (
            "usr/local/lib/hactl-lab/lane-up",
            include_str!("../../../lab/image/vm/lane-up.sh"),
        ),
        (
            "usr/local/lib/hactl-lab/lane-command",
            include_str!("../../../lab/image/vm/lane-command.sh"),
        ),
        (
            "usr/local/lib/hactl-lab/lane-sshd",
            include_str!("../../../lab/image/vm/lane-sshd"),
        ),
        (
            "etc/systemd/system/lab-setup.service",
            include_str!("../../../lab/image/vm/setup.service"),
        ),
        (
            "etc/systemd/system/lab-lane.service",
            include_str!("../../../lab/image/vm/lane.service"),
        ),
        (
            "etc/systemd/system/ssh.service.d/lab.conf",
            include_str!("../../../lab/image/vm/ssh.conf"),
        ),
        (
            "etc/systemd/system.conf.d/lab.conf",
            include_str!("../../../lab/image/vm/manager.conf"),
        ),
        (
            "etc/udev/rules.d/70-lab-user-mode.rules",
            include_str!("../../../lab/image/vm/user-mode.rules"),
        ),
        (
            "etc/systemd/network/70-lab-user-mode-lan.link",
            include_str!("../../../lab/image/vm/user-mode-lan.link"),
        ),
        (
            "etc/systemd/network/70-lab-user-mode-lane.link",
            include_str!("../../../lab/image/vm/user-mode-lane.link"),
        ),
        (
            "etc/systemd/system/lab-nat.service",
            include_str!("../../../lab/image/vm/nat.service"),
        ),
        (
            "usr/local/lib/hactl-lab/nat-up",
            include_str!("../../../lab/image/vm/nat-up.sh"),
        ),
        (
            "usr/local/lib/hactl-lab/nat.conf",
            include_str!("../../../lab/image/vm/nat.conf"),
        ),
        (
            "etc/systemd/system/systemd-udev-trigger.service.d/lab.conf",
            include_str!("../../../lab/image/vm/udev-trigger.conf"),
        ),
        (
            "etc/modprobe.d/lab.conf",
            include_str!("../../../lab/image/vm/modprobe.conf"),
        ),
        (
            "etc/initramfs-tools/conf.d/lab",
            include_str!("../../../lab/image/vm/initramfs.conf"),
        ),
        (
            "etc/initramfs-tools/hooks/lab",
            include_str!("../../../lab/image/vm/initramfs-hook"),
        ),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_image_gets_every_file_that_is_named() {
        let found: Vec<&str> = of_cloud().map(|(path, _)| *path).collect();
        assert!(CLOUD.iter().all(|path| found.contains(path)), "{found:?}");
        assert_eq!(found.len(), CLOUD.len() + 1);
    }
}
