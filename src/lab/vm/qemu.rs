//! The command line of a virtual machine. Pure: from what a host is to have to the words for QEMU.

use crate::lab::spec::HostSpec;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Slots on the first PCI bus. They decide the names of the adapters in the guest.
const SLOT_DISK: u8 = 4;
const SLOT_LAN: u8 = 8;
const SLOT_MORE_DISKS: u8 = 9;
const SLOT_NAT: u8 = 17;
/// Behind the disks that the host asked for: they are the second, third, ... in the guest, too.
const SLOT_SEED: u8 = 18;
const SLOT_PACKAGES: u8 = 19;
const SLOT_LANE: u8 = 30;
/// The adapter in the lab's network, as the guest calls it.
pub const LAN: &str = "enp0s8";
/// The adapter for everything else; its network gives addresses by DHCP and leads nowhere.
pub const NAT: &str = "enp0s17";
/// The adapter for the lab's own way in.
pub const LANE: &str = "enp0s30";
/// More disks would run into the slot of the next adapter.
pub const MOST_DISKS: usize = (SLOT_NAT - SLOT_MORE_DISKS) as usize;
/// Where sshd listens in the guest's own namespace for the lab.
const LANE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 15);

/// A guest that is starved while it boots may measure its time stamp counter wrong (seen: 821 MHz for 2596, one of five guests),
/// and its clock then runs that much too fast until the kernel notices, seconds later; no time source in the lab puts it right.
/// All five gave the counter up while they booted and kept the timer of the board.
const EMULATED_CLOCK: &str = " tsc=unstable";

/// What lies below is written by nobody, and a guest in user mode that reads it too looks like a writer to QEMU.
const SHARED: &str = ",backing.file.locking=off";

/// Loaded at once, so that only what follows from them is left for udev.
const MODULES: &str = "virtio_net,virtio_rng,button,evdev,qemu_fw_cfg";

/// How the processor is provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The machine's own processor.
    Kvm,
    /// Emulated.
    Tcg,
}

/// The program and the kind of board for an architecture, as Rust calls it.
pub fn board(architecture: &str) -> (&'static str, &'static str, &'static str) {
    match architecture {
        "aarch64" => ("qemu-system-aarch64", "virt,gic-version=max", "ttyAMA0"),
        _ => (
            "qemu-system-x86_64",
            "pc,usb=off,vmport=off,hpet=off",
            "ttyS0",
        ),
    }
}

/// What a machine is started with.
#[derive(Debug)]
pub struct Machine<'a> {
    pub host: &'a HostSpec,
    /// As Rust calls it.
    pub architecture: &'a str,
    pub accelerator: Accelerator,
    /// The folder of its disks and its monitor.
    pub folder: &'a Path,
    pub start: Start,
    /// Where the console is written.
    pub console: &'a Path,
}

/// What a machine starts from.
#[derive(Debug)]
pub enum Start {
    /// The kernel and the initramfs of an image that was built here.
    Kernel {
        /// The folder of both.
        image: PathBuf,
        /// What the first boot is told: a name, and the file that says it.
        seed: Vec<(&'static str, PathBuf)>,
    },
    /// The boot loader on the disk, of whatever image that is.
    Disk {
        /// The folder that cloud-init reads.
        seed: PathBuf,
        /// A disk with a package repository.
        packages: PathBuf,
        /// Where the board has none of its own.
        firmware: Option<PathBuf>,
    },
}

impl Machine<'_> {
    /// All words after the program's name.
    pub fn arguments(&self) -> Vec<String> {
        let (_, board, _) = board(self.architecture);
        let (host, hardware) = (self.host, &self.host.hardware);
        let mut words = Words::default();
        words.add(["-name", &comma(&host.name)]);
        words.add(["-machine", board]);
        match self.accelerator {
            Accelerator::Kvm => words.add(["-accel", "kvm", "-cpu", "host"]),
            Accelerator::Tcg => {
                // Without a limit translated code alone takes a gigabyte.
                words.add(["-accel", "tcg,thread=multi,tb-size=256"]);
                // An emulated processor is slower the more it can: libraries take the widest registers there are, which
                // are worked out bit by bit. An older model boots a quarter sooner.
                let model = if self.architecture == "x86_64" {
                    "Nehalem"
                } else {
                    "max"
                };
                words.add(["-cpu", model]);
            }
        }
        words.add(["-smp", &hardware.cpus.to_string()]);
        words.add(["-m", &hardware.memory.to_string()]);
        words.add(["-nodefaults", "-no-user-config", "-display", "none"]);
        words.add(["-daemonize"]);
        if self.architecture == "x86_64" {
            // Slots that can be plugged at run time have numbers of their own, and the adapters would be called by those.
            words.add([
                "-global",
                "PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off",
            ]);
            words.add(["-global", "PIIX4_PM.acpi-root-pci-hotplug=off"]);
        }
        // A boot loader is looked for on the disk of the lowest slot.
        words.disk("root", &self.folder.join("root.qcow2"), SHARED, SLOT_DISK);
        for (slot, index) in (SLOT_MORE_DISKS..).zip(0..hardware.disks.len()) {
            let file = self.folder.join(format!("disk{index}.qcow2"));
            words.disk(&format!("disk{index}"), &file, "", slot);
        }
        // Closed inside: a guest reaches neither the machine nor another guest past the lab's bridge.
        words.adapter(
            "user,id=nat,restrict=on,ipv6=off",
            "nat",
            &host.adapter_mac(0xad),
            SLOT_NAT,
        );
        words.adapter(
            &format!("tap,id=lan,ifname={},script=no,downscript=no", host.port()),
            "lan",
            &host.mac(),
            SLOT_LAN,
        );
        let (address, port) = lane(host);
        words.adapter(
            &format!("user,id=lane,restrict=on,ipv6=off,net=10.0.3.0/24,hostfwd=tcp:{address}:{port}-{LANE_ADDRESS}:22"),
            "lane",
            &host.adapter_mac(0xae),
            SLOT_LANE,
        );
        words.add(["-device", "virtio-rng-pci"]);
        words.add([
            "-chardev",
            &format!(
                "file,id=console,append=on,path={}",
                comma(&path(self.console))
            ),
        ]);
        words.add(["-serial", "chardev:console"]);
        words.add([
            "-qmp",
            &format!(
                "unix:{},server=on,wait=off",
                comma(&path(&self.folder.join("monitor")))
            ),
        ]);
        self.start(&mut words);
        words.0
    }

    fn start(&self, words: &mut Words) {
        match &self.start {
            Start::Kernel { image, seed } => {
                let (.., console) = board(self.architecture);
                words.add(["-kernel", &path(&image.join("kernel"))]);
                words.add(["-initrd", &path(&image.join("initrd"))]);
                let clock = match (self.accelerator, self.architecture) {
                    (Accelerator::Tcg, "x86_64") => EMULATED_CLOCK,
                    _ => "",
                };
                words.add([
                    "-append",
                    &format!("root=/dev/vda rw console={console} loglevel=4 panic=5 mitigations=off systemd.show_status=0 modules_load={MODULES}{clock}"),
                ]);
                for (name, file) in seed {
                    words.add([
                        "-fw_cfg",
                        &format!("name=opt/hactl/{name},file={}", comma(&path(file))),
                    ]);
                }
            }
            Start::Disk {
                seed,
                packages,
                firmware,
            } => {
                if let Some(firmware) = firmware {
                    words.add(["-bios", &path(firmware)]);
                }
                // QEMU itself shows a folder as a disk with a FAT on it: no program has to make one.
                let seed = comma(&path(seed));
                words.read_only(
                    "seed",
                    &format!("file.driver=vvfat,file.dir={seed},file.label=cidata"),
                    SLOT_SEED,
                );
                let packages = comma(&path(packages));
                words.read_only(
                    "packages",
                    &format!("file.locking=off,file={packages}"),
                    SLOT_PACKAGES,
                );
            }
        }
    }
}

/// Where the way in past the host's network begins, in the lab's network namespace: an address and a port of the
/// loopback adapter that no other host's address leads to.
pub fn lane(host: &HostSpec) -> (Ipv4Addr, u16) {
    let [a, b, c, d] = host.address.octets();
    (Ipv4Addr::new(127, b, c, d), 20_000 + u16::from(a))
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(str::to_owned));
    }

    /// What the guest has flushed is in the file, also when QEMU is killed at the next instant.
    fn disk(&mut self, id: &str, file: &Path, more: &str, slot: u8) {
        let file = comma(&path(file));
        self.add([
            "-drive",
            &format!("if=none,id={id},format=qcow2,cache=writeback,discard=unmap,detect-zeroes=unmap{more},file={file}"),
        ]);
        self.device(id, slot);
    }

    fn read_only(&mut self, id: &str, what: &str, slot: u8) {
        self.add([
            "-drive",
            &format!("if=none,id={id},format=raw,read-only=on,{what}"),
        ]);
        self.device(id, slot);
    }

    fn device(&mut self, id: &str, slot: u8) {
        self.add([
            "-device",
            &format!("virtio-blk-pci,drive={id},serial={id},addr={slot:#x}"),
        ]);
    }

    fn adapter(&mut self, back: &str, id: &str, mac: &str, slot: u8) {
        self.add(["-netdev", back]);
        self.add([
            "-device",
            &format!("virtio-net-pci,netdev={id},mac={mac},addr={slot:#x},romfile="),
        ]);
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A value inside of an option; QEMU takes two commas for one.
fn comma(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::spec::parse_hosts;

    fn arguments(host: &HostSpec, architecture: &str, accelerator: Accelerator) -> String {
        let kernel = Start::Kernel {
            image: "/c/i".into(),
            seed: vec![("name", "/l/name".into())],
        };
        started(host, architecture, accelerator, kernel)
    }

    fn started(
        host: &HostSpec,
        architecture: &str,
        accelerator: Accelerator,
        start: Start,
    ) -> String {
        Machine {
            host,
            architecture,
            accelerator,
            folder: Path::new("/l/a,b"),
            start,
            console: Path::new("/l/console"),
        }
        .arguments()
        .join(" ")
    }

    #[test]
    fn a_machine_has_what_its_host_asks_for() {
        let mut host = parse_hosts("a=192.168.104.11").unwrap().remove(0);
        host.hardware.memory = 1024;
        host.hardware.cpus = 2;
        host.hardware.disks = vec![1 << 30, 1 << 31];
        let text = arguments(&host, "x86_64", Accelerator::Tcg);
        for part in [
            "-machine pc,",
            "-accel tcg,thread=multi,tb-size=256 -cpu Nehalem",
            "-smp 2 -m 1024",
            "id=root,format=qcow2,cache=writeback,discard=unmap,detect-zeroes=unmap,backing.file.locking=off,file=/l/a,,b/root.qcow2",
            "drive=disk1,serial=disk1,addr=0xa",
            "ifname=hc0a8680b,",
            "netdev=lan,mac=02:ac:c0:a8:68:0b,addr=0x8,",
            "netdev=nat,mac=02:ad:c0:a8:68:0b,addr=0x11,",
            "netdev=lane,mac=02:ae:c0:a8:68:0b,addr=0x1e,",
            "hostfwd=tcp:127.168.104.11:20192-10.0.3.15:22",
            "console=ttyS0",
            "systemd.show_status=0 modules_load=virtio_net,virtio_rng,button,evdev,qemu_fw_cfg tsc=unstable",
            "-fw_cfg name=opt/hactl/name,file=/l/name",
        ] {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
        // Whoever is emulated by the machine must not reach it.
        assert_eq!(
            text.matches("user,").count(),
            text.matches("restrict=on").count()
        );
    }

    #[test]
    fn another_processor_is_another_board() {
        let host = parse_hosts("a=10.0.0.2").unwrap().remove(0);
        assert!(!arguments(&host, "aarch64", Accelerator::Tcg).contains("tsc="));
        let text = arguments(&host, "aarch64", Accelerator::Kvm);
        assert!(text.contains("-machine virt") && text.contains("console=ttyAMA0"));
        assert!(text.contains("-accel kvm -cpu host") && !text.contains("PIIX4"));
        assert!(!arguments(&host, "x86_64", Accelerator::Kvm).contains("tsc="));
    }

    #[test]
    fn a_given_image_starts_by_itself_and_what_it_is_told_comes_behind_its_disks() {
        let mut host = parse_hosts("a=10.0.0.2").unwrap().remove(0);
        host.hardware.disks = vec![1 << 30; MOST_DISKS];
        let disk = |firmware: Option<&str>| Start::Disk {
            seed: "/l/a,b/seed".into(),
            packages: "/c/i/disk.raw".into(),
            firmware: firmware.map(Into::into),
        };
        let text = started(&host, "x86_64", Accelerator::Tcg, disk(None));
        for part in [
            "drive=root,serial=root,addr=0x4",
            "drive=disk7,serial=disk7,addr=0x10",
            "id=seed,format=raw,read-only=on,file.driver=vvfat,file.dir=/l/a,,b/seed,file.label=cidata",
            "drive=seed,serial=seed,addr=0x12",
            "id=packages,format=raw,read-only=on,file.locking=off,file=/c/i/disk.raw",
            "drive=packages,serial=packages,addr=0x13",
        ] {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
        for part in ["-kernel", "-initrd", "-append", "-fw_cfg", "-bios"] {
            assert!(!text.contains(part), "`{part}` is in {text}");
        }
        let slots: Vec<&str> = text.split(",addr=").skip(1).collect();
        let slots: std::collections::BTreeSet<&str> = slots
            .iter()
            .filter_map(|rest| rest.split([' ', ',']).next())
            .collect();
        assert_eq!(slots.len(), 1 + MOST_DISKS + 3 + 2, "{slots:?}");
        let text = started(&host, "aarch64", Accelerator::Kvm, disk(Some("/f/EFI.fd")));
        assert!(text.contains("-bios /f/EFI.fd"));
    }

    #[test]
    fn no_two_hosts_have_one_lane() {
        let hosts = parse_hosts("a=10.0.0.2,b=192.0.0.2,c=10.0.1.2").unwrap();
        let lanes: std::collections::BTreeSet<_> = hosts.iter().map(lane).collect();
        assert_eq!(lanes.len(), hosts.len());
    }
}
