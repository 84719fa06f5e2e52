#!/bin/sh
# At the end of the first boot of a given cloud image: makes a host of the lab of what cloud-init has begun. $1 is the
# release that the lab's packages are for; the other arguments are packages that the host is to have from the start.
# May run again: a power cut in the middle begins all of it anew.
set -eu
release=$1
shift
lab=/usr/local/lib/hactl-lab
exec >/dev/console 2>&1
trap '[ $? = 0 ] || touch /run/hactl-lab-failed' EXIT

# The lab's own way in, first: whatever fails below can be looked at. Without PAM a locked user has no way in by a key.
chmod 0700 "$lab/keys"
case $(getent shadow root | cut -d: -f2) in
'!'*) usermod -p '*' root ;;
esac
systemctl daemon-reload
systemctl enable --now lab-lane.service

# Root may come in by a key; what else the image says of its sshd stands.
case $(sshd -T | sed -n 's/^permitrootlogin //p') in
no | forced-commands-only)
    mkdir -p /etc/ssh/sshd_config.d
    echo 'PermitRootLogin prohibit-password' >/etc/ssh/sshd_config.d/01-lab.conf
    systemctl try-reload-or-restart ssh
    ;;
esac

# From the next boot on the host's own files decide. They say what the network is already like.
if command -v netplan >/dev/null; then
    find /etc/netplan -name '*.yaml' ! -name 01-netcfg.yaml -delete
    netplan generate
fi

# Packages come from the lab's disk: there is no other place to get them from. What wants to look for new ones by itself
# would only hold apt's lock.
systemctl mask --now apt-daily.timer apt-daily-upgrade.timer || :
mkdir -p "$lab/packages" "$lab/sources"
line="/dev/disk/by-id/virtio-packages $lab/packages ext4 ro,noload,nofail 0 0"
grep -qxF "$line" /etc/fstab || echo "$line" >>/etc/fstab
systemctl daemon-reload
mountpoint -q "$lab/packages" || mount "$lab/packages"
own=$(. /etc/os-release && echo "${VERSION_CODENAME:-another system}")
note=
if [ "$own" = "$release" ]; then
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
        [ ! -e "$file" ] || mv -f "$file" "$lab/sources/"
    done
    echo "deb [trusted=yes] file:$lab/packages/srv/apt ./" >/etc/apt/sources.list.d/lab.list
    apt-get -q -o DPkg::Lock::Timeout=120 update
    [ $# = 0 ] || DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 install --yes "$@"
else
    note="its image is $own, and the lab's packages are for $release: apt has none until \`lab_suite\` says $own"
fi

# Nothing changes what was made here, from the next boot on; but a power cut must not leave a host that believes to be
# ready and is not.
sync
echo "$note" >/var/lib/hactl-lab-ready
sync
touch /etc/cloud/cloud-init.disabled
sync
