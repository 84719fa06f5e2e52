//! Whether KVM really runs a guest. A device that opens says little: on some machines, virtual ones above all, a guest's
//! kernel hangs in it for ever. So a guest is started, with a time limit, and must say a word.

use super::qemu::{Accelerator, board};
use crate::base::Result;
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

/// How guests are to be run on this machine. Tried once a boot of the machine, and noted in the cache.
pub(super) fn choose(cache: &Path, image: &Path, say: &dyn Fn(&str)) -> Result<Accelerator> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(Accelerator::Tcg);
    }
    make_dir(cache)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let note = cache.join("kvm");
    let _lock = lock_file(&cache.join("kvm.lock"))?;
    let known = std::fs::read_to_string(&note).unwrap_or_default();
    let works = match known.strip_prefix(&boot).map(str::trim) {
        Some("works") => true,
        Some("hangs") => false,
        _ => {
            let works = runs_a_guest(image)?;
            let word = if works { "works" } else { "hangs" };
            write_private(&note, &format!("{boot}{word}\n"))?;
            works
        }
    };
    if works {
        return Ok(Accelerator::Kvm);
    }
    say("KVM is there but runs no guest here: the processors are emulated (TCG), which is slower");
    Ok(Accelerator::Tcg)
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
        .map_err(while_doing("cannot try KVM"))?;
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
