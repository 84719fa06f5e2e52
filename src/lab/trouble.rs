//! Faults inside of a host that are neither power nor cables: a slow line, a full disk, a wrong clock. Each can be taken
//! back. What a kind of host cannot do is refused with the reason, and nothing is changed then.

use super::provider::{HostState, Provider};
use super::spec::{HostSpec, Kind};
use super::{failed, while_doing};
use crate::base::{Diagnostic, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// The exit code of a script that found that this host cannot do it; its stderr says why.
const CANNOT: i32 = 42;

/// Delays what the host sends, on the adapter that has its address. Nothing is delayed any more with 0.
const LATENCY: &str = r#"
adapter=$(ip -o -4 address show to "$1" | awk '{print $2; exit}')
[ -n "$adapter" ] || { echo "no adapter of it has the address $1" >&2; exit 1; }
if [ "$2" = 0 ]; then
    ! tc qdisc show dev "$adapter" | grep -q netem || tc qdisc delete dev "$adapter" root
    exit
fi
said=$(tc qdisc replace dev "$adapter" root netem delay "$2ms" 2>&1) && exit
case $said in
*unknown*|*"No such file"*) echo "its kernel has no netem" >&2; exit 42;;
esac
echo "$said" >&2
exit 1
"#;

/// Takes all free blocks of a file system, also those that only root may have.
const FILL: &str = r#"
[ -d "$1" ] || { echo "there is no folder $1" >&2; exit 1; }
file=$1/.hactl-lab-disk-full
step=$(($(stat -f -c %f "$1") * $(stat -f -c %S "$1")))
size=$(stat -c %s "$file" 2>/dev/null || echo 0)
while [ "$step" -ge 4096 ]; do
    if fallocate -l $((size + step)) "$file" 2>/dev/null; then size=$((size + step)); fi
    step=$((step / 2))
done
[ -s "$file" ] || [ "$(stat -f -c %f "$1")" = 0 ] || { echo "nothing could be written below $1" >&2; exit 1; }
"#;

const EMPTY: &str = r#"rm -f "$1/.hactl-lab-disk-full""#;

const CLOCK: &str = r#"date -u -s "@$1" >/dev/null"#;

/// Delays all that the host sends into the lab's network by some milliseconds.
pub fn latency(provider: &dyn Provider, host: &HostSpec, milliseconds: u32) -> Result<()> {
    let address = host.address.to_string();
    run(
        provider,
        host,
        LATENCY,
        &[&address, &milliseconds.to_string()],
    )
}

/// Fills the file system that a folder is on, or makes the room again.
pub fn disk_full(
    kind: Kind,
    provider: &dyn Provider,
    host: &HostSpec,
    folder: &str,
    full: bool,
) -> Result<()> {
    if kind == Kind::Container {
        // That of a file system in memory would be the machine's memory.
        return Err(refused(host, "its disks are the machine's own"));
    }
    if !folder.starts_with('/') {
        return Err(Diagnostic::new(format!(
            "`{folder}` is not an absolute path"
        )));
    }
    run(provider, host, if full { FILL } else { EMPTY }, &[folder])
}

/// Sets the host's clock off from the machine's by some seconds.
pub fn clock_skew(
    kind: Kind,
    provider: &dyn Provider,
    host: &HostSpec,
    seconds: f64,
) -> Result<()> {
    if kind == Kind::Container {
        return Err(refused(host, "it has the machine's clock"));
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(while_doing("this machine's clock"))?
        .as_secs_f64();
    run(provider, host, CLOCK, &[&format!("{:.3}", now + seconds)])
}

fn refused(host: &HostSpec, why: &str) -> Diagnostic {
    Diagnostic::refused(format!("this host cannot do that: {why}"))
        .on(&host.name)
        .help("take virtual machines: `hactl lab up --provider vm`")
}

fn run(provider: &dyn Provider, host: &HostSpec, script: &str, arguments: &[&str]) -> Result<()> {
    if provider.state(host) != HostState::Running {
        return Err(Diagnostic::new("the host does not run")
            .on(&host.name)
            .help("`hactl lab start` gives it power, `hactl lab thaw` lets it go on"));
    }
    let words: Vec<String> = ["sh", "-c", script, "sh"]
        .iter()
        .chain(arguments)
        .map(|&word| word.to_owned())
        .collect();
    let output = provider
        .exec(host, false, &words)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(while_doing("cannot run a command on the host"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(()),
        Some(CANNOT) => Err(refused(host, &said)),
        _ => Err(failed("the command on the host failed")
            .on(&host.name)
            .note(crate::base::quote::for_terminal(&said))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The scripts are tried on this machine, where the tests run.
    fn shell(script: &str, argument: &str) -> Option<i32> {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", argument]);
        command.output().unwrap().status.code()
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_failure_and_not_a_full_disk() {
        assert_eq!(shell(FILL, "/nonexistent"), Some(1));
    }

    #[test]
    fn making_room_twice_is_making_room() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".hactl-lab-disk-full"), "x").unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!((shell(EMPTY, path), shell(EMPTY, path)), (Some(0), Some(0)));
        assert!(!folder.path().join(".hactl-lab-disk-full").exists());
    }
}
