//! What runs guests on this machine: KVM, Linux as a process (user-mode Linux), or an emulated processor. A device that opens
//! says little: on some machines, virtual ones above all, a guest's kernel hangs in KVM for ever. So a guest is started, with
//! a time limit, and must say a word. Decides nothing about a single host.

use super::qemu::{Accelerator, board};
use super::uml;
use crate::base::Result;
use crate::lab::image::user_mode;
use crate::lab::state::{lock_file, make_dir, write_private};
use crate::lab::{program, while_doing};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// A guest that runs at all says it after a second or two.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a kernel says when its first process has run and ended: then the kernel and a process have run.
const WORD: &str = "Attempted to kill init!";

/// What runs a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// A board of its own, with all that is on one.
    Qemu(Accelerator),
    /// A kernel that is a process: no boot loader, one processor.
    UserMode,
}

/// What is to run the hosts of an image that was built here. Tried once a boot of the machine, and noted in the cache.
pub(super) fn choose(cache: &Path, image: &Path, say: &dyn Fn(&str)) -> Result<Runner> {
    let runner = match board_of(cache, image)? {
        Accelerator::Kvm => Runner::Qemu(Accelerator::Kvm),
        Accelerator::Tcg if user_mode_works(cache)? => Runner::UserMode,
        Accelerator::Tcg => Runner::Qemu(Accelerator::Tcg),
    };
    match runner {
        Runner::Qemu(Accelerator::Kvm) => {}
        Runner::UserMode => say("KVM runs no guest here: each host is a Linux in user mode"),
        Runner::Qemu(Accelerator::Tcg) => {
            say("KVM runs no guest here: the processors are emulated (TCG), which is slower");
        }
    }
    Ok(runner)
}

/// How a guest that needs a board is run: one with a boot loader of its own, or with several processors.
pub(super) fn board_of(cache: &Path, image: &Path) -> Result<Accelerator> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(Accelerator::Tcg);
    }
    let works = tried(cache, "kvm", || runs_a_guest(image))?;
    Ok(if works {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    })
}

fn user_mode_works(cache: &Path) -> Result<bool> {
    let Some(folder) = user_mode::built(cache) else {
        return Ok(false);
    };
    // Another kernel is tried anew.
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    tried(cache, &name, || {
        says(
            &mut uml::trial(&folder.join(user_mode::KERNEL)),
            WORD,
            PATIENCE,
        )
    })
}

/// The outcome of a trial, out of the cache when there was one since the machine was booted.
fn tried(cache: &Path, what: &str, trial: impl Fn() -> Result<bool>) -> Result<bool> {
    make_dir(cache)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let note = cache.join(what);
    let _lock = lock_file(&cache.join("kvm.lock"))?;
    let known = std::fs::read_to_string(&note).unwrap_or_default();
    match known.strip_prefix(&boot).map(str::trim) {
        Some("works") => Ok(true),
        Some("hangs") => Ok(false),
        _ => {
            let works = trial()?;
            let word = if works { "works" } else { "hangs" };
            write_private(&note, &format!("{boot}{word}\n"))?;
            Ok(works)
        }
    }
}

fn runs_a_guest(image: &Path) -> Result<bool> {
    let (name, machine, console) = board(std::env::consts::ARCH);
    let mut command = program(name);
    command
        .args(["-machine", machine, "-accel", "kvm", "-cpu", "host"])
        .args(["-m", "256", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-no-reboot", "-serial", "stdio"])
        .arg("-kernel")
        .arg(image.join("kernel"))
        .arg("-initrd")
        .arg(image.join("initrd"))
        .arg("-append")
        .arg(format!("console={console} panic=-1 rdinit=/bin/false"));
    says(&mut command, WORD, PATIENCE)
}

/// Whether a program says a word in time. It is ended in any case.
fn says(command: &mut Command, word: &'static str, patience: Duration) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(while_doing("cannot try to run a guest"))?;
    let (tell, told) = mpsc::channel();
    if let Some(out) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut lines = BufReader::new(out.take(1 << 20));
            let mut line = Vec::new();
            let mut said = false;
            while !said
                && lines
                    .read_until(b'\n', &mut line)
                    .is_ok_and(|read| read > 0)
            {
                said = String::from_utf8_lossy(&line).contains(word);
                line.clear();
            }
            let _ = tell.send(said);
        });
    }
    let said = told.recv_timeout(patience).unwrap_or(false);
    let _ = child.kill();
    let _ = child.wait();
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_must_say_the_word_in_time() {
        let shell = |script: &str, patience| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            says(&mut command, "here", patience).unwrap()
        };
        assert!(shell("echo a; echo it is here", Duration::from_secs(20)));
        assert!(!shell("echo a", Duration::from_secs(20)));
        assert!(!shell("exec sleep 60", Duration::from_millis(50)));
    }
}
