//! Blocking a host that cannot be fenced on itself: the others send nothing to it any more.
//!
//! It never needs the blocked host, and never leaves a block that [`unblock`] does not take back whole.

use super::scripts::slot_name;
use crate::base::quote::sh;

/// A host throws away all that it would send to another one, now and after a reboot. `unreachable` rather than a filter:
/// whoever tries learns it at once instead of waiting, and nothing needs to be installed.
pub fn block(host: &str, address: &str) -> String {
    let unit = format!("hactl-block-{}.service", slot_name(host));
    let route = format!("ip route replace unreachable {}", sh(address));
    format!(
        "set -eu; mkdir -p /var/lib/hactl/blocked
cat >/etc/systemd/system/{unit} <<'END'
[Unit]
Description=Blocks the fenced host {host}
Before=network-pre.target
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '{route}'
[Install]
WantedBy=sysinit.target
END
{route}
printf '%s\\n' {} >/var/lib/hactl/blocked/{}
sync /var/lib/hactl/blocked/{}
mkdir -p /etc/systemd/system/sysinit.target.wants; ln -sf ../{unit} /etc/systemd/system/sysinit.target.wants/{unit}
",
        sh(address),
        sh(host),
        sh(host)
    )
}

/// Takes [`block`] back.
pub fn unblock(host: &str, address: &str) -> String {
    let unit = format!("hactl-block-{}.service", slot_name(host));
    format!(
        "set -eu; ip route del unreachable {} 2>/dev/null || true
rm -f /etc/systemd/system/sysinit.target.wants/{unit} /etc/systemd/system/{unit} /var/lib/hactl/blocked/{}
! ip route show type unreachable | grep -qxF 'unreachable '{} || {{ echo 'the route is still there' >&2; exit 1; }}
",
        sh(address),
        sh(host),
        sh(address)
    )
}
