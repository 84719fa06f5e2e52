//! Faults that the next boot would show, and rules that are open too wide.

use super::{Case, said};
use crate::modules::Reply;

const SSHD: &str = "port 22\npermitrootlogin without-password\npasswordauthentication no\nkbdinteractiveauthentication no\npermitemptypasswords no\n";

pub(super) fn good(what: &str) -> Option<Reply> {
    Some(match what {
        "fstab" => said(0, "Success, no errors or warnings detected\n", ""),
        "units" => said(0, "3\n", ""),
        "armed" => said(0, "", ""),
        "firewall" => super::stack::units(&["hactl-firewall.service"]),
        "rules" => said(0, "1\n", ""),
        "sshd" => said(0, SSHD, ""),
        _ => return None,
    })
}

pub(super) const CASES: &[Case] = &[
    (
        "a line of fstab that names no disk",
        |s| {
            s.set(
                "db1",
                "boot.fstab",
                said(
                    1,
                    "/data\n   [E] unreachable source: UUID=1: No such file or directory\n",
                    "",
                ),
            );
        },
        &["fail boot.fstab db1"],
    ),
    (
        "a unit with a mistake",
        |s| {
            s.out(
                "app1",
                "boot.units",
                "3\n/etc/systemd/system/welcome_app.service:7: Unknown key\n",
            )
        },
        &["fail boot.units app1"],
    ),
    (
        "a change that nobody confirmed",
        |s| s.out("lb2", "boot.armed", "firewall\n"),
        &["fail boot.confirmed lb2"],
    ),
    (
        "no rules in force",
        |s| {
            s.set(
                "db2",
                "boot.rules",
                said(1, "0\n", "Error: No such file or directory\n"),
            )
        },
        &["fail boot.firewall db2"],
    ),
    (
        "passwords are taken",
        |s| {
            s.out(
                "db2",
                "boot.sshd",
                &SSHD.replace("passwordauthentication no", "passwordauthentication yes"),
            )
        },
        &["fail boot.sshd db2"],
    ),
    (
        "root with a password",
        |s| s.out("db2", "boot.sshd", &SSHD.replace("without-password", "yes")),
        &["fail boot.sshd db2"],
    ),
];
