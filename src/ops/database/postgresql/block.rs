//! Blocking a host that cannot be fenced on itself: the others send nothing to it and take nothing from it any more.
//!
//! It never needs the blocked host, needs no package, and never leaves a block that [`unblock`] does not take back whole.

use super::scripts::slot_name;
use crate::base::quote::sh;

/// What a block is made of. It runs when the block is made and at every boot, and may run twice.
///
/// In: an answer that was under way while the host was frozen must not arrive. Reverse path filtering drops what comes from an
/// address without a route; where nft is there it drops it as well, for version 6 too. Out: an `unreachable` route, so that
/// whoever tries learns it at once instead of waiting. Then established connections are ended, where the kernel can.
const SCRIPT: &str = "set -eu
proc=/proc/sys/net/ipv4/conf filtered=0
if command -v nft >/dev/null 2>&1; then
case $address in *:*) family=ip6 ;; *) family=ip ;; esac
nft -f - <<END && filtered=1 || true
table inet $table
delete table inet $table
table inet $table {
chain incoming { type filter hook prerouting priority -300; $family saddr $address drop; }
}
END
fi
case $address in
*:*) ;;
*)
if [ \"$(cat $proc/all/rp_filter)\" = 0 ]; then
for f in $proc/*/rp_filter; do
[ \"$f\" != $proc/all/rp_filter ] && [ \"$(cat \"$f\")\" = 0 ] || continue
echo 2 >\"$f\" && echo \"$f\" >>/run/hactl-block-filters
done
fi
[ \"$(cat $proc/all/rp_filter)\" = 0 ] && [ \"$(cat $proc/default/rp_filter)\" = 0 ] || filtered=1
;;
esac
ip route replace unreachable \"$address\"
[ $filtered = 1 ] || { echo \"what comes from $address is not dropped: neither nft nor rp_filter can\" >&2; exit 1; }
ss -K dst \"$address\" >/dev/null 2>&1 || true
";

/// A host drops all that it would send to another one and all that comes from there, now and after a reboot.
pub fn block(host: &str, address: &str) -> String {
    let slot = slot_name(host);
    let unit = format!("hactl-block-{slot}.service");
    let script = format!("/var/lib/hactl/block-{slot}");
    let names = format!("address={}\ntable=hactl_block_{slot}\n", sh(address));
    format!(
        "set -eu; mkdir -p /var/lib/hactl/blocked
cat >{script} <<'SCRIPT'
# Blocks the host {host}; hactl rejoin takes it back.
{names}{SCRIPT}SCRIPT
cat >/etc/systemd/system/{unit} <<'END'
[Unit]
Description=Blocks the fenced host {host}
Before=network-pre.target
After=systemd-sysctl.service
RequiresMountsFor=/var/lib/hactl
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {script}
[Install]
WantedBy=sysinit.target
END
sh {script}
printf '%s\\n' {} >/var/lib/hactl/blocked/{}
sync {script} /var/lib/hactl/blocked/{}
mkdir -p /etc/systemd/system/sysinit.target.wants; ln -sf ../{unit} /etc/systemd/system/sysinit.target.wants/{unit}
",
        sh(address),
        sh(host),
        sh(host)
    )
}

/// Takes [`block`] back, and proves it. What other blocks need stays.
pub fn unblock(host: &str, address: &str) -> String {
    let slot = slot_name(host);
    let unit = format!("hactl-block-{slot}.service");
    format!(
        "set -eu; ip route del unreachable {address} 2>/dev/null || true
nft delete table inet hactl_block_{slot} 2>/dev/null || true
rm -f /etc/systemd/system/sysinit.target.wants/{unit} /etc/systemd/system/{unit} /var/lib/hactl/block-{slot} /var/lib/hactl/blocked/{}
if [ -e /run/hactl-block-filters ] && [ -z \"$(ls -A /var/lib/hactl/blocked 2>/dev/null)\" ]; then
while read -r f; do [ ! -e \"$f\" ] || echo 0 >\"$f\"; done </run/hactl-block-filters
rm -f /run/hactl-block-filters
fi
! ip route show type unreachable | grep -qxF 'unreachable '{address} || {{ echo 'the route is still there' >&2; exit 1; }}
! nft list table inet hactl_block_{slot} >/dev/null 2>&1 || {{ echo 'the rule of nft is still there' >&2; exit 1; }}
",
        sh(host),
        address = sh(address),
    )
}

#[cfg(test)]
mod tests {
    use super::{block, unblock};

    #[test]
    fn what_a_block_makes_is_taken_back() {
        let (made, taken) = (block("db-1", "192.0.2.31"), unblock("db-1", "192.0.2.31"));
        for trace in [
            "/var/lib/hactl/block-db_1",
            "/var/lib/hactl/blocked/db-1",
            "/etc/systemd/system/hactl-block-db_1.service",
            "/etc/systemd/system/sysinit.target.wants/hactl-block-db_1.service",
            "/run/hactl-block-filters",
            "hactl_block_db_1",
        ] {
            assert!(made.contains(trace) && taken.contains(trace), "{trace}");
        }
    }
}
