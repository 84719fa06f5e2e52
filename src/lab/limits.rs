//! Kernel limits that many hosts on one machine run into.
//!
//! Each systemd watches files with several inotify instances; with the kernel's 128 for root, the hosts of a third lab
//! start, but hang before sshd greets. The limit is the machine's and costs nothing when it is higher.

use crate::base::{Diagnostic, Result, exit};

const INSTANCES: &str = "/proc/sys/fs/inotify/max_user_instances";
/// Room for some fifty hosts.
const ENOUGH: u32 = 2048;

/// Raises what is too low, and says so.
///
/// # Errors
/// When it is too low and cannot be raised.
pub fn raise(say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let now = fs_err::read_to_string(INSTANCES)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    if now.is_none_or(|now| now >= ENOUGH) {
        return Ok(());
    }
    fs_err::write(INSTANCES, ENOUGH.to_string()).map_err(|error| {
        Diagnostic::with_code(
            exit::FAILED,
            format!("the machine allows too few inotify instances for a lab: {error}"),
        )
        .help(format!("sysctl -w fs.inotify.max_user_instances={ENOUGH}"))
    })?;
    say(&format!(
        "raised fs.inotify.max_user_instances to {ENOUGH}: many systemds need many"
    ));
    Ok(())
}
