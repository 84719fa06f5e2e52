//! Shell for what happens inside of a host. Each runs as root, past the host's network.

/// The database server dies, all of its processes at once.
pub const KILL_SERVER: &str = "p=$(head -n 1 /var/lib/postgresql/*/main/postmaster.pid) && kill -9 \"$p\" && while [ -e \"/proc/$p\" ]; do :; done";

/// sshd, with its sessions, answers nobody.
pub const HANG_SSHD: &str = "pkill -STOP -x sshd";

/// It does again.
pub const RESUME_SSHD: &str = "pkill -CONT -x sshd; :";

/// A copy of database and journals at one instant: nobody who writes runs meanwhile.
pub const SNAPSHOT: &str = "set -eu; cd /var/lib; rm -rf chaos-copy; mkdir chaos-copy; pkill -STOP -u postgres
cp -a /var/lib/postgresql chaos-copy/postgresql && mkdir -p hactl && cp -a /var/lib/hactl chaos-copy/hactl; c=$?
pkill -CONT -u postgres; exit $c";

/// The copy takes the place of what is there. The host loses its power right after that.
pub const ROLL_BACK: &str = "set -eu; cd /var/lib; test -d chaos-copy/postgresql
systemctl mask -q --runtime postgresql@$(ls /etc/postgresql)-main
while pkill -KILL -u postgres; do :; done
rm -rf postgresql hactl; mv chaos-copy/postgresql postgresql; mv chaos-copy/hactl hactl; rm -rf chaos-copy; sync";

/// Where root keeps journals and temporary files, nothing can be written any more. The disks of a container are the
/// machine's own, so small ones that are full take their places.
pub const FILL: &str = "set -eu; mkdir -p /var/lib/hactl
for d in /var/lib/hactl /tmp /var/tmp; do
    s=$(mktemp -d /run/chaos-full.XXXXXX); cp -a \"$d/.\" \"$s\"
    mount -t tmpfs -o size=$((1024 + $(du -sk \"$s\" | cut -f 1)))k,mode=$(stat -c %a \"$d\") chaos-full \"$d\"; cp -a \"$s/.\" \"$d\"; rm -rf \"$s\"
    dd if=/dev/zero of=\"$d/.chaos-full\" bs=4k 2>/dev/null || :
done";

/// It can. What was changed there meanwhile stays changed.
pub const FREE: &str = "set -u
for d in /var/lib/hactl /tmp /var/tmp; do
    grep -q \"^chaos-full $d \" /proc/mounts || continue
    s=$(mktemp -d /run/chaos-full.XXXXXX); rm -f \"$d/.chaos-full\"; cp -a \"$d/.\" \"$s\"; umount -l \"$d\"
    find \"$d\" -mindepth 1 -delete; cp -a \"$s/.\" \"$d\"; rm -rf \"$s\"
done; :";

/// As if there had been no other failover within the hour, and nothing had ever been given up.
pub const FORGET: &str = "rm -rf /var/lib/hactl/history/*-failover-* /var/lib/postgresql/*/main.* /var/lib/chaos-copy; :";

/// Nothing of what hactl wrote down stays, and the server is stopped: for a lab that hactl itself could not heal.
pub const WIPE: &str = "rm -f /var/lib/hactl/operation; pkill -CONT -x sshd; :";
