//! Labs whose folder was removed while they were up, with the checkout that held it: nothing records them any more, and
//! they run on. Each is found by its keeper, whose log was in that folder and is still open.
//!
//! A lab whose folder is there, wherever that is, is never touched: it is somebody's.

use super::keeper::{Keeper, remove_cgroups};
use crate::base::Result;
use std::path::{Path, PathBuf};

/// A lab that nobody can take down by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Where its folder was.
    pub folder: PathBuf,
    /// The process that all of it descends from.
    pub keeper: Keeper,
    cgroup: String,
}

/// All of them on this machine that this user may look at.
pub fn find() -> Vec<Orphan> {
    let mut found: Vec<Orphan> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| look(pid, Path::new("/proc")))
        .collect();
    found.sort_by(|a, b| a.folder.cmp(&b.folder));
    found
}

fn look(pid: i32, proc: &Path) -> Option<Orphan> {
    let of = proc.join(pid.to_string());
    let cgroup = cgroup_of(&std::fs::read(of.join("cmdline")).ok()?)?;
    let log = std::fs::read_link(of.join("fd/2")).ok()?;
    let folder = removed_folder(&log)?;
    Some(Orphan {
        folder,
        keeper: Keeper::of(pid)?,
        cgroup,
    })
}

/// The cgroup that a keeper was started for; `None` for any other process.
fn cgroup_of(cmdline: &[u8]) -> Option<String> {
    let mut words = cmdline.split(|byte| *byte == 0).skip(1);
    let is_keeper = words.next()? == b"lab" && words.next()? == b"__init";
    let cgroup = std::str::from_utf8(words.next()?).ok()?;
    (is_keeper && cgroup.starts_with("hactl-lab-")).then(|| cgroup.to_owned())
}

/// The folder of a log that was removed.
fn removed_folder(log: &Path) -> Option<PathBuf> {
    let log = log.to_str()?.strip_suffix(" (deleted)")?;
    log.strip_suffix("/keeper.log").map(PathBuf::from)
}

impl Orphan {
    /// Ends it, and removes what the kernel keeps of it.
    ///
    /// # Errors
    /// When its keeper does not die.
    pub fn end(&self) -> Result<()> {
        self.keeper.kill()?;
        remove_cgroups(&self.cgroup);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_keeper_without_its_folder_is_an_orphan() {
        for (cmdline, cgroup) in [
            (
                "/x/hactl\0lab\0__init\0hactl-lab-00ff\x0010.0.0.1\0",
                Some("hactl-lab-00ff"),
            ),
            ("/x/hactl\0lab\0__init\0other\0", None),
            ("/x/hactl\0lab\0up\0hactl-lab-00ff\0", None),
            ("vi\0", None),
            ("", None),
        ] {
            assert_eq!(
                cgroup_of(cmdline.as_bytes()).as_deref(),
                cgroup,
                "{cmdline}"
            );
        }
        for (log, folder) in [
            (
                "/gone/target/lab/x/keeper.log (deleted)",
                Some("/gone/target/lab/x"),
            ),
            ("/here/target/lab/x/keeper.log", None),
            ("/gone/other (deleted)", None),
            ("pipe:[17]", None),
        ] {
            assert_eq!(
                removed_folder(Path::new(log)),
                folder.map(PathBuf::from),
                "{log}"
            );
        }
    }

    /// A process that looks like a keeper, with a log that is removed while it runs.
    #[test]
    fn a_removed_folder_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("x");
        std::fs::create_dir(&root).expect("made");
        let log = std::fs::File::create(root.join("keeper.log")).expect("a log");
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read -r _"])
            .stdin(std::process::Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("sh");
        let link = format!("/proc/{}/fd/2", child.id());
        let seen = || removed_folder(&std::fs::read_link(&link).expect("its log"));
        assert_eq!(seen(), None);
        std::fs::remove_dir_all(&root).expect("removed");
        assert_eq!(seen(), Some(root));
        drop(child.stdin.take());
        child.wait().expect("ended");
    }
}
