//! A host made of a cloud image as distributions publish it, beside one of the lab's own image. The image is built here,
//! once: none can be fetched. Its boot loader is one for PCs, so that other machines have none of these cases.

use crate::Case;
use crate::bench::Bench;
use crate::command::{run, start};
use crate::scratch::Scratch;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const CASES: &[Case] = &[
    Case {
        name: "machines_long_of_a_cloud_image_are_lab_hosts",
        run: lab_host,
    },
    Case {
        name: "machines_long_of_a_cloud_image_install_without_a_network",
        run: installs,
    },
    Case {
        name: "machines_long_of_a_cloud_image_come_back_as_they_were",
        run: power_cut,
    },
    Case {
        name: "machines_long_of_a_cloud_image_keep_it",
        run: keeps,
    },
];

/// Those that this machine can run.
pub fn cases() -> Vec<Case> {
    if cfg!(target_arch = "x86_64") {
        CASES.to_vec()
    } else {
        Vec::new()
    }
}

/// What the station calls it; there is no such stack.
pub const STACK: &str = "cloud";
const IMAGE: &str = include_str!("cloud/image.sh");
const GIVEN: &str = "10.77.0.11";
const BUILT: &str = "10.77.0.12";

/// The image, built at most once for each way of building it.
fn image() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let digest = Sha256::digest(IMAGE)
        .iter()
        .take(6)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    let image = tmp.join(format!("cloud-image-{digest}.qcow2"));
    if image.exists() {
        return image;
    }
    eprintln!("lab: building a cloud image (once; some minutes)");
    let work = tempfile::tempdir_in(tmp).expect("a folder");
    let script = work.path().join("image.sh");
    std::fs::write(&script, IMAGE).expect("a script");
    let room = work.path().join("work");
    std::fs::create_dir(&room).expect("a folder");
    // The new root is entered by users that are not root.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(work.path(), open).expect("a mode");
    start(Command::new("sh").arg(&script).arg(&image).arg(&room))
        .wait_within(Duration::from_secs(1200))
        .ends(0);
    image
}

/// Writes the inventory of the lab, and names it.
pub fn inventory(room: &Path) -> PathBuf {
    let image = image();
    // By a relative path, as a person would write it.
    std::os::unix::fs::symlink(&image, room.join("image.qcow2")).expect("a link");
    let text = format!(
        "all:\n  vars: {{lab_provider: vm}}\n  hosts:\n    \
         given: {{ansible_host: {GIVEN}, lab_image: image.qcow2, lab_disks: [{{size: 1G}}]}}\n    \
         built: {{ansible_host: {BUILT}}}\n"
    );
    let file = room.join("cloud.yml");
    std::fs::write(&file, text).expect("an inventory");
    file
}

/// Logs in by ssh as one of the users, through the host's own sshd.
fn as_user(bench: &Bench, user: &str, line: &str) -> String {
    let said = run(Command::new("ssh")
        .arg("-F")
        .arg(bench.lab_file("ssh_config"))
        .args(["-l", user, "given", line]));
    said.ends(0);
    said.stdout.trim().to_owned()
}

fn lab_host(bench: &Bench) {
    let scratch = Scratch::new(bench, "cloud-hosts");
    scratch
        .hactl(&["run", "all", "--", "hostname"])
        .ends(0)
        .says(&["given", "built"]);
    assert_eq!(bench.on("given", "cat /etc/hostname"), "given");
    assert_eq!(
        bench.on("given", "getent hosts given"),
        "127.0.1.1       given"
    );
    // Built elsewhere: it boots with its own kernel's words, and on a disk with partitions that has grown.
    assert_eq!(
        bench.on(
            "given",
            "findmnt -no SOURCE / && grep -o root=LABEL=cloudimg /proc/cmdline"
        ),
        "/dev/vda1\nroot=LABEL=cloudimg"
    );
    let size = bench.on("given", "df --output=size -BG / | tail -1 | tr -dc 0-9");
    assert!(size.parse::<u32>().is_ok_and(|size| size >= 7), "{size}");
    // The same adapters, by name and address; the lab's own is in its own namespace.
    let adapters = "ip -o -4 addr show | awk '{print $2, $4}' | grep -v ^lo";
    assert_eq!(
        bench.on("given", adapters),
        format!("enp0s8 {GIVEN}/24\nenp0s17 10.0.2.15/24")
    );
    bench.on("given", "ip -n lane link show enp0s30");
    bench.on("built", &format!("ping -c 1 -W 10 {GIVEN}"));
    bench.on("given", &format!("ping -c 1 -W 10 {BUILT}"));
    // Its disk is where roles look for it, and has room.
    assert_eq!(
        bench.on(
            "given",
            "lsblk -bnro NAME,SIZE \"$(readlink -f /dev/disk/by-id/virtio-disk0)\""
        ),
        format!("vdb {}", 1_u64 << 30)
    );
    // The users come in with the lab's key, and become root as on every lab host.
    assert_eq!(as_user(bench, "root", "id -un"), "root");
    assert_eq!(as_user(bench, "ops", "sudo -n id -un"), "root");
    let password = std::fs::read_to_string(bench.lab_file("opspw-password")).expect("a password");
    assert_eq!(
        as_user(
            bench,
            "opspw",
            &format!("echo {} | sudo -S -p '' id -un", password.trim())
        ),
        "root"
    );
    assert_ne!(bench.try_on("given", "su opspw -c 'sudo -n true'").code, 0);
    // netplan's only file is the one that hactl's role would write.
    assert_eq!(bench.on("given", "ls /etc/netplan"), "01-netcfg.yaml");
    assert_eq!(bench.on("given", "stat -c %a /etc/netplan/*"), "600");
}

const PLAY: &str = "\
- hosts: given
  gather_facts: false
  tasks:
    - name: Install a load balancer
      ansible.builtin.apt:
        name: haproxy
        state: present
    - name: Leave a word
      ansible.builtin.copy:
        content: here
        dest: /etc/word
        mode: \"0644\"
";

/// Deploys; gives what it said.
fn deploy(scratch: &Scratch) -> crate::command::Run {
    scratch
        .start(&["deploy"])
        .wait_within(Duration::from_secs(900))
}

fn installs(bench: &Bench) {
    let scratch = Scratch::new(bench, "cloud-installs");
    scratch.file("site.yml", PLAY);
    let first = deploy(&scratch);
    first.ends(0);
    bench.on("given", "haproxy -v && systemctl is-active haproxy");
    deploy(&scratch).ends(0).says(&["0 changed on 1 hosts"]);
    eprintln!("lab:   haproxy was there after {:.0} s", first.seconds);
}

/// All that decides what the host is, and which boot this is.
const WHAT_IT_IS: &str = "cat /etc/machine-id /etc/hostname /etc/hosts /etc/fstab /etc/netplan/* /etc/shadow \
     /etc/ssh/ssh_host_* /root/.ssh/authorized_keys /etc/apt/sources.list.d/* | sha256sum; \
     ip -o -4 addr show | awk '{print $2, $4}'; findmnt -no TARGET,OPTIONS /usr/local/lib/hactl-lab/packages; \
     systemctl is-active ssh lab-lane";

fn power_cut(bench: &Bench) {
    let scratch = Scratch::new(bench, "cloud-power");
    scratch.file("site.yml", PLAY);
    deploy(&scratch).ends(0);
    let boot = "cat /proc/sys/kernel/random/boot_id";
    let (before, first) = (bench.on("given", WHAT_IT_IS), bench.on("given", boot));
    bench.on("given", "echo kept >/var/tmp/kept && sync");
    bench.lab(&["kill", "given"]);
    assert!(bench.lab(&["list"]).stdout.contains("dead"));
    let started = bench.lab(&["start", "given"]);
    assert_ne!(bench.on("given", boot), first);
    assert_eq!(bench.on("given", WHAT_IT_IS), before);
    assert_eq!(
        bench.on("given", "cat /var/tmp/kept /etc/word"),
        "kept\nhere"
    );
    // cloud-init looks at nothing any more.
    let units =
        "systemctl is-active cloud-init-local cloud-init cloud-config cloud-final | sort -u";
    assert_eq!(bench.on("given", units), "inactive");
    deploy(&scratch).ends(0).says(&["0 changed on 1 hosts"]);
    eprintln!("lab:   back {:.0} s after the power came", started.seconds);
}

fn keeps(bench: &Bench) {
    // QEMU has a layer of its own for what the host writes; the file that was given is as it was, nobody may write to it.
    let sum = || {
        let sum = run(Command::new("sha256sum").arg(bench.room.join("image.qcow2")));
        sum.ends(0);
        sum.stdout
    };
    let before = sum();
    bench.on(
        "given",
        "dd if=/dev/urandom of=/var/tmp/much bs=1M count=20 conv=fsync",
    );
    assert_eq!(sum(), before);
    let given = bench.lab(&["list", "--json"]).json();
    let hosts = given["labs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|lab| lab["name"] == bench.lab.as_str())
        .flat_map(|lab| lab["hosts"].as_array().cloned().unwrap_or_default());
    let images: Vec<String> = hosts
        .map(|host| host["image"].as_str().unwrap_or("none").to_owned())
        .collect();
    assert!(
        images.len() == 2 && images[0].ends_with("/image.qcow2") && images[1] == "none",
        "{images:?}"
    );
    // Half a download is no image.
    let half = bench.room.join("half.qcow2");
    let whole = std::fs::read(bench.room.join("image.qcow2")).expect("the image");
    std::fs::write(&half, &whole[..whole.len() / 2]).expect("written");
    run(crate::bench::program()
        .args(["lab", "up", "-n", &bench.lab, "--provider", "vm"])
        .args(["--hosts", "a=10.78.0.2", "--image"])
        .arg(&half))
    .ends(1)
    .says(&["half.qcow2` is not a cloud image: parts of it are missing or damaged"]);
    // A host has its image for good.
    let other = bench.room.join("other.yml");
    let text = std::fs::read_to_string(bench.room.join("cloud.yml")).expect("the inventory");
    std::fs::write(&other, text.replace("lab_image: image.qcow2, ", "")).expect("written");
    let refused = run(crate::bench::program()
        .args(["lab", "up", "-n", &bench.lab])
        .arg(&other));
    refused
        .ends(1)
        .says(&["given: the lab", "has this host with the image", "lab down"]);
}
