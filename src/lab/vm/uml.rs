//! The command line of a Linux that is a process (user-mode Linux): a kernel with drivers, disks and adapters of its own that
//! needs no help of the processor. Where KVM runs no guest it boots ten times sooner than an emulated board. Pure, but for
//! the trial.
//!
//! Its adapters have the names that a board of QEMU would give them, so that a stack sees no difference; see `lab/image/vm`.

use crate::lab::program;
use crate::lab::spec::HostSpec;
use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Command;

/// The first disk over that of the image, in the folder of a machine.
pub(super) const ROOT: &str = "root.cow";
/// The folder of the kernel, in the folder of a machine.
pub(super) const KERNEL: &str = "kernel";
/// What the first boot is told, in the folder of a machine.
pub(super) const SEED: &str = "seed";
/// The number of the adapter of the way in past the host's network.
const LANE: u8 = 0xae;

/// The lab's end of a host's lane.
pub(super) fn lane_port(host: &HostSpec) -> String {
    format!("l{:08x}", u32::from(host.address))
}

/// The guest's address at its lane: the one that every adapter gives itself (RFC 4291, appendix A), on this cable alone.
pub(super) fn lane_address(host: &HostSpec) -> String {
    let [a, b, c, d] = host.address.octets();
    // What `HostSpec::adapter_mac` makes of 0xae.
    let own = [0, LANE, a, 0xff, 0xfe, b, c, d].map(u16::from);
    let half = |at: usize| own[at] << 8 | own[at + 1];
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, half(0), half(2), half(4), half(6));
    format!("{address}%{}", lane_port(host))
}

/// All words after the kernel's name. `disk` is the image's disk, `folder` the machine's.
pub(super) fn arguments(host: &HostSpec, disk: &Path, folder: &Path) -> Vec<String> {
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    // The host's other guests send frames that are larger than the cable's: an adapter that does not take them loses them
    // (seen: 0.6 MB/s in place of 172).
    let mut words = vec![
        format!("mem={}M", host.hardware.memory),
        format!("ubd0={},{}", file(ROOT), disk.display()),
        "root=/dev/ubda".to_owned(),
        "rw".to_owned(),
        // Everything that it says goes to one file; nobody types.
        "con=null".to_owned(),
        "con0=null,fd:1".to_owned(),
        "loglevel=4".to_owned(),
        "panic=5".to_owned(),
        "systemd.show_status=0".to_owned(),
        format!(
            "vec0:transport=tap,ifname={},gro=1,mac={}",
            host.port(),
            host.mac()
        ),
        format!(
            "vec1:transport=tap,ifname={},gro=1,mac={}",
            lane_port(host),
            host.adapter_mac(LANE)
        ),
        // Of the machine's files the guest sees these and no others.
        format!("hostfs={}", file(SEED)),
        format!("uml_dir={}/", file("run")),
        "umid=host".to_owned(),
    ];
    for index in 0..host.hardware.disks.len() {
        words.push(format!(
            "ubd{}={}",
            index + 1,
            file(&format!("disk{index}.raw"))
        ));
    }
    words
}

/// A guest whose first process ends at once: its kernel says so when it, and a process, can run here. It has no network,
/// and reads the machine's own files for that process.
pub(super) fn trial(kernel: &Path) -> Command {
    // Processes of its own go with it.
    let mut command = program("unshare");
    command
        .args(["--fork", "--pid", "--kill-child", "setarch", "-R"])
        .arg(kernel)
        .args(["mem=64M", "con=null", "con0=null,fd:1", "panic=-1"])
        .args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"])
        .args(["init=/bin/false"])
        .env("TMPDIR", "/dev/shm");
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::spec::parse_hosts;

    #[test]
    fn a_guest_has_what_its_host_asks_for() {
        let mut host = parse_hosts("a=192.168.104.11").unwrap().remove(0);
        host.hardware.memory = 1024;
        host.hardware.disks = vec![1 << 30];
        let text = arguments(&host, Path::new("/c/i/disk.raw"), Path::new("/l/a")).join(" ");
        for part in [
            "mem=1024M",
            "ubd0=/l/a/root.cow,/c/i/disk.raw",
            "ubd1=/l/a/disk0.raw",
            "vec0:transport=tap,ifname=hc0a8680b,gro=1,mac=02:ac:c0:a8:68:0b",
            "vec1:transport=tap,ifname=lc0a8680b,gro=1,mac=02:ae:c0:a8:68:0b",
            "hostfs=/l/a/seed",
        ] {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
        assert_eq!(host.adapter_mac(LANE), "02:ae:c0:a8:68:0b");
        assert_eq!(lane_address(&host), "fe80::ae:c0ff:fea8:680b%lc0a8680b");
    }
}
