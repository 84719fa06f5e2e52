//! Faults of the shared directory.

use super::{Case, said};
use crate::modules::Reply;

const ETAB: &str = "/srv/nfs/images\t192.168.104.21(rw,sync,wdelay,hide,root_squash,no_all_squash,fsid=880,sec=sys)\n\
                    /srv/nfs/images\t192.168.104.22(rw,sync,wdelay,hide,root_squash,no_all_squash,fsid=880,sec=sys)\n";
const MOUNT: &str = "60 25 0:48 / /mnt/shared/images rw - autofs systemd-1 rw,fd=51,timeout=0\n\
                     90 60 0:53 / /mnt/shared/images rw,noatime - nfs4 192.168.104.11:/srv/nfs/images rw,vers=4.2,hard,proto=tcp,timeo=50\n";
const FSTAB: &str = "192.168.104.11:/srv/nfs/images /mnt/shared/images nfs4 rw,hard,_netdev,nofail,x-systemd.automount 0 0\n";

pub(super) fn good(what: &str) -> Option<Reply> {
    Some(match what {
        "units" => super::stack::units(&["nfs-server.service"]),
        "etab" => said(0, ETAB, ""),
        "owner" => said(0, "880 welcome_app 750\n", ""),
        "mount" => said(0, MOUNT, ""),
        "automount" => said(0, "active\n", ""),
        "fstab" => said(0, FSTAB, ""),
        "write" => said(0, "", ""),
        _ => return None,
    })
}

pub(super) const CASES: &[Case] = &[
    (
        "a client too much",
        |s| {
            let more = format!("{ETAB}/srv/nfs/images\t*(rw,sync,root_squash,fsid=880)\n");
            s.out("lb1", "nfs.etab", &more);
        },
        &["fail nfs.exports lb1"],
    ),
    (
        "another directory",
        |s| {
            let more = format!("{ETAB}/etc\t192.168.104.21(rw,sync,root_squash,fsid=880)\n");
            s.out("lb1", "nfs.etab", &more);
        },
        &["fail nfs.exports lb1"],
    ),
    (
        "a client without its export",
        |s| s.out("lb1", "nfs.etab", ETAB.lines().next().expect("a line")),
        &["fail nfs.exports lb1"],
    ),
    (
        "root of clients is root",
        |s| {
            s.out(
                "lb1",
                "nfs.etab",
                &ETAB.replace("root_squash", "no_root_squash"),
            )
        },
        &["fail nfs.exports lb1"],
    ),
    (
        "open to everybody on the server",
        |s| s.out("lb1", "nfs.owner", "880 welcome_app 777\n"),
        &["fail nfs.owner lb1"],
    ),
    (
        "only watched, not mounted",
        |s| s.out("app1", "nfs.mount", MOUNT.lines().next().expect("a line")),
        &["fail nfs.mounted app1"],
    ),
    (
        "mounted softly",
        |s| s.out("app1", "nfs.mount", &MOUNT.replace("hard", "soft")),
        &["fail nfs.mounted app1"],
    ),
    (
        "somebody else's directory",
        |s| s.out("app2", "nfs.mount", &MOUNT.replace("104.11:", "104.99:")),
        &["fail nfs.mounted app2"],
    ),
    (
        "the automount stopped",
        |s| s.set("app2", "nfs.automount", said(3, "inactive\n", "")),
        &["fail nfs.automount app2"],
    ),
    (
        "a boot that waits for the file server",
        |s| s.out("app2", "nfs.fstab", &FSTAB.replace("nofail,", "")),
        &["fail nfs.fstab app2"],
    ),
    (
        "not in fstab",
        |s| s.out("app1", "nfs.fstab", ""),
        &["fail nfs.fstab app1"],
    ),
    (
        "no answer to a write",
        |s| {
            s.set(
                "app1",
                "nfs.write",
                said(1, "", "mktemp: Permission denied\n"),
            );
        },
        &["fail nfs.writable app1"],
    ),
];
