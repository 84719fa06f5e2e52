//! The image of a virtual machine: a disk that all hosts of a lab read and none writes, and the kernel and initramfs
//! that it is started with.

use super::super::{failed, program, run, while_doing};
use crate::base::Result;
use fs_err as fs;
use std::path::{Path, PathBuf};

/// Part of the recipe: what else decides how the disk looks.
pub(super) const FORMAT: &str = "ext4 8G";
/// Much more than a stack needs, and nothing of it is stored until it is written.
const SIZE: u64 = 8 << 30;

/// The package that brings a kernel for virtual machines: small, and with all that a stack may ask of one.
pub(super) fn kernel_package(suite: &str) -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    // Ubuntu's releases have names of their own, Debian's are known.
    if DEBIAN.contains(&suite) {
        format!("linux-image-cloud-{architecture}")
    } else {
        "linux-image-virtual".to_owned()
    }
}

const DEBIAN: &[&str] = &["bullseye", "bookworm", "trixie", "forky", "sid"];

/// Makes the image's folder of a root file system, all at once.
pub(super) fn store(root: &Path, target: &Path) -> Result<()> {
    let folder = target.parent().unwrap_or(target);
    // What a killed build left here is nobody's: only one builds at a time.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(".new-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(folder)
        .map_err(while_doing("cannot make a folder for the image"))?;
    for (prefix, name) in [("vmlinuz-", "kernel"), ("initrd.img-", "initrd")] {
        let source = newest(&root.join("boot"), prefix)?;
        fs::copy(&source, new.path().join(name)).map_err(while_doing("cannot copy the kernel"))?;
        fs::remove_file(&source).map_err(while_doing("cannot remove the kernel"))?;
    }
    let disk = new.path().join("disk.raw");
    let file = fs::File::create(&disk).map_err(while_doing("cannot make the disk"))?;
    file.set_len(SIZE)
        .map_err(while_doing("cannot make the disk"))?;
    drop(file);
    // The disk is all zeroes, so that there are no tables to clear at the first boot.
    run(program("mkfs.ext4")
        .args(["-q", "-F", "-L", "root"])
        .args(["-E", "lazy_itable_init=1,assume_storage_prezeroed=1", "-d"])
        .arg(root)
        .arg(&disk))?;
    let kept = new.keep();
    fs::rename(&kept, target).map_err(|error| {
        let _ = fs::remove_dir_all(&kept);
        failed(format!("cannot keep the image: {error}"))
    })
}

/// The last file of this beginning, in the order of names.
fn newest(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(while_doing("the image has no /boot"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .collect();
    found.sort();
    found
        .pop()
        .ok_or_else(|| failed(format!("the image has no /boot/{prefix}*")))
}
